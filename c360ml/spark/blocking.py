"""Candidate pairs on Spark: hot keys counted over all records, then the pairs of every key that is left.

The keys are those of `linkage.blocking`, made in the tasks by its own SQL. A key is an unsigned 64-bit number there and
a signed one here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from c360ml.lakehouse import Lakehouse
from c360ml.linkage.blocking import MOST_RECORDS_PER_KEY, BlockedRule, BlockingRule, keyed_query
from c360ml.spark.features import SparkFeatures, with_derived_lists
from c360ml.spark.frames import Frames
from c360ml.spark.tasks import Input, output, spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SIGN = 2**63
_KEYS = {"rule": "INTEGER", "k": "BIGINT", "s": "BIGINT", "hub": "BOOLEAN", "rid": "BIGINT"}


@dataclass(frozen=True)
class Blocked:
    """What blocking found: distinct pairs `rid_l, rid_r` with rid_l < rid_r, and what was counted of hot keys."""

    pairs: DataFrame
    statistics: DataFrame
    keys: DataFrame
    hot: DataFrame
    used: DataFrame


def block(frames: Frames, features: SparkFeatures, rules: tuple[BlockingRule, ...]) -> Blocked:
    """Find the candidate pairs of blocking rules."""
    keys = frames.keep(_keys(frames, features, rules))
    hot = frames.keep(_hot(keys))
    split = frames.keep(_split(keys, hot))
    skipped = frames.keep(_skipped(split, hot))
    used = split.join(skipped, ["rule", "k"], "left_anti")
    return Blocked(frames.keep(_pairs(used)), _told(hot, skipped, rules), keys, hot, used)


def measured(blocked: Blocked, features: SparkFeatures, rules: tuple[BlockedRule, ...]) -> tuple[BlockedRule, ...]:
    """Give the chosen rules the counts of all records, as `linkage.blocking.add_block_keys` does."""
    chosen = [each for each in rules if each.chosen]
    found, kept, split = (_pairs_by_rule(rows) for rows in (blocked.keys, blocked.used, blocked.used.where("split")))
    hottest = _hottest(blocked, features)
    exact = {
        each.rule: replace(
            each,
            pairs=kept.get(number, 0),
            hot_pairs=found.get(number, 0) - kept.get(number, 0),
            split_pairs=split.get(number, 0),
            **hottest.get(number, {"hot_keys": 0, "hottest_records": 0, "hottest_example": None}),
        )
        for number, each in enumerate(chosen)
    }
    return tuple(exact.get(each.rule, each) for each in rules)


def _pairs_by_rule(keys: DataFrame) -> dict[int, int]:
    from pyspark.sql import functions as sf

    sizes = keys.groupBy("rule", "k").agg(sf.count("*").alias("n"))
    pairs = sizes.groupBy("rule").agg(sf.sum(sf.expr("n * (n - 1) div 2")).alias("pairs"))
    return {row["rule"]: int(row["pairs"]) for row in pairs.collect()}


def _hottest(blocked: Blocked, features: SparkFeatures) -> dict[int, dict[str, Any]]:
    from pyspark.sql import functions as sf

    hot = blocked.hot.groupBy("rule").agg(
        sf.count("*").alias("hot_keys"),
        sf.max("n").alias("hottest_records"),
        sf.min_by("example", sf.struct(-sf.col("n"), "example")).alias("rid"),
    )
    named = hot.join(features.rows.select("rid", "record_id"), "rid").collect()
    return {
        row["rule"]: {
            "hot_keys": int(row["hot_keys"]),
            "hottest_records": int(row["hottest_records"]),
            "hottest_example": str(row["record_id"]),
        }
        for row in named
    }


def _keys(frames: Frames, features: SparkFeatures, rules: tuple[BlockingRule, ...]) -> DataFrame:
    answers = spread(
        {"features": Input(features.rows, "rid")},
        partial(_record_keys, rules),
        {"keys": _KEYS},
        partitions=frames.partitions,
    )
    return output(answers, "keys")


def _record_keys(rules: tuple[BlockingRule, ...], lake: Lakehouse) -> Iterator[tuple[str, str]]:
    with_derived_lists(lake.con, "features", "linkage_features")
    for number, rule in enumerate(rules):
        k, s = signed("k"), signed("s")
        yield "keys", f"select {number} as rule, {k} as k, {s} as s, hub, rid from ({keyed_query(rule)})"


def signed(key: str) -> str:
    """SQL of an unsigned 64-bit number as a signed one, in the same order."""
    return f"({key}::hugeint - {_SIGN})::bigint"


def unsigned(key: str) -> str:
    """SQL of the unsigned number that `signed` made a signed one of."""
    return f"({key}::hugeint + {_SIGN})::ubigint"


def _hot(keys: DataFrame) -> DataFrame:
    from pyspark.sql import functions as sf

    sizes = keys.groupBy("rule", "k").agg(
        sf.count("*").alias("n"), sf.bool_or("hub").alias("hub"), sf.min("rid").alias("example")
    )
    return sizes.where(f"n > 1 and (n > {MOST_RECORDS_PER_KEY} or hub)").select("rule", "k", "n", "example")


def _split(keys: DataFrame, hot: DataFrame) -> DataFrame:
    marked = keys.join(hot.selectExpr("rule", "k", "true as hot"), ["rule", "k"], "left")
    marked = marked.withColumn("split", marked["hot"].isNotNull())
    return marked.selectExpr("rule", "if(split, s, k) as k", "rid", "split").where("k is not null")


def _skipped(split: DataFrame, hot: DataFrame) -> DataFrame:
    """Keys that are too large even where hot ones were split; of rules without a hot key there are none."""
    sizes = split.groupBy("rule", "k").count().withColumnRenamed("count", "n")
    return sizes.where(f"n > {MOST_RECORDS_PER_KEY}").join(hot.select("rule").distinct(), "rule", "left_semi")


def _pairs(keys: DataFrame) -> DataFrame:
    from pyspark.sql import functions as sf

    groups = keys.groupBy("rule", "k").agg(sf.collect_list("rid").alias("rids")).where("size(rids) > 1")
    left = groups.select(sf.explode("rids").alias("rid_l"), "rids")
    return left.select("rid_l", sf.explode("rids").alias("rid_r")).where("rid_l < rid_r").distinct()


def _told(hot: DataFrame, skipped: DataFrame, rules: tuple[BlockingRule, ...]) -> DataFrame:
    """Hot and skipped keys as statistics, under the names of their rules and as the unsigned numbers they are."""
    from pyspark.sql import functions as sf

    def told(rows: DataFrame, what: str) -> DataFrame:
        names = sf.element_at(sf.array(*(sf.lit(f"{what}:{rule.column}") for rule in rules)), sf.col("rule") + 1)
        value = (sf.col("k").cast("decimal(20, 0)") + sf.lit(str(_SIGN)).cast("decimal(20, 0)")).cast("string")
        return rows.select(names.alias("kind"), value.alias("value"), sf.col("n").cast("bigint").alias("number"))

    return told(hot, "hot").unionByName(told(skipped, "skipped"))
