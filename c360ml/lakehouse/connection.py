"""DuckDB connections, and tables of other kinds in and out of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa

from c360ml.errors import ColumnError

EngineError = duckdb.Error
"""What DuckDB raises; a room that reads foreign files turns it into an error of its own."""


def connect(*, memory_limit_gb: float | None = None, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB that spills to a temporary folder and counts time in UTC."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'").fetchall()
    con.execute("set preserve_insertion_order = false").fetchall()
    # Files are never changed in place, so that what their footers say is read once.
    con.execute("set parquet_metadata_cache = true").fetchall()
    # DuckDB draws its own progress over ours in a notebook that has ipywidgets; without them it refuses to be told.
    if con.execute("select current_setting('enable_progress_bar')").fetchall()[0][0]:
        con.execute("set enable_progress_bar = false").fetchall()
    con.execute(f"set temp_directory = '{tempfile.gettempdir()}/c360ml-spill-{os.getpid()}'").fetchall()
    limit = memory_limit_gb or 0.6 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    con.execute(f"set memory_limit = '{limit:.2f}GB'").fetchall()
    if threads:
        con.execute(f"set threads = {threads}").fetchall()
    return con


def as_relation(con: duckdb.DuckDBPyConnection, data: Any) -> duckdb.DuckDBPyRelation:
    """Take a pandas frame, Arrow table or DuckDB relation into this connection.

    Raises:
        ColumnError: the data is of another kind.
    """
    if isinstance(data, duckdb.DuckDBPyRelation):
        data = data.to_arrow_table()
    kind = f"{type(data).__module__}.{type(data).__name__}"
    if not (kind.startswith("pandas.") or hasattr(data, "__arrow_c_stream__")):
        raise ColumnError(
            "a table must be a pandas DataFrame, an Arrow table or a DuckDB relation",
            got=kind,
            hint="convert it, e.g. pandas.DataFrame(rows)",
        )
    if kind.startswith("pandas."):
        data = pa.Table.from_pandas(data, preserve_index=False)
    name = f"input_{next(_input_numbers)}"
    con.register(name, data)
    return con.sql(f"select * from {name}")


def _count_up() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


_input_numbers = _count_up()


def day_of(moment: str) -> str:
    """Give SQL of the UTC day of a TIMESTAMPTZ; a cast to DATE asks a calendar of time zones, seven times as long.

    >>> connect().sql("select " + day_of("timestamptz '1969-12-31 23:30Z'")).fetchall()
    [(datetime.date(1969, 12, 31),)]
    """
    return f"make_timestamp(epoch_us({moment}))::date"


def moment_of(day: str) -> str:
    """Give SQL of the first instant, UTC, of a DATE; a cast to TIMESTAMPTZ asks a calendar of time zones.

    >>> connect().sql("select epoch(" + moment_of("date '1970-01-02'") + ")").fetchall()
    [(86400.0,)]
    """
    return f"make_timestamptz(epoch_us({day}))"


def same_kind(relation: duckdb.DuckDBPyRelation, like: Any) -> Any:
    """Hand a relation back as the kind of table that `like` is."""
    if isinstance(like, duckdb.DuckDBPyRelation):
        return relation
    if type(like).__module__.startswith("pandas"):
        return relation.df()
    return relation.to_arrow_table()
