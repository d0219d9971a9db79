"""What may not be one cluster, as arrays that follow the merges of `clusters.average_linkage`.

Every rule is hereditary: if two clusters may not merge, no clusters that hold them may.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Masks = NDArray[np.uint64]
Truths = NDArray[np.bool_]
_BITS = 64


class MergeRule(Protocol):
    """A rule over clusters, each named by its least record."""

    name: str

    def allows(self, left: Ints, right: Ints) -> Truths:
        """Whether the clusters `left[i]` and `right[i]` may merge."""

    def merge(self, keep: Ints, drop: Ints) -> None:
        """Follow the merges of clusters `drop[i]` into `keep[i]`."""


class SourceRule:
    """Two sources that may not share a cluster; a source that holds each person once may not with itself.

    Args:
        sources: per record, the number of its source, or -1 if no rule names it.
        never: numbers of two sources (or twice the same) that never share a cluster.

    >>> rule = SourceRule(np.array([0, 0, 1]), [(0, 0)])
    >>> rule.allows(np.array([0, 0]), np.array([1, 2])).tolist()
    [False, True]
    """

    name = "sources"

    def __init__(self, sources: Ints, never: list[tuple[int, int]]) -> None:
        words = 1 + max((max(pair) for pair in never), default=0) // _BITS
        self._has = np.zeros((len(sources), words), dtype=np.uint64)
        self._shuns = np.zeros((len(sources), words), dtype=np.uint64)
        for one, other in {*never, *((other, one) for one, other in never)}:
            mine = sources == one
            self._has[mine, one // _BITS] |= np.uint64(1 << one % _BITS)
            self._shuns[mine, other // _BITS] |= np.uint64(1 << other % _BITS)

    def allows(self, left: Ints, right: Ints) -> Truths:
        """No source of the one may be shunned by the other."""
        allowed: Truths = ((self._shuns[left] & self._has[right]) == 0).all(axis=1)
        return allowed

    def merge(self, keep: Ints, drop: Ints) -> None:
        """A cluster has, and shuns, what its parts do."""
        np.bitwise_or.at(self._has, keep, self._has[drop])
        np.bitwise_or.at(self._shuns, keep, self._shuns[drop])


class ValueRule:
    """One person has at most `most` values of an identifier.

    Args:
        identifier: name of the column.
        values: per record, the number of its value, or -1 if it has none.
        most: most values of one cluster.

    >>> rule = ValueRule("national_id", np.array([5, 6, -1]), 1)
    >>> rule.allows(np.array([0, 0]), np.array([1, 2])).tolist()
    [False, True]
    """

    def __init__(self, identifier: str, values: Ints, most: int) -> None:
        self.name, self._most = identifier, most
        self._records, self._values = len(values), int(values.max(initial=0)) + 1
        holders = np.nonzero(values >= 0)[0]
        self._held = holders * self._values + values[holders]
        self._count()

    def _count(self) -> None:
        """Sort the values by cluster: `_held` is cluster times number of values plus value."""
        # Sorted but for what has just merged, which a stable sort makes use of.
        held = np.sort(self._held, kind="stable")
        self._held = held[np.diff(held, prepend=-1) > 0]
        self._counts = np.bincount(self._held // self._values, minlength=self._records)
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])

    def allows(self, left: Ints, right: Ints) -> Truths:
        """The two clusters together may not have more values than `most`."""
        together = self._counts[left] + self._counts[right]
        unsure = np.nonzero((together > self._most) & (self._counts[left] > 0) & (self._counts[right] > 0))[0]
        together[unsure] -= self._shared(left[unsure], right[unsure])
        lone = (self._counts[left] == 0) | (self._counts[right] == 0)
        allowed: Truths = (together <= self._most) | lone
        return allowed

    def _shared(self, left: Ints, right: Ints) -> Ints:
        """Count the values that both clusters of a pair have."""
        lengths = self._counts[left]
        pair = np.repeat(np.arange(len(left)), lengths)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        value = self._held[self._starts[left][pair] + within] % self._values
        wanted = right[pair] * self._values + value
        place = np.minimum(np.searchsorted(self._held, wanted), len(self._held) - 1)
        return np.bincount(pair[self._held[place] == wanted], minlength=len(left))

    def merge(self, keep: Ints, drop: Ints) -> None:
        """A cluster has the values of its parts."""
        target = np.arange(self._records)
        target[drop] = keep
        self._held = target[self._held // self._values] * self._values + self._held % self._values
        self._count()


class PairRule:
    """Pairs of records that a reviewer has told apart.

    >>> rule = PairRule(3, np.array([0]), np.array([2]))
    >>> rule.merge(np.array([0]), np.array([1]))
    >>> rule.allows(np.array([0]), np.array([2])).tolist()
    [False]
    """

    name = "reviewed"

    def __init__(self, records: int, left: Ints, right: Ints) -> None:
        self._records, self._ends = records, np.stack([left, right])
        self._renumber(np.arange(records))

    def _renumber(self, target: Ints) -> None:
        self._ends = target[self._ends]
        least, greatest = self._ends.min(axis=0), self._ends.max(axis=0)
        self._keys = np.unique(least * self._records + greatest)

    def allows(self, left: Ints, right: Ints) -> Truths:
        """No record of the one may be told apart from a record of the other."""
        wanted = np.minimum(left, right) * self._records + np.maximum(left, right)
        place = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        allowed: Truths = self._keys[place] != wanted
        return allowed

    def merge(self, keep: Ints, drop: Ints) -> None:
        """Follow the records into their clusters."""
        target = np.arange(self._records)
        target[drop] = keep
        self._renumber(target)
