"""Which cluster of a refit is which cluster of the fit before: the pairing that moves the fewest customers.

The Hungarian method (Kuhn 1955) on the table of customers by old and new cluster. A paired cluster keeps
its name unless its centre moved so far that the name would no longer tell what it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from c360ml.segments.kmeans_choice import Matrix

Places = NDArray[np.intp]

_MOVED = 0.5
"""Standard deviations, along any axis, from which a moved centre is named anew."""


def match_clusters(old: Places, new: Places) -> dict[int, int]:
    """Pair new clusters with old ones, given each customer's place among both.

    >>> match_clusters(np.array([0, 0, 1, 1, 2]), np.array([2, 2, 0, 0, 1]))
    {0: 1, 1: 2, 2: 0}
    """
    shared = np.zeros((int(new.max()) + 1, int(old.max()) + 1), dtype=np.int64)
    np.add.at(shared, (new, old), 1)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    return {int(row): int(column) for row, column in zip(rows, columns, strict=True) if shared[row, column]}


def near(pairs: dict[int, int], new_centres: Matrix, old_centres: Matrix) -> dict[int, int]:
    """Keep the pairs whose centres, in the same standard deviations, are near each other."""
    return {new: old for new, old in pairs.items() if np.abs(new_centres[new] - old_centres[old]).max() <= _MOVED}


def describe_change(old: Places, new: Places, pairs: dict[int, int], kept_names: int) -> dict[str, Any]:
    """Tell how far a refit agrees with the fit before, on the customers it was fitted on."""
    from sklearn.metrics import adjusted_rand_score  # takes seconds to load: see `kmeans_choice`

    matched = np.full(int(new.max()) + 1, -1)
    matched[list(pairs)] = list(pairs.values())
    return {
        "ari": float(adjusted_rand_score(old, new)),
        "same_cluster_share": float(np.mean(matched[new] == old)),
        "kept_names": kept_names,
    }
