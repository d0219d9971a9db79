"""Forget a person: from bronze to gold, in index, models, labels and reports, with the proof that nothing is left.

Tombstones are written first, so that no later run lands the person again. A note below `data/` keeps what is to be
erased until all is done: after a kill the command finishes the work, and then removes the note.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from c360ml import tables
from c360ml.config import CONFIG_FILE, INBOX_FOLDER, Config
from c360ml.errors import ProjectError
from c360ml.identity.forget import (
    Person,
    condition_of,
    drop_unfinished,
    find_person,
    note_erasure,
    rows_condition,
)
from c360ml.identity.inbox import forget_upserts
from c360ml.identity.online_index import keep_indexes
from c360ml.identity.store_delta import delta_path
from c360ml.identity.tombstones import bury
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline.publication import publish_erased, undo_unpublished
from c360ml.sources import forgotten_rows

NOTE_FILE = "data/forgetting.json"
BLOTTED = "(forgotten)"
_TEXT_SUFFIXES = {".json", ".html", ".csv", ".txt", ".yaml", ".yml", ".md"}
_SEARCHED = ("data", "models", "mlruns")


@dataclass(frozen=True)
class Forgotten:
    """What was erased: records, rows by table, files that named the person; `files_searched` hold nothing of them."""

    records: int
    master_ids: int
    rows: dict[str, int]
    files_changed: tuple[str, ...]
    files_searched: int


def forget_person(
    folder: str | Path,
    *,
    record: str | None = None,
    master_id: str | None = None,
    confirm: Callable[[Person], bool] = lambda person: True,
    say: Callable[[str], None] = lambda message: None,
) -> Forgotten | None:
    """Erase a person, named by one of their records or by a master ID; None if `confirm` says no.

    Work that a killed command left is finished first.

    Raises:
        ConfigError: the config is missing or wrong.
        DataError: the project knows no such record or ID.
        ProjectError: another run is at work in the folder, or something of the person is left.
    """
    folder = Path(folder).resolve()
    config = Config.load(folder / CONFIG_FILE)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "data" / ".lock", timeout=0), Lakehouse(folder, say=say) as lake:
            unfinished = lake.read_json(NOTE_FILE)
            if unfinished is not None:
                person = Person.from_dict(unfinished)
                done = _erase(lake, config, person, str(unfinished["event_id"]))
                if record in person.records or master_id in person.master_ids:
                    return done
            undo_unpublished(lake)
            person = find_person(lake, record=record, master_id=master_id)
            if not confirm(person):
                return None
            event_id = secrets.token_hex(16)
            _bury(lake, person)
            lake.write_json(NOTE_FILE, {**person.to_dict(), "event_id": event_id})
            return _erase(lake, config, person, event_id)
    except Timeout as error:
        raise ProjectError(
            "a project runs once at a time", got=f"another run in {folder}", hint="wait for it to end"
        ) from error


def _bury(lake: Lakehouse, person: Person) -> None:
    kinds = (("record", person.records), ("master_id", person.master_ids), ("email", person.emails))
    bury(lake, [(kind, key) for kind, keys in kinds for key in keys])


def _erase(lake: Lakehouse, config: Config, person: Person, event_id: str) -> Forgotten:
    drop_unfinished(lake)
    lake.say("deleting rows")
    rows = {**_delete_bronze(lake, config, person), **_delete_derived(lake, person)}
    note_erasure(lake, event_id, len(person.records))
    lake.say("dropping the index, blotting out models, labels and reports")
    _drop_index(lake.folder, person)
    changed = [
        *_cut_upserts(lake.folder, person),
        *_cut_labels(lake, config, person),
        *_blot_texts(lake.folder, person),
    ]
    publish_erased(lake)
    lake.say("removing older versions")
    for table in _written(lake):
        lake.forget_versions(table)
    publish_erased(lake)
    lake.say("searching for what is left")
    searched = _prove(lake, person)
    (lake.folder / NOTE_FILE).unlink(missing_ok=True)
    return Forgotten(
        records=len(person.records),
        master_ids=len(person.master_ids),
        rows={name: number for name, number in rows.items() if number},
        files_changed=tuple(sorted(changed)),
        files_searched=searched,
    )


def _drop_index(folder: Path, person: Person) -> None:
    """Drop the built index, and of the upserts that wait in it for a run only the person's."""
    forget_upserts(folder, person.records)
    waiting = delta_path(folder)
    if waiting.is_file():
        keep_indexes(folder, ())
    for path in waiting.parent.glob("*"):
        if path.is_file() and not path.name.startswith(waiting.name):
            path.unlink()


def _cut_upserts(folder: Path, person: Person) -> Iterator[str]:
    """Cut the person's records out of what was upserted and landed."""
    for path in sorted((folder / INBOX_FOLDER).glob("*.jsonl")):
        source = path.name.rpartition("-")[0]
        lines = path.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if f"{source}:{json.loads(line)['source_key']}" not in person.records]
        if len(kept) < len(lines):
            _replace(path, "".join(kept))
            yield str(path.relative_to(folder))


