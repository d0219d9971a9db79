"""Lifetime value: discounting, and what is kept apart."""

import numpy
import pytest
from pytest import approx

from c360ml.customer_value import customer_lifetime_value
from c360ml.customer_value.purchase_model import WEEKS_PER_YEAR
from c360ml.errors import DataError


def test_without_discount_value_is_purchases_times_spend(bgnbd, gamma_gamma, calibration):
    """At a rate of 0 the projected value is expected purchases times expected spend."""
    valued = customer_lifetime_value(bgnbd, gamma_gamma, calibration, discount_rate_per_year=0)

    assert valued.projected_value.to_numpy() == approx(
        (valued.expected_purchases * valued.expected_spend).to_numpy(), rel=1e-12
    )


@pytest.mark.parametrize(("weeks", "rate"), [(52, 0.10), (260, 0.15), (4, 3.0)])
def test_discounting_is_that_of_many_short_periods(bgnbd, calibration, weeks, rate):
    """The continuous form agrees with the sum over thousands of short periods."""
    customers = calibration.head(20)
    edges = numpy.linspace(0, weeks, 1601)
    expected = numpy.array([bgnbd.expected_purchases(edge, customers) for edge in edges])
    middles = (edges[1:] + edges[:-1]) / 2
    summed = ((1 + rate) ** (-middles / WEEKS_PER_YEAR)) @ numpy.diff(expected, axis=0)

    assert bgnbd.discounted_purchases(weeks, customers, discount_rate_per_year=rate) == approx(summed, rel=3e-7)


def test_weekly_sum_is_near(bgnbd, calibration):
    """Discounting each week at its middle gives the same to a hundred-thousandth."""
    weekly = numpy.array([bgnbd.expected_purchases(week, calibration) for week in range(53)])
    factors = 1.10 ** (-(numpy.arange(52) + 0.5) / WEEKS_PER_YEAR)

    assert bgnbd.discounted_purchases(52, calibration).sum() == approx(
        (factors @ numpy.diff(weekly, axis=0)).sum(), rel=1e-5
    )


def test_past_and_future_stay_apart(bgnbd, gamma_gamma, calibration):
    """Historical value is total spend; where the history has none the column is left out."""
    valued = customer_lifetime_value(bgnbd, gamma_gamma, calibration)
    without = customer_lifetime_value(bgnbd, gamma_gamma, calibration.drop(columns="total_spend"))

    assert (valued.historical_value == calibration.total_spend).all()
    assert (valued.projected_value > 0).all()
    assert "historical_value" not in without


def test_no_horizon_no_value(bgnbd, gamma_gamma, calibration):
    """A horizon of no weeks is worth nothing, and a longer one more."""
    values = [
        customer_lifetime_value(bgnbd, gamma_gamma, calibration, horizon_weeks=weeks).projected_value.sum()
        for weeks in (0, 26, 52)
    ]

    assert values[0] == 0
    assert values == sorted(values)


def test_impossible_rates_are_refused(bgnbd, gamma_gamma, calibration):
    """A rate of -100 % or an endless horizon is refused."""
    with pytest.raises(DataError, match="discount rate"):
        customer_lifetime_value(bgnbd, gamma_gamma, calibration, discount_rate_per_year=-1)
    with pytest.raises(DataError, match="weeks ahead"):
        customer_lifetime_value(bgnbd, gamma_gamma, calibration, horizon_weeks=float("inf"))
