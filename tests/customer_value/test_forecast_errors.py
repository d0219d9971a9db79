"""Errors of a forecast: against brute force, and whatever the order of customers."""

import numpy
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from c360ml.customer_value.forecast_errors import by_tenths, forecast_errors, normalized_gini

CUSTOMERS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=2, max_size=30)


def gini_by_pairs(amounts):
    """Gini coefficient by its definition: mean absolute difference by twice the mean."""
    return abs(amounts[:, None] - amounts[None, :]).mean() / (2 * amounts.mean())


@given(CUSTOMERS.filter(lambda rows: len({actual for actual, _ in rows}) > 1))
def test_own_ranking_is_perfect(rows):
    """What came ranks itself perfectly, a constant not at all, its opposite as badly as can be."""
    actual = numpy.array([row[0] for row in rows], dtype=float)

    assert normalized_gini(actual, actual) == approx(1.0)
    assert normalized_gini(actual, numpy.ones(len(actual))) == approx(0.0)
    assert normalized_gini(actual, -actual) == approx(-1.0)


@given(CUSTOMERS, st.randoms(use_true_random=False))
def test_order_of_customers_does_not_matter(rows, random):
    """Ties of the forecast share what came, so no order of rows changes a measure."""
    turned = random.sample(rows, len(rows))
    measures = [
        (by_tenths(actual, forecast), forecast_errors(actual, forecast))
        for actual, forecast in (numpy.array(each, dtype=float).T for each in (rows, turned))
    ]

    for first, second in zip(measures[0][0], measures[1][0], strict=True):
        assert first == {name: value if value is None else approx(value, abs=1e-9) for name, value in second.items()}
    assert measures[0][1]["gini"] == (
        None if measures[1][1]["gini"] is None else approx(measures[1][1]["gini"], abs=1e-9)
    )


def test_gini_is_the_textbook_one():
    """Without normalisation the ranking's Gini is the one of the definition by pairs."""
    random = numpy.random.default_rng(3)
    actual = random.poisson(2.0, 200).astype(float)
    customers = numpy.arange(1, 201)
    curve = numpy.concatenate([[0], numpy.cumsum(numpy.sort(actual)[::-1])]) / actual.sum()
    by_curve = 2 * numpy.trapezoid(curve, numpy.concatenate([[0], customers / 200])) - 1

    assert by_curve == approx(gini_by_pairs(actual))


def test_tenths_hold_all_customers_and_purchases():
    """Tenths are of equal size, and add up to what came and what was forecast."""
    random = numpy.random.default_rng(4)
    actual, forecast = random.poisson(1.0, 137).astype(float), random.gamma(1.0, 1.0, 137).round(1)
    tenths = by_tenths(actual, forecast)

    assert sum(row["customers"] for row in tenths) == approx(137)
    assert sum(row["customers"] * row["actual_mean"] for row in tenths) == approx(actual.sum())
    assert sum(row["customers"] * row["predicted_mean"] for row in tenths) == approx(forecast.sum())
    predicted = [row["predicted_mean"] for row in tenths]
    assert predicted == sorted(predicted, reverse=True)
