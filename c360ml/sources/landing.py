"""Land every source row, untouched, as JSON text in `bronze.source_rows`.

Each file is read twice: once to see that it can be read and how many rows it has, once to land it.
DuckDB's streaming `row_number() over ()` numbers rows in the order of file list and file; what a file
(or JSON document) has before it is subtracted, so that each row is numbered within its own file. Rows of people who
asked to be forgotten are left out and counted.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.config import Config, Source
from c360ml.errors import ConfigError
from c360ml.lakehouse import Lakehouse
from c360ml.sources.csv_tables import read_csv_through
from c360ml.sources.files import Extract, Reading, Shape, find_extracts, sql_text, with_inbox
from c360ml.sources.forgotten import forgotten_rows
from c360ml.sources.json_documents import DocumentsShape, read_documents_through, read_lines_through
from c360ml.sources.parquet_files import read_parquet_through

if TYPE_CHECKING:
    import duckdb


def land(lake: Lakehouse, config: Config) -> dict[str, Any]:
    r"""Read every file of every source and write `bronze.source_rows`.

    >>> import tempfile; from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "sales.csv").write_text("deal_number,amount\n1,20\n2,30\n")
    >>> source = {"name": "dms_sales", "kind": "dms_sales", "files": "*.csv"}
    >>> land(Lakehouse(folder), Config.parse({"sources": [source]}))
    {'rows': 2, 'files': 1, 'by_source': {'dms_sales': 2}}

    Raises:
        ConfigError: the project names no source.
        SourceError: a file is missing or cannot be read at all.
    """
    if not config.sources:
        raise ConfigError(
            "a project must have at least one source", got="no [[sources]]", hint="add one to c360ml.toml"
        )
    config = with_inbox(lake.folder, config)
    with tempfile.TemporaryDirectory(prefix="c360ml-mended-") as scratch:
        readings = [(source, _read_through(lake, source, Path(scratch))) for source in config.sources]
        parts = [(source, shape, alike) for source, read in readings for shape, alike in _alike(read)]
        units = [(part, *unit) for part, (_, _, alike) in enumerate(parts) for unit in _units(alike)]
        with lake.scratch("landing_units", _UNITS, _columns_of(units)):
            rows = _write(lake, config, _landing_sql(parts))
    by_source: dict[str, int] = {}
    for source, read in readings:
        by_source[source.name] = by_source.get(source.name, 0) + sum(reading.rows for reading in read)
    forgotten = sum(by_source.values()) - rows
    return {
        "rows": rows,
        "files": sum(len(read) for _, read in readings),
        "by_source": by_source,
        **({"forgotten_rows": forgotten} if forgotten else {}),
    }


def _write(lake: Lakehouse, config: Config, query: str) -> int:
    loaded_at = {"loaded_at": datetime.now(UTC)}
    if lake.version(tables.TOMBSTONES) is None:
        return lake.write(tables.SOURCE_ROWS, query, loaded_at)
    # Never written before the rows of the forgotten are out: a Delta version would keep them.
    with lake.scratch("landed_rows", query, loaded_at), forgotten_rows(lake, config, "landed_rows") as forgotten:
        return lake.write(
            tables.SOURCE_ROWS, f"from landed_rows anti join {forgotten} using (source, file, row_number)"
        )


_UNITS = """
    select unnest($part) as part, unnest($unit) as unit, unnest($file) as file, unnest($shift) as shift
"""


def _columns_of(units: list[tuple[int, str, str, int]]) -> dict[str, list[Any]]:
    names = ("part", "unit", "file", "shift")
    return {name: [unit[position] for unit in units] for position, name in enumerate(names)}


def _read_through(lake: Lakehouse, source: Source, scratch: Path) -> list[Reading]:
    readings = [read_through(lake.con, extract, scratch) for extract in find_extracts(lake.folder, source)]
    lake.say(f"{source.name}: {sum(reading.rows for reading in readings):,} rows")
    return readings


def read_through(con: duckdb.DuckDBPyConnection, extract: Extract, scratch: Path) -> Reading:
    """Read a file once, to see that it can be read and how many rows it has.

    Raises:
        SourceError: it cannot be read.
    """
    match extract.layout:
        case "csv":
            return read_csv_through(con, extract, scratch)
        case "lines":
            return read_lines_through(con, extract)
        case "documents":
            return read_documents_through(con, extract)
        case "parquet":
            return read_parquet_through(con, extract)


def _alike(readings: list[Reading]) -> list[tuple[Shape, list[Reading]]]:
    """Group files that one call can read."""
    groups: dict[Shape, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.shape, []).append(reading)
    return list(groups.items())


def _units(readings: list[Reading]) -> list[tuple[str, str, int]]:
    """Tell for each file or document its file's name and what turns its numbers into the file's own."""
    if isinstance(readings[0].shape, DocumentsShape):
        in_files = [
            (reading.name, before)
            for reading in readings
            for before in accumulate(reading.numbers_by_unit[:-1], initial=0)
            if reading.numbers_by_unit
        ]
        return [(str(document), name, before) for document, (name, before) in enumerate(in_files, 1)]
    befores = accumulate((reading.numbers_by_unit[0] for reading in readings), initial=0)
    return [(str(reading.path), reading.name, -before) for reading, before in zip(readings, befores, strict=False)]


def _landing_sql(parts: list[tuple[Source, Shape, list[Reading]]]) -> str:
    return " union all ".join(
        f"""
        select {sql_text(source.name)} as source, {sql_text(source.kind)} as kind, landing_units.file,
            rows.n + landing_units.shift as row_number, md5(rows.raw) as row_hash,
            $loaded_at as loaded_at, rows.raw
        from ({shape.numbered_sql([reading.path for reading in alike])}) as rows
        join landing_units on landing_units.part = {part} and landing_units.unit = rows.unit"""
        for part, (source, shape, alike) in enumerate(parts)
    )
