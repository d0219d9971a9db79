"""Files of Delta tables: which there are, how they are read by contract, and how they are added to."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
from deltalake import ColumnProperties, DeltaTable, Schema, WriterProperties
from deltalake.exceptions import TableNotFoundError
from deltalake.schema import ArrayType, Field, PrimitiveType
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from c360ml.tables import Table

# DuckDB reads row groups in parallel: of delta-rs' million rows most tables would have but one.
ROW_GROUP = 122_880
_COMMIT = re.compile(r"\d{20}\.(json|checkpoint\.parquet)")
WRITING = WriterProperties(
    compression="SNAPPY",
    max_row_group_size=ROW_GROUP,
    # A dictionary of texts that never repeat is built in vain.
    column_properties={name: ColumnProperties(dictionary_enabled=False) for name in ("raw", "row_hash")},
)
_DELTA_TYPES = {
    "BIGINT": "long",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "DOUBLE": "double",
    "TIMESTAMPTZ": "timestamp",
    "VARCHAR": "string",
}
# Of other types DuckDB's text of a value is not Delta's.
_BOUNDED: dict[str, Callable[[str], int | str]] = {"BIGINT": int, "DATE": str, "VARCHAR": str}


def quoted(text: str) -> str:
    """Write a text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def newest_version(folder: Path) -> int | None:
    """Newest version of a table, told by the names of its log's files; None without a log.

    A step asks for the versions of many tables: to read their logs each time would take longer than its work.
    """
    try:
        names = os.listdir(folder / "_delta_log")
    except FileNotFoundError:
        return None
    return max((int(name[:20]) for name in names if _COMMIT.fullmatch(name)), default=None)


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


def schema_of(table: Table) -> Schema:
    """Write a table's contract as a Delta schema."""
    return Schema([Field(name, _delta_type(column.type)) for name, column in table.columns.items()])


def _delta_type(sql_type: str) -> PrimitiveType | ArrayType:
    if sql_type.endswith("[]"):
        return ArrayType(_delta_type(sql_type.removesuffix("[]")), contains_null=True)
    return PrimitiveType(_DELTA_TYPES[sql_type])


def replace_rows(
    con: duckdb.DuckDBPyConnection, folder: Path, table: Table, query: str, parameters: Mapping[str, Any] | None
) -> None:
    """Replace all rows of a table by a query's answer in one commit, which makes the table if there is none."""
    added = add_files(con, folder, table, query, parameters)
    schema = schema_of(table)
    try:
        delta = DeltaTable(folder)
    except TableNotFoundError:
        delta = None
    if delta is not None and delta.schema() == schema:
        delta.create_write_transaction([*added], "overwrite", schema)
    else:
        create_table_with_add_actions(str(folder), schema, added, mode="overwrite", description=table.about)


def add_files(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    table: Table,
    query: str,
    parameters: Mapping[str, Any] | None,
    *,
    name: str = "part",
) -> list[AddAction]:
    """Write rows as files beside those of a table; the commit is up to the caller.

    DuckDB encodes them, for it does so with all threads; delta-rs has one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{uuid.uuid4()}"
    order = f"order by {table.sorted_by}" if table.sorted_by else ""
    try:
        written = con.execute(
            f"copy (select {cast_columns(table)} from ({query}) {order}) to {quoted(str(target))} "
            f"(format parquet, compression snappy, file_size_bytes '100MB', row_group_size {ROW_GROUP}, "
            "return_stats true)",
            dict(parameters) if parameters else None,
        ).fetchall()
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    now = time.time_ns() // 1_000_000
    actions = []
    for number, (path, rows, size, _, found, *_) in enumerate(written):
        file = Path(path).rename(folder / f"{target.name}-{number}.parquet")
        actions.append(AddAction(file.name, size, {}, now, True, _stats(table, rows, found)))
    target.rmdir()
    return actions


def copy_in_order(con: duckdb.DuckDBPyConnection, folder: Path, table: Table, file: str, lost: str) -> AddAction | None:
    """Write the rows of a file that are not lost as another beside it, in their order; None if there are none.

    DuckDB keeps rows in their order where it only filters them, which takes less work than to sort them. After a join
    some would lie elsewhere, so that lost rows are told by one bit each.
    """
    target = folder / f"part-{uuid.uuid4()}-0.parquet"
    source = f"read_parquet({quoted(file)}, file_row_number = true)"
    con.execute("set preserve_insertion_order = true").fetchall()
    try:
        _, rows, size, _, found, *_ = con.execute(
            f"copy (select {cast_columns(table)} from {source} where get_bit($lost::bit, file_row_number::int) = 0) "
            f"to {quoted(str(target))} "
            f"(format parquet, compression snappy, row_group_size {ROW_GROUP}, return_stats true)",
            {"lost": _bits(con, table, file, lost)},
        ).fetchall()[0]
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        con.execute("set preserve_insertion_order = false").fetchall()
    if not rows:
        target.unlink()
        return None
    return AddAction(target.name, size, {}, time.time_ns() // 1_000_000, True, _stats(table, rows, found))


def _bits(con: duckdb.DuckDBPyConnection, table: Table, file: str, lost: str) -> str:
    """Write a 1 for each row of a file that is lost, else a 0."""
    rows = con.execute(f"select count(*) from read_parquet({quoted(file)})").fetchall()[0][0]
    keys = [name for name in table.columns if f'"{name}"' in columns_of(con, lost).split(", ")]
    columns = ", ".join(f'cast("{name}" as {table.columns[name].type}) as "{name}"' for name in keys)
    numbers = con.execute(
        f"select file_row_number from (select file_row_number, {columns} "
        f"from read_parquet({quoted(file)}, file_row_number = true)) semi join {lost} using ({columns_of(con, lost)})"
    ).fetchall()
    bits = bytearray(b"0" * rows)
    for (number,) in numbers:
        bits[number] = ord("1")
    return bits.decode()


def _stats(table: Table, rows: int, found: Mapping[str, Mapping[str, str]]) -> str:
    """Write what DuckDB tells of a file's columns as Delta does; no value of personal data, which a log would keep."""
    told = {name: found[f'"{name}"'] for name, column in table.columns.items() if column.type in _DELTA_TYPES}
    bounded = [name for name in told if table.columns[name].type in _BOUNDED and not table.columns[name].personal]
    bounds = {
        bound: {
            name: _BOUNDED[table.columns[name].type](told[name][bound])
            for name in bounded
            if told[name].get(f"{bound}_is_exact") == "true"
        }
        for bound in ("min", "max")
    }
    nulls = {name: int(column["null_count"]) for name, column in told.items()}
    return json.dumps({"numRecords": rows, "minValues": bounds["min"], "maxValues": bounds["max"], "nullCount": nulls})
