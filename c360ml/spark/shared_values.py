"""Values of too many people on Spark: all who hold a value meet in one task, then all pairs that agree on it.

`linkage.shared_values` says what is withheld and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from c360ml.lakehouse import Lakehouse
from c360ml.linkage.shared_values import LimitedIdentifier
from c360ml.spark.features import SparkFeatures
from c360ml.spark.frames import Frames
from c360ml.spark.tasks import Input, bring, output, spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_HOLDER = {"rid": "BIGINT", "identifier": "VARCHAR", "value": "VARCHAR"}
_LEFT = {"rid_l": "BIGINT", "rid_r": "BIGINT", "pattern": "BIGINT"}
_PARTS_PER_TASK = 8


def withhold(
    frames: Frames,
    features: SparkFeatures,
    vectors: DataFrame,
    clusters: DataFrame,
    limited: tuple[LimitedIdentifier, ...],
) -> DataFrame | None:
    """Withhold agreement on values that more clusters hold than may, as `SharedValues.withhold` does.

    Args:
        frames: where frames are kept.
        features: features of all records.
        vectors: `rid_l, rid_r, pattern, blocked, withheld`, each pair once.
        clusters: `record_id, cluster_id` of each record.
        limited: identifiers with a limit.

    Returns:
        The vectors with what is left of their patterns; None if all may stay as it is.
    """
    holders = frames.keep(_holders(frames, features, clusters, limited))
    left = frames.keep(_left(frames, vectors, holders, limited))
    if not left.count():
        return None
    left = left.withColumnRenamed("pattern", "left_over")
    return frames.keep(
        vectors.join(left, ["rid_l", "rid_r"], "left").selectExpr(
            "rid_l",
            "rid_r",
            "coalesce(left_over, pattern) as pattern",
            "blocked",
            "withheld or left_over is not null as withheld",
        )
    )


def _holders(
    frames: Frames, features: SparkFeatures, clusters: DataFrame, limited: tuple[LimitedIdentifier, ...]
) -> DataFrame:
    """Who holds a value that too many clusters hold: `rid, identifier, value`."""
    from pyspark.sql import functions as sf

    values = sf.explode(sf.map_from_arrays(_array(sf.lit, limited), _array(sf.col, limited)))
    held = features.rows.join(clusters.select("record_id", sf.col("cluster_id").alias("label")), "record_id")
    held = held.select("rid", "label", values.alias("identifier", "value")).where("value is not null")
    answers = spread(
        {"held": Input(held, "value")},
        partial(_find_holders, limited),
        {"holders": _HOLDER},
        partitions=frames.partitions,
    )
    return output(answers, "holders")


def _array(column: Callable[[str], Any], limited: tuple[LimitedIdentifier, ...]) -> Any:
    from pyspark.sql import functions as sf

    return sf.array(*(column(each.name) for each in limited))


def _find_holders(limited: tuple[LimitedIdentifier, ...], lake: Lakehouse) -> Iterator[tuple[str, str]]:
    lake.rows("create temp table final_labels as select distinct rid, label from held")
    for each in limited:
        mine = f"(select rid, value as \"{each.name}\" from held where identifier = '{each.name}')"
        yield "holders", f"select rid, '{each.name}' as identifier, value from ({each.holders(mine)})"


def _left(frames: Frames, vectors: DataFrame, holders: DataFrame, limited: tuple[LimitedIdentifier, ...]) -> DataFrame:
    """Pairs of two holders that agree on a value of too many, with what is left of their patterns."""
    from pyspark.sql import functions as sf

    known = holders.select("rid").distinct()
    pairs = vectors.select("rid_l", "rid_r", "pattern")
    for side in "lr":
        pairs = pairs.join(known.withColumnRenamed("rid", f"rid_{side}"), f"rid_{side}", "left_semi")
    parts = sf.pmod(sf.xxhash64("rid_l"), sf.lit(_PARTS_PER_TASK * frames.partitions)).alias("part")
    pairs = pairs.select(parts, *_LEFT)
    ends = pairs.selectExpr("part", "explode(array(rid_l, rid_r)) as end")
    brought = bring(ends, part="part", key="end", rows=holders, row_key="rid", partitions=frames.partitions)
    answers = spread(
        {"scored_pairs": Input(pairs, "part", keep=False), "brought": Input(brought, "part", keep=False)},
        partial(_withhold_here, limited),
        {"left": _LEFT},
        partitions=frames.partitions,
    )
    return output(answers, "left")


def _withhold_here(limited: tuple[LimitedIdentifier, ...], lake: Lakehouse) -> Iterator[tuple[str, str]]:
    lake.rows("create temp table whole_pairs as from scored_pairs")
    for each in limited:
        lake.rows(
            f"create or replace temp table holders as select rid, value from brought where identifier = '{each.name}'"
        )
        each.withhold(lake.con)
    yield (
        "left",
        "select now.* from scored_pairs now join whole_pairs w using (rid_l, rid_r) where now.pattern <> w.pattern",
    )
