"""Training on Spark: what is learnt from all pairs is learnt from counts, what is learnt from samples on the driver.

The choice of blocking rules rests on a few thousand anchors and the records that share a key with one, and chance on
half a million random pairs. Those records come to the driver, however many there are in all, and the rooms' own code
chooses and fits there; so both engines train the same model.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.lakehouse import Lakehouse, connect
from c360ml.linkage.blocking import (
    IS_ANCHOR,
    BlockedRule,
    BlockingRule,
    anchor_limit,
    candidate_rules,
    part_keys_query,
    parts_query,
)
from c360ml.linkage.blocking_choice import ANCHORS, choose_rules
from c360ml.linkage.blocking_parts import available_parts, within_chance
from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.constraints import Constraints, NumberedConstraints, permitted_pairs, require_sources
from c360ml.linkage.features import Features
from c360ml.linkage.pair_tables import PairTables, random_pairs_query
from c360ml.linkage.pilot import Pilot
from c360ml.linkage.splink_engine import SplinkEngine
from c360ml.spark.blocking import signed
from c360ml.spark.features import SparkFeatures, with_derived_lists
from c360ml.spark.frames import Frames
from c360ml.spark.pairs import on_sources
from c360ml.spark.tasks import Input, output, spread

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame

_NUMBER = {"rid": "BIGINT"}


class SparkPilot:
    """Chooses blocking rules, and keeps the random pairs that show what agrees by chance.

    Args:
        frames: Spark frames of a project.
        features: features of all records.
        comparisons: what is compared.
        constraints: what a cluster may not hold.
        seed: seed of the random pairs.

    Raises:
        ConfigError: constraints name a source that no record has.
    """

    def __init__(
        self,
        frames: Frames,
        features: SparkFeatures,
        comparisons: tuple[Comparison, ...],
        constraints: Constraints,
        seed: int,
    ) -> None:
        self._frames, self._features, self._seed = frames, features, seed
        sizes = {row["source"]: int(row["count"]) for row in features.rows.groupBy("source").count().collect()}
        require_sources(constraints, sizes)
        self.all_pairs = permitted_pairs(features.records, sizes, constraints.never)
        self._con = connect()
        self._numbers = f"(select range + 1 as rid from range({features.records}))"
        self._sample = Features("linkage_features", features.records, features.filled, features.attributes)
        self._agreeing = self._agreeing_shares()
        self._bring_sample(comparisons, constraints)

    def choose_rules(self, max_pairs: int) -> tuple[BlockedRule, ...]:
        """See `linkage.blocking_choice.choose_rules`."""
        pilot = Pilot(self._con, self._engine, self._pairs, self._seed)
        return choose_rules(self._con, self._sample, pilot, max_pairs=max_pairs, agreeing=self._agreeing)

    def random_patterns(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Agreement patterns of random pairs, which the choice compared, and how many have each."""
        return self._pairs.count_patterns("random_vectors")

    def close(self) -> None:
        """Give the driver's memory back."""
        self._con.close()

    # ------------------------------------------------------------------ the sample
    @property
    def _share(self) -> float:
        return min(1.0, ANCHORS / self._features.records)

    def _bring_sample(self, comparisons: tuple[Comparison, ...], constraints: Constraints) -> None:
        self._con.execute(
            f"create temp table random_pairs as {random_pairs_query(self._numbers, self._features.records, self._seed)}"
        ).fetchall()
        wanted = self._con.sql("select rid_l as rid from random_pairs union select rid_r from random_pairs")
        near = self._near_anchors().unionByName(self._frames.of_arrow(wanted.to_arrow_table())).distinct()
        rows = self._frames.keep(self._features.rows.join(near, "rid"))
        self._take_features(rows, "linkage_features")
        engine = SplinkEngine(self._con, "linkage_features", comparisons, ())
        here = int(self._con.execute("select count(*) from linkage_features").fetchall()[0][0])
        held = Features("linkage_features", here, self._features.filled, self._features.attributes)
        numbered = NumberedConstraints(self._con, held, on_sources(constraints))
        self._engine = engine
        self._pairs = _SampledPairs(self._con, self._sample, engine, numbered, self._numbers, self.all_pairs)

    def _take_features(self, rows: DataFrame, into: str) -> None:
        files = self._frames.files_of(rows)
        self._con.execute(f"create or replace temp view {into}_files as from read_parquet({files!r})").fetchall()
        with_derived_lists(self._con, f"{into}_files", into)

    def _near_anchors(self) -> DataFrame:
        """Records that share a key of a candidate rule with an anchor."""
        from pyspark.sql import functions as sf

        rules = within_chance(candidate_rules(self._features.filled), self._agreeing, self._features.records)
        if self._share == 1.0:
            return self._features.rows.select("rid")
        limit = anchor_limit(self._share)
        anchors = self._con.execute(f"select rid from {self._numbers} where {IS_ANCHOR}", {"limit": limit})
        rids = self._frames.of_arrow(pa.table({"rid": anchors.fetchnumpy()["rid"].astype(np.int64)}))
        rows = self._frames.keep(self._features.rows.join(sf.broadcast(rids), "rid"))
        self._take_features(rows, "linkage_features")
        names = available_parts(self._features.filled)
        self._con.execute(
            f"create or replace temp table block_parts as {parts_query(names)}", {"limit": limit}
        ).fetchall()
        listed = " union all ".join(_rule_keys(number, rule) for number, rule in enumerate(rules))
        keys = self._con.sql(f"select distinct rule, k from ({listed})").to_arrow_table()
        answers = spread(
            {"features": Input(self._features.rows, "rid")},
            partial(_records_near, names, rules, limit),
            {"near": _NUMBER},
            partitions=self._frames.partitions,
            given={"anchor_keys": keys},
        )
        return output(answers, "near")

    def _agreeing_shares(self) -> dict[str, float]:
        """Share of all pairs of records that agree on each part of a key."""
        from pyspark.sql import functions as sf

        names = available_parts(self._features.filled)
        answers = spread(
            {"features": Input(self._features.rows, "rid")},
            partial(_record_parts, names),
            {"parts": {"part": "VARCHAR", "k": "BIGINT"}},
            partitions=self._frames.partitions,
        )
        sizes = output(answers, "parts").groupBy("part", "k").agg(sf.count("*").cast("double").alias("n"))
        agreeing = sizes.groupBy("part").agg(sf.sum(sf.expr("n * (n - 1) / 2")).alias("pairs")).collect()
        all_pairs = self._features.records * (self._features.records - 1) / 2
        return dict.fromkeys(names, 0.0) | {row["part"]: row["pairs"] / all_pairs for row in agreeing}


