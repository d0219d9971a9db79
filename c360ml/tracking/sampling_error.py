"""How much counts move by chance when records come in clumps: design effects, from sums over independent units.

Those who live together share names, addresses and contacts, and a customer has several records, so that n records tell
less than n independent ones. Let each of U units u hold x_uk of its n_u records in cell k, p_k being the share of all.
The shares then vary by V_jk = U / (U - 1) times the sum over u of (x_uj - p_j n_u)(x_uk - p_k n_u) / n^2, the ultimate
cluster estimator (Wolter, Introduction to Variance Estimation, 2007). Independent records would vary by P / n,
P = diag(p) - p p'. The eigenvalues of n V P^-1 are the design effects: what were chi2 is a sum of chi2(1), each times
one of them (Rao and Scott 1981). Their mean and the freedom (sum)^2 / (sum of squares) are what is kept, the two
numbers of Satterthwaite (1946).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Counted = dict[str, Any]
_DIGITS = 6


def count_cells(unit: Ints, cell: Ints, cells: int) -> Counted:
    """Count records by cell, with the mean design effect and the freedom of the counts.

    Args:
        unit: number of the unit of each record, from 0 on.
        cell: cell of each record; below 0 if it is in none.
        cells: number of cells.

    >>> count_cells(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 0, 1]), 2)
    {'counts': [3, 3], 'effect': 2.0, 'freedom': 1.0}
    """
    known = cell >= 0
    unit, cell = unit[known], cell[known]
    counts = np.bincount(cell, minlength=cells)
    effect, freedom = _design_effects(unit, cell, counts)
    return {"counts": counts.tolist(), "effect": effect, "freedom": freedom}


def count_names(unit: Ints, cell: Ints, names: Sequence[str]) -> Counted:
    """Count records as `count_cells` does, told by the names of the cells.

    >>> count_names(np.array([0, 1, 2]), np.array([0, 1, 0]), ["a", "b"])
    {'counts': {'a': 2, 'b': 1}, 'effect': 1.5, 'freedom': 1.0}
    """
    found = count_cells(unit, cell, len(names))
    return {**found, "counts": dict(zip(names, found["counts"], strict=True))}


def effect_on_sum(unit: Ints, residual: Floats) -> float:
    """Give how many times as much a sum varies as one over independent rows would.

    Args:
        unit: number of the unit of each row, from 0 on.
        residual: what each row adds, less what is expected of it.

    >>> effect_on_sum(np.array([0, 0, 1, 1]), np.array([1.0, 1.0, -1.0, -1.0]))
    2.0
    """
    alone = float((residual**2).sum())
    together = float((np.bincount(unit, residual) ** 2).sum()) if len(unit) else 0.0
    return round(together / alone, _DIGITS) if alone else 1.0


def _design_effects(unit: Ints, cell: Ints, counts: Ints) -> tuple[float, float]:
    """Mean and freedom of the design effects; 1 each where there is nothing to vary."""
    if (counts > 0).sum() < 2:
        return 1.0, 1.0
    filled = np.flatnonzero(counts)
    place = np.zeros(len(counts), np.int64)
    place[filled] = np.arange(len(filled))
    names, row = np.unique(unit, return_inverse=True)
    if len(names) == 1:
        return float(len(row)), 1.0
    found = coo_array((np.ones(len(row)), (row, place[cell])), shape=(len(names), len(filled))).tocsr()
    sizes, share = np.bincount(row).astype(float), counts[filled] / len(row)
    crossed = np.outer(found.T @ sizes, share)
    between = (found.T @ found).toarray() - crossed - crossed.T + np.outer(share, share) * (sizes @ sizes)
    # P^-1 V has the trace and the squares of V / p, for the rows of V add up to nothing.
    scaled = between / np.sqrt(np.outer(share, share)) / len(row)
    total, squares = float(np.trace(scaled)), float((scaled**2).sum())
    if squares == 0:
        return 0.0, 1.0
    mean = total / (len(filled) - 1) * len(names) / (len(names) - 1)
    return round(mean, _DIGITS), round(total**2 / squares, _DIGITS)
