"""The population stability index of two counted distributions, and how large it is by chance; see `drift`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

_CONFIDENCE = 0.999
_SMOOTHING = 0.5


@dataclass(frozen=True)
class Index:
    """A population stability index; without any change it is `noise` times chi2 with so many degrees of freedom."""

    value: float
    noise: float
    freedom: int


def stability_index(now: Sequence[float], then: Sequence[float], *, units: tuple[float, float] | None = None) -> Index:
    """Compare two counted distributions over the same cells.

    Args:
        now: counts of this run.
        then: counts of the champion's run.
        units: how many independent units the counts come from, of this run and of the champion's: pairs and records of
            one person move together. Without it each count is one.

    >>> stability_index([500, 500], [500, 500])
    Index(value=0.0, noise=0.002, freedom=1)
    """
    new, old = np.asarray(now, float), np.asarray(then, float)
    n, m = new.sum(), old.sum()
    freedom = max(len(new) - 1, 1)
    if not (n and m):
        return Index(0.0, math.inf, freedom)
    p, q = (new + _SMOOTHING) / (n + _SMOOTHING * len(new)), (old + _SMOOTHING) / (m + _SMOOTHING * len(old))
    noise = sum(1 / max(count, 1.0) for count in units or (n, m))
    return Index(float(((p - q) * np.log(p / q)).sum()), float(noise), freedom)


def chance(indexes: Sequence[Index]) -> float:
    """Give what a sum of indexes stays below by chance, as one chi2 with its mean and variance (Satterthwaite 1946).

    >>> round(chance([stability_index([500, 500], [500, 500])]), 4)
    0.0217
    """
    measured = [index for index in indexes if math.isfinite(index.noise)]
    if not measured:
        return math.inf
    mean = sum(index.noise * index.freedom for index in measured)
    squares = sum(index.noise**2 * index.freedom for index in measured)
    return float(squares / mean * chi2.ppf(_CONFIDENCE, mean**2 / squares))
