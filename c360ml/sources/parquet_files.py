"""Read Parquet, whose rows are numbered in the file itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from c360ml.errors import SourceError
from c360ml.lakehouse import EngineError
from c360ml.sources.files import Extract, Reading, sql_name, sql_path, sql_text

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class ParquetShape:
    """Files with the same columns."""

    columns: tuple[str, ...]

    def numbered_sql(self, paths: list[Path]) -> str:
        """Write a query for each row's file, number in it, and JSON text."""
        fields = ", ".join(f"{sql_text(name.strip())}: {sql_name(name)}" for name in self.columns)
        return f"""
            select filename as unit, file_row_number + 1 as n, to_json({{{fields}}})::varchar as raw
            from read_parquet([{", ".join(map(sql_path, paths))}], filename = true, file_row_number = true)"""


def read_parquet_through(con: duckdb.DuckDBPyConnection, extract: Extract) -> Reading:
    """Count a file's rows.

    Raises:
        SourceError: the file is damaged.
    """
    reader = f"read_parquet({sql_path(extract.path)})"
    try:
        columns = [row[0] for row in con.execute(f"describe select * from {reader}").fetchall()]
        each = ", ".join(f"count({sql_name(name)})" for name in columns)
        rows = con.execute(f"select count(*), {each} from {reader}").fetchall()[0][0]
    except EngineError:
        raise SourceError(
            f"{extract.name} must be a whole Parquet file",
            got="a damaged one",
            hint="write it again; the file may be cut off",
        ) from None
    return Reading(extract.path, extract.name, ParquetShape(tuple(columns)), rows, (0,))
