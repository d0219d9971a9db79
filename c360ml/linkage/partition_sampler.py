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

import copy
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ENUMERATED = 7
"""Units up to which partitions are listed: there are 877 of seven."""
SWEEPS = 40
_CELLS_AT_ONCE = 20_000_000
_THREADS = os.cpu_count() or 1
_LEAST_CELLS = 20_000
"""Chains x units from which on a further thread is worth while."""
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
    threads = min(_THREADS, components, max(1, components * draws * units // _LEAST_CELLS))
    parts = np.array_split(weights, threads)
    firsts = np.cumsum([0, *(len(part) * draws for part in parts[:-1])]).tolist()
    # Each thread reads its own columns of one table of chances, so that their number does not matter.
    chances = [_Chances(random, first, components * draws) for first in firsts]
    with ThreadPoolExecutor(threads) as pool:
        drawn = list(pool.map(lambda part, chance: _run_chains(part, draws, chance, sweeps), parts, chances))
    random.bit_generator.advance(sweeps * units * components * draws)  # type: ignore[attr-defined]
    return np.concatenate(drawn)


def _run_chains(weights: Floats, draws: int, chances: _Chances, sweeps: int) -> Ints:
    components, units = weights.shape[:2]
    odds = np.where(np.isneginf(weights), _NEVER, weights * np.log(2))
    odds[:, np.arange(units), np.arange(units)] = 0.0
    chains = _Chains(np.repeat(odds, draws, axis=0))
    for _ in range(sweeps):
        for unit in range(units):
            chains.ask(unit, chances.next(components * draws))
    return _led_by_least(chains.parts.T).reshape(components, draws, units)


class _Chances:
    """Some columns of a table of random numbers, row by row: what a generator would give if asked for whole rows."""

    def __init__(self, random: np.random.Generator, first: int, columns: int) -> None:
        self._bits, self._columns = copy.deepcopy(random.bit_generator), columns
        self._bits.advance(first)  # type: ignore[attr-defined]
        self._random = np.random.Generator(self._bits)

    def next(self, count: int) -> Floats:
        """Read so many columns of the next row."""
        chances = self._random.random(count)
        self._bits.advance(self._columns - count)  # type: ignore[attr-defined]
        return chances


class _Chains:
    """Gibbs' chains: the part of each unit, and how many units each part has.

    Chains are the last axis of all arrays, for there are many. A slot is a part of a chain: part x chains + chain.
    `slots` is unit x chain, `sizes` has a number for each slot, `empty` the empty slots of each chain; `odds` is unit
    x (other unit x chain).
    """

    def __init__(self, odds: Floats) -> None:
        self.chains, self.units = odds.shape[:2]
        self.rows = np.arange(self.chains)
        self.odds = np.ascontiguousarray(odds.transpose(1, 2, 0)).reshape(self.units, -1)
        self.slots = np.arange(self.units * self.chains).reshape(self.units, self.chains)
        self.sizes = np.ones(self.units * self.chains, dtype=np.int16)
        self.empty = np.zeros(self.chains)

    @property
    def parts(self) -> Ints:
        """Part of each unit in each chain."""
        parts: Ints = self.slots // self.chains
        return parts

    def ask(self, unit: int, chance: Floats) -> None:
        """Ask one unit in each chain which part of the others it joins, or whether it founds one: that weighs 0."""
        own = self.slots[unit]
        self.sizes[own] -= 1
        is_empty = self.sizes == 0
        alone = is_empty[own]
        self.empty += alone
        chosen = self._choose(unit, chance, is_empty)
        founds = is_empty[chosen]
        chosen = np.where(alone & founds, own, chosen)
        self.empty -= founds
        self.sizes[chosen] += 1
        self.slots[unit] = chosen

    def _choose(self, unit: int, chance: Floats, is_empty: NDArray[np.bool_]) -> Ints:
        """Draw a slot for the unit in each chain, as likely as its pairs to those in it multiply to."""
        shape = self.units, self.chains
        joined = np.bincount(self.slots.ravel(), self.odds[unit], minlength=len(is_empty)).reshape(shape)
        # One empty part is as good as another: together they weigh 0.
        np.copyto(joined, -np.log(np.maximum(self.empty, 1)), where=is_empty.reshape(shape))
        joined -= joined.max(axis=0)
        summed: Floats = np.exp(joined, out=joined)
        for part in range(1, len(summed)):  # several times as quick as numpy.cumsum along this axis
            summed[part] += summed[part - 1]
        below = np.add.reduce(summed <= chance * summed[-1], axis=0, dtype=np.int16)
        chosen: Ints = below.astype(np.int64) * self.chains + self.rows
        return chosen


def _led_by_least(parts: Ints) -> Ints:
    """Name each part by its least unit."""
    draws, units = parts.shape
    least = np.full((draws, units), units)
    np.minimum.at(least, (np.arange(draws)[:, None], parts), np.arange(units)[None, :])
    led: Ints = np.take_along_axis(least, parts, axis=1)
    return led
