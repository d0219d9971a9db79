"""Tables of pairs in DuckDB: drawn, compared, weighed, and clustered, all set-oriented."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.linkage.clusters import average_linkage, components
from c360ml.linkage.features import Features
from c360ml.linkage.latent_classes import CLASS_NAMES, LatentClasses
from c360ml.linkage.splink_engine import SplinkEngine

if TYPE_CHECKING:
    import duckdb

RANDOM_PAIRS = 500_000
_LEAST_WEIGHT_KEPT = -6.0


class PairTables:
    """The pairs of one feature table: temporary tables of the connection that holds it."""

    def __init__(self, con: duckdb.DuckDBPyConnection, features: Features, engine: SplinkEngine) -> None:
        self._con = con
        self._features = features
        self._engine = engine

    @property
    def all_pairs(self) -> float:
        """Number of pairs of any two records."""
        return self._features.records * (self._features.records - 1) / 2

    def draw_random_pairs(self, seed: int) -> str:
        """Pairs of any two records, all of them if there are few; the same for the same seed."""
        records = self._features.records
        if self.all_pairs <= RANDOM_PAIRS:
            query = f"""
                select l.rid as rid_l, r.rid as rid_r
                from {self._features.name} l join {self._features.name} r on l.rid < r.rid
            """
        else:
            draws = math.ceil(RANDOM_PAIRS / records)
            query = f"""
                with drawn as (
                    select rid, 1 + (rid + hash(rid * {draws} + draw, {seed}) % {records - 1}) % {records} as other
                    from {self._features.name}, range({draws}) as draws(draw)
                )
                select least(rid, other) as rid_l, greatest(rid, other) as rid_r from drawn
            """
        self._con.execute(f"create or replace temp table random_pairs as {query}").fetchall()
        return "random_pairs"

    def count_patterns(self, vectors: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Agreement patterns of a table of vectors, and how many pairs have each."""
        counted = self._con.execute(
            f"select pattern, count(*) as pairs from {vectors} group by pattern order by pattern"
        ).fetchnumpy()
        return np.asarray(counted["pattern"], dtype=np.int64), np.asarray(counted["pairs"], dtype=np.float64)

    def score(self, classes: LatentClasses) -> None:
        """Weigh candidate pairs, then the pairs of records that share a linked neighbour, which blocking missed."""
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
        self._engine.compare("neighbour_pairs", into="scored_neighbours")
        self._con.execute("""
            create or replace temp table scored_pairs as
            select rid_l, rid_r, pattern, true as blocked from scored_candidates
            union all
            select rid_l, rid_r, pattern, false from scored_neighbours
        """).fetchall()
        for table in ("neighbours", "neighbour_pairs", "scored_neighbours", "scored_candidates"):
            self._con.execute(f"drop table {table}").fetchall()
        self._weigh_patterns(classes, "scored_pairs")

    def _weigh_patterns(self, classes: LatentClasses, vectors: str) -> None:
        patterns, _ = self.count_patterns(vectors)
        digits = self._engine.digits(patterns)
        weights = classes.match_weights(digits)
        household = classes.class_probabilities(digits)[:, CLASS_NAMES.index("household")]
        table = pa.table(
            {
                "pattern": patterns,
                "match_weight": weights,
                "match_probability": 1 / (1 + np.exp2(-np.clip(weights, -1000, 1000))),
                "household_probability": household,
            }
        )
        self._con.register("weighed_patterns", table)
        self._con.execute("create or replace temp table pattern_weights as from weighed_patterns").fetchall()
        self._con.unregister("weighed_patterns")

    def pairs_query(self) -> str:
        """SQL of the scored pairs worth keeping."""
        return f"""
            select l.record_id as record_id_l, r.record_id as record_id_r,
                   match_weight, match_probability, household_probability
            from scored_pairs join pattern_weights using (pattern)
            join {self._features.name} l on l.rid = rid_l join {self._features.name} r on r.rid = rid_r
            where match_weight >= {_LEAST_WEIGHT_KEPT} or household_probability >= 0.5
        """

    def cluster(self, weight: float) -> str:
        """Write the temporary table `clusters`; clusters merge at a mean match weight above `weight`."""
        edges = self._con.execute(
            f"""select rid_l - 1 as l, rid_r - 1 as r from scored_pairs join pattern_weights using (pattern)
                where match_weight > {weight} order by all"""
        ).fetchnumpy()
        records = self._features.records
        self._register_labels("provisional", components(records, _integers(edges["l"]), _integers(edges["r"])))
        inside = self._con.execute("""
            select rid_l - 1 as l, rid_r - 1 as r, match_weight
            from scored_pairs join pattern_weights using (pattern)
            join provisional a on a.rid = rid_l join provisional b on b.rid = rid_r
            where a.label = b.label order by all
        """).fetchnumpy()
        labels = average_linkage(
            records,
            _integers(inside["l"]),
            _integers(inside["r"]),
            np.asarray(inside["match_weight"]),
            threshold=weight,
        )
        self._register_labels("final_labels", labels)
        self._con.execute(f"""
            create or replace temp table clusters as
            with ends as (
                select rid_l as rid, match_probability, a.label = b.label as together
                from scored_pairs join pattern_weights using (pattern)
                join final_labels a on a.rid = rid_l join final_labels b on b.rid = rid_r
                union all
                select rid_r, match_probability, a.label = b.label
                from scored_pairs join pattern_weights using (pattern)
                join final_labels a on a.rid = rid_l join final_labels b on b.rid = rid_r
            ),
            cohesions as (
                select rid, round(avg(match_probability), 12) as cohesion from ends where together group by rid
            )
            select record.record_id, first.record_id as cluster_id, coalesce(cohesion, 1.0) as cohesion
            from final_labels
            join {self._features.name} record on record.rid = final_labels.rid
            join {self._features.name} first on first.rid = final_labels.label + 1
            left join cohesions on cohesions.rid = final_labels.rid
        """).fetchall()
        return "clusters"

    def _register_labels(self, name: str, labels: NDArray[np.int64]) -> None:
        self._con.register(f"{name}_arrow", pa.table({"rid": np.arange(1, len(labels) + 1), "label": labels}))
        self._con.execute(f"create or replace temp table {name} as from {name}_arrow").fetchall()
        self._con.unregister(f"{name}_arrow")


def _integers(values: Any) -> NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)
