"""How sure measured accuracy is: bootstrap over true entities, and intervals of shares.

Records of one person are not independent, so entities are resampled, not pairs (Binette et al. 2022,
arXiv 2210.01230, section 3). Every measure is a ratio of sums over entities; entities with the same sums are counted,
not listed, and a resample of all entities is one multinomial draw over the distinct rows of sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import duckdb

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

RESAMPLES = 1000
LEVEL = 0.95
_Z = 1.959963984540054
_DIGITS = 9
_CHUNK_CELLS = 4_000_000
ENTITY_SUMS = (
    "records",
    "right_pairs",
    "true_pairs",
    "found_pairs",
    "b3_precision_sum",
    "b3_recall_sum",
    "exact_clusters",
    "clusters",
)
MEASURES = tuple(f"{kind}_{part}" for kind in ("pairwise", "b3", "cluster") for part in ("precision", "recall", "f1"))


@dataclass(frozen=True)
class CountedRows:
    """Distinct rows of sums, and how many units (entities) have each."""

    values: Floats
    units: Floats

    @property
    def totals(self) -> Floats:
        """Sums over all units."""
        totals: Floats = self.units @ self.values
        return totals


def counted_rows(con: duckdb.DuckDBPyConnection, query: str, sums: tuple[str, ...]) -> CountedRows:
    """Count the units of a query with the columns `sums`, one row a unit."""
    listed = ", ".join(sums)
    answer = con.execute(
        f"select {listed}, count(*) as units from ({query}) group by {listed} order by {listed}"
    ).fetchnumpy()
    values = np.stack([np.asarray(answer[name], dtype=np.float64) for name in sums], axis=1)
    return CountedRows(values, np.asarray(answer["units"], dtype=np.float64))


def entity_sums_query(records: str, *, sizes: str | None = None) -> str:
    """SQL of the sums of each true entity, whose totals give all cluster measures.

    Pairs found, and clusters, are shared out among the entities they touch: an entity takes half of each found pair
    with another entity, and of each cluster its share of the records.

    Args:
        records: table with `cluster_no` and `true_no`.
        sizes: table with `cluster_no` and `size`, if clusters hold more records than `records` names.
    """
    size = "sum(n) over (partition by cluster_no)" if sizes is None else "size"
    joined = "shared" if sizes is None else f"shared join {sizes} using (cluster_no)"
    return f"""
        with shared as (select true_no, cluster_no, count(*) as n from {records} group by all),
        sized as (
            select true_no, n, cast({size} as double) as in_cluster,
                   cast(sum(n) over (partition by true_no) as double) as in_truth
            from {joined}
        )
        select true_no, max(in_truth) as records, cast(sum(n * (n - 1)) as double) / 2 as right_pairs,
               max(in_truth) * (max(in_truth) - 1) / 2 as true_pairs, sum(n * (in_cluster - 1)) / 2 as found_pairs,
               round(sum(n * n / in_cluster), 12) as b3_precision_sum, round(sum(n * n / in_truth), 12)
               as b3_recall_sum, max(cast(n = in_truth and n = in_cluster as double)) as exact_clusters,
               round(sum(n / in_cluster), 12) as clusters
        from sized group by true_no
    """


def cluster_measures_of(totals: Floats, entities: Floats | float) -> Floats:
    """Precision, recall and F1 of pairs, B-cubed and whole clusters, in the order of `MEASURES`.

    Args:
        totals: sums in the order of `ENTITY_SUMS` along the last axis.
        entities: number of true entities.
    """
    records, right, true, found, b3_precision, b3_recall, exact, clusters = np.moveaxis(totals, -1, 0)
    parts = [
        *_with_f1(ratio(right, found), ratio(right, true)),
        *_with_f1(ratio(b3_precision, records), ratio(b3_recall, records)),
        *_with_f1(ratio(exact, clusters), ratio(exact, np.broadcast_to(entities, exact.shape))),
    ]
    return np.stack(parts, axis=-1)


def ratio(part: Any, whole: Any) -> Floats:
    """Divide; nothing of nothing is 1, as there was nothing to get wrong."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    answer: Floats = np.divide(part, whole, out=np.ones(np.broadcast(part, whole).shape), where=whole > 0)
    return np.clip(answer, 0.0, 1.0)


def f1_of(precision: Any, recall: Any) -> Floats:
    """Harmonic mean of precision and recall; 0 if both are."""
    both = np.asarray(precision + recall)
    answer: Floats = np.divide(2 * precision * recall, both, out=np.zeros(both.shape), where=both > 0)
    return answer


def _with_f1(precision: Floats, recall: Floats) -> tuple[Floats, Floats, Floats]:
    return precision, recall, f1_of(precision, recall)


def bootstrap(rows: CountedRows, statistic: Statistic, *, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Draw units with replacement, as many as there are, and compute a statistic of the sums of each draw.

    Returns:
        One row per draw.

    >>> rows = CountedRows(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([30.0, 10.0]))
    >>> bootstrap(rows, lambda sums: sums[:, :1] / sums[:, 1:], seed=1).shape
    (1000, 1)
    """
    random = np.random.default_rng(seed)
    units = int(rows.units.sum())
    chances = rows.units / units
    chunk = max(1, _CHUNK_CELLS // len(chances))
    drawn = [
        statistic(random.multinomial(units, chances, size=min(chunk, resamples - start)) @ rows.values)
        for start in range(0, resamples, chunk)
    ]
    return np.concatenate(drawn)


def percentile_interval(draws: Floats) -> list[list[float]]:
    """Give the middle 95 % of each column of draws as `[low, high]`."""
    ends = np.round(np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0), _DIGITS)
    return [[float(low), float(high)] for low, high in ends.T]


def cluster_intervals(rows: CountedRows, *, seed: int) -> dict[str, list[float]]:
    """Bootstrap every cluster measure over true entities."""
    entities = float(rows.units.sum())
    draws = bootstrap(rows, lambda totals: cluster_measures_of(totals, entities), seed=seed)
    return dict(zip(MEASURES, percentile_interval(draws), strict=True))


def wilson(share: Any, trials: Any) -> tuple[Floats, Floats]:
    """Low and high end of the 95 % interval of shares seen in some trials (Wilson 1927).

    >>> low, high = wilson(np.array([0.0, 0.5]), np.array([10, 10]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0, 0.237], [0.278, 0.763])
    """
    share, trials = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    shrunk = 1 + _Z**2 / trials
    middle = (share + _Z**2 / (2 * trials)) / shrunk
    half = _Z * np.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2)) / shrunk
    return np.clip(middle - half, 0, 1).round(_DIGITS), np.clip(middle + half, 0, 1).round(_DIGITS)
