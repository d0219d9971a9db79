"""Batches of raw records for `IdentityStore.append`: what may be handed over, and the table of what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from c360ml.errors import DataError
from c360ml.identity.resolution import Resolution, checked_record, checked_text
from c360ml.lakehouse import as_relation, connect

SOURCE_KEY = "source_key"
MOST_RECORDS = 10_000
"""More at once would keep a run, which wants to put its index in place, waiting too long."""


class RawRecord(NamedTuple):
    """A record of a batch: its key in the source, and its fields that are filled."""

    source_key: str
    fields: dict[str, str]


def raw_records(records: Iterable[Mapping[str, Any]] | Any) -> list[RawRecord]:
    """Read and check a batch: mappings, or a table, of `source_key` and roles.

    Raises:
        ColumnError: a field is no role.
        DataError: it is no batch or too large a one, or a value is no usable text.

    >>> raw_records([{"source_key": "7", "surname": "Lee", "email": None}])
    [RawRecord(source_key='7', fields={'surname': 'Lee'})]
    """
    rows = _rows(records)
    if len(rows) > MOST_RECORDS:
        raise DataError(
            f"a batch must have at most {MOST_RECORDS:,} records",
            got=f"{len(rows):,}",
            hint="append it in parts, or use `c360ml append FILES`",
        )
    return [_raw_record(row) for row in rows]


def _rows(records: Any) -> Sequence[Any]:
    if hasattr(records, "__arrow_c_stream__") or type(records).__module__.startswith(("pandas.", "duckdb", "_duckdb")):
        with connect(threads=1) as con:
            as_relation(con, records).create_view("batch")
            return list(con.sql("select columns(*)::varchar from batch").to_arrow_table().to_pylist())
    if isinstance(records, (Mapping, str, bytes)) or not isinstance(records, Iterable):
        raise DataError(
            "a batch must be a table or an iterable of mappings",
            got=type(records).__name__,
            hint='e.g. [{"source_key": "42", "surname": "Lee"}]',
        )
    return list(records)


def _raw_record(row: Any) -> RawRecord:
    key = checked_text(SOURCE_KEY, row.get(SOURCE_KEY)) if isinstance(row, Mapping) else None
    fields = {name: value for name, value in row.items() if name != SOURCE_KEY} if isinstance(row, Mapping) else row
    checked = checked_record(fields)
    if key is None:
        raise DataError(
            "each record of a batch must have a source_key", got="one without", hint="name the record's own key"
        )
    return RawRecord(key, {role: text for role, text in checked.items() if text is not None})


def answer_table(source: str, records: Sequence[RawRecord], answers: Sequence[Resolution]) -> pa.Table:
    """Tell what became of each record: `record_id, master_id, is_new, match_probability`."""
    return pa.table(
        {
            "record_id": pa.array([f"{source}:{record.source_key}" for record in records], pa.string()),
            "master_id": pa.array([answer.master_id for answer in answers], pa.string()),
            "is_new": pa.array([answer.is_new for answer in answers], pa.bool_()),
            "match_probability": pa.array([answer.match_probability for answer in answers], pa.float64()),
        }
    )
