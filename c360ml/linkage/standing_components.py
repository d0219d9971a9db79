"""Which components of units in doubt are as they were, though others close by changed.

It is known which records and pairs are new, gone or other than they were. A cluster is affected if it holds such a
record, or an end of such a pair that holds or held a cluster together; all other clusters have the units that they had.
A unit of these is touched if a pair that is likely enough to join units, and leads to an affected cluster or changed,
has an end in it: it may have been, or may be now, in another component. A pair less likely than that joins no units
without one that is; so it only matters if it changed between two clusters that are not affected.

A component stands if its units are neither affected nor touched: all that joins them is as it was, and nothing joins
them to others, now or before. That large components are cut hangs on their size: so it must also be sure that it was
cut, or was not, as it is now. It is if what joins its units, over others of unaffected clusters, holds no touched one;
or if pairs that did not change make it large, for then what it was a part of was large, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.clusters import components
from c360ml.linkage.doubtful_units import LARGEST_COMPONENT, SURE_WEIGHT, DoubtfulUnits

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ChangedPairs:
    """Pairs of two clusters that are new, gone or other than they were: records 0..n-1, or -1 for one that is gone.

    `near` tells which are, or were, likely enough to join units.
    """

    left: Ints
    right: Ints
    near: Bools


def standing_components(
    doubtful: DoubtfulUnits,
    left: Ints,
    right: Ints,
    weights: Floats,
    together: Bools,
    joined: Ints,
    *,
    changed: Bools,
    pairs: ChangedPairs,
) -> Ints:
    """Name the components that are as they were.

    Args:
        doubtful: units and components of records 0..n-1, as they are now.
        left: lesser record of each scored pair, as `DoubtfulUnits.of` takes it; so are the next four.
        right: greater record.
        weights: log2 odds of each pair.
        together: whether the clustering put both into one cluster.
        joined: per record the least of those that a reviewer joined it with.
        changed: per record whether it is new or other than it was, or a pair that holds or held its cluster together.
        pairs: all other pairs that changed.

    >>> given = np.array([0, 2]), np.array([1, 3]), np.array([1.0, 1.0]), np.array([False, False]), np.arange(4)
    >>> doubtful = DoubtfulUnits.of(4, *given)
    >>> nothing = ChangedPairs(np.array([], dtype=int), np.array([], dtype=int), np.array([], dtype=bool))
    >>> standing_components(doubtful, *given, changed=np.arange(4) == 0, pairs=nothing).tolist()
    [1]
    """
    affected = _of_changed_clusters(left[together], right[together], joined, changed)
    near = weights > -SURE_WEIGHT
    touched = affected.copy()
    for one, other in ((left[near], right[near]), (right[near], left[near])):
        touched[one[affected[other]]] = True
    touched[_ends(pairs, affected)] = True
    of_touched = _of_units(doubtful.unit, touched)
    steady = ~_of_units(doubtful.unit, affected)
    hit = (of_touched | _of_uncut(doubtful, of_touched, steady))[doubtful.members]
    return np.setdiff1d(doubtful.component, doubtful.component[hit])


def _ends(pairs: ChangedPairs, affected: Bools) -> Ints:
    """Records that changed pairs touch."""
    # A record that is gone, -1, finds the last place.
    gone_too = np.append(affected, True)
    counts = pairs.near | ~(gone_too[pairs.left] | gone_too[pairs.right])
    ends = np.concatenate([pairs.left[counts], pairs.right[counts]])
    return ends[ends >= 0]


def _of_changed_clusters(left: Ints, right: Ints, joined: Ints, changed: Bools) -> Bools:
    """Per record whether its cluster holds a changed one."""
    every = np.arange(len(joined))
    cluster = components(len(joined), np.concatenate([left, every]), np.concatenate([right, joined]))
    return _holding(cluster, changed)


def _holding(group: Ints, which: Bools) -> Bools:
    """Per member of groups whether its group holds one of which something is true."""
    held = np.zeros(int(group.max(initial=0)) + 1, dtype=bool)
    held[group[which]] = True
    answer: Bools = held[group]
    return answer


def _of_units(unit: Ints, which: Bools) -> Bools:
    """Per unit, at its name, whether something is true of one of its records."""
    found = np.zeros(len(unit), dtype=bool)
    found[unit[which]] = True
    return found


def _of_uncut(doubtful: DoubtfulUnits, touched: Bools, steady: Bools) -> Bools:
    """Per unit whether it is not sure that it was in a large component, or was not, as it is now."""
    one, other = doubtful.near
    both = steady[one] & steady[other]
    # A pair that changed has touched both its units: what others join was joined before.
    lasting = both & ~(touched[one] & touched[other])
    hangs, hung = (components(len(doubtful.unit), one[which], other[which]) for which in (both, lasting))
    sizes = np.bincount(hung[doubtful.unit == np.arange(len(doubtful.unit))], minlength=hung.max(initial=0) + 1)
    unsure: Bools = _holding(hangs, touched) & (sizes[hung] <= LARGEST_COMPONENT)
    return unsure
