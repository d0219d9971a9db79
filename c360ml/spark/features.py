"""Records numbered and counted on Spark: the same feature table as `linkage.features` writes, in parts.

A record's features depend on the record and on what the file tells of its values. So values are counted first, over
all records; then each record is sent to a task with what was counted of its own values, and the room's SQL runs there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from c360ml.errors import ColumnError, DataError, TableError
from c360ml.lakehouse import Lakehouse, connect
from c360ml.linkage.features import (
    CONTACT_NAME,
    CONTACTS,
    DERIVED_LISTS,
    FULL_NAME_REPEATS,
    MOST_REPEATED,
    NAMED_FEATURES,
    RARITY_OF,
    base_query,
    rarities,
    write_features,
)
from c360ml.linkage.hubs import HUB_VALUES, NAME, ROLE_MAILBOX, hub_limit
from c360ml.linkage.statistics import STATISTICS, start_statistics
from c360ml.spark.frames import Frames
from c360ml.spark.numbering import numbered
from c360ml.spark.tasks import Input, output, spread

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame

STATISTIC = {"kind": "VARCHAR", "value": "VARCHAR", "number": "BIGINT"}
_TEXT = "VARCHAR"


@dataclass(frozen=True)
class SparkFeatures:
    """The feature table in parts, without the lists that `DERIVED_LISTS` makes; and what was counted of the values."""

    rows: DataFrame
    statistics: DataFrame
    records: int
    filled: frozenset[str]
    attributes: tuple[str, ...]


def build_features(frames: Frames, records: DataFrame, statistics: DataFrame | None = None) -> SparkFeatures:
    """Number the records by their id and add what comparisons need, see `linkage.features.build_features`.

    Args:
        frames: where frames are kept.
        records: standardized records.
        statistics: what a model's own file told of its values; without it, these records tell.

    Raises:
        ColumnError: ids are missing or repeat.
        DataError: there are fewer than two records, or no column to compare.
    """
    names = tuple(records.columns)
    query, attributes = base_query("records", names)
    base, count = _numbered(frames, records, query, attributes)
    terms = frames.keep(_terms(frames, base, attributes))
    if statistics is None:
        filled = _filled(base, attributes)
        statistics = frames.keep(_counted(frames, terms, filled, attributes))
    else:
        filled = frozenset(row["value"] for row in statistics.where("kind = 'filled'").collect())
        if not filled:
            raise TableError("a model's statistics must be whole", got="an empty table", hint="run `c360ml run`")
    rows = frames.keep(_features(frames, base, terms, statistics, filled, attributes))
    return SparkFeatures(rows, statistics, count, filled, attributes)


# ---------------------------------------------------------------------- numbers
def _numbered(frames: Frames, records: DataFrame, query: str, attributes: tuple[str, ...]) -> tuple[DataFrame, int]:
    """Number the records from 1 in the order of their ids."""
    columns = dict.fromkeys(("record_id", "source", "email_kind", *NAMED_FEATURES, *attributes), _TEXT)
    answers = spread(
        {"records": Input(records, "record_id")}, partial(_base, query), {"base": columns}, partitions=frames.partitions
    )
    rows, count = numbered(frames, output(answers, "base"), by="record_id", number="rid")
    _check_ids(rows, count)
    return rows, count


def _base(query: str, lake: Lakehouse) -> Iterator[tuple[str, str]]:
    yield "base", query


def _check_ids(rows: DataFrame, total: int) -> None:
    from pyspark.sql import functions as sf

    if total < 2:
        raise DataError("linkage needs at least two records", got=f"{total}", hint="add records")
    ids, distinct = rows.agg(sf.count("record_id"), sf.count_distinct("record_id")).collect()[0]
    if ids < total or distinct < total:
        raise ColumnError(
            "record_id must be given and different in every row",
            got=f"{total - ids} missing, {ids - distinct} repeated",
            hint="make the ids unique",
        )


# ---------------------------------------------------------------------- what is counted
def _kinds(attributes: tuple[str, ...]) -> dict[str, tuple[str, str, str]]:
    """Kind of statistic = SQL of its value, of the name that is counted beside it, and of a mailbox of a job."""
    kinds = {f"rarity:{name}": (f'"{name}"', "null::varchar", "false") for name in (*RARITY_OF, *attributes)}
    kinds |= {f"names:{name}": (name, CONTACT_NAME, "false") for name in CONTACTS}
    kinds |= {
        f"hub:{kind}": (f"({sql})", NAME, f"coalesce({ROLE_MAILBOX[kind]}, false)") for kind, sql in HUB_VALUES.items()
    }
    return kinds


def _terms(frames: Frames, base: DataFrame, attributes: tuple[str, ...]) -> DataFrame:
    """One row per record and value that something is counted of."""
    columns = {"rid": "BIGINT", "kind": _TEXT, "value": _TEXT, "name": _TEXT, "role": "BOOLEAN"}
    answers = spread(
        {"linkage_base": Input(base, "rid")},
        partial(_record_terms, _kinds(attributes)),
        {"terms": columns},
        partitions=frames.partitions,
    )
    return output(answers, "terms")


def _record_terms(kinds: Mapping[str, tuple[str, str, str]], lake: Lakehouse) -> Iterator[tuple[str, str]]:
    for kind, (value, name, role) in kinds.items():
        yield (
            "terms",
            f"""
            select rid, '{kind}' as kind, {value} as value, {name} as name, {role} as role
            from linkage_base where {value} is not null
            """,
        )


def _filled(base: DataFrame, attributes: tuple[str, ...]) -> frozenset[str]:
    from pyspark.sql import functions as sf

    names = (*NAMED_FEATURES, *attributes)
    varies = base.agg(*((sf.min(f"`{name}`") != sf.max(f"`{name}`")).alias(name) for name in names)).collect()[0]
    filled = {name for name in names if varies[name]}
    repeats = (
        base.where("full_name is not null").agg(sf.avg(sf.expr(f"cast({FULL_NAME_REPEATS} as int)"))).collect()[0][0]
    )
    if repeats is not None and repeats > MOST_REPEATED:
        filled -= {"full_name"}
    if not filled:
        raise DataError(
            "at least one column must hold two different values to compare records",
            got="none does",
            hint="map more columns to roles, e.g. given_name, surname, email, date_of_birth",
        )
    return frozenset(filled)


def _counted(frames: Frames, terms: DataFrame, filled: frozenset[str], attributes: tuple[str, ...]) -> DataFrame:
    """What the records tell of their values, as `linkage.statistics` describes it; hot keys come with blocking."""
    from pyspark.sql import functions as sf

    counts = frames.keep(
        terms.groupBy("kind", "value").agg(
            sf.count("*").alias("n"), sf.count_distinct("name").alias("names"), sf.bool_or("role").alias("role")
        )
    )
    rare = [f"rarity:{name}" for name in (*RARITY_OF, *attributes) if name in filled]
    common = _rarity_by_count(counts, rare)
    limits = _hub_limits(counts)
    by_rarity = counts.join(sf.broadcast(frames.of_arrow(common)), ["kind", "n"]).select("kind", "value", "number")
    by_names = counts.where("kind like 'names:%' and names > 1").selectExpr("kind", "value", "names as number")
    hubs = (
        counts.join(sf.broadcast(frames.of_arrow(limits)), "kind")
        .where("names >= least or (role and names > 1)")
        .selectExpr("kind", "value", "names as number")
    )
    named = frames.of_arrow(
        pa.table(
            {
                "kind": pa.array(["filled"] * len(filled), pa.string()),
                "value": pa.array(sorted(filled), pa.string()),
                "number": pa.nulls(len(filled), pa.int64()),
            }
        )
    )
    return named.unionByName(by_rarity).unionByName(by_names).unionByName(hubs)


def _rarity_by_count(counts: DataFrame, kinds: list[str]) -> pa.Table:
    """Rarity of the terms that so many records have, by kind; it follows from how many terms have which count."""
    from pyspark.sql import functions as sf

    found = counts.where(sf.col("kind").isin(kinds)).groupBy("kind", "n").agg(sf.count("*").alias("terms")).collect()
    listed = {name: [row[name] for row in found] for name in ("kind", "n", "terms")}
    typed = pa.table(
        {
            "kind": pa.array(listed["kind"], pa.string()),
            "n": pa.array(listed["n"], pa.int64()),
            "terms": pa.array(listed["terms"], pa.int64()),
        }
    )
    with connect(threads=1) as con:
        con.register("histogram", typed)
        con.execute("create table common (kind varchar, n bigint, number bigint)").fetchall()
        for kind in kinds:
            per_count = f"select n as value, n, n * terms as filled from histogram where kind = '{kind}'"
            con.execute(f"insert into common select '{kind}', value, number from ({rarities(per_count)})").fetchall()
        return con.sql("from common").to_arrow_table()


def _hub_limits(counts: DataFrame) -> pa.Table:
    from pyspark.sql import functions as sf

    found = {
        row["kind"]: (row["names"], row["terms"])
        for row in counts.where("kind like 'hub:%'")
        .groupBy("kind")
        .agg(sf.sum("names").alias("names"), sf.count("*").alias("terms"))
        .collect()
    }
    limits = {kind: hub_limit(int(names or 0), int(terms)) for kind, (names, terms) in found.items()}
    return pa.table({"kind": pa.array(limits, pa.string()), "least": pa.array(limits.values(), pa.int64())})


# ---------------------------------------------------------------------- features
def _features(
    frames: Frames,
    base: DataFrame,
    terms: DataFrame,
    statistics: DataFrame,
    filled: frozenset[str],
    attributes: tuple[str, ...],
) -> DataFrame:
    told = terms.select("rid", "kind", "value").join(statistics, ["kind", "value"])
    answers = spread(
        {"linkage_base": Input(base, "rid"), "told": Input(told.select("rid", *STATISTIC), "rid", keep=False)},
        partial(_record_features, filled, attributes),
        {"features": _feature_columns(attributes)},
        partitions=frames.partitions,
    )
    return output(answers, "features")


def _record_features(filled: frozenset[str], attributes: tuple[str, ...], lake: Lakehouse) -> Iterator[tuple[str, str]]:
    start_statistics(lake.con)
    lake.rows(f"insert into {STATISTICS} select distinct kind, value, number from told")
    write_features(lake.con, filled, attributes)
    yield "features", "from linkage_features"


def _feature_columns(attributes: tuple[str, ...]) -> dict[str, str]:
    columns = {"rid": "BIGINT", **dict.fromkeys(("record_id", "source", "email_kind"), _TEXT)}
    columns |= dict.fromkeys((*NAMED_FEATURES, *attributes), _TEXT)
    columns |= {f"{name}_rarity": "BIGINT" for name in (*RARITY_OF, *attributes)}
    columns |= {f"{name}_names": "BIGINT" for name in (*CONTACTS, "street")}
    return columns | {f"{kind}_hub": "BOOLEAN" for kind in HUB_VALUES}


def with_derived_lists(con: duckdb.DuckDBPyConnection, rows: str, into: str) -> None:
    """Make a feature table of rows that tasks were given: with the lists that Spark has no type for."""
    lists = ", ".join(f"{sql} as {name}" for name, (_, sql) in DERIVED_LISTS.items())
    con.execute(f"create or replace temp table {into} as select *, {lists} from {rows}").fetchall()
