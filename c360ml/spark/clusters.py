"""Clusters on Spark: whole components go to tasks, and each task clusters them as `linkage.clustering` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from c360ml.lakehouse import Lakehouse, connect
from c360ml.linkage.clustering import SHOWN, Clustering, too_large
from c360ml.linkage.constraints import Constraints, NumberedConstraints
from c360ml.linkage.decisions import read_decisions
from c360ml.linkage.features import Features
from c360ml.spark.components import connected
from c360ml.spark.features import SparkFeatures
from c360ml.spark.frames import Frames
from c360ml.spark.tasks import Input, output, spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_CLUSTERS = {"record_id": "VARCHAR", "cluster_id": "VARCHAR", "cohesion": "DOUBLE"}
_OVERSIZE = {"record_id": "VARCHAR", "records": "BIGINT", "width": "BIGINT", "reason": "VARCHAR"}
_CUT = {"links": "BIGINT"}


class SparkClusters:
    """The clusters of scored pairs under constraints: `rows` are `record_id, cluster_id, cohesion`.

    `withheld` is told from outside: the number of pairs from which evidence is withheld, see `spark.shared_values`.

    Raises:
        ConfigError: a constraint names what is not there.
        DataError: reviewed pairs contradict each other or a constraint, or a cluster is above a budget that stops.
    """

    def __init__(self, frames: Frames, features: SparkFeatures, constraints: Constraints) -> None:
        self._frames, self._features, self._constraints = frames, features, constraints
        self._decided = read_decided(constraints.reviewed_pairs)
        self._reviewed = self._number_reviewed()
        self.withheld = 0

    def _number_reviewed(self) -> dict[str, Any]:
        """Reviewed matches as pairs of record numbers, and counts; the driver checks them for contradictions."""
        from pyspark.sql import functions as sf

        named = {value for side in ("record_id_l", "record_id_r") for value in self._decided.column(side).to_pylist()}
        asked = self._frames.of_arrow(pa.table({"record_id": pa.array(sorted(named), pa.string())}))
        rows = self._features.rows.join(sf.broadcast(asked), "record_id").toArrow()
        with connect(threads=1) as con:
            con.register("named", rows)
            _number_from_one(con, "named")
            features = Features("linkage_features", rows.num_rows, frozenset(), self._features.attributes)
            numbered = NumberedConstraints(con, features, self._within(self._decided))
            numbers = con.execute("select original from linkage_features order by rid").fetchnumpy()["original"]
            return {
                "matches": numbers[numbered.must],
                "reviewed_matches": int(numbered.must.shape[1]),
                "reviewed_non_matches": int(numbered.cannot.shape[1]),
                "reviewed_pairs_of_unknown_records": numbered.unknown_pairs,
            }

    def _within(self, decided: pa.Table) -> Constraints:
        return replace(self._constraints, reviewed_pairs=decided if decided.num_rows else None)

    def run(self, scored: DataFrame, weight: float) -> SparkClusters:
        """Cluster at mean match weights above `weight`; returns itself.

        Args:
            scored: `rid_l, rid_r, pattern, match_weight, match_probability`, each pair once.
            weight: log2 odds.
        """
        answers = self._frames.keep(self._clustered(scored, weight))
        self.rows = output(answers, "clusters")
        self._oversize = output(answers, "oversize")
        self._cut = output(answers, "cut")
        if self._constraints.oversize == "stop" and (found := self._oversize.count()):
            raise too_large(self._constraints, found, self._largest_oversize())
        return self

    def _clustered(self, scored: DataFrame, weight: float) -> DataFrame:
        from pyspark.sql import functions as sf

        links = scored.where(sf.col("match_weight") > weight).selectExpr("rid_l as a", "rid_r as b")
        left, right = self._reviewed["matches"]
        if len(left):
            links = links.unionByName(self._frames.of_arrow(pa.table({"a": left, "b": right})))
        labels = connected(self._frames, links)
        wanted = ["rid", "record_id", "source", *self._constraints.most_values_per_person]
        members = self._features.rows.select(*dict.fromkeys(wanted))
        members = members.join(labels.withColumnRenamed("node", "rid"), "rid", "left")
        members = members.withColumn("component", sf.coalesce("component", "rid"))
        declared = replace(self._constraints, reviewed_pairs=None, oversize="split")
        return spread(
            {
                "members": Input(members, "component", keep=False),
                "pairs": Input(_inside(scored, labels), "component", keep=False),
            },
            partial(_cluster_components, declared, weight, self._features.attributes),
            {"clusters": _CLUSTERS, "oversize": _OVERSIZE, "cut": _CUT},
            partitions=self._frames.partitions,
            given={"reviewed": self._decided},
        )

    def summary(self) -> dict[str, Any]:
        """Count what constraints, reviewers and the budget did, see `linkage.clustering`."""
        from pyspark.sql import functions as sf

        counts = {name: value for name, value in self._reviewed.items() if name != "matches"}
        return {
            "cut_links": int(self._cut.agg(sf.sum("links")).collect()[0][0] or 0),
            **counts,
            "oversize_clusters": self._oversize.count(),
            "largest_oversize_clusters": self._largest_oversize(),
            "pairs_with_withheld_evidence": self.withheld,
        }

    def _largest_oversize(self) -> list[dict[str, Any]]:
        from pyspark.sql import functions as sf

        rows = self._oversize.orderBy(sf.desc("records"), "record_id").limit(SHOWN).collect()
        return [row.asDict() for row in rows]


def read_decided(decisions: Any) -> pa.Table:
    """Reviewed pairs as a small table; none without decisions."""
    if decisions is None:
        return pa.table({name: pa.array([], pa.string()) for name in ("record_id_l", "record_id_r", "decision")})
    with connect(threads=1) as con:
        return read_decisions(con, decisions).to_arrow_table()


def _inside(scored: DataFrame, labels: DataFrame) -> DataFrame:
    """Pairs whose records are of one component, with its label."""
    from pyspark.sql import functions as sf

    for side in "lr":
        of_side = labels.select(sf.col("node").alias(f"rid_{side}"), sf.col("component").alias(f"component_{side}"))
        scored = scored.join(of_side, f"rid_{side}", "left")
        scored = scored.withColumn(f"component_{side}", sf.coalesce(f"component_{side}", f"rid_{side}"))
    inside = scored.where("component_l = component_r").withColumnRenamed("component_l", "component")
    return inside.select("component", "rid_l", "rid_r", "pattern", "match_weight", "match_probability")


def _number_from_one(con: Any, rows: str) -> None:
    con.execute(f"""
        create or replace temp table linkage_features as
        select rid as original, * replace (row_number() over (order by rid) as rid) from {rows}
    """).fetchall()


def _cluster_components(
    constraints: Constraints, weight: float, attributes: tuple[str, ...], lake: Lakehouse
) -> Iterator[tuple[str, str]]:
    """Cluster whole components, whose records are numbered anew in the same order."""
    _number_from_one(lake.con, "members")
    lake.rows("""
        create temp table scored_pairs as
        select l.rid as rid_l, r.rid as rid_r, pattern
        from pairs join linkage_features l on l.original = rid_l join linkage_features r on r.original = rid_r
    """)
    lake.rows("""
        create temp table pattern_weights as select distinct pattern, match_weight, match_probability from pairs
    """)
    decided = lake.sql("""
        from reviewed semi join linkage_features l on l.record_id = record_id_l
        semi join linkage_features r on r.record_id = record_id_r
    """).to_arrow_table()
    constraints = replace(constraints, reviewed_pairs=decided if decided.num_rows else None)
    features = Features("linkage_features", int(lake.one("select count(*) from members")), frozenset(), attributes)
    clustering = Clustering(lake.con, features, NumberedConstraints(lake.con, features, constraints), weight).run()
    yield "clusters", f"from {clustering.table}"
    yield "cut", f"select {clustering.summary()['cut_links']} as links"
    found = clustering.oversize
    numbers = pa.table(
        {
            "rid": pa.array([each.record + 1 for each in found], pa.int64()),
            "records": pa.array([each.records for each in found], pa.int64()),
            "width": pa.array([each.width for each in found], pa.int64()),
            "reason": pa.array([each.reason for each in found], pa.string()),
        }
    )
    lake.con.register("found_oversize", numbers)
    yield "oversize", "select record_id, records, width, reason from found_oversize join linkage_features using (rid)"
