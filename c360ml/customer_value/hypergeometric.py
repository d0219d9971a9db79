"""Gauss' hypergeometric function where scipy's loses it, and integrals over time that never cancel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import hyp2f1

from c360ml.customer_value.columns import Floats

_NODES = np.polynomial.legendre.leggauss(24)
_WHOLE = 1e-7
_BESIDE = 1e-4
_PIECE = 3.5
_FORGOTTEN = 50.0  # e**-50 of a discounted amount is nothing


def gauss_2f1(first: Floats, second: Floats, third: Floats, z: Floats) -> Floats:
    """Work out 2F1(first, second; third; z) for 0 <= z < 1.

    scipy answers NaN, or with nine digits, where third - first - second is a whole number and z is near 1. The
    function is smooth in `second`: it is read off four points beside it (an error of about 1e-13).

    >>> import numpy
    >>> one = numpy.ones(1)
    >>> gauss_2f1(one, one, 2 * one, one / 2).round(6).tolist()  # -log(1 - z) / z
    [1.386294]
    """
    first, second, third, z = np.broadcast_arrays(first, second, third, z)
    answer = np.asarray(hyp2f1(first, second, third, z), dtype=np.float64)
    excess = third - first - second
    traps = (z > 0.8) & (np.abs(excess - np.round(excess)) < _WHOLE)
    if traps.any():
        one, two, three, at = first[traps], second[traps], third[traps], z[traps]
        near = hyp2f1(one, two - _BESIDE, three, at) + hyp2f1(one, two + _BESIDE, three, at)
        far = hyp2f1(one, two - 2 * _BESIDE, three, at) + hyp2f1(one, two + 2 * _BESIDE, three, at)
        answer = answer.copy()
        answer[traps] = (4 * near - far) / 6
    return answer


def integrate_over_time(
    rate: Callable[[Floats], Floats], scale: Floats, weeks: Floats | float, force: float = 0.0
) -> Floats:
    """Integrate e**(-force t) rate(t) for t from 0 to so many weeks, which may be infinity if force > 0.

    `scale` is the time in which the rate begins to change. In log(1 + t / scale) it is smooth, and 24
    Gauss-Legendre points on each piece of at most 3.5 give twelve digits: as nothing is subtracted, twelve digits
    of small answers too.

    >>> import numpy
    >>> integrate_over_time(lambda t: 1 / (1 + t), numpy.ones(1), 6.38905609893065).round(9).tolist()
    [2.0]
    """
    if force > 0:
        weeks, scale = np.minimum(weeks, _FORGOTTEN / force), np.minimum(scale, 1 / force)
    end = np.log1p(weeks / scale)
    pieces = max(1, int(np.ceil(np.max(end, initial=0.0) / _PIECE)))
    answer = np.zeros(np.shape(end))
    for piece in range(pieces):
        for node, node_weight in zip(*_NODES, strict=True):
            t = scale * np.expm1(end * (piece + (node + 1) / 2) / pieces)
            answer = answer + node_weight * np.exp(-force * t) * rate(t) * (scale + t)
    return np.asarray(answer * end / 2 / pieces, dtype=np.float64)
