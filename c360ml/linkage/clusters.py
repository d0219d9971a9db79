"""From scored pairs to clusters: average linkage on match weights, all mutual best merges at once.

Transitive closure joins two people by one weak bridge. Here two clusters merge only if the mean match weight
over *all* pairs between them is large enough; a pair that was never scored counts as evidence against. Average
linkage is reducible (Murtagh 1983), so merging every mutually best pair of clusters in one round gives the same
tree as merging one pair at a time, and each round is a few array operations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WEIGHT_OF_UNSCORED_PAIR = -8.0
"""log2 odds of a pair that blocking never brought together."""
MERGE_WEIGHT = -2.0
"""Mean log2 odds above which two clusters merge. Even odds are too strict, as each pair is weighed as if nothing else
were known; chosen on synthetic worlds, see experiments/merge_weight."""
_LARGEST_WEIGHT = 15.0


def components(records: int, left: Ints, right: Ints) -> Ints:
    """Number the connected components of a graph: one label per record."""
    graph = coo_matrix((np.ones(len(left), dtype=np.int8), (left, right)), shape=(records, records))
    labels: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def average_linkage(records: int, left: Ints, right: Ints, weights: Floats, *, threshold: float = 0.0) -> Ints:
    """Cluster records 0..n-1 from the match weights of their scored pairs.

    Args:
        records: number of records.
        left: lesser record of each pair; each pair once.
        right: greater record of each pair.
        weights: log2 odds of each pair.
        threshold: least mean weight between two clusters that merge, in log2 odds.

    Returns:
        One label per record: the least record of its cluster.

    >>> average_linkage(3, np.array([0, 1]), np.array([1, 2]), np.array([9.0, 1.0])).tolist()
    [0, 0, 2]
    """
    labels = np.arange(records)
    sizes = np.ones(records)
    excess = np.clip(weights, -_LARGEST_WEIGHT, _LARGEST_WEIGHT) - WEIGHT_OF_UNSCORED_PAIR
    while True:
        left, right, excess = _merge_parallel_edges(records, left, right, excess)
        means = excess / (sizes[left] * sizes[right]) + WEIGHT_OF_UNSCORED_PAIR
        keep, drop = _mutual_best(records, left, right, means, threshold)
        if len(keep) == 0:
            return labels
        target = np.arange(records)
        target[drop] = keep
        sizes[keep] += sizes[drop]
        labels = target[labels]
        left, right = np.minimum(target[left], target[right]), np.maximum(target[left], target[right])
        between = left != right
        left, right, excess = left[between], right[between], excess[between]


def _merge_parallel_edges(records: int, left: Ints, right: Ints, excess: Floats) -> tuple[Ints, Ints, Floats]:
    keys, position = np.unique(left * records + right, return_inverse=True)
    merged: Floats = np.bincount(position, excess, minlength=len(keys)).astype(np.float64)
    return keys // records, keys % records, merged


def _mutual_best(records: int, left: Ints, right: Ints, means: Floats, threshold: float) -> tuple[Ints, Ints]:
    """Pairs of clusters that are each other's best neighbour above the threshold; ties go to the least label."""
    good = means > threshold
    one, other = np.concatenate([left[good], right[good]]), np.concatenate([right[good], left[good]])
    order = np.lexsort((other, -np.concatenate([means[good], means[good]]), one))
    one, other = one[order], other[order]
    first = np.ones(len(one), dtype=bool)
    first[1:] = one[1:] != one[:-1]
    best = np.full(records, -1)
    best[one[first]] = other[first]
    having = np.nonzero(best >= 0)[0]
    keep = having[(best[best[having]] == having) & (having < best[having])]
    return keep, best[keep]
