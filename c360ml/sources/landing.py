"""Land every source row, untouched, as JSON text in `bronze.source_rows`.

Each file is read twice: once to see that it can be read and how many rows it has, once to land it.
DuckDB's streaming `row_number() over ()` numbers rows in the order of file list and file; what a file
(or JSON document) has before it is subtracted, so that each row is numbered within its own file. Rows of people who
asked to be forgotten are left out and counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.config import Config, Source
from c360ml.lakehouse import Lakehouse
from c360ml.sources.csv_tables import read_csv_through
from c360ml.sources.files import Extract, Reading, Shape, sql_text
from c360ml.sources.forgotten import forgotten_rows
from c360ml.sources.json_documents import DocumentsShape, read_documents_through, read_lines_through
from c360ml.sources.landed_files import LandedFile, find_files, landed_files, note_files
from c360ml.sources.parquet_files import read_parquet_through
from c360ml.table_changes import code_of, digest_of, known_inputs, note_inputs
from c360ml.tables import Table

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
    found = find_files(lake, config)
    _land_files(lake, config, found, lake.write)
    return _note(lake, config, found)


def append_landed(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Read only files that are new or changed since, in place of what was landed of them; all if one is gone.

    Raises:
        ConfigError: the project names no source.
        SourceError: a file is missing or cannot be read at all.
    """
    if known_inputs(lake, tables.LANDING_INPUTS, rules=_rules(lake, config), read=(), wrote=_WRITES) is None:
        return land(lake, config)
    found, landed = find_files(lake, config), landed_files(lake)
    if landed.keys() - {file.key for file in found}:
        return land(lake, config)
    for file in found:
        file.noted = landed.get(file.key)
        file.rows = file.noted.rows if file.noted else 0
    lake.open(tables.SOURCE_ROWS)
    fresh = [file for file in found if file.fresh]
    replaced = [file.key for file in fresh if file.noted is not None]
    if fresh:
        with lake.scratch("replaced_files", _REPLACED, _columns_of(replaced, ("source", "file"))):
            lost = "replaced_files" if replaced else None
            _land_files(lake, config, fresh, partial(lake.amend, lost=lost))
    return _note(lake, config, found)


_Write = Callable[[Table, str, dict[str, Any]], object]
_WRITES = (tables.SOURCE_ROWS, tables.LANDED_FILES)
_REPLACED = "select unnest($source::varchar[]) as source, unnest($file::varchar[]) as file"


def _rules(lake: Lakehouse, config: Config) -> str:
    """Digest of all that decides what is landed of a file: code, sources, tombstones."""
    sources = [source.model_dump() for source in config.sources]
    return digest_of(code_of(__file__), sources, lake.version(tables.TOMBSTONES))


def _land_files(lake: Lakehouse, config: Config, found: list[LandedFile], write: _Write) -> None:
    """Read files and hand the query of their rows to `write`; notes how many rows each has."""
    with tempfile.TemporaryDirectory(prefix="c360ml-mended-") as scratch:
        parts = [
            (source, shape, alike)
            for source, readings in _read_through(lake, found, Path(scratch))
            for shape, alike in _alike(readings)
        ]
        units = [(part, *unit) for part, (_, _, alike) in enumerate(parts) for unit in _units(alike)]
        with lake.scratch("landing_units", _UNITS, _columns_of(units, ("part", "unit", "file", "shift"))):
            lake.say(f"writing {sum(file.rows for file in found):,} rows of {len(found):,} files")
            with lake.joins_as_written():
                _write(lake, config, _landing_sql(parts), write)


def _by_source(found: list[LandedFile]) -> list[tuple[Source, list[LandedFile]]]:
    names = dict.fromkeys(file.source.name for file in found)
    alike = [[file for file in found if file.source.name == name] for name in names]
    return [(files[0].source, files) for files in alike]


def _read_through(lake: Lakehouse, found: list[LandedFile], scratch: Path) -> list[tuple[Source, list[Reading]]]:
    """Read files, several at once, as DuckDB reads a file of JSON lines with one thread; gives readings by source."""
    with ThreadPoolExecutor(max_workers=lake.one("select current_setting('threads')")) as threads:
        largest_first = sorted(found, key=lambda file: file.bytes, reverse=True)
        reading = {file.key: threads.submit(_read_file, lake.con.cursor(), file, scratch) for file in largest_first}
        try:
            readings = []
            for source, files in _by_source(found):
                readings.append((source, [reading[file.key].result() for file in files]))
                lake.say(f"{source.name}: {sum(file.rows for file in files):,} rows")
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return readings


def _read_file(con: duckdb.DuckDBPyConnection, file: LandedFile, scratch: Path) -> Reading:
    # The digest is taken before the file is read, so that what changes later is seen to have changed.
    _ = file.content_hash
    reading = read_through(con, file.extract, scratch)
    file.rows = reading.rows
    return reading


def _note(lake: Lakehouse, config: Config, found: list[LandedFile]) -> dict[str, Any]:
    """Note which files are landed, and give the summary."""
    note_files(lake, found)
    note_inputs(lake, tables.LANDING_INPUTS, rules=_rules(lake, config), read={}, wrote=_WRITES)
    by_source = {source.name: sum(file.rows for file in files) for source, files in _by_source(found)}
    rows = lake.one(f"select count(*) from {tables.SOURCE_ROWS.path}")
    forgotten = sum(by_source.values()) - rows
    return {
        "rows": rows,
        "files": len(found),
        "by_source": by_source,
        **({"forgotten_rows": forgotten} if forgotten else {}),
    }


def _write(lake: Lakehouse, config: Config, query: str, write: _Write) -> None:
    loaded_at = {"loaded_at": datetime.now(UTC)}
    if lake.version(tables.TOMBSTONES) is None:
        write(tables.SOURCE_ROWS, query, loaded_at)
        return
    # Never written before the rows of the forgotten are out: a Delta version would keep them.
    with lake.scratch("landed_rows", query, loaded_at), forgotten_rows(lake, config, "landed_rows") as forgotten:
        write(tables.SOURCE_ROWS, f"from landed_rows anti join {forgotten} using (source, file, row_number)", {})


_UNITS = """
    select unnest($part) as part, unnest($unit) as unit, unnest($file) as file, unnest($shift) as shift
"""


def _columns_of(rows: Sequence[tuple[Any, ...]], names: tuple[str, ...]) -> dict[str, list[Any]]:
    return {name: [row[position] for row in rows] for position, name in enumerate(names)}


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
