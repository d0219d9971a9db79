"""Smooth functions of x and age, worked out at a few ages and read between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from c360ml.customer_value.columns import Floats
from c360ml.customer_value.compression import encode

_LOG_ERROR = 34.0  # e**-34 is below the last digit of a float
_WORTH = 3  # times fewer points, else the function itself is as quick


def read_between_ages(function: Callable[[Floats, Floats], Floats], x: Floats, age: Floats, start: float) -> Floats:
    """Work out a positive function of x and age at Chebyshev points of log(start + age), and interpolate its log.

    The function's singularities lie at ages of -start or below, and at |Im log(start + age)| = pi or beyond: on an
    interval of half length h the polynomial through n points errs by about rho**-n, rho = pi / h + sqrt((pi / h)**2
    + 1) (Bernstein's ellipse; Trefethen, "Approximation theory and approximation practice", chapter 8), so that
    20 to 50 points of age stand for thousands of days. Where that saves nothing, or the function is 0, it is worked
    out as it is.

    >>> x, age = np.zeros(1000), np.arange(1000.0)
    >>> found = read_between_ages(lambda x, age: 1 / (8 + age), x, age, 8.0)
    >>> bool(np.abs(found * (8 + age) - 1).max() < 1e-12)
    True
    """
    place = np.log(start + np.array([age.min(), age.max()]))
    half, middle = float(place[1] - place[0]) / 2, float(place.mean())
    points = _points(half)
    counts = encode(x)
    if len(counts.values) * points * _WORTH > len(x):
        return function(x, age)
    angles = (np.arange(points) + 0.5) * np.pi / points
    at = np.clip(np.exp(middle + half * np.cos(angles)) - start, age.min(), age.max())
    grid = function(np.repeat(counts.values, points), np.tile(at, len(counts.values)))
    if not (np.isfinite(grid) & (grid > 0)).all():
        return function(x, age)
    ages = encode(age)
    weights = _weights(np.log(start + ages.values), np.log(start + at), angles)
    logs = np.log(grid).reshape(-1, points)
    answer = np.zeros(len(x))
    for point in range(points):
        answer += logs[counts.codes, point] * weights[ages.codes, point]
    return np.asarray(np.exp(answer), dtype=np.float64)


def _points(half: float) -> int:
    """Points that interpolate to the last digit on an interval of this half length."""
    steep = np.pi / max(half, 1e-3)
    return int(np.ceil(_LOG_ERROR / np.log(steep + np.hypot(steep, 1))))


def _weights(at: Floats, points: Floats, angles: Floats) -> Floats:
    """Weight of each Chebyshev point in the polynomial's value: the barycentric formula (Berrut, Trefethen 2004)."""
    signs = np.sin(angles) * (-1.0) ** np.arange(len(angles))
    gap = at[:, None] - points[None, :]
    hit = np.abs(gap) < 1e-14
    with np.errstate(divide="ignore"):
        terms = np.where(hit.any(axis=1, keepdims=True), hit.astype(np.float64), signs / gap)
    return np.asarray(terms / terms.sum(axis=1, keepdims=True), dtype=np.float64)
