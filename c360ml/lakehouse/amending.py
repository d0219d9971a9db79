"""Amend a table: some rows go, others come, and files that lose nothing stay as they are.

A large table whose rows lie in order would have to be sorted anew for every few rows that change, which costs most of
the work. So a file that loses rows is copied in its order, and what comes is sorted into one file of recent rows beside
them. When a good part of the table is recent, all of it is sorted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
from deltalake.transaction import AddAction

from c360ml.lakehouse.delta_files import add_files, columns_of, copy_in_order, quoted, rows_of
from c360ml.tables import Table

RECENT = "recent"
"""First word of the names of files that hold recent rows of a large table."""
LARGE_BYTES = 32_000_000
"""A smaller table is sorted sooner than it is told what to sort."""
MOST_RECENT = 1 / 8
"""Share of a table's bytes that may be recent, and share of its rows that may be lost, without sorting all again."""


def amended_files(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    table: Table,
    files: list[str],
    hit: list[str],
    lost: str | None,
    query: str,
    parameters: Mapping[str, Any] | None,
) -> tuple[list[str], list[AddAction]]:
    """Write what takes the place of some of a table's files; gives these, and the new ones.

    Args:
        con: the connection.
        folder: folder of the table.
        table: the table.
        files: all files of the table.
        hit: those of them that lose rows.
        lost: name of a table that tells by some columns which rows are lost.
        query: the rows to add.
        parameters: values of the query's `$name`s.
    """
    anti = "" if lost is None else f"anti join {lost} using ({columns_of(con, lost)})"
    recent = [file for file in files if Path(file).name.startswith(RECENT)]
    if table.sorted_by is None or _is_better_sorted(con, files, recent, hit, lost):
        gone = sorted({*hit, *recent})
        return gone, add_files(con, folder, table, _with_kept(table, gone, anti, query), parameters)
    lasting = [file for file in hit if file not in recent]
    copied = [copy_in_order(con, folder, table, file, str(lost)) for file in lasting]
    added = add_files(con, folder, table, _with_kept(table, recent, anti, query), parameters, name=RECENT)
    return [*lasting, *recent], [*(file for file in copied if file is not None), *added]


def _with_kept(table: Table, files: list[str], anti: str, query: str) -> str:
    return f"select * from ({rows_of(table, files)}) {anti} union all by name ({query})" if files else query


def _is_better_sorted(
    con: duckdb.DuckDBPyConnection, files: list[str], recent: list[str], hit: list[str], lost: str | None
) -> bool:
    whole = sum(Path(file).stat().st_size for file in files)
    young = sum(Path(file).stat().st_size for file in recent)
    if whole < LARGE_BYTES or young > MOST_RECENT * whole:
        return True
    if not hit:
        return False
    going, standing = con.execute(
        f"select (select count(*) from {lost}), count(*) from read_parquet([{', '.join(map(quoted, files))}])"
    ).fetchall()[0]
    return bool(going > MOST_RECENT * standing)
