"""Value by year, without end, by margin; once per distinct history or once per customer, it is the same."""

import numpy
import pandas
import pytest
from pytest import approx

from c360ml.customer_value import BgNbd, GammaGamma, ParetoNbd, customer_lifetime_value
from c360ml.customer_value.purchase_model import WEEKS_PER_YEAR
from c360ml.errors import DataError


def test_years_add_up(bgnbd, gamma_gamma, calibration):
    """Values of the first three years alone add up to the value within three years."""
    valued = customer_lifetime_value(bgnbd, gamma_gamma, calibration, horizon_weeks=3 * WEEKS_PER_YEAR)
    years = valued[["value_year_1", "value_year_2", "value_year_3"]]

    assert years.sum(axis=1).to_numpy() == approx(valued.projected_value.to_numpy(), rel=1e-9)
    assert (numpy.diff(years.to_numpy(), axis=1) < 0).all()
    assert (valued.value_all_years > valued.projected_value).all()


@pytest.mark.parametrize("name", ["bgnbd", "mbgnbd", "paretonbd"])
def test_without_end_is_the_limit_of_years(name, request, calibration):
    """The value without end is what many years add up to."""
    model = request.getfixturevalue(name)
    customers = calibration.head(40)
    found = model.outlook(customers, years=150, discount_rate_per_year=0.15)
    years = sum(found[f"discounted_year_{year}"] for year in range(1, 151))

    assert found["discounted_all_years"] == approx(years, rel=1e-6)
    assert found["discounted_all_years"] == approx(
        model.discounted_purchases(numpy.inf, customers, discount_rate_per_year=0.15)
    )


def test_without_discount_there_may_be_no_sum(bgnbd, gamma_gamma, calibration):
    """At a rate of 0 the endless sum of BG/NBD with a < 1 is infinite: null, not a number."""
    valued = customer_lifetime_value(bgnbd, gamma_gamma, calibration, discount_rate_per_year=0)

    assert valued.value_all_years.isna().all()
    assert valued.value_year_3.notna().all()


def test_margin_is_a_factor_of_all_value(bgnbd, gamma_gamma, calibration):
    """A margin of 30 % takes 30 % of past and expected value, and leaves purchases and spend."""
    full, part = (customer_lifetime_value(bgnbd, gamma_gamma, calibration, margin=share) for share in (1.0, 0.3))
    values = ["historical_value", "projected_value", "value_year_1", "value_year_2", "value_year_3", "value_all_years"]

    assert part[values].to_numpy() == approx(0.3 * full[values].to_numpy())
    assert part[["expected_purchases", "expected_spend"]].equals(full[["expected_purchases", "expected_spend"]])
    for impossible in (0, 1.5, -1, float("nan")):
        with pytest.raises(DataError, match="margin"):
            customer_lifetime_value(bgnbd, gamma_gamma, calibration, margin=impossible)


def test_a_customer_alone_is_valued_as_among_all(paretonbd, calibration):
    """What is worked out once per distinct history is what each customer would get alone."""
    together = paretonbd.outlook(calibration)
    for place in (0, 500, 2356):
        alone = paretonbd.outlook(calibration.iloc[[place]])
        assert {name: values[0] for name, values in alone.items()} == approx(
            {name: values[place] for name, values in together.items()}, rel=1e-9
        )


def test_units_do_not_matter(calibration):
    """Times in days instead of weeks (x 7) give the same purchases for 7 times the horizon, of all models."""
    times = ["first_to_last_purchase_weeks", "age_weeks"]
    in_days = calibration.assign(**{name: calibration[name] * 7 for name in times})
    for model in (BgNbd, ParetoNbd):
        weeks, days = model().fit(calibration), model().fit(in_days)
        assert days.expected_purchases(7 * 39, in_days) == approx(weeks.expected_purchases(39, calibration), rel=1e-6)


def test_many_spenders_are_fitted(simulate):
    """Gamma-Gamma finds planted parameters where it must begin on a sample of the customers."""
    random = numpy.random.default_rng(11)
    x = random.integers(1, 6, 60_000)
    spend = random.gamma(6.0 * x, 1.0) / x / random.gamma(4.0, 1 / 60.0, len(x))
    found = GammaGamma().fit(pandas.DataFrame({"repeat_purchases": x, "mean_spend": spend}))

    assert found.search_["agreeing_starts"] == 3
    for name, planted in {"p": 6.0, "q": 4.0, "v": 60.0}.items():
        assert abs(found.params_[name] - planted) < 4 * found.standard_errors_[name]
