"""The population stability index of two counted distributions, and how large it is by chance; see `drift`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, ndtri

_SMOOTHING = 0.5
INDEPENDENT = (1.0, math.inf)
"""Design effect and freedom of counts of independent records."""


@dataclass(frozen=True)
class Index:
    """A population stability index.

    In cells that hold few it runs ahead of the sum of (p - q)^2 / mean(p, q), to which it comes close elsewhere. That
    sum is the one that is chi2 by chance, with that freedom and scaled to that mean.
    """

    value: float
    chi_square: float
    mean: float
    freedom: float

    def by_chance(self, level: float) -> float:
        """Give what it stays below without any change, but for a share `level` of comparisons."""
        if not math.isfinite(self.mean):
            return math.inf
        ahead = self.value / self.chi_square if self.chi_square else 1.0
        return float(ahead * self.mean / self.freedom * chdtri(self.freedom, level))


@dataclass(frozen=True)
class Change:
    """A change of a mean, and its standard error."""

    value: float
    standard_error: float

    def by_chance(self, level: float) -> float:
        """Give what its size stays below without any change, but for a share `level` of comparisons."""
        return float(-self.standard_error * ndtri(level / 2))


def stability_index(
    now: Sequence[float],
    then: Sequence[float],
    *,
    clumping: tuple[tuple[float, float], tuple[float, float]] = (INDEPENDENT, INDEPENDENT),
) -> Index:
    """Compare two counted distributions over the same cells.

    Args:
        now: counts of this run.
        then: counts of the champion's run.
        clumping: mean design effect and freedom of the counts of this run and of the champion's, see `sampling_error`.

    >>> found = stability_index([500, 500], [500, 500])
    >>> found, round(found.by_chance(0.001), 4)
    (Index(value=0.0, chi_square=0.0, mean=0.002, freedom=1.0), 0.0217)
    """
    new, old = np.asarray(now, float), np.asarray(then, float)
    n, m = float(new.sum()), float(old.sum())
    used = new + old > 0
    freedom = max(int(used.sum()) - 1, 1)
    if not (n and m):
        return Index(0.0, 0.0, math.inf, float(freedom))
    p, q = (new + _SMOOTHING) / (n + _SMOOTHING * len(new)), (old + _SMOOTHING) / (m + _SMOOTHING * len(old))
    means = [effect * freedom / count for (effect, _), count in zip(clumping, (n, m), strict=True)]
    shares = new[used] / n, old[used] / m
    # Exact where both sides clump alike, never too small where they do not: norms of a sum of matrices.
    spread = sum(mean / math.sqrt(min(own, freedom)) for mean, (_, own) in zip(means, clumping, strict=True))
    return Index(
        float(((p - q) * np.log(p / q)).sum()),
        float((2 * (shares[0] - shares[1]) ** 2 / (shares[0] + shares[1])).sum()),
        sum(means),
        (sum(means) / spread) ** 2 if spread else float(freedom),
    )
