"""The verdict of `c360ml drift` on worlds with nothing planted, a changed source, or a changed purchase rate.

Each world is judged against the same company's run before (one customer record in twenty was still to come), and
against the runs of the other companies, that is of other people.

python experiments/drift/run.py [--people 2000] [--first-seed 9501] [--companies 5] [--profiles DIR]
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from c360ml import run_pipeline, write_world
from c360ml.tracking.drift import FINE, RETRAIN, SOURCE_CHANGED, Drift, measure_drift
from c360ml.tracking.drift_profile import Profile, drift_profile

VERDICTS = (FINE, SOURCE_CHANGED, RETRAIN)

ONE_RECORD_IN = 20
MORE_PURCHASES = 2.0
DEFAULT_BIRTH = "1990-01-01"
Change = Callable[[Path], None]


def change_csv(file: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Rewrite each row of a CSV file."""
    with file.open(newline="", encoding="utf-8") as opened:
        reader = csv.DictReader(opened)
        rows, names = [change(row) for row in reader], list(reader.fieldnames or ())
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    file.write_text(text.getvalue(), "utf-8")


def keep_contacts(file: Path, keep: Callable[[int], bool]) -> None:
    """Rewrite a JSON array of a row a line with some of its rows."""
    head, *lines = file.read_text("utf-8").splitlines()
    kept = [line for place, line in enumerate(lines[:-1]) if keep(place)]
    file.write_text("\n".join([head, *kept[:-1], kept[-1].rstrip(","), lines[-1]]) + "\n", "utf-8")


def keep_csv(file: Path, keep: Callable[[int], bool]) -> None:
    """Rewrite a CSV file with some of its rows."""
    with file.open(newline="", encoding="utf-8") as opened:
        head, *rows = csv.reader(opened)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *(row for place, row in enumerate(rows) if keep(place))])
    file.write_text(text.getvalue(), "utf-8")


def some_records_are_to_come(extracts: Path) -> None:
    """Leave out one customer record in twenty: the company as it was before these came."""

    def keep(place: int) -> bool:
        return place % ONE_RECORD_IN != ONE_RECORD_IN // 2

    for system in ("salesforce", "dynamics365"):
        for file in sorted((extracts / system).glob("contacts_*.json")):
            keep_contacts(file, keep)
    for system in ("dms", "service"):
        keep_csv(extracts / system / "customers.csv", keep)
    accounts = extracts / "digital" / "accounts.ndjson"
    lines = accounts.read_text("utf-8").splitlines()
    accounts.write_text("\n".join(line for place, line in enumerate(lines) if keep(place)) + "\n", "utf-8")


def dealers_send_no_zip(extracts: Path) -> None:
    change_csv(extracts / "dms" / "customers.csv", lambda row: {**row, "zip": ""})


def accounts_lose_phones(extracts: Path) -> None:
    file = extracts / "digital" / "accounts.ndjson"
    rows = []
    for line in file.read_text("utf-8").splitlines():
        try:
            rows.append(json.dumps({**json.loads(line), "phone": None}))
        except ValueError:  # planted bad rows stay as they are
            rows.append(line)
    file.write_text("\n".join(rows) + "\n", "utf-8")


def missing_births_get_a_default(extracts: Path) -> None:
    for file in sorted((extracts / "salesforce").glob("contacts_*.json")):
        file.write_text(file.read_text("utf-8").replace('"Birthdate":null', f'"Birthdate":"{DEFAULT_BIRTH}"'), "utf-8")


def rows_are_not_delivered(extracts: Path) -> None:
    for file in sorted((extracts / "dynamics365").glob("contacts_*.json")):
        keep_contacts(file, lambda place: place % 3 == 0)


def workshops_send_initials(extracts: Path) -> None:
    def initial(row: dict[str, str]) -> dict[str, str]:
        first, _, rest = row["full_name"].partition(" ")
        return {**row, "full_name": f"{first[:1]} {rest}" if rest else first}

    change_csv(extracts / "service" / "customers.csv", initial)


SOURCE_CHANGES: tuple[Change, ...] = (
    dealers_send_no_zip,
    accounts_lose_phones,
    missing_births_get_a_default,
    rows_are_not_delivered,
    workshops_send_initials,
)


@dataclass(frozen=True)
class Planted:
    """A world to be judged: what should be said of it, what was done to it, and how."""

    verdict: str
    what: str
    change: Change | None = None
    purchases: float | None = None


def planted(company: int) -> tuple[Planted, ...]:
    """The worlds of a company that are judged."""
    change = SOURCE_CHANGES[company % len(SOURCE_CHANGES)]
    return (
        Planted(FINE, "nothing"),
        Planted(SOURCE_CHANGED, change.__name__.replace("_", " "), change=change),
        Planted(RETRAIN, "more purchases", purchases=MORE_PURCHASES),
    )


def profile_of(people: int, seed: int, how: Planted, profiles: Path) -> Profile:
    """Run a world and count what drift is measured on; read it if that was done before."""
    file = profiles / f"{people}-{seed}-{how.what.replace(' ', '_')}.json"
    if not file.exists():
        with tempfile.TemporaryDirectory() as folder:
            write_world(folder, customers=people, seed=seed, purchases_per_customer=how.purchases)
            if how.change is not None:
                how.change(Path(folder) / "extracts")
            run_pipeline(folder, then=lambda lake, result: file.write_text(json.dumps(drift_profile(lake, result))))
    return dict(json.loads(file.read_text("utf-8")))


def show(title: str, judged: list[tuple[Planted, Drift]]) -> None:
    """Print what was said of what, and what was planted against what was said."""
    print(f"\n## {title}\n\n| planted | how | verdict | pairs | first reason, of the first such pair |")
    print("|---|---|---|---|---|")
    rows: dict[tuple[str, str, str], list[Drift]] = {}
    for how, drift in judged:
        rows.setdefault((how.verdict, how.what, drift.verdict), []).append(drift)
    for row, found in sorted(rows.items(), key=lambda each: VERDICTS.index(each[0][0])):
        print(f"| {' | '.join(row)} | {len(found)} | {next(iter(found[0].reasons), '')} |")
    print("\n| planted \\ said | " + " | ".join(VERDICTS) + " |\n|---|---|---|---|")
    counted = Counter((how.verdict, drift.verdict) for how, drift in judged)
    for kind in VERDICTS:
        print(f"| {kind} | " + " | ".join(str(counted[kind, said]) for said in VERDICTS) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--first-seed", type=int, default=9_501)
    parser.add_argument("--companies", type=int, default=5)
    parser.add_argument("--profiles", type=Path, help="keeps the profiles of runs; without it they are forgotten")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as forgotten:
        profiles = arguments.profiles or Path(forgotten)
        before = Planted(FINE, "before", change=some_records_are_to_come)
        champions, worlds = [], []
        for company in range(arguments.companies):
            seed = arguments.first_seed + company
            champions.append(profile_of(arguments.people, seed, before, profiles))
            worlds += [(company, how, profile_of(arguments.people, seed, how, profiles)) for how in planted(company)]
    own = [(how, measure_drift(world, champions[company])) for company, how, world in worlds]
    other = [
        (how, measure_drift(world, champion))
        for company, how, world in worlds
        for number, champion in enumerate(champions)
        if number != company
    ]
    show("The same company, its next run", own)
    show("Other people", other)


if __name__ == "__main__":
    main()
