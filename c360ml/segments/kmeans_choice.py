"""How many clusters: the best silhouette among the numbers whose clusters come back on resampling.

Thresholds follow the practice of bootstrap-based market segmentation (Dolnicar & Leisch 2010): a k is
stable if refits on bootstrap samples agree with it (adjusted Rand index) on average and at worst, and if
no cluster is a handful of outliers. It is supported if its gap statistic (Tibshirani, Walther & Hastie 2001:
how much tighter its clusters are than those of points spread evenly over a box) is not below
that of any smaller k, one cluster included, by more than its standard error. Among the stable and supported,
the simplest within one standard error of the best silhouette wins.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_samples
from threadpoolctl import threadpool_limits

from c360ml.errors import DataError

Matrix = NDArray[np.float64]

CANDIDATES = range(3, 11)
LEAST_MEAN_ARI, LEAST_ARI, LEAST_SHARE = 0.85, 0.75, 0.02
_CHOICE_ROWS, _SILHOUETTE_ROWS = 10_000, 5_000
_STARTS, _REFITS, _REFIT_STARTS = 4, 10, 2
_EVEN_CLOUDS = 5


@dataclass(frozen=True)
class Candidate:
    """What was measured of one number of clusters."""

    k: int
    silhouette: float
    silhouette_standard_error: float
    ari_mean: float
    ari_least: float
    smallest_share: float
    gap: float
    gap_standard_error: float
    is_supported: bool = True

    @property
    def is_good(self) -> bool:
        """Tell whether the clusters are stable and tighter than chance."""
        return self.is_stable and self.is_supported

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
        clouds = _even_clouds(points, seed)
        gap_of_one, _ = _gap(points, clouds, 1, float(((points - points.mean(axis=0)) ** 2).sum()), seed)
        return mark_supported([_measure(points, one, seed, clouds) for one in asked], gap_of_one)


def mark_supported(measured: list[tuple[Candidate, Matrix]], gap_of_one: float) -> list[tuple[Candidate, Matrix]]:
    """Mark which numbers of clusters, ascending, have a gap not below that of a smaller one."""
    greatest_below = accumulate((one.gap for one, _ in measured), max, initial=gap_of_one)
    return [
        (replace(one, is_supported=one.gap + one.gap_standard_error >= least), centres)
        for (one, centres), least in zip(measured, greatest_below, strict=False)
    ]


def choose(candidates: list[Candidate], kept: int | None = None) -> Candidate:
    """Take the fewest clusters within one standard error of the best silhouette among the good.

    Where none is stable and supported the one of an earlier fit is taken, or else the most repeatable; its
    `is_good` says so.

    Args:
        candidates: what was measured.
        kept: number of clusters of an earlier fit, which stays unless others are good and it is not.

    >>> three = Candidate(3, 0.50, 0.01, 0.98, 0.96, 0.11, 2.08, 0.01)
    >>> five = Candidate(5, 0.505, 0.01, 0.98, 0.95, 0.06, 2.20, 0.01)
    >>> choose([three, five]).k, choose([three, five], kept=5).k
    (3, 5)
    """
    good = [one for one in candidates if one.is_good]
    if not good:
        return max(candidates, key=lambda one: (one.k == kept, one.ari_mean, -one.k))
    best = max(good, key=lambda one: one.silhouette)
    enough = best.silhouette - best.silhouette_standard_error
    fewest = min((one for one in good if one.silhouette >= enough), key=lambda one: one.k)
    return next((one for one in good if one.k == kept), fewest)


def refine(points: Matrix, centres: Matrix, seed: int) -> Matrix:
    """Let centres that a part of the customers gave settle on all of them."""
    with _one_silent_thread():
        model = KMeans(len(centres), init=centres, n_init=1, random_state=seed).fit(points)
    return np.asarray(model.cluster_centers_, dtype=np.float64)


def nearest(points: Matrix, centres: Matrix) -> NDArray[np.intp]:
    """Give each point the position of its nearest centre, the first one if two are as near."""
    return np.asarray(((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2).argmin(axis=1))


def _measure(points: Matrix, k: int, seed: int, clouds: list[Matrix]) -> tuple[Candidate, Matrix]:
    model = KMeans(k, n_init=_STARTS, random_state=seed).fit(points)
    labels = model.labels_
    silhouettes = silhouette_samples(points[:_SILHOUETTE_ROWS], labels[:_SILHOUETTE_ROWS])
    gap, gap_standard_error = _gap(points, clouds, k, float(model.inertia_), seed)
    agreements = [_agreement(points, k, labels, draw) for draw in np.random.SeedSequence(seed).spawn(_REFITS)]
    candidate = Candidate(
        k=k,
        silhouette=float(silhouettes.mean()),
        silhouette_standard_error=float(silhouettes.std() / np.sqrt(len(silhouettes))),
        ari_mean=float(np.mean(agreements)),
        ari_least=float(np.min(agreements)),
        smallest_share=float(np.bincount(labels, minlength=k).min() / len(labels)),
        gap=gap,
        gap_standard_error=gap_standard_error,
    )
    return candidate, np.asarray(model.cluster_centers_, dtype=np.float64)


def _even_clouds(points: Matrix, seed: int) -> list[Matrix]:
    """Spread as many points evenly over the smaller of two boxes: that of the features or of the principal axes."""
    middle = points.mean(axis=0)
    principal = np.linalg.svd(points - middle, full_matrices=False)[2]
    axes = min(
        (np.eye(points.shape[1]), principal), key=lambda turn: np.prod(np.ptp((points - middle) @ turn.T, axis=0))
    )
    turned = (points - middle) @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    draws = np.random.SeedSequence([seed, _EVEN_CLOUDS]).spawn(_EVEN_CLOUDS)
    return [np.random.default_rng(draw).uniform(low, high, turned.shape) @ axes + middle for draw in draws]


def _gap(points: Matrix, clouds: list[Matrix], k: int, inertia: float, seed: int) -> tuple[float, float]:
    """Compare the logarithm of the sum of squares within clusters with that of even clouds: gap, standard error."""
    even = np.log([KMeans(k, n_init=1, random_state=seed).fit(cloud).inertia_ for cloud in clouds])
    tight = np.log(max(inertia, np.finfo(np.float64).tiny * len(points)))
    return float(even.mean() - tight), float(even.std() * np.sqrt(1 + 1 / len(clouds)))


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
