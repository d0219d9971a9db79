"""What clusters are called: by how their centre differs from the average buyer."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from c360ml.segments.kmeans_choice import Matrix

_MARKED = 0.5
"""Standard deviations from the average from which a trait is worth a word."""
_ONE_TIME = 1.5
"""Typical purchases below which rare buyers are called one-time."""


def name_clusters(centres: Matrix, typical_purchases: Sequence[float]) -> list[str]:
    """Name standardised centres of days, purchases and spend; twins get a letter, dearest first.

    >>> name_clusters(np.array([[-1.0, 0.0, 2.0], [1.0, -1.0, -1.0], [0.0, 0.1, 0.2]]), [4.0, 1.2, 3.0])
    ['recent high spenders', 'lapsed one-time low spenders', 'average buyers']
    """
    names = [_name(centre, purchases) for centre, purchases in zip(centres, typical_purchases, strict=True)]
    twins = {name for name, count in Counter(names).items() if count > 1}
    letters = {name: iter(string.ascii_uppercase) for name in twins}
    by_spend = np.lexsort((centres[:, 0], -centres[:, 1], -centres[:, 2]))
    for place in by_spend:
        if names[place] in twins:
            names[place] = f"{names[place]} {next(letters[names[place]])}"
    return names


def carry_names(names: Sequence[str], carried: Mapping[int, str]) -> list[str]:
    """Give clusters, by position, the name they had before; another of the same name gets the next letter.

    >>> carry_names(["recent buyers", "lapsed buyers", "average buyers"], {1: "recent buyers"})
    ['recent buyers B', 'recent buyers', 'average buyers']
    """
    told = [carried.get(place, name) for place, name in enumerate(names)]
    taken = set(carried.values())
    for place, name in enumerate(told):
        if place not in carried:
            free = (one for one in (name, *(f"{name} {letter}" for letter in string.ascii_uppercase[1:])))
            told[place] = next(one for one in free if one not in taken)
            taken.add(told[place])
    return told


def _name(centre: Matrix, typical_purchases: float) -> str:
    days, purchases, spend = centre
    rare = "one-time" if typical_purchases < _ONE_TIME else "occasional"
    words = [
        _word(days, low="recent", high="lapsed"),
        _word(purchases, low=rare, high="frequent"),
        _word(spend, low="low spenders", high="high spenders") or "buyers",
    ]
    told = [word for word in words if word]
    return " ".join(told) if told != ["buyers"] else "average buyers"


def _word(deviation: float, *, low: str, high: str) -> str:
    if deviation <= -_MARKED:
        return low
    return high if deviation >= _MARKED else ""
