"""From scored pairs to clusters: average linkage on match weights, all mutual best merges at once.

Transitive closure joins two people by one weak bridge. Here two clusters merge only if the mean match weight
over *all* pairs between them is large enough; a pair that was never scored counts as evidence against, and a merge
that would break a rule (see `merge_rules`) is not done, so that the next best is tried. Average linkage is reducible
(Murtagh 1983): a merge never brings the result nearer to a third cluster than the nearer of its parts was. So

    every mutually best pair of clusters may merge in one round, as if one at a time;
    a cluster without a partner it may merge with will never have one, and its pairs are dropped.

Rules are hereditary: what two clusters may not do, no larger ones may. That keeps both true under rules. Each round
is a few array operations on the pairs that are left; only pairs that a merge touched are summed anew. Weights are
whole multiples of 2^-20, so that sums are exact and the order of pairs cannot matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from c360ml.linkage.merge_rules import MergeRule

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WEIGHT_OF_UNSCORED_PAIR = -8.0
"""log2 odds of a pair that blocking never brought together."""
MERGE_WEIGHT = 0.0
"""Mean log2 odds above which two clusters merge: even odds."""
LARGEST_WEIGHT = 15.0
_STEPS_PER_BIT = 2.0**20
_NO_PAIRS = (np.array([], dtype=np.int64), np.array([], dtype=np.int64))


@dataclass(frozen=True)
class Merges:
    """What merged with what, in order: cluster `keep` took in cluster `drop` (its greater label) at a mean weight.

    `sizes` are the records of the cluster after the merge.
    """

    keep: Ints
    drop: Ints
    mean_weights: Floats
    sizes: Floats

    def labels(self, records: int) -> Ints:
        """One label per record after these merges: the least record of its cluster.

        >>> Merges(np.array([1, 0]), np.array([2, 1]), np.array([3.0, 1.0]), np.array([2, 3])).labels(4).tolist()
        [0, 0, 0, 3]
        """
        labels = np.arange(records)
        labels[self.drop] = self.keep
        while True:
            further = labels[labels]
            if np.array_equal(further, labels):
                return labels
            labels = further

    def without(self, undone: NDArray[np.bool_]) -> Merges:
        """The merges that are left if some are undone."""
        return Merges(self.keep[~undone], self.drop[~undone], self.mean_weights[~undone], self.sizes[~undone])


def components(records: int, left: Ints, right: Ints) -> Ints:
    """Number the connected components of a graph: one label per record.

    >>> components(4, np.array([0]), np.array([2])).tolist()
    [0, 1, 0, 2]
    """
    return joined_components(np.arange(records), left, right)


def joined_components(labels: Ints, left: Ints, right: Ints) -> Ints:
    """Components of a graph that gets further links: pairs may come in parts.

    >>> joined_components(np.array([0, 1, 0, 2]), np.array([1]), np.array([2])).tolist()
    [0, 0, 0, 1]
    """
    ends = labels[left], labels[right]
    graph = coo_matrix((np.ones(len(left), dtype=np.int8), ends), shape=(len(labels), len(labels)))
    joined: Ints = connected_components(graph, directed=False)[1].astype(np.int64)[labels]
    return joined


def clipped(weights: Floats) -> Floats:
    """Keep one pair's weight from outweighing all others, as exact multiples of 2^-20."""
    whole: Floats = np.rint(np.clip(weights, -LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.float64) * _STEPS_PER_BIT)
    return whole / _STEPS_PER_BIT


def contracted(joined: Ints | None, left: Ints, right: Ints, weights: Floats) -> tuple[Ints, Ints, Floats]:
    """Pairs of groups of records that are known to be one: each as strong as its scored pairs are on average.

    >>> pairs = contracted(np.array([0, 1, 1]), np.array([0, 0]), np.array([1, 2]), np.array([9.0, 5.0]))
    >>> [part.tolist() for part in pairs]
    [[0], [1], [7.0]]
    """
    left, right, weights = left.astype(np.int64), right.astype(np.int64), clipped(weights)
    if joined is None or np.array_equal(joined, np.arange(len(joined))):
        return left, right, weights
    left, right = np.minimum(joined[left], joined[right]), np.maximum(joined[left], joined[right])
    sums = _summed(len(joined), left, right, weights)
    counts = _summed(len(joined), left, right, np.ones(len(left)))
    return sums[0], sums[1], clipped(sums[2] / counts[2])


