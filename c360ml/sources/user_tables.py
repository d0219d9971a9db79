"""Read any table of a user's, for `c360ml link FILE` and `c360ml value FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from c360ml.errors import SourceError
from c360ml.lakehouse import EngineError
from c360ml.sources.csv_tables import read_csv_plainly, reader_sql
from c360ml.sources.files import Extract, look, sql_name, sql_path
from c360ml.sources.json_documents import (
    MAX_DOCUMENT_BYTES,
    PAGE_FIELDS,
    read_documents_through,
    unreadable_json,
)
from c360ml.sources.parquet_files import read_parquet_through

if TYPE_CHECKING:
    import duckdb


def read_table(con: duckdb.DuckDBPyConnection, path: str | Path) -> duckdb.DuckDBPyRelation:
    r"""Read a CSV (all columns text), Parquet, NDJSON or JSON file as a relation.

    Blanks around column names are stripped; values stay as they are, an empty one is null. The file is
    read through once before, so that a fault is told here and not in the middle of the work.

    >>> import tempfile; from pathlib import Path; from c360ml.lakehouse import connect
    >>> path = Path(tempfile.mkdtemp()) / "people.csv"
    >>> _ = path.write_text("id, name\n1, Ann\n2, Bo\n")
    >>> con = connect()
    >>> read_table(con, path).order("id").fetchall()
    [('1', ' Ann'), ('2', ' Bo')]

    Raises:
        SourceError: the file is missing, empty, in another encoding, or no table.
    """
    extract = look(Path(path), Path(path).name)
    reader, rows = _reader(con, extract)
    if not rows:
        raise SourceError(
            f"{extract.name} must have at least one row",
            got="a table without rows",
            hint="export it again",
        )
    columns = [
        f"{sql_name(name)} as {sql_name(name.strip())}"
        for name in con.sql(f"select * from {reader}").columns
        if name != "filename"
    ]
    return con.sql(f"select {', '.join(columns)} from {reader}")


def _reader(con: duckdb.DuckDBPyConnection, extract: Extract) -> tuple[str, int]:
    """Write what a query reads a file from, and count its rows."""
    match extract.layout:
        case "csv":
            table, rows = read_csv_plainly(con, extract)
            return reader_sql([extract.path], table, "plain"), rows
        case "parquet":
            return f"read_parquet({sql_path(extract.path)})", read_parquet_through(con, extract).rows
        case _:
            return _json_reader(con, extract)


def _json_reader(con: duckdb.DuckDBPyConnection, extract: Extract) -> tuple[str, int]:
    if extract.layout == "documents":
        read_documents_through(con, extract)  # read_json takes an array cut off between two rows for whole
    reader = f"read_json({sql_path(extract.path)}, sample_size = -1, maximum_object_size = {MAX_DOCUMENT_BYTES})"
    try:
        columns = con.sql(f"select * from {reader}").columns
        page = next((field for field in PAGE_FIELDS if field in columns), None)
        if page and extract.layout == "documents":
            reader = f"(select unnest(page_row) from (select unnest({page}) as page_row from {reader}))"
        # Each column is counted, since a fault may hide in a column that is not asked for.
        found = con.execute(f"select count(*), count(columns(*)) from {reader}").fetchall()
    except EngineError:
        raise unreadable_json(extract) from None
    return reader, found[0][0]
