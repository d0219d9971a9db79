"""How many clusters: the best silhouette among the numbers whose clusters come back on resampling.

Thresholds follow the practice of bootstrap-based market segmentation (Dolnicar & Leisch 2010): a k is
stable if refits on bootstrap samples agree with it (adjusted Rand index) on average and at worst, and if
no cluster is a handful of outliers. It is supported if its gap statistic (Tibshirani, Walther & Hastie 2001:
how much tighter its clusters are than those of points spread evenly over a box) is not below
that of any smaller k, one cluster included, by more than its standard error. Among the stable and supported,
the simplest within one standard error of the best silhouette wins.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from c360ml.errors import DataError

Matrix = NDArray[np.float64]

CANDIDATES = range(3, 11)
LEAST_MEAN_ARI, LEAST_ARI, LEAST_SHARE = 0.85, 0.75, 0.02
_CHOICE_ROWS, _SILHOUETTE_ROWS = 10_000, 5_000
_STARTS, _REFITS, _REFIT_STARTS = 4, 10, 2
_EVEN_CLOUDS = 5
_SILHOUETTE_CHUNK = 500


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
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            fitted = list(pool.map(lambda one: _fit_one(points, one, seed, clouds), asked))
        widths = silhouettes(points[:_SILHOUETTE_ROWS], [one.labels[:_SILHOUETTE_ROWS] for one in fitted])
        measured = [(_told(one, width), one.centres) for one, width in zip(fitted, widths, strict=True)]
        return mark_supported(measured, gap_of_one)


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
        model = _k_means(len(centres), init=centres, n_init=1, random_state=seed).fit(points)
    return np.asarray(model.cluster_centers_, dtype=np.float64)


def nearest(points: Matrix, centres: Matrix) -> NDArray[np.intp]:
    """Give each point the position of its nearest centre, the first one if two are as near."""
    return np.asarray(((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2).argmin(axis=1))


@dataclass(frozen=True)
class _Fitted:
    """Clusters of one number, and what their refits and even clouds say."""

    labels: NDArray[np.int32]
    centres: Matrix
    agreements: list[float]
    gap: float
    gap_standard_error: float


def _fit_one(points: Matrix, k: int, seed: int, clouds: list[Matrix]) -> _Fitted:
    # OpenMP counts threads by the thread that asks, so that each is told.
    with threadpool_limits(limits=1, user_api="openmp"):
        model = _k_means(k, n_init=_STARTS, random_state=seed).fit(points)
        gap, gap_standard_error = _gap(points, clouds, k, float(model.inertia_), seed)
        draws = np.random.SeedSequence(seed).spawn(_REFITS)
        agreements = [_agreement(points, k, model.labels_, draw) for draw in draws]
    centres = np.asarray(model.cluster_centers_, dtype=np.float64)
    return _Fitted(model.labels_, centres, agreements, gap, gap_standard_error)


def _told(fitted: _Fitted, widths: Matrix) -> Candidate:
    k = len(fitted.centres)
    return Candidate(
        k=k,
        silhouette=float(widths.mean()),
        silhouette_standard_error=float(widths.std() / np.sqrt(len(widths))),
        ari_mean=float(np.mean(fitted.agreements)),
        ari_least=float(np.min(fitted.agreements)),
        smallest_share=float(np.bincount(fitted.labels, minlength=k).min() / len(fitted.labels)),
        gap=fitted.gap,
        gap_standard_error=fitted.gap_standard_error,
    )


def silhouettes(points: Matrix, labellings: list[NDArray[np.int32]]) -> list[Matrix]:
    """Work out the silhouette of each point under several labellings (Rousseeuw 1987); 0 for a cluster of one.

    Distances are worked out once for all labellings.

    >>> points = np.array([[0.0], [1.0], [9.0]])
    >>> silhouettes(points, [np.array([0, 0, 1])])[0].round(3).tolist()
    [0.889, 0.875, 0.0]
    """
    sizes = [int(labels.max()) + 1 for labels in labellings]
    member = np.concatenate([np.eye(size)[labels] for size, labels in zip(sizes, labellings, strict=True)], axis=1)
    sums = np.concatenate(
        [_distances(points[first : first + _SILHOUETTE_CHUNK], points) @ member
         for first in range(0, len(points), _SILHOUETTE_CHUNK)]
    )  # fmt: skip
    ends = np.cumsum(sizes)
    return [
        _silhouette(part, labels) for part, labels in zip(np.split(sums, ends[:-1], axis=1), labellings, strict=True)
    ]


def _distances(some: Matrix, points: Matrix) -> Matrix:
    squares = sum((some[:, None, axis] - points[None, :, axis]) ** 2 for axis in range(points.shape[1]))
    return np.asarray(np.sqrt(squares))


def _silhouette(sums: Matrix, labels: NDArray[np.int32]) -> Matrix:
    """Compare the mean distance to the own cluster, the point apart, with that to the nearest other one."""
    rows, counts = np.arange(len(labels)), np.bincount(labels, minlength=sums.shape[1])
    alone = counts[labels] == 1
    within = sums[rows, labels] / np.maximum(counts[labels] - 1, 1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    means[rows, labels] = np.inf
    nearest_other = means.min(axis=1)
    greater = np.maximum(within, nearest_other)
    known = ~alone & (greater > 0)
    return np.where(known, (nearest_other - within) / np.where(known, greater, 1.0), 0.0)


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
    even = np.log([_k_means(k, n_init=1, random_state=seed).fit(cloud).inertia_ for cloud in clouds])
    tight = np.log(max(inertia, np.finfo(np.float64).tiny * len(points)))
    return float(even.mean() - tight), float(even.std() * np.sqrt(1 + 1 / len(clouds)))


def _agreement(points: Matrix, k: int, labels: NDArray[np.int32], draw: np.random.SeedSequence) -> float:
    from sklearn.metrics import adjusted_rand_score

    random = np.random.default_rng(draw)
    resampled = points[random.integers(0, len(points), len(points))]
    start = int(random.integers(2**31))
    refit = _k_means(k, n_init=_REFIT_STARTS, random_state=start).fit(resampled)
    return float(adjusted_rand_score(labels, nearest(points, refit.cluster_centers_)))


def _k_means(clusters: int, **terms: Any) -> Any:
    """Make scikit-learn's estimator, which takes seconds to load: an append, which learns nothing, goes without."""
    from sklearn.cluster import KMeans

    return KMeans(clusters, **terms)


@contextmanager
def _one_silent_thread() -> Iterator[None]:
    """Keep sums in one order, so that answers do not depend on the number of threads.

    Warnings are silenced because a resample with fewer than k different customers is no fault: it shows
    as a low agreement.
    """
    import sklearn.cluster  # noqa: F401  # only libraries that are loaded by now are held to one thread

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
