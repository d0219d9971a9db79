"""Share of untouched customers that keep their master ID over reruns, and why the others changed.

python experiments/lasting_ids/run.py [--customers 3000]
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import run_pipeline
from c360ml.pipeline.manifest import MANIFEST_FILE
from c360ml.synthetic import write_world

LEAVES = "digital"
CONFIG = "c360ml.toml"


def run_anew(folder: Path) -> None:
    (folder / MANIFEST_FILE).unlink()


def drop_source(folder: Path) -> None:
    """Take out a customer source, and the sources of kind events that hang on it."""
    text = (folder / CONFIG).read_text("utf-8")
    head, *sections = re.split(r"(?m)^(?=\[)", text)
    kept = [section for section in sections if not (section.startswith("[[sources]]") and of_the_source(section))]
    (folder / CONFIG).write_text("".join([head, *kept]), "utf-8")


def of_the_source(section: str) -> bool:
    return re.search(rf'(?m)^(name|customer_source) *= *"{LEAVES}"', section) is not None


def set_linkage(setting: str) -> Callable[[Path], None]:
    """A setting that makes the model be trained anew."""

    def change(folder: Path) -> None:
        with (folder / CONFIG).open("a", encoding="utf-8") as file:
            file.write(f"\n[linkage]\n{setting}\n")

    return change


CHANGES: dict[str, Callable[[Path], None]] = {
    "everything anew": run_anew,
    f"without the source {LEAVES}": drop_source,
    "with a model trained on another seed": set_linkage("seed = 7"),
    "with a model of another kind": set_linkage('classes = "two"'),
}


def customers(folder: Path, records: set[str] | None = None) -> dict[str, frozenset[str]]:
    """Records of each customer, of those that are asked for."""
    with Lakehouse(folder, published=True) as lake:
        rows = lake.rows(f"select record_id, master_id from {lake.open(tables.IDENTITIES)}")
    members: dict[str, set[str]] = {}
    for record, master in rows:
        if records is None or record in records:
            members.setdefault(master, set()).add(record)
    return {master: frozenset(group) for master, group in members.items()}


def reasons(folder: Path, runs_before: set[str]) -> list[tuple[str, str, int]]:
    """What the ledger tells of the last run but of golden values."""
    with Lakehouse(folder, published=True) as lake:
        rows = lake.rows(
            f"""
            select event, coalesce(reason, '-'), count(*) from {lake.open(tables.IDENTITY_LEDGER)}
            where event <> 'golden_changed' and not list_contains($runs, run_id) group by all order by all
            """,
            {"runs": sorted(runs_before)},
        )
    return [(event, reason, number) for event, reason, number in rows]


def runs(folder: Path) -> set[str]:
    with Lakehouse(folder, published=True) as lake:
        return {run for (run,) in lake.rows(f"select distinct run_id from {lake.open(tables.IDENTITY_LEDGER)}")}


def measure(origin: Path, copy: Path, title: str) -> None:
    shutil.copytree(origin, copy)
    CHANGES[title](copy)
    ran = [step.name for step in run_pipeline(copy).steps if not step.skipped]
    after = customers(copy)
    left = {record for group in after.values() for record in group}
    before = customers(origin, left)
    now = {group: master for master, group in after.items()}
    untouched = {master: group for master, group in before.items() if group in now}
    kept = sum(now[group] == master for master, group in untouched.items())
    changed = len(before) - len(untouched)
    print(f"\n| {title} | |\n|---|---|")
    print(f"| steps that ran | {len(ran)} |")
    print(f"| records before, still there | {sum(map(len, customers(origin).values())):,}, {len(left):,} |")
    print(f"| customers before that still have records | {len(before):,} |")
    print(f"| untouched | {len(untouched):,} |")
    print(f"| of them with the same master ID | {kept:,} ({kept / len(untouched):.2%}) |")
    print(f"| customers that changed | {changed:,} ({changed / len(before):.2%}) |")
    for event, reason, number in reasons(copy, runs(origin)):
        print(f"| ledger: {event}, {reason} | {number:,} |")
    shutil.rmtree(copy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="c360ml-lasting-", dir=given.folder) as place:
        origin = Path(place) / "origin"
        write_world(origin, customers=given.customers, seed=5)
        run_pipeline(origin)
        for title in CHANGES:
            measure(origin, Path(place) / "copy", title)


if __name__ == "__main__":
    main()
