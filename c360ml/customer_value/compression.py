"""Equal rows become one row with a weight, so that fitting costs what the distinct rows cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c360ml.customer_value.columns import Codes, Floats


@dataclass(frozen=True)
class Column:
    """A column of distinct rows: its distinct values, and which of them each row has."""

    values: Floats
    codes: Codes

    def per_row(self) -> Floats:
        """Spell out the value of each row."""
        return self.values[self.codes]

    def weight_per_value(self, weight: Floats) -> Floats:
        """Add up the rows' weights for each distinct value."""
        return add_up(self.codes, weight, len(self.values))


def add_up(codes: Codes, amounts: Floats, length: int) -> Floats:
    """Add up amounts by code."""
    return np.asarray(np.bincount(codes, amounts, minlength=length), dtype=np.float64)


def encode(values: Floats) -> Column:
    """Find the distinct values of a column."""
    distinct, codes = np.unique(values, return_inverse=True)
    return Column(distinct, codes.astype(np.int64))


def distinct_rows(columns: list[Floats], weight: Floats) -> tuple[list[Column], Floats]:
    """Keep each distinct row once, with the summed weight of its copies.

    >>> import numpy
    >>> rows = [numpy.array([1.0, 2.0, 1.0]), numpy.array([5.0, 5.0, 5.0])]
    >>> columns, weight = distinct_rows(rows, numpy.ones(3))
    >>> columns[0].per_row().tolist(), weight.tolist()
    ([1.0, 2.0], [2.0, 1.0])
    """
    encoded = [encode(values) for values in columns]
    keys, inverse = np.unique(_row_keys(encoded), return_inverse=True)
    kept = []
    for column in reversed(encoded):
        keys, codes = np.divmod(keys, len(column.values))
        kept.append(Column(column.values, codes))
    return kept[::-1], add_up(inverse, weight, inverse.max() + 1)


def distinct_pairs(first: Floats, second: Floats) -> tuple[Floats, Floats, Codes]:
    """Find the distinct pairs of two columns, and which of them each row has."""
    encoded = [encode(first), encode(second)]
    keys, inverse = np.unique(_row_keys(encoded), return_inverse=True)
    ones, twos = np.divmod(keys, len(encoded[1].values))
    return encoded[0].values[ones], encoded[1].values[twos], inverse.astype(np.int64)


def _row_keys(encoded: list[Column]) -> Codes:
    keys = np.zeros(len(encoded[0].codes), dtype=np.int64)
    for column in encoded:
        keys = keys * len(column.values) + column.codes
    return keys
