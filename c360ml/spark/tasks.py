"""Spark distributes, DuckDB computes: a task takes its rows into a DuckDB of its own and runs a room's own SQL.

Rows that must meet are sent to one task by a key (`spread`); rows that others ask for are brought to them first
(`bring`). So the SQL of the rooms stays the only definition, and what a task answers is what DuckDB would have
answered for all rows at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from c360ml.lakehouse import Lakehouse
from c360ml.spark.session import without_pandas_warning

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Columns = Mapping[str, str]
"""Column name = DuckDB type."""
Work = Callable[[Lakehouse], Iterable[tuple[str, str]]]
"""What a task does: yields the name of an output and the SQL of its rows, in a lakehouse that holds the inputs."""

TASK_MEMORY_GB = 1.0
"""What the DuckDB of one task may use before it spills."""
_KEY = "_key"
_WHICH = "_which"
_BATCH = 65_536
_SPARK_TYPES = {
    "VARCHAR": "string",
    "BIGINT": "bigint",
    "INTEGER": "int",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMPTZ": "timestamp",
    "VARCHAR[]": "array<string>",
    "BIGINT[]": "array<bigint>",
}
_DUCKDB_TYPES = {spark: duck for duck, spark in _SPARK_TYPES.items()}


def spark_type(duckdb_type: str) -> str:
    """Spark's name of a DuckDB type.

    >>> spark_type("VARCHAR[]")
    'array<string>'
    """
    return _SPARK_TYPES[duckdb_type]


def columns_of(frame: DataFrame) -> dict[str, str]:
    """Columns of a Spark frame with their DuckDB types."""
    return {name: _DUCKDB_TYPES[kind] for name, kind in frame.dtypes}


@dataclass(frozen=True)
class Input:
    """A table that tasks get a part of: rows of equal `key` (a column, not sent along if `keep` is false) meet."""

    frame: DataFrame
    key: str
    keep: bool = True


def spread(
    inputs: Mapping[str, Input],
    work: Work,
    outputs: Mapping[str, Columns],
    *,
    partitions: int,
    given: Mapping[str, pa.Table] | None = None,
) -> DataFrame:
    """Send rows of equal key to one task, and do the work there.

    Args:
        inputs: table name, as the work's SQL says it, = rows; all keys are of one type.
        work: what each task does; it must answer for any set of keys as it would for all.
        outputs: what the work yields: columns of each output, which its SQL has in any order.
        partitions: number of tasks.
        given: small tables that every task gets whole.

    Returns:
        One frame of all outputs: `_which` names the output, one struct column per output holds its row.
    """
    from pyspark.sql import functions as sf

    parts = [_keyed(name, each) for name, each in inputs.items()]
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.unionByName(part, allowMissingColumns=True)
    task = _Task({name: _input_columns(each) for name, each in inputs.items()}, work, outputs, dict(given or {}))
    schema = ", ".join([f"{_WHICH} string", *(f"`{name}` {_struct(columns)}" for name, columns in outputs.items())])
    with without_pandas_warning():
        return rows.repartition(partitions, sf.col(_KEY)).drop(_KEY).mapInArrow(task, schema)


def output(answers: DataFrame, name: str) -> DataFrame:
    """One output of what `spread` returned."""
    from pyspark.sql import functions as sf

    return answers.where(sf.col(_WHICH) == name).select(f"`{name}`.*")


def one_answer(name: str, query: str, lake: Lakehouse) -> Iterator[tuple[str, str]]:
    """Work that asks one question; `partial(one_answer, name, query)` is what `spread` takes.

    >>> list(one_answer("sums", "select 1", None))
    [('sums', 'select 1')]
    """
    yield name, query


def bring(asked: DataFrame, *, part: str, key: str, rows: DataFrame, row_key: str, partitions: int) -> DataFrame:
    """Rows that other rows ask for, each once per task that asks.

    Args:
        asked: rows with `part`, by which they will be spread, and `key`, the row each asks for.
        part: column of `asked`.
        key: column of `asked`; null asks for nothing.
        rows: the rows to bring.
        row_key: column of `rows` that the key names.
        partitions: number of tasks that `asked` will be spread over.

    Returns:
        `rows` with a further column of the name of `part`, by which they must be spread.
    """
    from pyspark.sql import functions as sf

    # Spark sends a row to the task pmod(hash(key), partitions): two parts of one task need a row only once.
    asking = (
        asked.where(sf.col(key).isNotNull())
        .select(
            sf.col(key).alias("_asked"), sf.col(part), sf.pmod(sf.hash(sf.col(part)), sf.lit(partitions)).alias("_task")
        )
        .groupBy("_asked", "_task")
        .agg(sf.min(part).alias(part))
        .drop("_task")
    )
    return asking.join(rows, asking["_asked"] == rows[row_key]).drop("_asked")


def _keyed(name: str, each: Input) -> DataFrame:
    from pyspark.sql import functions as sf

    names = [sf.col(f"`{column}`") for column in _input_columns(each)]
    return each.frame.select(
        sf.col(f"`{each.key}`").alias(_KEY), sf.lit(name).alias(_WHICH), sf.struct(*names).alias(_table_column(name))
    )


def _input_columns(each: Input) -> dict[str, str]:
    return {name: kind for name, kind in columns_of(each.frame).items() if each.keep or name != each.key}


def _table_column(name: str) -> str:
    return "in_" + name.replace(".", "_")


def _struct(columns: Columns) -> str:
    return "struct<" + ", ".join(f"`{name}`: {spark_type(kind)}" for name, kind in columns.items()) + ">"


class _Task:
    """What runs in a Spark worker; it is sent there by pickling, so that it holds plain data and functions only."""

    def __init__(
        self,
        inputs: Mapping[str, Columns],
        work: Work,
        outputs: Mapping[str, Columns],
        given: Mapping[str, pa.Table],
    ) -> None:
        self._inputs, self._work, self._outputs, self._given = dict(inputs), work, dict(outputs), given

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = self._sorted_out(batches)
        if not any(held.values()):
            return
        with (
            tempfile.TemporaryDirectory(prefix="c360ml-task-") as folder,
            Lakehouse(Path(folder), threads=1, memory_limit_gb=TASK_MEMORY_GB) as lake,
        ):
            for name, columns in self._inputs.items():
                _take(lake, name, columns, held.pop(name))
            for name, table in self._given.items():
                _take(lake, name, {}, table.to_batches(), table.schema)
            for name, query in self._work(lake):
                yield from self._answer(lake, name, query)

    def _sorted_out(self, batches: Iterator[pa.RecordBatch]) -> dict[str, list[pa.RecordBatch]]:
        """Rows of each input, as they came mixed."""
        held: dict[str, list[pa.RecordBatch]] = {name: [] for name in self._inputs}
        for batch in batches:
            which = batch.column(batch.schema.get_field_index(_WHICH))
            for name in pc.unique(which).to_pylist():
                rows = batch.filter(pc.equal(which, name))
                struct = rows.column(rows.schema.get_field_index(_table_column(name)))
                held[name].append(pa.RecordBatch.from_struct_array(struct))
        return held

    def _answer(self, lake: Lakehouse, name: str, query: str) -> Iterator[pa.RecordBatch]:
        columns = self._outputs[name]
        cast = ", ".join(f'cast("{column}" as {kind}) as "{column}"' for column, kind in columns.items())
        for batch in lake.sql(f"select {cast} from ({query})").to_arrow_reader(_BATCH):
            if batch.num_rows:
                yield self._wrapped(name, batch)

    def _wrapped(self, name: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays: list[Any] = [pa.array([name] * batch.num_rows, pa.string())]
        for other in self._outputs:
            if other == name:
                arrays.append(batch.to_struct_array())
            else:
                arrays.append(pa.nulls(batch.num_rows, _arrow_struct(self._outputs[other])))
        return pa.RecordBatch.from_arrays(arrays, names=[_WHICH, *self._outputs])


def _take(
    lake: Lakehouse, name: str, columns: Columns, batches: list[pa.RecordBatch], schema: pa.Schema | None = None
) -> None:
    """Make a table of what came for an input; an input that nothing came for is an empty table."""
    if not batches and schema is None:
        typed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        lake.rows(f"create table {name} ({typed})")
        return
    lake.con.register("came_in", pa.Table.from_batches(batches, schema))
    lake.rows(f"create table {name} as from came_in")
    lake.con.unregister("came_in")


def _arrow_struct(columns: Columns) -> pa.DataType:
    return pa.struct([pa.field(name, arrow_type(kind)) for name, kind in columns.items()])


def arrow_type(duckdb_type: str) -> pa.DataType:
    """Arrow's name of a DuckDB type that tables hold."""
    known = {
        "VARCHAR": pa.string(),
        "BIGINT": pa.int64(),
        "INTEGER": pa.int32(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "DATE": pa.date32(),
        "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
        "VARCHAR[]": pa.list_(pa.string()),
        "BIGINT[]": pa.list_(pa.int64()),
    }
    return known[duckdb_type]