class _SampledPairs(PairTables):
    """Pairs of the records that the driver holds, drawn as if it held all."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        features: Features,
        engine: SplinkEngine,
        numbered: NumberedConstraints,
        numbers: str,
        all_pairs: float,
    ) -> None:
        super().__init__(con, features, engine, numbered)
        self._numbers, self._all_pairs = numbers, all_pairs

    @property
    def all_pairs(self) -> float:
        return self._all_pairs

    def draw_random_pairs(self, seed: int) -> str:
        query = random_pairs_query(self._numbers, self._features.records, seed)
        self._con.execute(f"create or replace temp table random_pairs as {query}").fetchall()
        return self.numbered.permit("random_pairs")


def _rule_keys(number: int, rule: BlockingRule) -> str:
    return f"select {number} as rule, {signed('k')} as k, rid from ({part_keys_query(rule)})"


def _records_near(
    names: tuple[str, ...], rules: tuple[BlockingRule, ...], limit: int, lake: Lakehouse
) -> Iterator[tuple[str, str]]:
    with_derived_lists(lake.con, "features", "linkage_features")
    lake.rows(f"create temp table block_parts as {parts_query(names)}", {"limit": limit})
    lake.rows("create temp table near (rid bigint)")
    for number, rule in enumerate(rules):
        lake.rows(f"""
            insert into near select rid from ({_rule_keys(number, rule)})
            where k in (select k from anchor_keys where rule = {number})
        """)
    yield "near", "select distinct rid from near"


def _record_parts(names: tuple[str, ...], lake: Lakehouse) -> Iterator[tuple[str, str]]:
    with_derived_lists(lake.con, "features", "linkage_features")
    lake.rows(f"create temp table block_parts as {parts_query(names)}", {"limit": 0})
    for name in names:
        yield "parts", f"select '{name}' as part, {signed(name)} as k from block_parts where {name} is not null"
