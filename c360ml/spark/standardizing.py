"""The step `standardize` on Spark: each task standardizes its rows as `standardize` does.

What all rows together tell of their sources (is 03/04 the 3rd of April?) is told to the tasks by witnesses: a few rows
made up per source that tell the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse, rows_of
from c360ml.spark.frames import Frames
from c360ml.spark.tasks import Input, arrow_type, output, spread
from c360ml.standardize.changes import Changes
from c360ml.standardize.interactions import write_campaigns
from c360ml.standardize.meanings import meanings
from c360ml.standardize.records import FEWEST_EPOCH_BIRTHDAYS
from c360ml.standardize.step import BY_KEY, READS, note_standard, standard_rules
from c360ml.table_changes import versions_of
from c360ml.tables import Table

SILVER = {
    tables.CUSTOMERS.path: tables.RECORDS,
    tables.SALES.path: tables.PURCHASES,
    tables.SERVICE_ROWS.path: tables.SERVICES,
    tables.EVENTS.path: tables.DIGITAL_EVENTS,
    tables.CAMPAIGN_SEND_ROWS.path: tables.CAMPAIGN_SENDS,
}
_DATES = (
    (tables.CUSTOMERS, "date_of_birth"),
    (tables.CUSTOMERS, "created_at"),
    (tables.CUSTOMERS, "updated_at"),
    (tables.SALES, "sold_on"),
    (tables.SERVICE_ROWS, "serviced_on"),
    (tables.EVENTS, "occurred_at"),
    (tables.CAMPAIGN_ROWS, "starts_on"),
    (tables.CAMPAIGN_SEND_ROWS, "sent_on"),
)
"""The dates that `standardize.meanings` tells the order of, in its order."""
_DAY_FIRST, _MONTH_FIRST, _EPOCH, _ZIP = "13/01/2000", "01/13/2000", "1970-01-01", "12345"


def standardize(frames: Frames, config: Config) -> dict[str, Any]:
    """Do what `standardize.standardize` does."""
    lake = frames.lake
    read = versions_of(lake, READS)
    told = meanings(lake, config.project.country)
    for bronze, _ in BY_KEY:
        lake.say(f"{bronze.name} on Spark")
        answers = spread(
            {"rows_here": Input(frames.read(bronze), "source_key")},
            partial(_standardize_rows, bronze.path, config),
            {"rows": {name: column.type for name, column in SILVER[bronze.path].columns.items()}},
            partitions=frames.partitions,
            given={bronze.path: witnesses(bronze, told)},
        )
        frames.write(SILVER[bronze.path], output(answers, "rows"))
    write_campaigns(lake, config)
    return note_standard(lake, config, read, standard_rules(lake, config))


def witnesses(bronze: Table, told: list[Any]) -> pa.Table:
    """Rows of a bronze table that tell of their sources what all rows told, see `standardize.meanings`.

    >>> told = [[[("crm", True)], [], [], [], [], [], [], []], [("crm",)], [(True,)]]
    >>> rows = witnesses(tables.CUSTOMERS, told)
    >>> rows.num_rows, sorted(set(rows.column("postcode").to_pylist()), key=str)
    (22, ['12345', None])
    """
    orders, epochs, zeros = told
    rows: list[dict[str, str]] = []
    for (table, column), found in zip(_DATES, orders, strict=True):
        if table == bronze:
            rows += [{"source": source, column: _DAY_FIRST if first else _MONTH_FIRST} for source, first in found]
    if bronze == tables.CUSTOMERS:
        rows += [
            {"source": source, "date_of_birth": _EPOCH} for (source,) in epochs for _ in range(FEWEST_EPOCH_BIRTHDAYS)
        ]
        rows += [{"postcode": _ZIP}] * bool(zeros[0][0])
    schema = pa.schema([pa.field(name, arrow_type(column.type)) for name, column in bronze.columns.items()])
    return pa.Table.from_pylist(rows, schema)


def _standardize_rows(bronze: str, config: Config, lake: Lakehouse) -> Iterator[tuple[str, str]]:
    write = next(write for table, write in BY_KEY if table.path == bronze)
    lake.write(SILVER[bronze], rows_of(SILVER[bronze], []))
    write(lake, config, Changes("rows_here", None))
    yield "rows", f"from {SILVER[bronze].path}"
