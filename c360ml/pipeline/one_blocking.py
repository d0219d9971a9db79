"""One file in, a blocking report out: which rules bring records together, at what cost, and what they miss."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c360ml.errors import ColumnError
from c360ml.lakehouse import connect
from c360ml.linkage import LinkageModel
from c360ml.sources import read_table
from c360ml.standardize import standardize_records
from c360ml.standardize.records import as_text

BLOCKING_FILE = "blocking.json"


@dataclass(frozen=True)
class BlockedTable:
    """What `block_table` found: where it is, and the report."""

    folder: Path
    file: str
    report: dict[str, Any] = field(repr=False)


def block_table(
    file: Path,
    *,
    id: str,
    columns: Mapping[str, str],
    out: Path,
    source: str | None = None,
    truth: str | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> BlockedTable:
    """Measure blocking rules on a CSV, JSON or Parquet table of people; writes `blocking.json` below `out`.

    Args:
        file: the table.
        id: column that tells rows apart.
        columns: role = column, see `standardize_records`.
        out: folder of the answer; made if it is not there.
        source: column that names the source of each row.
        truth: column with the true identity; only compared with, never read by the model.
        say: hears of progress.

    Raises:
        SourceError: the file cannot be read.
        ColumnError: a column or role is unknown.
        DataError: there is nothing to compare.
    """
    with connect() as con:
        say("reading")
        rows = read_table(con, file)
        _check_truth(rows.columns, columns, truth)
        say("standardizing")
        records = standardize_records(rows.to_arrow_table(), id=id, columns=columns, source=source)
        types = dict(zip(rows.columns, map(str, rows.types), strict=True))
        true_ids = None
        if truth is not None:
            ids = f"{as_text(id, types[id])} as record_id, {as_text(truth, types[truth])} as true_id"
            true_ids = rows.project(ids).to_arrow_table()
        say("measuring rules and comparing")
        model = LinkageModel().fit(records)
        say("estimating what was missed")
        report = model.blocking_report(true_ids)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f".{BLOCKING_FILE}.partial"
    partial.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", "utf-8")
    partial.replace(out / BLOCKING_FILE)
    return BlockedTable(out, file.name, report)


def _check_truth(have: list[str], columns: Mapping[str, str], truth: str | None) -> None:
    if truth is not None and (truth not in have or truth in columns.values()):
        raise ColumnError(
            "the truth column must be in the table and have no role", got=truth, hint=f"choose one of {have}"
        )
