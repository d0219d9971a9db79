"""Filling a base of the online index by SQL over the project's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import TableError
from c360ml.identity.base_files import (
    CUSTOMERS,
    RECORDS,
    TERMS,
    share_records,
    share_rows,
    write_about,
    write_keys,
    write_rows,
    write_statistics,
)
from c360ml.lakehouse import Lakehouse
from c360ml.linkage import LinkageModel, online
from c360ml.linkage.blocking import add_block_keys
from c360ml.linkage.features import build_features
from c360ml.linkage.statistics import STATISTICS
from c360ml.linkage.step import MODEL_FILE

if TYPE_CHECKING:
    import pyarrow as pa

CUSTOMER_COLUMNS = (
    "master_id",
    "household_id",
    "historical_value",
    "projected_value",
    "customer_value",
    "probability_alive",
    "expected_purchases",
    "rfm_score",
    "rfm_segment",
    "kmeans_segment",
    "behaviour_segment",
    "value_tier",
)
GOLDEN_COLUMNS = tuple(tables.GOLDEN_RECORDS.columns)
GIVEN = (tables.RECORDS, tables.TERM_STATISTICS, tables.IDENTITIES, tables.GOLDEN_RECORDS, tables.CUSTOMER_360)
"""The tables that an index is built from."""
STATISTICS_FILE = "statistics.parquet"
"""What an older model's records told when its base was filled; the newest model's statistics are a table."""
_ROWS_PER_BATCH = 200_000


def fill(lake: Lakehouse, content: Mapping[str, Any], folder: Path, beside: Path | None) -> None:
    """Fill a base with all records and customers.

    Args:
        lake: the project's lakehouse.
        content: linkage model as JSON.
        folder: the empty folder of the base.
        beside: a base of another model that was filled from the same tables just now: what is the same is shared.
    """
    model = LinkageModel.from_dict(dict(content))
    for table in GIVEN:
        lake.open(table)
    # The statistics are the newest model's; for an older one the records tell.
    newest = is_newest(lake, content)
    build_features(lake.con, tables.RECORDS.path, tables.TERM_STATISTICS.path if newest else None)
    if not newest:
        add_block_keys(lake.con, model.blocking_)
        write_statistics(folder / STATISTICS_FILE, lake.sql(f"from {STATISTICS} order by all").to_arrow_table())
    columns = online.stored_columns(model.comparisons_)
    write_rows(folder, TERMS, batches(lake, _TERMS_SQL))
    if beside is None or not share_records(beside, folder, columns):
        lake.say("writing the index of records")
        write_records(lake, folder, columns)
    lake.say("writing the index of keys")
    write_keys(folder, batches(lake, keys_sql(model, told=newest)))
    lake.rows("drop table linkage_features")
    if beside is not None:
        share_rows(beside, folder, CUSTOMERS)
    else:
        lake.say("writing the index of customers")
        write_rows(folder, CUSTOMERS, batches(lake, CUSTOMERS_SQL.format(which="")))
    describe(lake, content, folder, columns)


def is_newest(lake: Lakehouse, content: Mapping[str, Any]) -> bool:
    """Whether a model is the project's newest, of whose file the statistics are."""
    return online.model_digest(lake.read_json(MODEL_FILE) or {}) == online.model_digest(content)


def describe(
    lake: Lakehouse,
    content: Mapping[str, Any],
    folder: Path,
    columns: tuple[str, ...],
    filled_from: Mapping[str, int] | None = None,
) -> None:
    """Write what a base holds.

    Args:
        lake: the project's lakehouse.
        content: linkage model as JSON.
        folder: the base, of which all else is written.
        columns: stored columns of a record.
        filled_from: versions of the tables that all but the patch was filled from, if there is one.
    """
    versions = {table.path: lake.version(table) for table in GIVEN}
    about = {
        "model_digest": online.model_digest(content),
        "country": _country(lake.folder),
        "columns": columns,
        "golden_columns": GOLDEN_COLUMNS,
        "customer_columns": CUSTOMER_COLUMNS,
        "versions": versions,
        "filled_from": filled_from or versions,
    }
    write_about(folder, about)


def write_records(lake: Lakehouse, folder: Path, columns: tuple[str, ...], *, prefix: str = "") -> None:
    """Write the records of `linkage_features`, each with its customer.

    Raises:
        TableError: a record has no customer.
    """
    records = lake.one("select count(*) from linkage_features")
    written = write_rows(folder, f"{prefix}{RECORDS}", batches(lake, _records_sql(columns)))
    if written != records:
        raise TableError(
            f"{tables.IDENTITIES.path} must hold each record of {tables.RECORDS.path} once",
            got=f"{written} of {records} records",
            hint="run `c360ml run` again",
        )


def batches(lake: Lakehouse, query: str) -> Iterable[pa.RecordBatch]:
    """Ask for the rows of a query in batches."""
    rows: Iterable[pa.RecordBatch] = lake.sql(query).to_arrow_reader(_ROWS_PER_BATCH)
    return rows


def _records_sql(columns: tuple[str, ...]) -> str:
    named = ", ".join(f'linkage_features."{column}"' for column in columns)
    return f"""
        select json_array(record_id, identities.master_id, {named})::varchar || chr(10) as line
        from linkage_features join {tables.IDENTITIES.path} as identities using (record_id)
        order by record_id
    """


def keys_sql(model: LinkageModel, *, told: bool, after: int = 0) -> str:
    """SQL of the keys, by the statistics if these tell of hot keys, else by the block keys of `linkage_features`.

    Args:
        model: the linkage model.
        told: whether the statistics tell.
        after: position of the first record.
    """
    if told:
        each = [online.index_keys_query(rule) for rule in model.rules_]
    else:
        numbered = "select {} as block_key, (rid - 1)::uinteger as position from linkage_features"
        each = [numbered.format(key) for key in online.index_keys_sql(model.rules_)]
    listed = " union all ".join(f"({query})" for query in each)
    return f"""
        select block_key::ubigint as block_key, (position + {after})::uinteger as position from ({listed})
        where block_key is not null order by all
    """


_TERMS_SQL = f"""
    with terms as (
        select concat(kind, '|', value) as term, coalesce(number, 1) as number
        from {STATISTICS}
        where kind in ('filled', 'hub:door') or starts_with(kind, 'rarity:') or starts_with(kind, 'names:')
    )
    select json_array(term, number)::varchar || chr(10) as line from terms order by term
"""
CUSTOMERS_SQL = f"""
    select json_array(
        master_id, golden.records,
        json_array({", ".join(f"golden.{column}" for column in GOLDEN_COLUMNS)}),
        json_array({", ".join(f"customers.{column}" for column in CUSTOMER_COLUMNS)})
    )::varchar || chr(10) as line
    from {tables.GOLDEN_RECORDS.path} as golden
    left join {tables.CUSTOMER_360.path} as customers using (master_id)
    {{which}}
    order by master_id
"""


def _country(folder: Path) -> str:
    file = folder / CONFIG_FILE
    return (Config.load(file) if file.is_file() else Config()).project.country
