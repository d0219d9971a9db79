"""Distinct rows are what they should be, however many combinations there could be."""

import numpy
from hypothesis import given
from hypothesis import strategies as some

from c360ml.customer_value import compression
from c360ml.customer_value.compression import Histories, distinct_rows, encode

ROWS = some.lists(some.tuples(*[some.sampled_from([-0.0, 0.0, 0.5, 1 / 7, 3.0, 1e300])] * 3), min_size=1, max_size=40)


@given(rows=ROWS)
def test_distinct_rows_are_those_of_numpy(rows):
    """Distinct rows, their order and their weights are those of numpy.unique; minus zero is zero."""
    table = numpy.array(rows) + 0.0
    columns, weight = distinct_rows(list(numpy.array(rows).T), numpy.ones(len(rows)))
    distinct, counts = numpy.unique(table, axis=0, return_counts=True)

    assert numpy.array_equal(distinct, numpy.column_stack([column.per_row() for column in columns]))
    assert numpy.array_equal(counts, weight)
    assert numpy.array_equal(encode(table[:, 0]).per_row(), table[:, 0])


@given(rows=ROWS)
def test_more_combinations_than_numbers(rows):
    """Where the combinations of values outgrow 64 bits, the distinct rows are the same."""
    columns = list(numpy.array(rows).T)
    plain, weight = distinct_rows(columns, numpy.ones(len(rows)))
    most = compression._MOST_KEYS
    try:
        compression._MOST_KEYS = 2
        again, weights = distinct_rows(columns, numpy.ones(len(rows)))
    finally:
        compression._MOST_KEYS = most

    assert all(numpy.array_equal(one.per_row(), two.per_row()) for one, two in zip(plain, again, strict=True))
    assert numpy.array_equal(weight, weights)


def test_histories_of_cells_are_kept_apart():
    """Equal histories of different cells stay two, and rounding or another unit keeps their weights."""
    x, t_x, age = numpy.array([1.0, 1, 1, 0]), numpy.array([2.0, 2, 2, 0]), numpy.full(4, 9.0)
    histories = Histories.of(x, t_x, age, numpy.ones(4), numpy.array([0, 1, 1, 0]))

    for kept in (histories, histories.in_units_of(3.0), histories.rounded(60)):
        assert kept.x.per_row().tolist() == [0, 1, 1]
        assert kept.cells.tolist() == kept.age.cells[kept.age.codes].tolist() == [0, 0, 1]
        assert kept.weight.tolist() == [1, 1, 2]
    assert histories.in_units_of(3.0).age.per_row().tolist() == [3, 3, 3]
