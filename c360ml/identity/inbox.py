"""Upserted records on their way into the lakehouse: kept in the store until a run has landed them.

A run reads them with `write_inbox`, which leaves files like those of any source, lands these, and calls
`clear_inbox` when it has published its tables, just before the next index is put in place. What is upserted meanwhile
has a later sequence and stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from c360ml.config import INBOX_FOLDER
from c360ml.identity.store_delta import Delta, delta_path
from c360ml.lakehouse import sync_folder


def inbox_records(folder: str | Path, *, after: int = 0) -> list[dict[str, Any]]:
    """List the upserted records that no run has landed, oldest first, the newest of each source key.

    Args:
        folder: the project's folder.
        after: list only later sequences.

    Returns:
        Rows of `sequence, record_id, source, source_key, fields, master_id, created_at, updated_at`: `fields` the
        raw record, `master_id` the customer it was given, times in UTC as ISO 8601.

    >>> import tempfile
    >>> inbox_records(tempfile.mkdtemp())
    []
    """
    folder = Path(folder).resolve()
    if not delta_path(folder).is_file():
        return []
    delta = Delta(folder)
    try:
        return delta.inbox(after=after)
    finally:
        delta.close()


def write_inbox(folder: str | Path) -> int:
    """Write the inbox as JSON lines below `data/inbox`, and tell up to which sequence; 0 if it is empty.

    Each source gets a file `<source>-<sequence>.jsonl` with the fields of a source of kind `customers`. A later file
    holds the newer row of a source key.
    """
    folder = Path(folder).resolve()
    rows = inbox_records(folder)
    if not rows:
        return 0
    up_to: int = rows[-1]["sequence"]
    target = folder / INBOX_FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for source, of_source in groupby(sorted(rows, key=lambda row: row["source"]), lambda row: row["source"]):
        _write_lines(target / f"{source}-{up_to:012d}.jsonl", [_line(row) for row in of_source])
    sync_folder(target)
    return up_to


def clear_inbox(folder: str | Path, up_to: int) -> int:
    """Delete what has been landed, up to a sequence, from the inbox; returns how many records.

    They stay visible to readers until the next index, which holds them, takes the place of this one.
    """
    delta = Delta(Path(folder).resolve())
    try:
        with delta.transaction(write=True):
            return delta.clear_inbox(up_to)
    finally:
        delta.close()


def forget_upserts(folder: str | Path, record_ids: Sequence[str]) -> int:
    """Erase upserted records from the inbox and from every model's view; returns how many the inbox held."""
    folder = Path(folder).resolve()
    if not delta_path(folder).is_file():
        return 0
    delta = Delta(folder)
    try:
        with delta.transaction(write=True):
            held = delta.forget(record_ids)
        delta.shrink_log()
        return held
    finally:
        delta.close()


def _line(row: dict[str, Any]) -> str:
    own = {name: row[name] for name in ("source_key", "created_at", "updated_at")}
    return json.dumps({**own, **row["fields"]}) + "\n"


def _write_lines(path: Path, lines: list[str]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
