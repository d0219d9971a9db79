"""Questions to the open tables: SQL in, rows as dictionaries out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Row = dict[str, Any]


def ask(con: DuckDBPyConnection, query: str, **parameters: Any) -> list[Row]:
    """Ask for all rows.

    >>> from c360ml.lakehouse import connect
    >>> ask(connect(), "select $n + 1 as more", n=1)
    [{'more': 2}]
    """
    rows: list[Row] = con.sql(query, params=parameters or None).to_arrow_table().to_pylist()
    return rows


def ask_one(con: DuckDBPyConnection, query: str, **parameters: Any) -> Row:
    """Ask for the one row of a query that always has one."""
    return ask(con, query, **parameters)[0]
