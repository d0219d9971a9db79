"""The published numbers of CDNOW, to half a unit of the last printed digit.

FHL: Fader, Hardie, Lee 2005. BTYD: the walkthrough of the R package. CLVTools, lifetimes: their own tests.
"""

import numpy
import pandas
import pytest
from pytest import approx

from c360ml.customer_value import BgNbd, GammaGamma, holdout_backtest

BTYD = {"r": 0.2425967, "alpha": 4.413659, "a": 0.7929869, "b": 2.426164}
FHL = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}


def history_row(x, t_x, age):
    """One customer."""
    columns = ["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"]
    return pandas.DataFrame([[x, t_x, age]], columns=columns)


@pytest.fixture(scope="module")
def backtest(cdnow):
    """Forecast of weeks 40 to 78 from weeks 1 to 39."""
    return holdout_backtest(
        cdnow,
        customer="customer",
        date="day",
        amount="paid",
        holdout_start="1997-10-01",
        observation_end="1998-06-30",
    )


def test_summary_of_cdnow(calibration):
    """CDNOW's calibration period has 2,357 customers, 946 with 2,457 repeat purchases."""
    x = calibration.repeat_purchases

    assert (len(x), int((x > 0).sum()), int(x.sum())) == (2357, 946, 2457)


def test_parameters_of_bgnbd(bgnbd):
    """FHL print r .243, alpha 4.414, a .793, b 2.426 and log-likelihood -9582.4."""
    assert bgnbd.params_ == approx(FHL, abs=0.0005)
    assert bgnbd.log_likelihood_ == approx(-9582.4, abs=0.05)


def test_parameters_of_bgnbd_to_seven_digits(bgnbd, calibration):
    """CLVTools prints seven digits; its search stops where ours is better by less than 1e-8."""
    printed = {"r": 0.2425945, "alpha": 4.4136019, "a": 0.7929199, "b": 2.4258881}

    assert bgnbd.params_ == approx(printed, rel=1e-5)
    assert bgnbd.log_likelihood_ == approx(-9582.429, abs=0.0005)


def test_standard_errors_of_bgnbd(bgnbd):
    """The lifetimes docs print these from dates rounded to .01 weeks, which moves the fifth digit."""
    printed = {"r": 0.012557, "alpha": 0.378221, "a": 0.185719, "b": 0.705345}

    assert bgnbd.standard_errors_ == approx(printed, rel=1.5e-4)


def test_parameters_of_gamma_gamma(gamma_gamma):
    """Note 025 prints p 6.25, q 3.74, v 15.44; CLVTools the log-likelihood -4055.9177."""
    assert gamma_gamma.params_ == approx({"p": 6.25, "q": 3.74, "v": 15.44}, abs=0.005)
    assert gamma_gamma.log_likelihood_ == approx(-4055.9177, abs=0.00005)
    assert gamma_gamma.n_customers_ == 946


def test_expected_spend_of_the_first_customers(gamma_gamma, calibration):
    """Note 025's spreadsheet prints the expected spend of the first ten customers."""
    printed = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]

    assert gamma_gamma.expected_spend(calibration)[:10] == approx(printed, abs=0.005)


def test_independence_of_spend_and_frequency(gamma_gamma, calibration):
    """FHL print a correlation of .11, and .06 without the one customer of 21 orders of 300 dollars."""
    without = calibration[calibration.mean_spend.fillna(0) < 299]

    assert gamma_gamma.independence_["pearson"] == approx(0.11, abs=0.005)
    assert GammaGamma().fit(without).independence_["pearson"] == approx(0.06, abs=0.005)


@pytest.mark.parametrize(
    ("weeks", "printed"),
    [(1 / 7, 0.0078), (1, 0.0532), (3, 0.1506), (31.8571, 1.0405), (32, 1.0437)],
)
def test_expected_purchases_of_a_new_customer(bgnbd, weeks, printed):
    """FHL's spreadsheet prints the expectation of a new customer."""
    assert bgnbd.expected_purchases_new(weeks) == approx(printed, abs=0.00005)


def test_expected_purchases_in_78_weeks(bgnbd):
    """The spreadsheet prints 1.8576 for 78 weeks, the sum of 150 terms of a series; all of it is 1.8580."""
    r, alpha, a, b = bgnbd.params_.values()
    terms = numpy.arange(150)
    ratios = (r + terms) * (b + terms) / ((a + b - 1 + terms) * (terms + 1)) * 78 / (alpha + 78)
    series = 1 + numpy.cumprod(ratios).sum()
    cut_off = (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + 78)) ** r * series)

    assert cut_off == approx(1.8576, abs=0.00005)
    assert bgnbd.expected_purchases_new(78) == approx(1.8580, abs=0.00005)


def test_expected_purchases_of_the_example_customer(bgnbd):
    """FHL's example (x 2, t_x 30.43, T 38.86) is expected to buy 1.226 times in 39 weeks."""
    customer = history_row(2, 30.43, 38.86)

    assert bgnbd.expected_purchases(39, customer) == approx([1.226], abs=0.0005)
    assert bgnbd.probability_alive(customer) == approx([0.7266], abs=0.00005)


