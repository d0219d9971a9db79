"""Pairs compared and weighed on Spark: agreement patterns are made in tasks, counted by Spark, weighed on the driver.

What is known of a pattern is the same for every pair that has it, so the driver sees patterns and counts only, and the
same numpy code as in `linkage.pair_tables` weighs them, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from c360ml.lakehouse import Lakehouse
from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.constraints import Constraints, NumberedConstraints
from c360ml.linkage.features import Features
from c360ml.linkage.pair_tables import LEAST_WEIGHT_KEPT, weighed_patterns
from c360ml.linkage.recalibration import RecalibratedClasses
from c360ml.linkage.splink_engine import Patterns, SplinkEngine
from c360ml.spark.features import SparkFeatures, with_derived_lists
from c360ml.spark.frames import Frames
from c360ml.spark.tasks import Input, bring, output, spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from c360ml.linkage.latent_classes import LatentClasses

_VECTOR = {"rid_l": "BIGINT", "rid_r": "BIGINT", "pattern": "BIGINT"}
_PARTS_PER_TASK = 8


def compare(
    frames: Frames,
    features: SparkFeatures,
    pairs: DataFrame,
    comparisons: tuple[Comparison, ...],
    constraints: Constraints,
) -> DataFrame:
    """Compare pairs whose sources may share a cluster: `rid_l, rid_r, pattern`.

    Each task is sent its pairs, and once each record that they name.
    """
    from pyspark.sql import functions as sf

    partitions = frames.partitions
    parts = sf.pmod(sf.xxhash64("rid_l"), sf.lit(_PARTS_PER_TASK * partitions)).alias("part")
    asked = pairs.select(parts, "rid_l", "rid_r")
    ends = asked.select("part", sf.col("rid_l").alias("rid")).unionByName(
        asked.select("part", sf.col("rid_r").alias("rid"))
    )
    brought = bring(ends, part="part", key="rid", rows=features.rows, row_key="rid", partitions=partitions)
    answers = spread(
        {"pairs": Input(asked, "part", keep=False), "features": Input(brought, "part", keep=False)},
        partial(_compare_pairs, comparisons, on_sources(constraints), features.attributes),
        {"vectors": _VECTOR},
        partitions=partitions,
    )
    return frames.keep(output(answers, "vectors"))


def on_sources(constraints: Constraints) -> Constraints:
    """What is known of a pair from its sources alone."""
    return Constraints(duplicate_free_sources=constraints.duplicate_free_sources, never_link=constraints.never_link)


def _compare_pairs(
    comparisons: tuple[Comparison, ...], constraints: Constraints, attributes: tuple[str, ...], lake: Lakehouse
) -> Iterator[tuple[str, str]]:
    with_derived_lists(lake.con, "features", "linkage_features")
    records = int(lake.one("select count(*) from linkage_features"))
    features = Features("linkage_features", records, frozenset(), attributes)
    engine = SplinkEngine(lake.con, features.name, comparisons, ())
    pairs = NumberedConstraints(lake.con, features, constraints).permit("pairs")
    yield "vectors", f"from {engine.compare(pairs, into='vectors')}"


def count_patterns(vectors: DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Agreement patterns in order, and how many pairs have each."""
    counted = vectors.groupBy("pattern").count().toArrow().sort_by("pattern")
    return (
        np.asarray(counted.column("pattern").to_numpy(), dtype=np.int64),
        np.asarray(counted.column("count").to_numpy(), dtype=np.float64),
    )


def weigh_patterns(
    frames: Frames, vectors: DataFrame, patterns: Patterns, classes: LatentClasses | RecalibratedClasses
) -> DataFrame:
    """What the classes say of each pattern among the vectors, as `linkage.pair_tables` does."""
    from pyspark.sql import functions as sf

    return sf.broadcast(frames.of_arrow(weighed_patterns(classes, patterns, count_patterns(vectors)[0])))


def neighbour_pairs(frames: Frames, vectors: DataFrame, weights: DataFrame) -> DataFrame:
    """Pairs of records that share a linked neighbour and were not compared yet."""
    linked = vectors.join(weights, "pattern").where("match_weight > 0").select("rid_l", "rid_r")
    ends = frames.keep(
        linked.selectExpr("rid_l as middle", "rid_r as rid").unionByName(
            linked.selectExpr("rid_r as middle", "rid_l as rid")
        )
    )
    left, right = ends.withColumnRenamed("rid", "rid_l"), ends.withColumnRenamed("rid", "rid_r")
    met = left.join(right, "middle").where("rid_l < rid_r").select("rid_l", "rid_r").distinct()
    return frames.keep(met.join(vectors.select("rid_l", "rid_r"), ["rid_l", "rid_r"], "left_anti"))


def with_neighbours(candidates: DataFrame, neighbours: DataFrame, near: int) -> DataFrame:
    """All scored pairs: candidates, and pairs that share a neighbour, which their pattern says."""
    return candidates.selectExpr("rid_l", "rid_r", "pattern", "true as blocked", "false as withheld").unionByName(
        neighbours.selectExpr("rid_l", "rid_r", f"pattern + {near} as pattern", "false as blocked", "false as withheld")
    )


def named_pairs(features: SparkFeatures, scored: DataFrame) -> DataFrame:
    """The scored pairs worth keeping, by record ids; `scored` is weighed."""
    from pyspark.sql import functions as sf

    kept = scored.where(f"match_weight >= {LEAST_WEIGHT_KEPT} or household_probability >= 0.5")
    for side in "lr":
        ids = features.rows.select(sf.col("rid").alias(f"rid_{side}"), sf.col("record_id").alias(f"record_id_{side}"))
        kept = kept.join(ids, f"rid_{side}")
    return kept.select("record_id_l", "record_id_r", "match_weight", "match_probability", "household_probability")
