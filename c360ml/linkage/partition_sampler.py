"""Draws of who is who: partitions of a few doubtful units, each as likely as its pairs say.

A partition of the units of one component is drawn with a probability proportional to the product of the odds of all
pairs that it puts together (the pairwise random field on partitions of McCallum and Wellner, "Conditional models of
identity uncertainty", NIPS 2004). Partitions are transitive by construction, and two units alone are together with
exactly the probability of their pair. Up to `ENUMERATED` units all partitions are listed and drawn exactly; larger
components are sampled by Gibbs' chain, one for each draw: a unit leaves its part and joins another, or none, with the
odds that its pairs to that part multiply to.

All random numbers come from one seed, in the order of the units.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ENUMERATED = 7
"""Units up to which partitions are listed: there are 877 of seven."""
SWEEPS = 40
_CELLS_AT_ONCE = 20_000_000
_NEVER = -1e6  # far below any sum of weights, and finite, so that it can be taken back


@cache
def partitions_of(units: int) -> Ints:
    """List all partitions of units 0..n-1, one a row: per unit the least unit of its part.

    >>> partitions_of(3).tolist()
    [[0, 0, 0], [0, 0, 2], [0, 1, 0], [0, 1, 1], [0, 1, 2]]
    """
    rows = np.zeros((1, 1), dtype=np.int64)
    for unit in range(1, units):
        grown = []
        for own in range(unit + 1):
            # A unit joins the part that an earlier unit leads, or leads its own.
            may = np.ones(len(rows), dtype=bool) if own == unit else rows[:, own] == own
            grown.append(np.column_stack([rows[may], np.full(int(may.sum()), own)]))
        rows = np.concatenate(grown)
    return rows[np.lexsort(rows.T[::-1])]


def draw_small(weights: Floats, draws: int, random: np.random.Generator) -> Ints:
    """Draw partitions of many components of one small size, exactly.

    Args:
        weights: component x unit x unit: log2 odds that two units are one, symmetric; minus infinity where they may
            not be.
        draws: how many partitions of each.
        random: where chance comes from.

    Returns:
        Component x draw x unit: the least unit of the part.

    >>> pair = np.array([[[0.0, 9.0], [9.0, 0.0]]])
    >>> draw_small(pair, 4, np.random.default_rng(1)).tolist()
    [[[0, 0], [0, 0], [0, 0], [0, 0]]]
    """
    units = weights.shape[1]
    listed = partitions_of(units)
    left, right = np.triu_indices(units, 1)
    together = listed[:, left] == listed[:, right]
    chosen = np.empty((len(weights), draws), dtype=np.int64)
    chance = random.random((len(weights), draws))
    step = max(1, _CELLS_AT_ONCE // (len(listed) * max(len(left), draws)))
    for first in range(0, len(weights), step):
        part = slice(first, first + step)
        summed = np.cumsum(_shares(weights[part][:, left, right], together), axis=1)
        above = chance[part][:, :, None] * summed[:, None, -1:] > summed[:, None, :]
        chosen[part] = above.sum(axis=2)
    return listed[chosen]


def _shares(weights: Floats, together: NDArray[np.bool_]) -> Floats:
    """Relative probabilities of listed partitions: component x partition."""
    forbidden = np.isneginf(weights)
    scores = np.where(forbidden, 0.0, weights) @ together.T.astype(np.float64)
    scores[forbidden.astype(np.float64) @ together.T.astype(np.float64) > 0] = -np.inf
    shares: Floats = np.exp2(scores - scores.max(axis=1, keepdims=True))
    return shares


def draw_large(weights: Floats, draws: int, random: np.random.Generator, *, sweeps: int = SWEEPS) -> Ints:
    """Draw partitions of components of one size by Gibbs' chains, one a draw, each unit alone at the start.

    Args:
        weights: component x unit x unit: log2 odds that two units are one, symmetric; minus infinity where they may
            not be.
        draws: how many chains of each component, of which each gives its last state.
        random: where chance comes from.
        sweeps: how often each chain asks every unit.

    Returns:
        Component x draw x unit: the least unit of the part.

    >>> certain = np.array([[[0.0, 30.0, -30.0], [30.0, 0.0, -30.0], [-30.0, -30.0, 0.0]]])
    >>> draw_large(certain, 2, np.random.default_rng(1)).tolist()
    [[[0, 0, 2], [0, 0, 2]]]
    """
    components, units = weights.shape[:2]
    odds = np.where(np.isneginf(weights), _NEVER, weights * np.log(2))
    odds[:, np.arange(units), np.arange(units)] = 0.0
    chains = _Chains(np.repeat(odds, draws, axis=0))
    for _ in range(sweeps):
        for unit in range(units):
            chains.ask(unit, random)
    return _led_by_least(chains.parts.T).reshape(components, draws, units)


class _Chains:
    """Gibbs' chains: the part of each unit, and what joining each part would weigh, kept up as units move.

    Most units stay where they are most of the time, so that few sums change in a step; they drift by the rounding of
    what comes and goes, some 1e-10. Chains are the last axis of all arrays, for there are many: `parts` is unit x
    chain, `sizes` part x chain, `joined` unit x part x chain.
    """

    def __init__(self, odds: Floats) -> None:
        chains, units = odds.shape[:2]
        self.odds = odds
        self.rows = np.arange(chains)
        self.parts = np.repeat(np.arange(units)[:, None], chains, axis=1)
        self.sizes = np.ones((units, chains), dtype=np.int32)
        self.joined = np.ascontiguousarray(odds.transpose(1, 2, 0))

    def ask(self, unit: int, random: np.random.Generator) -> None:
        """Ask one unit in each chain which part of the others it joins, or whether it founds one: that weighs 0."""
        own = self.parts[unit].copy()
        self.sizes[own, self.rows] -= 1
        empty = self.sizes == 0
        # One empty part is as good as another: together they weigh 0.
        scores = np.where(empty, -np.log(np.maximum(empty.sum(axis=0), 1)), self.joined[unit])
        scores -= scores.max(axis=0)
        summed = np.exp(scores, out=scores)
        for part in range(1, len(summed)):  # several times as quick as numpy.cumsum along this axis
            summed[part] += summed[part - 1]
        chosen = (summed <= random.random(len(own)) * summed[-1]).sum(axis=0)
        stays_alone = empty[own, self.rows] & empty[chosen, self.rows]
        chosen = np.where(stays_alone, own, chosen)
        self.sizes[chosen, self.rows] += 1
        self._move(unit, own, chosen)

    def _move(self, unit: int, own: Ints, chosen: Ints) -> None:
        moved = np.flatnonzero(own != chosen)
        change = self.odds[moved, unit].T
        self.joined[:, own[moved], moved] -= change
        self.joined[:, chosen[moved], moved] += change
        self.parts[unit, moved] = chosen[moved]


def _led_by_least(parts: Ints) -> Ints:
    """Name each part by its least unit."""
    draws, units = parts.shape
    least = np.full((draws, units), units)
    np.minimum.at(least, (np.arange(draws)[:, None], parts), np.arange(units)[None, :])
    led: Ints = np.take_along_axis(least, parts, axis=1)
    return led