def average_linkage(
    records: int,
    left: Ints,
    right: Ints,
    weights: Floats,
    *,
    threshold: float = 0.0,
    rules: Sequence[MergeRule] = (),
    joined: Ints | None = None,
) -> Merges:
    """Cluster records 0..n-1 from the match weights of their scored pairs.

    Args:
        records: number of records.
        left: lesser record of each pair; each pair once.
        right: greater record of each pair.
        weights: log2 odds of each pair.
        threshold: least mean weight between two clusters that merge, in log2 odds.
        rules: what may not merge; they follow the merges and are used up by them.
        joined: label per record (the least of its group) of groups that are clusters from the start, and count as
            one record each (see `contracted`).

    Returns:
        The merges, those of the groups at first, their mean weight infinite.

    >>> average_linkage(3, np.array([0, 1]), np.array([1, 2]), np.array([9.0, 1.0])).labels(3).tolist()
    [0, 0, 2]
    """
    state = _Agglomeration(records, *contracted(joined, left, right, weights), rules)
    if joined is not None:
        drop = np.nonzero(joined != np.arange(records))[0]
        state.note(joined[drop], drop, np.full(len(drop), np.inf))
    while state.merge_mutual_best(threshold):
        pass
    return state.merged()


class _Agglomeration:
    """Clusters that grow: their sizes, and the summed weights between those that may yet merge.

    Records that were joined from the start have one size each, but are `counted` once.
    """

    def __init__(self, records: int, left: Ints, right: Ints, weights: Floats, rules: Sequence[MergeRule]) -> None:
        self.records, self.rules = records, rules
        self.left, self.right = left, right
        self.excess = weights - WEIGHT_OF_UNSCORED_PAIR
        self.sizes, self.counted = np.ones(records), np.ones(records)
        self.merges: list[tuple[Ints, Ints, Floats, Floats]] = [(*_NO_PAIRS, np.array([]), np.array([]))]

    def merge_mutual_best(self, threshold: float) -> bool:
        """Merge clusters that are each other's best partner; false if nobody has one."""
        left, right = self.left, self.right
        means = self.excess / (self.counted[left] * self.counted[right]) + WEIGHT_OF_UNSCORED_PAIR
        live = np.nonzero(means > threshold)[0]
        for rule in self.rules:
            live = live[rule.allows(left[live], right[live])]
        if len(live) == 0:
            return False
        keep, drop, weights = _mutual_best(self.records, left[live], right[live], means[live])
        self._forget_the_finished(live, means > threshold)
        self.merge(keep, drop, weights)
        return True

    def _forget_the_finished(self, live: Ints, good: NDArray[np.bool_]) -> None:
        """Drop pairs of clusters that have no partner, and pairs that a rule forbids."""
        busy = np.zeros(self.records, dtype=bool)
        busy[self.left[live]] = busy[self.right[live]] = True
        stay = busy[self.left] & busy[self.right] & ~good
        stay[live] = True
        self.left, self.right, self.excess = self.left[stay], self.right[stay], self.excess[stay]

    def merge(self, keep: Ints, drop: Ints, weights: Floats) -> None:
        """Merge cluster `drop[i]` into `keep[i]`, and add up their weights to the others."""
        self.note(keep, drop, weights)
        self.counted[keep] += self.counted[drop]
        target = np.arange(self.records)
        target[drop] = keep
        touched = np.zeros(self.records, dtype=bool)
        touched[keep] = touched[drop] = True
        changed = touched[self.left] | touched[self.right]
        ends = target[self.left[changed]], target[self.right[changed]]
        left, right, excess = _summed(self.records, np.minimum(*ends), np.maximum(*ends), self.excess[changed])
        self.left = np.concatenate([self.left[~changed], left])
        self.right = np.concatenate([self.right[~changed], right])
        self.excess = np.concatenate([self.excess[~changed], excess])

    def merged(self) -> Merges:
        """All merges so far."""
        keep, drop, means, sizes = zip(*self.merges, strict=True)
        return Merges(np.concatenate(keep), np.concatenate(drop), np.concatenate(means), np.concatenate(sizes))

    def note(self, keep: Ints, drop: Ints, weights: Floats) -> None:
        """Note that cluster `keep[i]` takes in `drop[i]`; several may go into one."""
        np.add.at(self.sizes, keep, self.sizes[drop])
        self.merges.append((keep, drop, weights, self.sizes[keep]))
        for rule in self.rules:
            rule.merge(keep, drop)


def _summed(records: int, left: Ints, right: Ints, values: Floats) -> tuple[Ints, Ints, Floats]:
    """Add up pairs that lie between the same two clusters, and leave out those inside one."""
    between = left != right
    keys = left[between] * records + right[between]
    order = np.argsort(keys)
    keys, values = keys[order], values[between][order]
    first = np.nonzero(np.diff(keys, prepend=-1))[0]
    if len(first) == 0:
        return keys, keys, values
    return keys[first] // records, keys[first] % records, np.add.reduceat(values, first)


def _mutual_best(records: int, left: Ints, right: Ints, means: Floats) -> tuple[Ints, Ints, Floats]:
    """Pairs of clusters that are each other's best partner; ties go to the least label."""
    best = np.full(records, -np.inf)
    np.maximum.at(best, left, means)
    np.maximum.at(best, right, means)
    partner = np.full(records, records)
    for one, other in ((left, right), (right, left)):
        top = means == best[one]
        np.minimum.at(partner, one[top], other[top])
    mutual = (partner[left] == right) & (partner[right] == left)
    return left[mutual], right[mutual], means[mutual]
