"""How many clusters: the best silhouette among the numbers whose clusters come back on resampling.

Thresholds follow the practice of bootstrap-based market segmentation (Dolnicar & Leisch 2010): a k is
stable if refits on bootstrap samples agree with it (adjusted Rand index) on average and at worst, and if
no cluster is a handful of outliers. Among the stable, the simplest within one standard error of the best
silhouette wins.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_samples
from threadpoolctl import threadpool_limits

from c360ml.errors import DataError

Matrix = NDArray[np.float64]

CANDIDATES = range(3, 9)
LEAST_MEAN_ARI, LEAST_ARI, LEAST_SHARE = 0.85, 0.75, 0.02
_CHOICE_ROWS, _SILHOUETTE_ROWS = 10_000, 5_000
_STARTS, _REFITS, _REFIT_STARTS = 4, 10, 2


@dataclass(frozen=True)
class Candidate:
    """What was measured of one number of clusters."""

    k: int
    silhouette: float
    silhouette_standard_error: float
    ari_mean: float
    ari_least: float
    smallest_share: float

    @property
    def is_stable(self) -> bool:
        """Tell whether resampled customers give the same clusters, none of them tiny."""
        return self.ari_mean >= LEAST_MEAN_ARI and self.ari_least >= LEAST_ARI and self.smallest_share >= LEAST_SHARE


def measure_candidates(points: Matrix, seed: int, k: int | None) -> list[tuple[Candidate, Matrix]]:
    """Fit and measure each number of clusters, or only the one asked for; points must be in random order.

    Raises:
        DataError: there are too few different customers for so many clusters.
    """
    points = points[:_CHOICE_ROWS]
    most = len(np.unique(points, axis=0)) - 1
    if k is not None and k > most:
        raise DataError(
            f"{k} clusters must have at least {k + 1} different customers",
            got=f"{most + 1} different ones",
            hint="ask for fewer clusters, or leave k out",
        )
    asked = [k] if k is not None else [one for one in CANDIDATES if one <= min(most, len(points) // 3)]
    with _one_silent_thread():
        return [_measure(points, one, seed) for one in asked]


def choose(candidates: list[Candidate]) -> Candidate:
    """Take the fewest clusters within one standard error of the best silhouette among the stable.

    Where none is stable the most repeatable is taken; its `is_stable` says so.

    >>> three, five = Candidate(3, 0.50, 0.01, 0.98, 0.96, 0.11), Candidate(5, 0.505, 0.01, 0.98, 0.95, 0.06)
    >>> choose([three, five]).k
    3
    """
    stable = [one for one in candidates if one.is_stable]
    if not stable:
        return max(candidates, key=lambda one: (one.ari_mean, -one.k))
    best = max(stable, key=lambda one: one.silhouette)
    enough = best.silhouette - best.silhouette_standard_error
    return min((one for one in stable if one.silhouette >= enough), key=lambda one: one.k)


def refine(points: Matrix, centres: Matrix, seed: int) -> Matrix:
    """Let centres that a part of the customers gave settle on all of them."""
    with _one_silent_thread():
        model = KMeans(len(centres), init=centres, n_init=1, random_state=seed).fit(points)
    return np.asarray(model.cluster_centers_, dtype=np.float64)


def nearest(points: Matrix, centres: Matrix) -> NDArray[np.intp]:
    """Give each point the position of its nearest centre, the first one if two are as near."""
    return np.asarray(((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2).argmin(axis=1))


def _measure(points: Matrix, k: int, seed: int) -> tuple[Candidate, Matrix]:
    model = KMeans(k, n_init=_STARTS, random_state=seed).fit(points)
    labels = model.labels_
    silhouettes = silhouette_samples(points[:_SILHOUETTE_ROWS], labels[:_SILHOUETTE_ROWS])
    agreements = [_agreement(points, k, labels, draw) for draw in np.random.SeedSequence(seed).spawn(_REFITS)]
    candidate = Candidate(
        k=k,
        silhouette=float(silhouettes.mean()),
        silhouette_standard_error=float(silhouettes.std() / np.sqrt(len(silhouettes))),
        ari_mean=float(np.mean(agreements)),
        ari_least=float(np.min(agreements)),
        smallest_share=float(np.bincount(labels, minlength=k).min() / len(labels)),
    )
    return candidate, np.asarray(model.cluster_centers_, dtype=np.float64)


def _agreement(points: Matrix, k: int, labels: NDArray[np.int32], draw: np.random.SeedSequence) -> float:
    random = np.random.default_rng(draw)
    resampled = points[random.integers(0, len(points), len(points))]
    start = int(random.integers(2**31))
    refit = KMeans(k, n_init=_REFIT_STARTS, random_state=start).fit(resampled)
    return float(adjusted_rand_score(labels, nearest(points, refit.cluster_centers_)))


@contextmanager
def _one_silent_thread() -> Iterator[None]:
    """Keep sums in one order, so that answers do not depend on the number of threads.

    Warnings are silenced because a resample with fewer than k different customers is no fault: it shows
    as a low agreement.
    """
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
