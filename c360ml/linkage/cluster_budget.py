"""How large a believable person is: clusters above a number of records or a width are cut at their weakest merges.

Width is the graph's diameter: the most links on the shortest way between two records of a cluster. Real customers have
a few dozen records at most, and any two of them share most links; a cluster of hundreds, or a chain of many links,
is a placeholder that passed for a value, a shared test account or a fault of the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import shortest_path

from c360ml.linkage.clusters import Merges

Ints = NDArray[np.int64]

LARGEST_CLUSTER = 250
"""Most records of one person; true clusters of the files of experiments/linkage_accuracy have at most 21."""
WIDEST_CLUSTER = 6
"""Most links between two records of one person; clusters of those files are at most 3 wide."""


@dataclass(frozen=True)
class Oversize:
    """A cluster above the budget: its least record, its records, and its width if its size was believable."""

    record: int
    records: int
    width: int | None

    @property
    def reason(self) -> str:
        """What is too much."""
        return "records" if self.width is None else "width"


def fit_budget(
    records: int, merges: Merges, left: Ints, right: Ints, *, largest: int, widest: int
) -> tuple[Merges, list[Oversize]]:
    """Undo the weakest merges of clusters that are too large or too wide, until they fit.

    Args:
        records: number of records.
        merges: merges of average linkage; those of infinite weight are not undone.
        left: one record of each link.
        right: the other.
        largest: most records of a cluster.
        widest: most links between two records of a cluster.

    Returns:
        The merges that are left, and the clusters that were above the budget.
    """
    labels = merges.labels(records)
    sizes = np.bincount(labels, minlength=records)
    oversize = [Oversize(int(label), int(sizes[label]), None) for label in np.nonzero(sizes > largest)[0]]
    merges = merges.without((merges.sizes > largest) & np.isfinite(merges.mean_weights))
    first = True
    while True:
        labels = merges.labels(records)
        widths = _wide(labels, left, right, widest)
        if first:
            oversize += [
                Oversize(label, int(sizes[label]), width) for label, width in widths.items() if sizes[label] <= largest
            ]
            first = False
        undone = _last_merges(records, merges, labels, np.array(sorted(widths), dtype=np.int64))
        if not undone.any():
            return merges, oversize
        merges = merges.without(undone)


def _last_merges(records: int, merges: Merges, labels: Ints, clusters: Ints) -> NDArray[np.bool_]:
    """The last merge of each cluster named, which is its weakest; those of infinite weight are spared."""
    last = np.full(records, -1)
    free = np.nonzero(np.isfinite(merges.mean_weights))[0]
    np.maximum.at(last, labels[merges.keep[free]], free)
    undone = np.zeros(len(merges.keep), dtype=bool)
    undone[last[clusters][last[clusters] >= 0]] = True
    return undone


def _wide(labels: Ints, left: Ints, right: Ints, widest: int) -> dict[int, int]:
    """Width of the clusters wider than `widest`. The width is at most twice the depth of a search from one record."""
    inside = labels[left] == labels[right]
    left, right = left[inside], right[inside]
    depth = _depths(labels, left, right)
    deepest = np.zeros(len(labels), dtype=np.int64)
    np.maximum.at(deepest, labels, depth)
    suspects = 2 * deepest[labels[left]] > widest
    left, right = left[suspects], right[suspects]
    order = np.argsort(labels[left], kind="stable")
    left, right = left[order], right[order]
    names, starts = np.unique(labels[left], return_index=True)
    stops = np.searchsorted(labels[left], names, side="right")
    # One search per suspect: few, as a cluster is suspect only if it is long for its size.
    widths = {
        int(name): _width(left[start:stop], right[start:stop])
        for name, start, stop in zip(names, starts, stops, strict=True)
    }
    return {name: width for name, width in widths.items() if width > widest}


def _depths(labels: Ints, left: Ints, right: Ints) -> Ints:
    """Links between each record and the first of its cluster: one search in all clusters at once."""
    depth = np.where(labels == np.arange(len(labels)), 0, -1)
    level = 0
    while True:
        for one, other in ((left, right), (right, left)):
            reached = (depth[one] == level) & (depth[other] < 0)
            depth[other[reached]] = level + 1
        level += 1
        if not (depth == level).any():
            return depth


def _width(left: Ints, right: Ints) -> int:
    members, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    graph = coo_matrix((np.ones(len(left)), (ends[: len(left)], ends[len(left) :])), shape=(len(members),) * 2)
    return int(shortest_path(graph.tocsr(), directed=False, unweighted=True).max())
