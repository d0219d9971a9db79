"""Files of Delta tables: which there are, how they are read by contract, and how they are added to."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
from deltalake import ColumnProperties, DeltaTable, WriterProperties
from deltalake.transaction import AddAction, RemoveAction

from c360ml.tables import Table

# DuckDB reads row groups in parallel: of delta-rs' million rows most tables would have but one.
ROW_GROUP = 122_880
WRITING = WriterProperties(
    compression="SNAPPY",
    max_row_group_size=ROW_GROUP,
    # A dictionary of texts that never repeat is built in vain.
    column_properties={name: ColumnProperties(dictionary_enabled=False) for name in ("raw", "row_hash")},
)


def quoted(text: str) -> str:
    """Write a text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def files_of(delta: DeltaTable) -> list[str]:
    """List the Parquet files of a table's version."""
    return [unquote(uri).removeprefix("file://") for uri in delta.file_uris()]


def removals(folder: Path, files: list[str]) -> list[RemoveAction]:
    """Say in a commit that files are no longer of the table."""
    now = time.time_ns() // 1_000_000
    return [RemoveAction(Path(file).relative_to(folder).as_posix(), True, now) for file in files]


def cast_columns(table: Table) -> str:
    """SQL of a table's columns, cast to their types."""
    return ", ".join(f'cast("{name}" as {column.type}) as "{name}"' for name, column in table.columns.items())


def rows_of(table: Table, files: list[str]) -> str:
    """Give SQL of the rows of some of a table's files, by its contract."""
    nothing = ", ".join(f'cast(null as {column.type}) as "{name}"' for name, column in table.columns.items())
    if not files:
        return f"select {nothing} where false"
    return f"select {cast_columns(table)} from read_parquet([{', '.join(map(quoted, files))}])"


def files_with(con: duckdb.DuckDBPyConnection, files: list[str], lost: str) -> list[str]:
    """List those of some files that hold a row of the table `lost`, told by the columns that it has."""
    if not files:
        return []
    listed = ", ".join(map(quoted, files))
    found = con.execute(
        f"select distinct filename from read_parquet([{listed}], filename = true) "
        f"semi join {lost} using ({columns_of(con, lost)})"
    ).fetchall()
    return sorted(name for (name,) in found)


def columns_of(con: duckdb.DuckDBPyConnection, name: str) -> str:
    """SQL list of a table's columns."""
    return ", ".join(f'"{column}"' for column in con.sql(f"from {name}").columns)


def add_files(
    con: duckdb.DuckDBPyConnection, folder: Path, table: Table, query: str, parameters: Mapping[str, Any] | None
) -> list[AddAction]:
    """Write rows as files beside those of a table; the commit is up to the caller."""
    written = con.execute(
        f"copy (select {cast_columns(table)} from ({query})) to {quoted(str(folder / f'part-{uuid.uuid4()}'))} "
        f"(format parquet, compression snappy, file_size_bytes '100MB', row_group_size {ROW_GROUP}, return_stats true)",
        dict(parameters) if parameters else None,
    ).fetchall()
    now = time.time_ns() // 1_000_000
    return [
        AddAction(Path(name).relative_to(folder).as_posix(), size, {}, now, True, json.dumps({"numRecords": rows}))
        for name, rows, size, *_ in written
    ]
