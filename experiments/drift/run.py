"""The verdict of `c360ml drift` on pairs of worlds with nothing planted, a changed source, or a changed purchase rate.

python experiments/drift/run.py [--people 2000] [--first-seed 9001]
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from c360ml import run_pipeline, write_world
from c360ml.tracking.drift import FINE, RETRAIN, SOURCE_CHANGED, measure_drift
from c360ml.tracking.drift_profile import drift_profile

PAIRS = 5
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
        head, *lines = file.read_text("utf-8").splitlines()
        kept = [line for place, line in enumerate(lines[:-1]) if place % 3 == 0]
        file.write_text("\n".join([head, *kept[:-1], kept[-1].rstrip(","), lines[-1]]) + "\n", "utf-8")


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


def profile_of(people: int, seed: int, *, purchases: float | None = None, change: Change | None = None) -> Any:
    """Run a world and count what drift is measured on."""
    with tempfile.TemporaryDirectory() as folder:
        write_world(folder, customers=people, seed=seed, purchases_per_customer=purchases)
        if change is not None:
            change(Path(folder) / "extracts")
        found = []
        run_pipeline(folder, then=lambda lake, result: found.append(drift_profile(lake, result)))
        return found[0]


def judged(people: int, first_seed: int) -> list[tuple[str, str, Any]]:
    """What was planted in each pair of worlds, how, and the drift that was found."""
    planted: list[tuple[str, str, dict[str, Any]]] = [
        *((FINE, "nothing", {}) for _ in range(PAIRS)),
        *((SOURCE_CHANGED, change.__name__.replace("_", " "), {"change": change}) for change in SOURCE_CHANGES),
        *((RETRAIN, "more purchases", {"purchases": MORE_PURCHASES}) for _ in range(PAIRS)),
    ]
    found = []
    for number, (kind, what, how) in enumerate(planted):
        champion = profile_of(people, first_seed + 2 * number)
        drift = measure_drift(profile_of(people, first_seed + 2 * number + 1, **how), champion)
        found.append((kind, what, drift))
        print(f"| {kind} | {what} | {drift.verdict} | {'; '.join(drift.reasons)} |", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--first-seed", type=int, default=9_001)
    arguments = parser.parse_args()
    print("| planted | how | verdict | reasons |\n|---|---|---|---|", flush=True)
    found = judged(arguments.people, arguments.first_seed)
    verdicts = (FINE, SOURCE_CHANGED, RETRAIN)
    counted = Counter((kind, drift.verdict) for kind, _, drift in found)
    print("\n| planted \\ said | " + " | ".join(verdicts) + " |\n|---|---|---|---|")
    for kind in verdicts:
        print(f"| {kind} | " + " | ".join(str(counted[kind, said]) for said in verdicts) + " |")


if __name__ == "__main__":
    main()
