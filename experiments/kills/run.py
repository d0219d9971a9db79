"""Kill an append at many moments, and look what readers see, and what the next append makes of it.

python experiments/kills/run.py [--kills 50] [--customers 150] [--folder DIR]
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from c360ml import tables
from c360ml.identity import IdentityStore, build_index, inbox_records
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import run_pipeline
from c360ml.pipeline.append import add_files
from c360ml.standardize.records import ROLES
from c360ml.synthetic import write_world

# Time and number of a run, when a file was copied, and Delta versions: two runs never share them.
OF_THE_RUN = {"loaded_at", "run_id", "happened_at", "valid_from", "retired_at", "modified_ns", "state"}
OF_THE_RUN |= {"activity_before", "activity_version"}
MODELS = ("models/linkage.json", "models/customer_value.json", "models/segments.json")
ZORA = {"given_name": "Zora", "surname": "Quillfeather", "email": "zora@quillfeather.org", "phone": "415 555 2671"}
APPEND = "import sys; from c360ml.pipeline import append_files; append_files(sys.argv[1])"


def published(folder: Path) -> dict[str, str]:
    """Digest of every table and model as a reader sees it, rows in the order of their text."""
    found = {}
    with Lakehouse(folder, published=True) as lake:
        for table in tables.ALL:
            if lake.version(table) is None:
                continue
            names = ", ".join(f'"{name}"' for name in table.columns if name not in OF_THE_RUN)
            rows = lake.rows(
                f"select to_json(t)::varchar as row from (select {names} from {lake.open(table)}) t order by row"
            )
            found[table.path] = digest(rows)
        for name in MODELS:
            found[name] = digest(lake.read_json(name))
    return found


def digest(content: Any) -> str:
    return hashlib.blake2b(repr(content).encode(), digest_size=12).hexdigest()


def identities(folder: Path) -> dict[str, str]:
    with Lakehouse(folder, published=True) as lake:
        return dict(lake.rows(f"select record_id, master_id from {lake.open(tables.IDENTITIES)}"))


def asked_records(folder: Path) -> list[dict[str, str]]:
    roles = ", ".join(f"nullif(trim({role}), '') as {role}" for role in ROLES)
    with Lakehouse(folder) as lake:
        rows = lake.sql(f"select {roles} from {lake.open(tables.CUSTOMERS)} order by source, source_key limit 60")
        return rows.to_arrow_table().to_pylist()


def answers(folder: Path, asked: list[dict[str, str]]) -> tuple[str, str | None]:
    """Digest of what the store answers, and who the upserted record is."""
    with IdentityStore(folder) as store:
        told = [store.resolve(record) for record in asked]
        content = [[each.master_id, each.match_probability, each.golden_record, each.customer] for each in told]
        return digest(content), store.resolve(ZORA).master_id


def write_extract(folder: Path, target: Path) -> Path:
    """Write an extract of the source `dms`: strangers, second records of known people, and a changed record."""
    with next((folder / "extracts" / "dms").glob("customers*.csv")).open(encoding="utf-8", newline="") as file:
        known = list(csv.reader(file))
    header, rows = known[0], known[1:]
    key, city = header.index("customer_id"), header.index("city")
    second = [[*row] for row in rows[:4]]
    for number, row in enumerate(second):
        row[key] = f"C99990{number}"
    changed = [*rows[5]]
    changed[city] = "RENO"
    strangers = [[*row] for row in rows[6:9]]
    for number, row in enumerate(strangers):
        row[:] = [
            {"customer_id": f"C99980{number}", "first_name": f"ZEB{number}", "last_name": f"QUARTERMAIN{number}",
             "email": f"zeb{number}@quartermain.example", "home_phone": "", "dob": ""}.get(name, value)
            for name, value in zip(header, row, strict=True)
        ]  # fmt: skip
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *second, changed, *strangers])
    return target


def append_command(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", APPEND, str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--customers", type=int, default=150)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="c360ml-kills-", dir=given.folder) as place:
        experiment(Path(place), given.customers, given.kills)


def make_project(place: Path, customers: int) -> tuple[Path, str | None]:
    """A project that was run and indexed, with an upserted record and an extract that wait to be appended."""
    origin = place / "origin"
    write_world(origin, customers=customers, seed=3)
    run_pipeline(origin)
    with Lakehouse(origin) as lake:
        build_index(lake)
    # Names the index beside the tables that it was built from.
    run_pipeline(origin)
    with IdentityStore(origin, writable=True) as store:
        acknowledged = store.upsert(ZORA, source="web", source_key="1").master_id
    add_files(origin, [write_extract(origin, place / "more.csv")], "dms")
    return origin, acknowledged


def experiment(place: Path, customers: int, kills: int) -> None:
    origin, acknowledged = make_project(place, customers)
    copy, asked = place / "copy", asked_records(origin)
    before, before_ids = (published(origin), *answers(origin, asked)), identities(origin)
    shutil.copytree(origin, copy)
    began = time.monotonic()
    append_command(copy).wait()
    seconds = time.monotonic() - began
    after, after_ids = (published(copy), *answers(copy, asked)), identities(copy)
    if before[0] == after[0] or before[1] == after[1]:
        raise SystemExit("the append must change tables and answers")
    print(f"{len(before_ids)} records, an unharmed append takes {seconds:.1f} s, {kills} kills", flush=True)
    found: Counter[str] = Counter()
    for number in range(kills):
        shutil.rmtree(copy)
        shutil.copytree(origin, copy)
        process = append_command(copy)
        time.sleep(seconds * (number + 0.5) / kills)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        found["ended before the kill"] += process.wait() == 0
        look(copy, asked, before, after, acknowledged, found)
        append_command(copy).wait()
        recovered(copy, asked, after, before_ids, after_ids, acknowledged, found)
    for what in COUNTED:
        print(f"| {what} | {found[what]} |")


COUNTED = (
    "ended before the kill",
    "tables and models as before",
    "tables and models as after",
    "tables and models between",
    "store as before",
    "store as after",
    "store between",
    "store ahead of the tables",
    "acknowledged upserts lost",
    "not the state after when appended again",
    "master IDs changed of untouched customers",
    "records lost",
)


def look(
    folder: Path,
    asked: list[dict[str, str]],
    before: tuple[Any, ...],
    after: tuple[Any, ...],
    acknowledged: str | None,
    found: Counter[str],
) -> None:
    tables_, (store, zora) = published(folder), answers(folder, asked)
    found[f"tables and models {state(tables_, before[0], after[0])}"] += 1
    found[f"store {state(store, before[1], after[1])}"] += 1
    found["store ahead of the tables"] += (store == after[1] != before[1]) and tables_ == before[0]
    found["acknowledged upserts lost"] += zora != acknowledged


def state(now: Any, before: Any, after: Any) -> str:
    return "as before" if now == before else "as after" if now == after else "between"


def recovered(
    folder: Path,
    asked: list[dict[str, str]],
    after: tuple[Any, ...],
    before_ids: dict[str, str],
    after_ids: dict[str, str],
    acknowledged: str | None,
    found: Counter[str],
) -> None:
    now, ids = (published(folder), *answers(folder, asked)), identities(folder)
    found["not the state after when appended again"] += now[:2] != after[:2]
    found["acknowledged upserts lost"] += ids.get("web:1") != acknowledged or bool(inbox_records(folder))
    found["records lost"] += len(after_ids.keys() - ids.keys())
    found["master IDs changed of untouched customers"] += sum(
        ids[record] != before_ids[record] for record in untouched(before_ids, after_ids)
    )
    differing = [name for name in after[0] if now[0].get(name) != after[0][name]]
    if differing:
        print("not as after:", ", ".join(differing), flush=True)


def untouched(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Records whose customer has the same records before and after."""
    groups = []
    for ids in (before, after):
        members: dict[str, set[str]] = {}
        for record, master in ids.items():
            members.setdefault(master, set()).add(record)
        groups.append({frozenset(group) for group in members.values()})
    return {record for group in groups[0] & groups[1] for record in group}


if __name__ == "__main__":
    main()