def test_customer_1516_of_btyd(with_params):
    """BTYD prints expectation and probability alive of customer 1516."""
    model = with_params(BgNbd, BTYD)
    customer = history_row(26, 30 + 6 / 7, 31)

    assert model.expected_purchases_new(52) == approx(1.444004, abs=5e-7)
    assert model.expected_purchases(52, customer) == approx([25.75659], abs=5e-5)
    assert model.probability_alive(customer) == approx([0.9688523], abs=5e-7)


@pytest.mark.parametrize(("x", "printed"), [(10, 0.3474606), (15, 0.04283391), (20, 0.004158973), (25, 0.0003583685)])
def test_increasing_frequency_paradox(with_params, x, printed):
    """BTYD prints four expectations that fall with x, for customers not seen since week 20."""
    model = with_params(BgNbd, BTYD)

    assert model.expected_purchases(52, history_row(x, 20, 39)) == approx([printed], rel=2e-7)


def test_probability_of_purchase_counts(with_params):
    """FHL's spreadsheet prints the distribution of purchase counts."""
    model = with_params(BgNbd, FHL)
    printed = [0.0019995214, 0.0015170236, 0.0011633150, 0.0009003148, 0.0007023638]
    printed += [0.0005517902, 0.0004361913, 0.0003467171, 0.0002769613, 0.0002222260]

    assert model.pmf(10, 2) == approx(1.07869e-07, rel=5e-6)
    assert model.pmf(0, 39) == approx(0.5737864, abs=5e-8)
    assert model.pmf(numpy.arange(11, 21), 30) == approx(printed, abs=5e-11)


@pytest.mark.parametrize(("x", "t_x", "printed"), [(0, 0, -0.59947382), (200, 38, 100.7957)])
def test_log_likelihood_of_one_customer(with_params, x, t_x, printed):
    """Note 027 prints the log-likelihood of single customers, where the plain form overflows."""
    model = with_params(BgNbd, {"r": 0.25, "alpha": 4.0, "a": 0.80, "b": 2.50})

    assert model.log_likelihood(history_row(x, t_x, 40)) == approx(printed, abs=0.00005)


@pytest.mark.parametrize(
    ("week", "actual", "printed", "digit"),
    [
        (20, 1359, 1312.458, 0.005),  # BTYD's search stopped at parameters 1e-4 away
        (25, 1672, 1669.6, 0.05),
        (39, 2457, 2501.5, 0.05),
        (52, 3183, 3134.1, 0.05),
        (65, 3844, 3680.7, 0.06),
        (78, 4339, 4165.7, 0.05),
    ],
)
def test_weekly_tracking(backtest, week, actual, printed, digit):
    """Cumulative repeat purchases by week, actual and expected, are those of the papers."""
    row = backtest.tracking[week - 1]

    assert (row["week"], row["actual_cumulative"], row["holdout"]) == (week, actual, week > 39)
    assert row["expected_cumulative"] == approx(printed, abs=digit)


def test_weekly_tracking_of_btyd(with_params, calibration):
    """BTYD prints the expected cumulative repeat purchases of weeks 20 to 25 at its parameters."""
    since_start = (calibration.first_purchase_on - calibration.first_purchase_on.min()).dt.days.to_numpy()
    model = with_params(BgNbd, BTYD)
    expected = [model.expected_purchases_new(week - since_start / 7).sum() for week in range(20, 26)]

    assert expected == approx([1312.458, 1387.346, 1460.392, 1531.713, 1601.418, 1669.6], abs=0.0015)


def test_holdout_by_calibration_frequency(backtest):
    """BTYD prints mean holdout purchases by calibration frequency, actual and expected."""
    rows = backtest.by_repeat_purchases
    actual = [0.237, 0.697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359]
    expected = [0.225, 0.523, 1.044, 1.520, 2.164, 2.654, 3.504, 6.157]

    assert [row["customers"] for row in rows] == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert [row["actual_mean"] for row in rows] == approx(actual, abs=0.0005)
    assert [row["predicted_mean"] for row in rows] == approx(expected, abs=0.0005)


def test_holdout_errors(backtest):
    """The holdout table of reference/customer_value_peers.md: BG/NBD beside the naive forecast."""
    wanted = {"bias": -0.121, "mae": 0.786, "rmse": 1.608, "correlation": 0.626}
    naive = {"bias": 0.557, "mae": 1.024, "rmse": 2.212, "correlation": 0.584}

    assert backtest.metrics["actual_purchases"] == 1882
    assert {name: backtest.metrics[name] for name in wanted} == approx(wanted, abs=0.001)
    assert {name: backtest.metrics[f"naive_{name}"] for name in naive} == approx(naive, abs=0.0005)
    assert backtest.metrics["spend_bias"] == approx(-0.156, abs=0.0005)
    assert backtest.metrics["spend_of_predicted_top_decile"] == approx(0.502, abs=0.0005)
