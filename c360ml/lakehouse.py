"""The only place that opens storage: Delta tables (delta-rs) read and written through DuckDB.

A table is written in one Delta commit, cast to its contract, or not at all. It is read from the file
list of the Delta log, never from the folder, which may hold files of older versions.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import TableNotFoundError

from c360ml.errors import ColumnError, ModelError, ProjectError, TableError
from c360ml.tables import Table

EngineError = duckdb.Error
"""What DuckDB raises; a room that reads foreign files turns it into an error of its own."""

LAYER_FOLDERS = {"bronze": "1_bronze", "silver": "2_silver", "gold": "3_gold"}
# The plain Parquet file list honours these; others (deletion vectors, column mapping) need a Delta reader.
_PLAIN_READER_FEATURES = {"timestampNtz"}
_UNUSABLE = "*?[]%\\"


def connect(*, memory_limit_gb: float | None = None, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB that spills to a temporary folder and counts time in UTC."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'").fetchall()
    con.execute("set preserve_insertion_order = false").fetchall()
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


def same_kind(relation: duckdb.DuckDBPyRelation, like: Any) -> Any:
    """Hand a relation back as the kind of table that `like` is."""
    if isinstance(like, duckdb.DuckDBPyRelation):
        return relation
    if type(like).__module__.startswith("pandas"):
        return relation.df()
    return relation.to_arrow_table()


def _usable(folder: Path) -> Path:
    """Refuse folders that delta-rs takes for URLs with escapes, or DuckDB for patterns."""
    found = sorted(set(_UNUSABLE) & set(str(folder)))
    if found:
        raise ProjectError(
            "a project's path must be without " + " ".join(_UNUSABLE), got=f"{folder}", hint="rename that folder"
        )
    return folder


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Lakehouse:
    """A project's tables and model files below one folder.

    `opened_at` is the time that everything written through it bears: one clock value for a run.

    >>> import tempfile; from c360ml import tables
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> lake.write(tables.CLUSTERS, "select 'a:1' as record_id, 'a:1' as cluster_id, 1 as cohesion")
    1
    >>> lake.rows("select record_id, cohesion from silver.clusters")
    [('a:1', 1.0)]
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        memory_limit_gb: float | None = None,
        threads: int | None = None,
        say: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.folder = _usable(Path(folder).resolve())
        self.say = say
        self.opened_at = datetime.now(UTC)
        self.con = connect(memory_limit_gb=memory_limit_gb, threads=threads)
        for layer in LAYER_FOLDERS:
            self.con.execute(f"create schema {layer}").fetchall()

    def __enter__(self) -> Lakehouse:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the DuckDB connection; tables on disk stay."""
        self.con.close()

    # ------------------------------------------------------------------ questions
    def sql(self, query: str, parameters: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """Ask for a relation; parameters are bound as `$name`."""
        return self.con.sql(query, params=dict(parameters) if parameters else None)

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Ask for all rows, or run a statement to its end."""
        return self.con.execute(query, dict(parameters) if parameters else None).fetchall()

    def one(self, query: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Ask for the single value of a single row."""
        return self.rows(query, parameters)[0][0]

    @contextmanager
    def scratch(self, name: str, query: str, parameters: Mapping[str, Any] | None = None) -> Iterator[str]:
        """Keep a query's answer as a temporary table for the length of a `with` block."""
        self.rows(f"create or replace temp table {name} as {query}", parameters)
        try:
            yield name
        finally:
            self.rows(f"drop table if exists {name}")

    # ------------------------------------------------------------------ tables
    def path(self, table: Table) -> Path:
        """Folder of a table's Delta log and files."""
        return self.folder / "data" / LAYER_FOLDERS[table.layer] / table.name

    def version(self, table: Table) -> int | None:
        """Newest Delta version of a table, or None if it was never written."""
        try:
            return DeltaTable(self.path(table)).version()
        except TableNotFoundError:
            return None

    def open(self, table: Table, *, version: int | None = None) -> str:
        """Show a table as the view `layer.name`, at its newest or a given version.

        Raises:
            TableError: the table was never written, or uses Delta features that cannot be read here.
        """
        try:
            delta = DeltaTable(self.path(table), version=version)
        except TableNotFoundError as error:
            raise TableError(f"table {table.path} must exist", got="no such table", hint="run `c360ml run`") from error
        foreign = set(delta.protocol().reader_features or ()) - _PLAIN_READER_FEATURES
        if foreign:
            raise TableError(
                f"table {table.path} must be plain Delta",
                got=f"features {sorted(foreign)}",
                hint="rewrite it without them",
            )
        files = [unquote(uri).removeprefix("file://") for uri in delta.file_uris()]
        columns = ", ".join(f'cast("{name}" as {column.type}) as "{name}"' for name, column in table.columns.items())
        nothing = ", ".join(f'cast(null as {column.type}) as "{name}"' for name, column in table.columns.items())
        source = (
            f"select {columns} from read_parquet([{', '.join(map(_quoted, files))}])"
            if files
            else f"select {nothing} where false"
        )
        self.rows(f"create or replace view {table.path} as {source}")
        return table.path

    def write(self, table: Table, query: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Replace a table by a query's answer in one commit; returns the number of rows.

        Raises:
            ColumnError: the query lacks a column of the contract, or has one more.
        """
        write_deltalake(
            self.path(table),
            self._answer(table, query, parameters),
            mode="overwrite",
            schema_mode="overwrite",
            description=table.about,
        )
        self.open(table)
        return int(self.one(f"select count(*) from {table.path}"))

    def append(
        self, table: Table, query: str, parameters: Mapping[str, Any] | None = None, *, replacing: str | None = None
    ) -> None:
        """Add a query's answer to a table in one commit; rows for which `replacing` is true make room for it.

        A condition that is true only of the new rows, and of what a killed attempt left of them, makes it harmless
        to append again.

        Args:
            table: the table; it is made if there is none.
            query: the rows to add.
            parameters: values of the query's `$name`s.
            replacing: SQL condition on the table's columns, true of all new rows.

        Raises:
            ColumnError: the query lacks a column of the contract, or has one more.

        >>> import tempfile; from c360ml import tables
        >>> lake = Lakehouse(tempfile.mkdtemp())
        >>> for _ in range(2):
        ...     lake.append(tables.CLUSTERS, "select 'a:1' as record_id, 'a:1' as cluster_id, 1 as cohesion",
        ...                 replacing="record_id = 'a:1'")
        >>> lake.rows("from silver.clusters")
        [('a:1', 'a:1', 1.0)]
        """
        answer = self._answer(table, query, parameters)
        if replacing is None or self.version(table) is None:
            write_deltalake(self.path(table), answer, mode="append", description=table.about)
        else:
            write_deltalake(self.path(table), answer, mode="overwrite", predicate=replacing)
        self.open(table)

    def delete(self, table: Table, condition: str) -> int:
        """Delete the rows of a table for which an SQL condition is true; returns their number."""
        deleted = DeltaTable(self.path(table)).delete(condition)["num_deleted_rows"]
        self.open(table)
        return int(deleted or 0)

    def forget_versions(self, table: Table) -> None:
        """Make a table's newest version its only one: older files go, and log entries that quote their values."""
        delta = DeltaTable(self.path(table))
        # `full` takes files along that a killed writer left beside the log.
        delta.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
        delta.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 seconds"})
        delta = DeltaTable(self.path(table))
        delta.create_checkpoint()
        delta.cleanup_metadata()
        delta.alter.set_table_properties({"delta.logRetentionDuration": "interval 30 days"})
        self.open(table)

    def _answer(self, table: Table, query: str, parameters: Mapping[str, Any] | None) -> duckdb.DuckDBPyRelation:
        self._check_columns(table, self.sql(query, parameters).columns)
        columns = ", ".join(f'cast("{name}" as {column.type}) as "{name}"' for name, column in table.columns.items())
        return self.sql(f"select {columns} from ({query})", parameters)

    @staticmethod
    def _check_columns(table: Table, got: list[str]) -> None:
        missing, extra = set(table.columns) - set(got), set(got) - set(table.columns)
        if missing or extra:
            raise ColumnError(
                f"{table.path} must have exactly the columns of its contract",
                got=f"missing {sorted(missing)}, unknown {sorted(extra)}",
                hint="mend the query, or the contract in c360ml/tables",
            )

    # ------------------------------------------------------------------ JSON files
    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file below the project folder, whole or not at all."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")
        os.replace(partial, path)
        return path

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read a JSON file below the project folder; None if there is none.

        Raises:
            ModelError: the file is not valid JSON.
        """
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise ModelError(f"{name} must be JSON", got=str(error), hint="delete it and run again") from error
        return content
