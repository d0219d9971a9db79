"""What the models suppose, held against planted departures."""

import math

import numpy
import pandas
import pytest
from pytest import approx

from c360ml.customer_value import GammaGamma, value_transactions
from c360ml.customer_value.guard_rails import independence, stationarity

ROLES = {"customer": "customer", "date": "day", "amount": "paid"}
MONTHS = [f"{2020 + month // 12}-{month % 12 + 1:02d}" for month in range(36)]


def test_independence_is_an_effect_size_with_an_interval(gamma_gamma):
    """CDNOW's correlation is a small effect, whose interval is that of the textbook formula."""
    found = independence(gamma_gamma)
    rho = gamma_gamma.independence_["spearman"]
    wide = 1.959964 * math.sqrt((1 + rho**2 / 2) / (946 - 3))

    assert found["effect"] == "small"
    assert (found["low"], found["high"]) == approx(
        (math.tanh(math.atanh(rho) - wide), math.tanh(math.atanh(rho) + wide))
    )
    assert "Frequent buyers spend more" in found["words"]


def test_dependence_is_called_large():
    """Spend that grows with frequency is a large effect, and the words say in which way values are wrong."""
    random = numpy.random.default_rng(5)
    x = random.integers(1, 9, 400)
    history = pandas.DataFrame({"repeat_purchases": x, "mean_spend": x * random.gamma(6, 1 / 6, 400)})
    found = independence(GammaGamma(penalty=1).fit(history))

    assert found["effect"] == "large"
    assert "too low" in found["words"]


def test_chance_is_no_departure():
    """Months that differ by chance only have an effect near 0, no trend and no seasons."""
    random = numpy.random.default_rng(6)
    expected = numpy.full(36, 2_000.0)
    found = stationarity(random.poisson(expected).astype(float), expected, MONTHS)

    assert found["effect"] < 0.02
    assert found["trend_low"] < 0 < found["trend_high"]
    assert found["seasonality"] < 0.4


def test_planted_seasons_are_found():
    """A December of twice the purchases is told as a season, not as a trend."""
    random = numpy.random.default_rng(7)
    expected = numpy.full(36, 2_000.0)
    factor = numpy.array([2.0 if month.endswith("12") else 1.0 for month in MONTHS])
    found = stationarity(random.poisson(expected * factor).astype(float), expected, MONTHS)

    assert found["effect"] == approx(math.sqrt(numpy.var(factor)) / factor.mean(), rel=0.05)
    assert found["seasonality"] > 0.95
    assert found["trend_low"] < 0 < found["trend_high"]


def test_planted_trend_is_found():
    """A growth of 20 % a year is within its interval, and the words say that forecasts are too low."""
    random = numpy.random.default_rng(8)
    expected = numpy.full(36, 2_000.0)
    growth = 1 + 0.2 * (numpy.arange(36) - 17.5) / 12
    found = stationarity(random.poisson(expected * growth).astype(float), expected, MONTHS)

    assert found["trend_low"] < 0.2 < found["trend_high"]
    assert found["trend_high"] - found["trend_low"] < 0.1
    assert "too low" in found["words"]


def test_months_hold_all_purchases(cdnow):
    """Purchases by month are all purchases, and the model's sum is that of its tracking."""
    valuation = value_transactions(cdnow, **ROLES, model="bg_nbd", holdout_start="1998-06-30")
    months = valuation.metrics["guard_rails"]["months"]["by_month"]
    history = valuation.history

    assert sum(row["purchases"] for row in months) == history.purchases.sum()
    assert sum(row["repeat_purchases"] for row in months) == history.repeat_purchases.sum()
    assert [row["month"] for row in months] == [
        str(each) for each in pandas.period_range("1997-01", "1998-06", freq="M")
    ]
    expected = valuation.backtest.tracking[-1]["expected_cumulative"]  # fitted on a day less
    assert sum(row["expected"] for row in months) == approx(expected, rel=0.01)


def test_one_time_buyers_are_counted_and_missed(cdnow):
    """Customers who bought once are counted; where there is none, the words ask for them."""
    often = cdnow[cdnow.customer.map(cdnow.groupby("customer").day.nunique()) > 1]
    with_all, without = (value_transactions(rows, **ROLES, model="mbg_nbd").metrics for rows in (cdnow, often))

    assert with_all["one_time_buyers"] == with_all["customers"] - with_all["repeat_buyers"] == 1218
    assert "part of every fit" in with_all["guard_rails"]["one_time_buyers"]["words"]
    assert "put them back" in without["guard_rails"]["one_time_buyers"]["words"]


@pytest.fixture(scope="module")
def wild(cdnow):
    """CDNOW with spends that have no finite mean: q is below 1."""
    random = numpy.random.default_rng(9)
    level = {customer: 10 / random.gamma(0.6) for customer in sorted(set(cdnow.customer))}
    paid = cdnow.customer.map(level) * random.gamma(6, 1 / 6, len(cdnow))
    return value_transactions(cdnow.assign(paid=paid.round(2)), **ROLES, model="bg_nbd")


def test_no_mean_spend_is_told_and_never_negative(wild):
    """With q <= 1 no value is negative or missing, and the notes say what is wrong and what to do."""
    assert wild.metrics["gamma_gamma"]["params"]["q"] < 1
    assert (wild.table[["expected_spend", "projected_value", "value_all_years"]] >= 0).all().all()
    (note,) = (each for each in wild.metrics["notes"] if "infinite" in each)
    assert "Look for amounts" in note
    assert "q = 0." in wild.metrics["gamma_gamma"]["no_mean_because"]
