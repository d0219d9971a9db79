"""Linkage on Spark: the same model, scored pairs and clusters as `linkage.LinkageModel` makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from c360ml.errors import DataError
from c360ml.lakehouse import connect
from c360ml.linkage import decided_pairs
from c360ml.linkage.comparisons import choose_comparisons
from c360ml.linkage.features import Features
from c360ml.linkage.model import LinkageModel, log2_odds
from c360ml.linkage.recalibration import Recalibration
from c360ml.linkage.shared_values import limited_identifiers
from c360ml.linkage.splink_engine import Patterns
from c360ml.linkage.two_classes import PAIR_CLASSES
from c360ml.spark.blocking import block, measured
from c360ml.spark.clusters import SparkClusters, read_decided
from c360ml.spark.features import build_features
from c360ml.spark.frames import Frames
from c360ml.spark.pairs import (
    compare,
    count_patterns,
    named_pairs,
    neighbour_pairs,
    weigh_patterns,
    with_neighbours,
)
from c360ml.spark.shared_values import withhold
from c360ml.spark.training import SparkPilot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class SparkLinkage:
    """Trains a linkage model on Spark, or scores with one that was trained on any engine; blocks, compares, clusters.

    Args:
        frames: Spark frames of a project.
        model: the model; to `score`, it must be fitted.
    """

    def __init__(self, frames: Frames, model: LinkageModel) -> None:
        self._frames, self.model = frames, model

    def fit(self, records: DataFrame) -> SparkLinkage:
        """Learn from standardized records and score their candidate pairs, as `LinkageModel.fit` does; returns itself.

        Raises:
            DataError: there is no candidate pair.
        """
        model = self.model
        self.features = build_features(self._frames, records)
        model._stored_columns = self.features.filled
        model.comparisons_ = choose_comparisons(self.features.filled)
        self._limit_identifiers()
        pilot = SparkPilot(self._frames, self.features, model.comparisons_, model.constraints, model.seed)
        model.blocking_ = pilot.choose_rules(model.max_pairs)
        self._compare_candidates()
        model.blocking_ = measured(self._blocked, self.features, model.blocking_)
        self._fit_classes(pilot)
        pilot.close()
        model.recalibration_ = Recalibration.identity()
        self._compare_neighbours()
        patterns, counts = count_patterns(self._vectors.where("not blocked"))
        model.classes_.fit_near(self._patterns.digits(patterns), counts)
        self._weigh()
        return self

    def _fit_classes(self, pilot: SparkPilot) -> None:
        patterns, counts = count_patterns(self._candidates)
        if not len(patterns):
            raise DataError(
                "blocking must find at least one pair of records that may be one person",
                got="only pairs that duplicate_free_sources or never_link forbid",
                hint="check which sources they name",
            )
        random_patterns, random_counts = pilot.random_patterns()
        self.model.classes_ = PAIR_CLASSES[self.model.classes](self.model.comparisons_).fit(
            self._patterns.digits(patterns),
            counts,
            self._patterns.digits(random_patterns),
            random_counts,
            all_pairs=pilot.all_pairs,
        )

    def score(self, records: DataFrame) -> SparkLinkage:
        """Block and score records with what the model has learnt, as `LinkageModel.score` does; returns itself."""
        self.features = build_features(self._frames, records)
        self._limit_identifiers()
        self._compare_candidates()
        self._compare_neighbours()
        self._weigh()
        return self

    def _limit_identifiers(self) -> None:
        self._limited = limited_identifiers(self._patterns, self.model.constraints.most_people_per)

    def recalibrate(self, decisions: Any) -> SparkLinkage:
        """Learn from decided pairs what match weights mean, as `LinkageModel.recalibrate` does; returns itself."""
        patterns, counts = count_patterns(self._vectors)
        near = self._patterns.are_near(patterns)
        class_weight = self.model.classes_.match_weights(self._patterns.digits(patterns), near)
        with connect(threads=1) as con:
            decided = read_decided(decisions)
            rows, pairs = self._decided_rows(decided)
            for name, table in {
                "linkage_features": rows,
                "scored_pairs": pairs,
                "class_weights": pa.table({"pattern": patterns, "class_weight": class_weight}),
                "pattern_counts": pa.table({"pattern": patterns, "pairs": counts}),
            }.items():
                con.register(name, table)
            features = Features("linkage_features", self.features.records, frozenset(), ())
            self.model.recalibration_ = decided_pairs.recalibrate(con, features, decisions, counts="pattern_counts")
        self._weigh()
        return self

    def _decided_rows(self, decided: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Records that decisions name, and the scored pairs among them."""
        from pyspark.sql import functions as sf

        named = {value for name in ("record_id_l", "record_id_r") for value in decided.column(name).to_pylist()}
        asked = self._frames.of_arrow(pa.table({"record_id": pa.array(sorted(named), pa.string())}))
        rows = self._frames.keep(self.features.rows.join(sf.broadcast(asked), "record_id").select("rid", "record_id"))
        pairs = self._vectors.select("rid_l", "rid_r", "pattern")
        for side in "lr":
            pairs = pairs.join(
                sf.broadcast(rows.select(sf.col("rid").alias(f"rid_{side}"))), f"rid_{side}", "left_semi"
            )
        return rows.toArrow(), pairs.toArrow()

    @property
    def _patterns(self) -> Patterns:
        return Patterns(self.model.comparisons_)

    def _compared(self, pairs: DataFrame) -> DataFrame:
        return compare(self._frames, self.features, pairs, self.model.comparisons_, self.model.constraints)

    def _compare_candidates(self) -> None:
        self._blocked = block(self._frames, self.features, self.model.rules_)
        self._candidates = self._compared(self._blocked.pairs)

    def _compare_neighbours(self) -> None:
        """See `PairTables.compare_neighbours`; what is compared does not depend on a recalibration."""
        weights = weigh_patterns(self._frames, self._candidates, self._patterns, self.model.classes_)
        neighbours = self._compared(neighbour_pairs(self._frames, self._candidates, weights))
        self._vectors = self._whole = with_neighbours(self._candidates, neighbours, self._patterns.near)

    def _weigh(self) -> None:
        weights = weigh_patterns(self._frames, self._vectors, self._patterns, self.model.scorer_)
        self.scored = self._vectors.join(weights, "pattern")

    @property
    def pairs(self) -> DataFrame:
        """Scored pairs worth keeping, as `LinkageModel.predict` answers."""
        return named_pairs(self.features, self.scored)

    @property
    def statistics(self) -> DataFrame:
        """What the records tell of their values, as `linkage.statistics` describes it."""
        return self.features.statistics.unionByName(self._blocked.statistics)

    def cluster(self) -> SparkClusters:
        """Cluster the records, as `LinkageModel.cluster` does."""
        clusters = SparkClusters(self._frames, self.features, self.model.constraints)
        if self._vectors is not self._whole:
            self._vectors = self._whole
            self._weigh()
        while True:
            clusters.run(self.scored, self.model.merge_weight_)
            left = self._withhold(clusters.rows)
            if left is None:
                return clusters
            self._vectors = left
            self._weigh()
            clusters.withheld = left.where("withheld").count()

    def _withhold(self, clusters: DataFrame) -> DataFrame | None:
        if not self._limited:
            return None
        return withhold(self._frames, self.features, self._vectors, clusters, self._limited)

    def pair_counts(self) -> pa.Table:
        """How many scored pairs have which match probability, as `LinkageModel.pair_counts` answers."""
        counted = self.scored.groupBy("match_probability").count().withColumnRenamed("count", "pairs")
        return counted.toArrow().sort_by("match_probability")

    @property
    def keys(self) -> DataFrame:
        """Block keys in use, hot ones split: `rid, rule, k`."""
        return self._blocked.used.select("rid", "rule", "k")

    def summary(self) -> dict[str, Any]:
        """Counts and parameters of the fit, as `LinkageModel.summary` answers."""
        model = self.model
        threshold = model.threshold or 0.5
        candidates, links = self.counts(log2_odds(threshold))
        return {
            "records": self.features.records,
            "candidate_pairs": candidates,
            "links": links,
            "threshold": threshold,
            "comparisons": [comparison.name for comparison in model.comparisons_],
            "blocking_rules": [each.summary() for each in model.blocking_],
            **model.classes_.summary(),
        }

    def counts(self, weight: float) -> tuple[int, int]:
        """Number of candidate pairs, and of pairs whose match weight is above `weight`."""
        found = self.scored.selectExpr(
            "count_if(blocked) as candidates", f"count_if(match_weight > {weight}) as links"
        ).collect()[0]
        return int(found["candidates"]), int(found["links"])
