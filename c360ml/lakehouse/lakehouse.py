"""The only place that opens storage: Delta tables (delta-rs) read and written through DuckDB.

A table is written in one Delta commit, cast to its contract, or not at all. It is read from the file
list of the Delta log, never from the folder, which may hold files of older versions.

A run writes many tables. It publishes them all at once, when the last is written: by the atomic replacement of one
file, `data/published.json`, which names the Delta version of every table and holds the model files. Who opens a
lakehouse with `published=True` reads that state for as long as it is open, whatever a run at work, or one that was
killed, has written since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from c360ml.errors import ColumnError, ProjectError, TableError
from c360ml.lakehouse.amending import amended_files
from c360ml.lakehouse.connection import connect
from c360ml.lakehouse.delta_files import (
    WRITING,
    cast_columns,
    files_of,
    files_with,
    newest_version,
    removals,
    replace_rows,
    rows_of,
)
from c360ml.lakehouse.project_files import ProjectFiles
from c360ml.tables import Table

LAYER_FOLDERS = {"bronze": "1_bronze", "silver": "2_silver", "gold": "3_gold"}
# The plain Parquet file list honours these; others (deletion vectors, column mapping) need a Delta reader.
_PLAIN_READER_FEATURES = {"timestampNtz"}


class Lakehouse(ProjectFiles):
    """A project's tables and model files below one folder.

    `opened_at` is the time that everything written through it bears: one clock value for a run.

    Args:
        folder: the project's folder.
        published: read the tables and models that the last finished run published, and write nothing; in a project
            that never published, the newest.
        memory_limit_gb: DuckDB's memory.
        threads: DuckDB's threads.
        say: hears what is being done.

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
        published: bool = False,
        memory_limit_gb: float | None = None,
        threads: int | None = None,
        say: Callable[[str], None] = lambda message: None,
    ) -> None:
        super().__init__(folder, published=published)
        self.say = say
        self.opened_at = datetime.now(UTC)
        self._reads_only = published
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

    @contextmanager
    def joins_as_written(self) -> Iterator[None]:
        """Hash the right side of each join for the length of a `with` block, however many rows DuckDB expects.

        It cannot tell how many rows a text file has, and may take a file of millions for the smaller side.
        """
        self.rows("set disabled_optimizers = 'join_order,build_side_probe_side'")
        try:
            yield
        finally:
            self.rows("reset disabled_optimizers")

    # ------------------------------------------------------------------ tables
    def path(self, table: Table) -> Path:
        """Folder of a table's Delta log and files."""
        return self.folder / "data" / LAYER_FOLDERS[table.layer] / table.name

    def version(self, table: Table) -> int | None:
        """Newest Delta version of a table, or the published one that is read here; None if it was never written."""
        if self._pinned is not None:
            pinned: int | None = self._pinned["versions"].get(table.path)
            return pinned
        return newest_version(self.path(table))

    def open(self, table: Table, *, version: int | None = None) -> str:
        """Show a table as the view `layer.name`, at its newest (or published) or a given version.

        Raises:
            TableError: the table was never written, or uses Delta features that cannot be read here.
        """
        try:
            if version is None and self._pinned is not None:
                version = self._pinned["versions"][table.path]
            delta = DeltaTable(self.path(table), version=version)
        except (DeltaError, KeyError) as error:
            got = "no such table" if version is None else "no such version"
            raise TableError(f"table {table.path} must exist", got=got, hint="run `c360ml run`") from error
        foreign = set(delta.protocol().reader_features or ()) - _PLAIN_READER_FEATURES
        if foreign:
            raise TableError(
                f"table {table.path} must be plain Delta",
                got=f"features {sorted(foreign)}",
                hint="rewrite it without them",
            )
        self.rows(f"create or replace view {table.path} as {rows_of(table, files_of(delta))}")
        return table.path

    def files(self, table: Table, *, version: int | None = None) -> list[str] | None:
        """List the Parquet files of a table at its newest or a given version; None if that is not there any more."""
        try:
            return files_of(DeltaTable(self.path(table), version=version))
        except DeltaError:
            return None

    def write(self, table: Table, query: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Replace a table by a query's answer in one commit; returns the number of rows.

        Raises:
            ColumnError: the query lacks a column of the contract, or has one more.
        """
        self._check_writable()
        self._check_columns(table, self.sql(query, parameters).columns)
        replace_rows(self.con, self.path(table), table, query, parameters)
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
        self._check_writable()
        answer = self._answer(table, query, parameters)
        if replacing is None or self.version(table) is None:
            write_deltalake(self.path(table), answer, mode="append", description=table.about, writer_properties=WRITING)
        else:
            write_deltalake(self.path(table), answer, mode="overwrite", predicate=replacing, writer_properties=WRITING)
        self.open(table)

    def amend(
        self, table: Table, query: str, parameters: Mapping[str, Any] | None = None, *, lost: str | None = None
    ) -> None:
        """Add a query's answer to a table and drop lost rows of it, in one commit; files that lose nothing stay.

        Args:
            table: the table, which must exist.
            query: the rows to add.
            parameters: values of the query's `$name`s.
            lost: name of a table with some of the table's columns, that tell which rows are lost.

        Raises:
            ColumnError: the query lacks a column of the contract, or has one more.

        >>> import tempfile; from c360ml import tables
        >>> lake = Lakehouse(tempfile.mkdtemp())
        >>> _ = lake.write(tables.CLUSTERS, "select 'a:' || i as record_id, 'a:0' as cluster_id, 1 as cohesion "
        ...                                 "from range(3) t(i)")
        >>> with lake.scratch("lost_records", "select 'a:1' as record_id"):
        ...     lake.amend(tables.CLUSTERS, "select 'a:9' as record_id, 'a:9' as cluster_id, 1 as cohesion",
        ...                lost="lost_records")
        >>> sorted(lake.rows("select record_id from silver.clusters"))
        [('a:0',), ('a:2',), ('a:9',)]
        """
        self._check_writable()
        delta = DeltaTable(self.path(table))
        files, folder = files_of(delta), self.path(table)
        hit = [] if lost is None else files_with(self.con, files, lost)
        if not hit and table.sorted_by is None:
            return self.append(table, query, parameters)
        self._check_columns(table, self.sql(query, parameters).columns)
        gone, added = amended_files(self.con, folder, table, files, hit, lost, query, parameters)
        delta.create_write_transaction([*removals(folder, gone), *added], "append", delta.schema())
        self.open(table)

    def delete(self, table: Table, condition: str) -> int:
        """Delete the rows of a table for which an SQL condition is true; returns their number."""
        self._check_writable()
        deleted = DeltaTable(self.path(table)).delete(condition)["num_deleted_rows"]
        self.open(table)
        return int(deleted or 0)

    def restore(self, table: Table, version: int) -> None:
        """Make an older version of a table its newest again."""
        self._check_writable()
        DeltaTable(self.path(table)).restore(version)
        self.open(table)

    def forget_versions(self, table: Table) -> None:
        """Make a table's newest version its only one: older files go, and log entries that quote their values."""
        self._check_writable()
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
        return self.sql(f"select {cast_columns(table)} from ({query})", parameters)

    @staticmethod
    def _check_columns(table: Table, got: list[str]) -> None:
        missing, extra = set(table.columns) - set(got), set(got) - set(table.columns)
        if missing or extra:
            raise ColumnError(
                f"{table.path} must have exactly the columns of its contract",
                got=f"missing {sorted(missing)}, unknown {sorted(extra)}",
                hint="mend the query, or the contract in c360ml/tables",
            )

    def _check_writable(self) -> None:
        if self._reads_only:
            raise ProjectError(
                "tables must be written by a run", got="a lakehouse opened to read", hint="open it without `published`"
            )
