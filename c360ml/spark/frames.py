"""Tables in and out of Spark: the file list of a Delta table in, Parquet files for one Delta commit out."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, create_table_with_add_actions

from c360ml.lakehouse import Lakehouse
from c360ml.spark.tasks import arrow_type, spark_type
from c360ml.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Mode = Literal["create", "append", "overwrite"]


class Frames:
    """Delta tables of a project as Spark frames, and a scratch folder for what is computed once and read often.

    A frame is kept as Parquet, not in memory: its lineage ends there, and nothing is computed twice.
    """

    def __init__(self, spark: SparkSession, lake: Lakehouse, scratch: Path) -> None:
        self.spark, self.lake = spark, lake
        self._scratch, self._numbers = scratch, count(1)

    @property
    def partitions(self) -> int:
        """Number of tasks of a shuffle."""
        return int(self.spark.conf.get("spark.sql.shuffle.partitions") or 1)

    def read(self, table: Table, *, version: int | None = None) -> DataFrame:
        """A table of the lakehouse, by the file list of its Delta log."""
        from pyspark.sql import functions as sf

        self.lake.open(table)
        files = self.lake.files(table, version=version)
        columns = {name: spark_type(column.type) for name, column in table.columns.items()}
        schema = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
        if not files:
            return self.spark.createDataFrame([], schema)
        found = self.spark.read.parquet(*files)
        return found.select(*(sf.col(f"`{name}`").cast(kind).alias(name) for name, kind in columns.items()))

    def write(self, table: Table, rows: DataFrame) -> int:
        """Replace a table by a frame's rows in one Delta commit; Spark writes the files, each task its own."""
        _commit(self.lake.path(table), table, self._files(table, rows), self._mode(table, "overwrite"))
        self.lake.open(table)
        return int(self.lake.one(f"select count(*) from {table.path}"))

    def append(self, table: Table, rows: DataFrame, *, replacing: str) -> None:
        """Add a frame's rows to a table, after those for which an SQL condition is true made room for them."""
        mode = self._mode(table, "append")
        if mode != "create" and self.lake.one(f"select count(*) from {self.lake.open(table)} where {replacing}"):
            self.lake.delete(table, replacing)
        _commit(self.lake.path(table), table, self._files(table, rows), mode)
        self.lake.open(table)

    def _mode(self, table: Table, mode: Mode) -> Mode:
        return "create" if self.lake.version(table) is None else mode

    def _files(self, table: Table, rows: DataFrame) -> Path:
        """Have Spark write Parquet files of a table in its folder, each task its own."""
        from pyspark.sql import functions as sf

        columns = [
            sf.col(f"`{name}`").cast(spark_type(column.type)).alias(name) for name, column in table.columns.items()
        ]
        folder = self.lake.path(table) / f"spark-{uuid4().hex}"
        rows.select(*columns).write.parquet(str(folder))
        return folder

    def keep(self, rows: DataFrame) -> DataFrame:
        """Compute a frame once, and read it from Parquet from now on."""
        folder = str(self._scratch / f"{next(self._numbers):04d}")
        rows.write.parquet(folder)
        return self.spark.read.schema(rows.schema).parquet(folder)

    def of_arrow(self, table: pa.Table) -> DataFrame:
        """A small table of the driver as a frame, by way of Parquet: pandas would turn missing text into `NaN`."""
        folder = self._scratch / f"{next(self._numbers):04d}"
        folder.mkdir()
        pq.write_table(table, folder / "rows.parquet")
        return self.spark.read.parquet(str(folder))

    def none_of(self, columns: Mapping[str, str]) -> DataFrame:
        """A frame without rows, of columns with DuckDB types."""
        return self.spark.createDataFrame(
            [], ", ".join(f"`{name}` {spark_type(kind)}" for name, kind in columns.items())
        )

    def files_of(self, rows: DataFrame) -> list[str]:
        """Files of a kept frame, for DuckDB on the driver to read what it needs of them."""
        return sorted(uri.removeprefix("file://") for uri in rows.inputFiles())


def _commit(path: Path, table: Table, folder: Path, mode: Mode) -> None:
    """Make the Parquet files of a folder part of a Delta table, or all that it holds, in one commit."""
    files = sorted(folder.glob("*.parquet"))
    schema = pa.schema([pa.field(name, arrow_type(column.type)) for name, column in table.columns.items()])
    added = [_added(path, file) for file in files]
    if mode == "create":
        create_table_with_add_actions(str(path), Schema.from_arrow(schema), added, description=table.about)
    else:
        DeltaTable(path).create_write_transaction([*added], mode=mode, schema=schema)


def _added(path: Path, file: Path) -> AddAction:
    stat = file.stat()
    statistics = json.dumps({"numRecords": pq.read_metadata(file).num_rows})
    name = file.relative_to(path).as_posix()
    return AddAction(name, stat.st_size, {}, int(stat.st_mtime * 1000), True, statistics)


@contextmanager
def frames(spark: SparkSession, lake: Lakehouse) -> Iterator[Frames]:
    """Frames of a project with a scratch folder below it, which every executor must see; it goes at the end."""
    (lake.folder / "data").mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".spark-", dir=lake.folder / "data"))
    try:
        yield Frames(spark, lake, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
