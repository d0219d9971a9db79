"""Tables of pairs in DuckDB: drawn, compared, weighed, and clustered, all set-oriented."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.errors import DataError
from c360ml.linkage import decided_pairs
from c360ml.linkage.cluster_explanation import explain_cluster, explain_path
from c360ml.linkage.clustering import Clustering
from c360ml.linkage.constraints import NumberedConstraints
from c360ml.linkage.features import Features
from c360ml.linkage.latent_classes import LatentClasses
from c360ml.linkage.recalibration import RecalibratedClasses, Recalibration, match_probabilities
from c360ml.linkage.shared_values import SharedValues
from c360ml.linkage.splink_engine import Patterns, SplinkEngine

if TYPE_CHECKING:
    import duckdb

RANDOM_PAIRS = 500_000
LEAST_WEIGHT_KEPT = -6.0


class PairTables:
    """The pairs of one feature table: temporary tables of the connection that holds it."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        features: Features,
        engine: SplinkEngine,
        numbered: NumberedConstraints,
    ) -> None:
        self._con = con
        self._features = features
        self._engine = engine
        self.numbered = numbered
        self._shared = SharedValues(con, features, engine, numbered.declared.most_people_per)
        self.clustering: Clustering | None = None

    @property
    def all_pairs(self) -> float:
        """Number of pairs of any two records that may be one person."""
        return self.numbered.permitted_pairs

    def block(self) -> str:
        """Find the candidate pairs whose sources may share a cluster, to learn from.

        Raises:
            DataError: there are none.
        """
        pairs = self.block_permitted()
        if self._con.execute(f"select count(*) from {pairs}").fetchall()[0][0] == 0:
            raise DataError(
                "blocking must find at least one pair of records that may be one person",
                got="only pairs that duplicate_free_sources or never_link forbid",
                hint="check which sources they name",
            )
        return pairs

    def block_permitted(self) -> str:
        """Find the candidate pairs whose sources may share a cluster; there may be none."""
        return self.numbered.permit(self._engine.block())

    def draw_random_pairs(self, seed: int) -> str:
        """Pairs of any two records, all of them if there are few; the same for the same seed."""
        query = random_pairs_query(self._features.name, self._features.records, seed)
        self._con.execute(f"create or replace temp table random_pairs as {query}").fetchall()
        return self.numbered.permit("random_pairs")

    def count_patterns(self, vectors: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Agreement patterns of a table of vectors, and how many pairs have each."""
        counted = self._con.execute(
            f"select pattern, count(*) as pairs from {vectors} group by pattern order by pattern"
        ).fetchnumpy()
        return np.asarray(counted["pattern"], dtype=np.int64), np.asarray(counted["pairs"], dtype=np.float64)

    def weighed_pattern(self, vector: str) -> NDArray[np.int64]:
        """Agreement pattern of the one pair in a table of vectors, without evidence that is withheld from it."""
        found = self._con.execute(f"""
            select coalesce(scored_pairs.pattern, asked.pattern) as pattern
            from {vector} asked left join scored_pairs using (rid_l, rid_r)
        """).fetchnumpy()
        return np.asarray(found["pattern"], dtype=np.int64)

    def compare_neighbours(self, classes: LatentClasses) -> None:
        """Add to the candidate pairs those of records that share a linked neighbour, which blocking missed."""
        # What is compared must not depend on a recalibration, which comes after.
        self._weigh_patterns(classes, "scored_candidates")
        self._con.execute("""
            create or replace temp table neighbours as
            with linked as (
                select rid_l, rid_r from scored_candidates join pattern_weights using (pattern) where match_weight > 0
            )
            select rid_l as middle, rid_r as rid from linked union all select rid_r, rid_l from linked
        """).fetchall()
        self._con.execute("""
            create or replace temp table neighbour_pairs as
            select distinct a.rid as rid_l, b.rid as rid_r
            from neighbours a join neighbours b on a.middle = b.middle and a.rid < b.rid
            anti join scored_candidates c on c.rid_l = a.rid and c.rid_r = b.rid
        """).fetchall()
        self._engine.compare(self.numbered.permit("neighbour_pairs"), into="scored_neighbours")
        self._con.execute(f"""
            create or replace temp table scored_pairs as
            select rid_l, rid_r, pattern, true as blocked from scored_candidates
            union all
            select rid_l, rid_r, pattern + {self._engine.near}, false from scored_neighbours
        """).fetchall()
        for table in ("neighbours", "neighbour_pairs", "scored_neighbours", "scored_candidates"):
            self._con.execute(f"drop table {table}").fetchall()

    def learn_nearness(self, classes: LatentClasses) -> None:
        """Let the classes learn what pairs that share a linked neighbour are."""
        patterns, counts = self.count_patterns("(from scored_pairs where not blocked)")
        classes.fit_near(self._engine.digits(patterns), counts)

    def score(self, classes: RecalibratedClasses) -> None:
        """Weigh all compared pairs."""
        self._classes = classes
        self._weigh_patterns(classes, "scored_pairs")

    def recalibrate(self, decisions: Any) -> Recalibration:
        """Learn a recalibration from decided pairs, see `decided_pairs`, and weigh the scored pairs anew."""
        plain = self._classes.classes
        patterns, _ = self.count_patterns("scored_pairs")
        near = self._engine.are_near(patterns)
        class_weight = plain.match_weights(self._engine.digits(patterns), near)
        weights = pa.table({"pattern": patterns, "class_weight": class_weight})
        self._con.register("class_weights", weights)
        recalibration = decided_pairs.recalibrate(self._con, self._features, decisions)
        self._con.unregister("class_weights")
        self._classes, self.clustering = RecalibratedClasses(plain, recalibration), None
        self._weigh_patterns(self._classes, "scored_pairs")
        return recalibration

    def _weigh_patterns(self, classes: LatentClasses | RecalibratedClasses, vectors: str) -> None:
        patterns, _ = self.count_patterns(vectors)
        self._con.register("weighed_patterns", weighed_patterns(classes, self._engine, patterns))
        self._con.execute("create or replace temp table pattern_weights as from weighed_patterns").fetchall()
        self._con.unregister("weighed_patterns")

    def count_pairs(self, weight: float) -> tuple[int, int]:
        """Number of candidate pairs, and of pairs whose match weight is above `weight`."""
        candidates, links = self._con.execute(f"""
            select count(*) filter (blocked), count(*) filter (match_weight > {weight})
            from scored_pairs join pattern_weights using (pattern)
        """).fetchall()[0]
        return int(candidates), int(links)

    def pairs_query(self) -> str:
        """SQL of the scored pairs worth keeping."""
        return f"""
            select l.record_id as record_id_l, r.record_id as record_id_r,
                   match_weight, match_probability, household_probability
            from scored_pairs join pattern_weights using (pattern)
            join {self._features.name} l on l.rid = rid_l join {self._features.name} r on r.rid = rid_r
            where match_weight >= {LEAST_WEIGHT_KEPT} or household_probability >= 0.5
        """

    def explain_cluster(self, weight: float, record_id: str) -> dict[str, Any]:
        """See `LinkageModel.explain_cluster`."""
        self._require_clusters(weight)
        return explain_cluster(self._con, self._features, self.numbered, weight, record_id)

    def explain_path(self, weight: float, left: str, right: str) -> dict[str, Any]:
        """See `LinkageModel.explain_path`."""
        self._require_clusters(weight)
        return explain_path(self._con, self._features, self.numbered, weight, left, right)

    def clustering_summary(self, weight: float) -> dict[str, Any]:
        """See `LinkageModel.clustering_summary`."""
        clustering = self._require_clusters(weight)
        return {**clustering.summary(), "pairs_with_withheld_evidence": self._shared.withheld}

    def _require_clusters(self, weight: float) -> Clustering:
        known = self.clustering
        return known if known is not None and known.weight == weight else self._cluster(weight)

    def cluster(self, weight: float) -> str:
        """Write the temporary table `clusters`; clusters merge at a mean match weight above `weight`."""
        return self._cluster(weight).table

    def _cluster(self, weight: float) -> Clustering:
        if self._shared.restore():
            self._weigh_patterns(self._classes, "scored_pairs")
        while True:
            self.clustering = Clustering(self._con, self._features, self.numbered, weight).run()
            if not self._shared.withhold():
                return self.clustering
            self._weigh_patterns(self._classes, "scored_pairs")


def random_pairs_query(numbers: str, records: int, seed: int) -> str:
    """SQL of pairs of any two records, `rid_l, rid_r`: all of them if there are few; the same for the same seed.

    Args:
        numbers: table with `rid` from 1 to `records`.
        records: number of records.
        seed: seed of the draws.
    """
    if records * (records - 1) / 2 <= RANDOM_PAIRS:
        return f"select l.rid as rid_l, r.rid as rid_r from {numbers} l join {numbers} r on l.rid < r.rid"
    draws = math.ceil(RANDOM_PAIRS / records)
    # Of a large file, one record in so many draws a partner.
    drawing = f"hash(rid, {seed}) % {records} < {RANDOM_PAIRS}" if records > RANDOM_PAIRS else "true"
    return f"""
        with drawn as (
            select rid, 1 + (rid + hash(rid * {draws} + draw, {seed}) % {records - 1}) % {records} as other
            from {numbers}, range({draws}) as draws(draw)
            where {drawing}
        )
        select least(rid, other) as rid_l, greatest(rid, other) as rid_r from drawn
    """


def weighed_patterns(
    classes: LatentClasses | RecalibratedClasses, engine: Patterns, patterns: NDArray[np.int64]
) -> pa.Table:
    """What classes say of each agreement pattern: `pattern, match_weight, match_probability, household_probability`."""
    digits, near = engine.digits(patterns), engine.are_near(patterns)
    weights = classes.match_weights(digits, near)
    shares = dict(zip(classes.class_names, classes.class_probabilities(digits, near).T, strict=True))
    return pa.table(
        {
            "pattern": patterns,
            "match_weight": weights,
            "match_probability": match_probabilities(weights),
            "household_probability": shares.get("household", np.zeros(len(digits))),
        }
    )
