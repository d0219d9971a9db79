"""How far two comparisons are from independent inside a class, measured on the fitted classes.

The model multiplies what the comparisons say. Where two of them go together among pairs of one class (street and
postcode of one household, e-mail and name), the second says less than the model believes, and match weights are too
extreme. Each candidate pair is counted in a class by its probability, unrelated pairs among random pairs, and the
table of two comparisons is held against the product of its margins: mutual information, in bits per pair (Shannon
1948), less the bits that chance alone gives, (rows - 1)(columns - 1) / (2 n ln 2) (Miller 1955).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.pattern_em import CountedPatterns

Floats = NDArray[np.float64]

LEAST_PAIRS = 100.0


@dataclass(frozen=True)
class Dependence:
    """Two comparisons of one class: the pairs that have both, the bits that each pair tells of one by the other.

    `first_level` and `second_level` are those that go together most.
    """

    pair_class: str
    first: str
    second: str
    first_level: str
    second_level: str
    pairs: float
    bits: float


def dependences(
    pair_class: str,
    comparisons: Sequence[Comparison],
    blocks: Sequence[slice],
    patterns: CountedPatterns,
    pairs: Floats,
) -> list[Dependence]:
    """Measure every two comparisons of a class, the most dependent first.

    Args:
        pair_class: name of the class.
        comparisons: the comparisons.
        blocks: columns of each comparison's levels.
        patterns: counted patterns.
        pairs: expected pairs of the class with each pattern.
    """
    joint = patterns.joint_counts(pairs)
    measured = []
    for one, other in combinations(range(len(comparisons)), 2):
        table = joint[blocks[one], blocks[other]]
        if table.sum() >= LEAST_PAIRS:
            first, second = comparisons[one], comparisons[other]
            row, column = np.unravel_index(_surprise(table).argmax(), table.shape)
            levels = (first.labels[::-1][row], second.labels[::-1][column])
            bits = mutual_information(table)
            measured.append(Dependence(pair_class, first.name, second.name, *levels, float(table.sum()), bits))
    return sorted(measured, key=lambda each: (-each.bits, each.first, each.second))


def mutual_information(table: Floats) -> float:
    """Bits that one side of a table of counts tells of the other, less what chance alone would; at least 0.

    >>> round(mutual_information(np.array([[500.0, 0.0], [0.0, 500.0]])), 3)
    0.999
    """
    total = table.sum()
    rows, columns = (table.sum(axis=1) > 0).sum(), (table.sum(axis=0) > 0).sum()
    by_chance = (rows - 1) * (columns - 1) / (2 * total * np.log(2))
    return float(max(_surprise(table).sum() / total - by_chance, 0.0))


def _surprise(table: Floats) -> Floats:
    """Bits by which each cell's pairs are more than independence allows, summed over those pairs."""
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    seen = table > 0
    bits: Floats = np.where(seen, table * np.log2(np.where(seen, table, 1.0) / np.where(seen, expected, 1.0)), 0.0)
    return bits