def _written(lake: Lakehouse) -> list[tables.Table]:
    return [table for table in tables.ALL if lake.version(table) is not None]


# ---------------------------------------------------------------------- tables
def _delete_bronze(lake: Lakehouse, config: Config, person: Person) -> dict[str, int]:
    """Delete landed rows by the tombstones of their keys, and those that hold a value of the person's alone.

    `bronze.source_rows` comes last, because it tells which rows they are.
    """
    lake.open(tables.SOURCE_ROWS)
    with forgotten_rows(lake, config) as forgotten:
        rows = lake.rows(
            f"""
            select source, file, row_number from {forgotten}
            union
            select source, file, row_number from bronze.source_rows where regexp_matches(raw, $pattern)
            """,
            {"pattern": person.pattern},
        )
    if not rows:
        return {}
    bronze = [table for table in _written(lake) if {"source", "file", "row_number"} <= set(table.columns)]
    bronze.sort(key=lambda table: table is tables.SOURCE_ROWS)
    condition = rows_condition(rows)
    return {table.path: lake.delete(table, condition) for table in bronze}


def _delete_derived(lake: Lakehouse, person: Person) -> dict[str, int]:
    derived = [(table, condition_of(table, person)) for table in _written(lake) if table.layer != "bronze"]
    return {table.path: lake.delete(table, condition) for table, condition in derived if condition}


# ---------------------------------------------------------------------- files
def _cut_labels(lake: Lakehouse, config: Config, person: Person) -> Iterator[str]:
    """Cut the rows that name a record of the person out of reviewers' decisions and labels."""
    reviewed = Path(config.linkage.reviewed_pairs)
    named = [reviewed, reviewed.with_name(f"{reviewed.stem}_history{reviewed.suffix}")]
    named += [Path(name) for name in (config.evaluation.labelled_pairs, config.evaluation.true_ids) if name]
    for name in named:
        path = lake.folder / name
        if path.is_file() and path.suffix == ".csv" and _cut_rows(path, set(person.records)):
            yield str(name)


def _cut_rows(path: Path, records: set[str]) -> bool:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    kept = [row for row in rows if not records & set(row)]
    if len(kept) == len(rows):
        return False
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(kept)
    _replace(path, text.getvalue())
    return True


def _blot_texts(folder: Path, person: Person) -> Iterator[str]:
    """Blot the person out of model files, manifests, run records, MLflow's copies of them, and reports."""
    pattern = re.compile(person.pattern, re.ASCII)
    for path in _texts(folder):
        text = path.read_text("utf-8", "surrogateescape")
        # Twice, because neighbours share the character between them.
        blotted = text
        for _ in range(2):
            blotted = pattern.sub(_blot, blotted)
        if blotted != text:
            _replace(path, blotted)
            yield str(path.relative_to(folder))


def _blot(found: re.Match[str]) -> str:
    return found[0].replace(found[2], BLOTTED)


def _texts(folder: Path) -> Iterator[Path]:
    inside = (path for name in _SEARCHED for path in (folder / name).rglob("*"))
    for path in (*inside, *folder.glob("*.html"), *folder.glob("*.csv")):
        own = "_delta_log" in path.parts or path == folder / NOTE_FILE
        if path.is_file() and path.suffix in _TEXT_SUFFIXES and not own:
            yield path


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, "utf-8", "surrogateescape", newline="")
    os.replace(partial, path)


# ---------------------------------------------------------------------- proof
def _prove(lake: Lakehouse, person: Person) -> int:
    """Search every file below data, models and mlruns, Delta logs included, and the reports; returns their number.

    Raises:
        ProjectError: a file still holds a value of the person.
    """
    searched = [path for name in _SEARCHED for path in sorted((lake.folder / name).rglob("*")) if path.is_file()]
    searched += sorted(lake.folder.glob("*.html"))
    searched = [path for path in searched if path not in {lake.folder / NOTE_FILE, lake.folder / "data" / ".lock"}]
    held = [str(path.relative_to(lake.folder)) for path in searched if _holds(lake, path, person)]
    if held:
        raise ProjectError(
            "nothing of a forgotten person must be left",
            got=f"{len(held)} files that still hold something: {', '.join(held[:5])}",
            hint="delete those files, then run the command again",
        )
    return len(searched)


def _holds(lake: Lakehouse, path: Path, person: Person) -> bool:
    if path.suffix == ".parquet":
        # Cell by cell, for Parquet packs its pages.
        query = "select bool_or(regexp_matches(to_json(file)::varchar, $pattern)) from read_parquet($path) as file"
        return bool(lake.one(query, {"pattern": person.pattern, "path": str(path)}))
    pattern = re.compile(person.pattern.encode(), re.ASCII)
    with path.open("rb") as file:
        return any(pattern.search(line) for line in file)
