"""A first model of the file, fitted to a sample of pairs, so that blocking can weigh what its rules find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.latent_classes import LatentClasses

if TYPE_CHECKING:
    import duckdb

    from c360ml.linkage.pair_tables import PairTables
    from c360ml.linkage.splink_engine import SplinkEngine

_NEVER = -1000.0


class Pilot:
    """Judges sampled pairs by classes fitted to them; leaves the random pairs compared as `random_vectors`."""

    def __init__(self, con: duckdb.DuckDBPyConnection, engine: SplinkEngine, pairs: PairTables, seed: int) -> None:
        self._con = con
        self._engine = engine
        self._pairs = pairs
        self._seed = seed

    def __call__(self, pairs: str, share: float) -> NDArray[np.float64]:
        """Match probability of each pair, in the order of `rid_l, rid_r`; pairs that may not match have none.

        Args:
            pairs: table `rid_l, rid_r` of a sample of candidate pairs.
            share: share of all candidate pairs that was sampled.
        """
        self._engine.compare(self._pairs.draw_random_pairs(self._seed), into="random_vectors")
        self._engine.compare(pairs, into="pilot_vectors")
        patterns, counts = self._pairs.count_patterns("pilot_vectors")
        random_patterns, random_counts = self._pairs.count_patterns("random_vectors")
        digits = self._engine.digits(patterns)
        classes = LatentClasses(self._engine.comparisons).fit(
            digits,
            counts / share,
            self._engine.digits(random_patterns),
            random_counts,
            all_pairs=self._pairs.all_pairs,
        )
        weight = dict(zip(patterns.tolist(), classes.match_weights(digits).tolist(), strict=True))
        found = self._con.execute("select pattern from pilot_vectors order by rid_l, rid_r").fetchnumpy()["pattern"]
        position = np.searchsorted(patterns, np.asarray(found))
        weights = np.array([weight[pattern] for pattern in patterns.tolist()])[position]
        self._con.execute("drop table pilot_vectors").fetchall()
        probabilities: NDArray[np.float64] = 1 / (1 + np.exp2(-np.clip(weights, _NEVER, -_NEVER)))
        return probabilities
