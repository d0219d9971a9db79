"""Uplift: the conversion rate of those who were sent a campaign above that of those held out."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from c360ml.errors import DataError

_Z = 1.959963984540054
"""Normal quantile of a 95 % interval."""


def uplift_interval(converted: int, n: int, control_converted: int, control_n: int) -> tuple[float, float, float]:
    """Give the difference of two conversion rates with its 95 % interval: (difference, low, high).

    Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, 873-890, method 10): Wilson's
    intervals (l, u) of both rates p are put together,
    low = d - sqrt((p1 - l1)^2 + (u2 - p2)^2), high = d + sqrt((u1 - p1)^2 + (p2 - l2)^2).
    It holds its promise for small groups and for rates near 0, where the textbook interval does not.

    Raises:
        DataError: a group is empty, or more converted than there were.

    >>> [round(number, 4) for number in uplift_interval(56, 70, 48, 80)]
    [0.2, 0.0524, 0.3339]
    """
    if not (0 <= converted <= n and 0 <= control_converted <= control_n and n > 0 and control_n > 0):
        raise DataError(
            "both groups must hold customers, and no more may convert than there are",
            got=f"{converted} of {n} against {control_converted} of {control_n}",
            hint="leave out campaigns without a control group",
        )
    rate, control_rate = converted / n, control_converted / control_n
    low, high = _wilson(rate, n)
    control_low, control_high = _wilson(control_rate, control_n)
    difference = rate - control_rate
    return (
        difference,
        difference - sqrt((rate - low) ** 2 + (control_high - control_rate) ** 2),
        difference + sqrt((high - rate) ** 2 + (control_rate - control_low) ** 2),
    )


def _wilson(rate: float, n: int) -> tuple[float, float]:
    centre = rate + _Z**2 / (2 * n)
    spread = _Z * sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n**2))
    return (centre - spread) / (1 + _Z**2 / n), (centre + spread) / (1 + _Z**2 / n)


def pooled_uplift(strata: Sequence[tuple[int, int, int, int]]) -> tuple[float, float, float]:
    """Give the uplift of several campaigns together, each compared with its own control: (difference, low, high).

    Campaigns are weighted by n m / (n + m), for n sent and m held out (Mantel and Haenszel 1959). The interval puts
    Wilson's intervals of all rates together as Newcombe's does for two (Zou and Donner, "Construction of confidence
    limits about effect measures", Statistics in Medicine 27, 2008, 1693-1702).

    Args:
        strata: of each campaign: converted, sent, converted of those held out, held out.

    Raises:
        DataError: a group is empty, or more converted than there were.

    >>> pooled_uplift([(56, 70, 48, 80)]) == uplift_interval(56, 70, 48, 80)
    True
    """
    found = [uplift_interval(*stratum) for stratum in strata]
    weights = [n * control_n / (n + control_n) for _, n, _, control_n in strata]
    shares = [weight / sum(weights) for weight in weights]
    difference = sum(share * one[0] for share, one in zip(shares, found, strict=True))
    below = sqrt(sum((share * (one[0] - one[1])) ** 2 for share, one in zip(shares, found, strict=True)))
    above = sqrt(sum((share * (one[2] - one[0])) ** 2 for share, one in zip(shares, found, strict=True)))
    return difference, difference - below, difference + above
