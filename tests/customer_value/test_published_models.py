"""The published numbers of MBG/NBD and Pareto/NBD on CDNOW, to half a unit of the last printed digit.

FHL: Fader, Hardie, Lee 2005. BTYD: the walkthrough and the manual of the R package. CLVTools, lifetimes, pymc: their
own tests.
"""

import numpy
import pandas
import pytest
from pytest import approx

from c360ml.customer_value import MbgNbd, ParetoNbd
from c360ml.customer_value.purchase_model import WEEKS_PER_YEAR

# BTYD prints its estimates as .553, 10.58, .606, 11.658. These four round to them: least squares on the seven numbers
# that it prints of customer 1516 and the paradox. That all seven and the weekly tracking, which was not used, then
# hold to the last digit is what the tests show.
BTYD = {"r": 0.5533713, "alpha": 10.579521, "s": 0.6059066, "beta": 11.658067}
WEEKS = (20, 25, 39, 52, 65, 78)


def customers(*rows):
    """Histories."""
    return pandas.DataFrame(rows, columns=["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"])


@pytest.fixture(scope="module")
def known_for(calibration):
    """Weeks between the first purchase of all and that of each customer."""
    return ((calibration.first_purchase_on - calibration.first_purchase_on.min()).dt.days / 7).to_numpy()


@pytest.fixture(scope="module")
def actual_holdout(cdnow, calibration):
    """Days with a purchase in weeks 40 to 78, of each customer."""
    later = cdnow[cdnow.day >= 19971001].groupby("customer").day.nunique()
    return later.reindex(calibration.customer_id, fill_value=0).to_numpy()


def test_parameters_of_mbgnbd(mbgnbd):
    """Lifetimes' tests print r .525, alpha 6.183, a .891, b 1.614, of BTYDplus."""
    assert mbgnbd.params_ == approx({"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}, abs=0.0005)
    assert mbgnbd.log_likelihood_ == approx(-9582.1327, abs=0.004)  # worked out there from times rounded to .01


def test_standard_errors_of_mbgnbd(mbgnbd):
    """Standard errors agree with an independent computation from times rounded to .01 weeks."""
    wanted = {"r": 0.083263, "alpha": 0.695593, "a": 0.154783, "b": 0.537464}

    assert mbgnbd.standard_errors_ == approx(wanted, rel=1.5e-4)


def test_parameters_of_paretonbd(paretonbd):
    """FHL print r .553, alpha 10.578, s .606, beta 11.669 and log-likelihood -9595.0; CLVTools -9594.976."""
    assert paretonbd.params_ == approx({"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}, abs=0.0005)
    assert paretonbd.log_likelihood_ == approx(-9594.976, abs=0.0005)


def test_parameters_of_paretonbd_to_seven_digits(paretonbd):
    """CLVTools prints seven digits; its search stopped up to 5e-4 away, where the likelihood is 1e-6 lower."""
    printed = {"r": 0.55315, "alpha": 10.57633, "s": 0.60625, "beta": 11.67150}

    assert paretonbd.params_ == approx(printed, rel=5e-4)


def test_standard_errors_of_paretonbd(paretonbd):
    """CLVTools prints FHL's standard errors, of a search that stopped 1e-4 away."""
    printed = {"r": 0.0476264, "alpha": 0.8427222, "s": 0.1872594, "beta": 6.2105448}

    assert paretonbd.standard_errors_ == approx(printed, rel=1.5e-4)


def test_customer_1516_of_btyd(with_params):
    """BTYD prints expectation and probability alive of customer 1516."""
    model = with_params(ParetoNbd, BTYD)
    customer = customers((26, 30 + 6 / 7, 31))

    assert model.expected_purchases_new(52) == approx(1.473434, abs=5e-7)
    assert model.expected_purchases(52, customer) == approx([25.45647], abs=5e-6)
    assert model.probability_alive(customer) == approx([0.997874], abs=5e-7)


def test_increasing_frequency_paradox(with_params):
    """BTYD prints four expectations that fall with x, for customers not seen since week 20."""
    model = with_params(ParetoNbd, BTYD)
    printed = [0.7062289, 0.1442396, 0.02250658, 0.00309267]

    expected = model.expected_purchases(52, customers((10, 20, 39), (15, 20, 39), (20, 20, 39), (25, 20, 39)))
    assert expected == approx(printed, rel=1e-6)
    assert abs(expected - printed) == approx([0] * 4, abs=5e-8)


def test_expected_purchases_of_a_new_customer(with_params):
    """BTYD's manual prints the expectation of weeks 0 to 9 at r .55, alpha 10.56, s .61, beta 11.64."""
    model = with_params(ParetoNbd, {"r": 0.55, "alpha": 10.56, "s": 0.61, "beta": 11.64})
    printed = [0.0, 0.05077821, 0.09916088, 0.14542507, 0.18979930, 0.23247466, 0.27361274, 0.31335159, 0.35181024]

    assert model.expected_purchases_new(numpy.arange(10)) == approx([*printed, 0.38909211], abs=5.001e-9)


def test_expectations_of_frequent_buyers(with_params):
    """Lifetimes' tests print expectations where its own difference of 2F1 underflowed."""
    model = with_params(ParetoNbd, {"r": 0.55, "alpha": 10.58, "s": 0.61, "beta": 11.67})

    expected = model.expected_purchases(10, customers((132, 200, 200), (133, 200, 200)))
    assert expected == approx([6.2060517889632418, 6.2528722475748113], rel=1e-13)


def test_residual_purchases(with_params, paretonbd):
    """Discounted residual purchases agree with two independent computations at CSV-rounded estimates."""
    model = with_params(ParetoNbd, {"r": 0.553276, "alpha": 10.577612, "s": 0.606213, "beta": 11.667909})
    rate = 1.15 ** (WEEKS_PER_YEAR / 52) - 1  # there a year has 52 weeks
    histories = customers((0, 0, 38.86), (2, 30.43, 38.86), (7, 35, 38.86))

    ours = model.discounted_purchases(numpy.inf, histories, discount_rate_per_year=rate)
    assert ours == approx([0.4783, 6.5002, 20.7104], rel=1e-4)


@pytest.mark.parametrize(("x", "t_x", "printed"), [(0, 0, -0.41792826), (200, 38, 100.7869)])
def test_log_likelihood_of_one_customer(with_params, x, t_x, printed):
    """pymc-marketing's tests print the MBG/NBD log-likelihood of single customers, from note 027."""
    model = with_params(MbgNbd, {"r": 0.25, "alpha": 4.0, "a": 0.80, "b": 2.50})

    assert model.log_likelihood(customers((x, t_x, 40))) == approx(printed, abs=0.00005)


def test_weekly_tracking(mbgnbd, paretonbd, known_for):
    """Expected cumulative repeat purchases by week are those of an independent computation."""
    of_mbg = [mbgnbd.expected_purchases_new(week - known_for[known_for < week]).sum() for week in WEEKS]
    of_pareto = [paretonbd.expected_purchases_new(week - known_for[known_for < week]).sum() for week in WEEKS]

    assert of_mbg == approx([1315.06, 1669.49, 2483.0, 3089.2, 3604.2, 4054.6], abs=0.06)
    assert of_pareto == approx([1308.914, 1674.323, 2532.8, 3191.2, 3763.9, 4275.4], abs=0.07)
    assert of_mbg[-1] / 4339 - 1 == approx(-0.066, abs=0.0005)
    assert of_pareto[-1] / 4339 - 1 == approx(-0.015, abs=0.0005)


def test_weekly_tracking_of_btyd(with_params, known_for):
    """BTYD prints the expected cumulative repeat purchases of weeks 20 and 25, lifetimes those between, rounded."""
    model = with_params(ParetoNbd, BTYD)
    expected = [model.expected_purchases_new(week - known_for).sum() for week in range(20, 26)]

    assert expected[0] == approx(1308.856, abs=0.0005)
    assert expected[-1] == approx(1674.253, abs=0.001)
    assert expected == approx([1309, 1385, 1460, 1533, 1604, 1674], abs=0.5)


def test_holdout_by_calibration_frequency(paretonbd, calibration, actual_holdout):
    """BTYD prints mean holdout purchases by calibration frequency, actual and expected."""
    group = numpy.minimum(calibration.repeat_purchases.to_numpy(), 7)
    expected = paretonbd.expected_purchases(39, calibration)
    means = [expected[group == x].mean() for x in range(8)]
    actual = [actual_holdout[group == x].mean() for x in range(8)]

    assert actual == approx([0.237, 0.697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359], abs=0.0005)
    assert means[:4] == approx([0.138, 0.600, 1.196, 1.714], abs=0.00055)
    assert means[4:] == approx([2.399, 2.907, 3.819, 6.403], abs=0.0008)  # of BTYD's earlier stop


def test_correlation_with_the_holdout(bgnbd, paretonbd, mbgnbd, calibration, actual_holdout):
    """FHL's correlations of expected with actual holdout purchases: .626 and .630, and .996 with each other."""
    of_bg, of_pareto, of_mbg = (model.expected_purchases(39, calibration) for model in (bgnbd, paretonbd, mbgnbd))

    assert numpy.corrcoef(of_bg, actual_holdout)[0, 1] == approx(0.626, abs=0.0005)
    assert numpy.corrcoef(of_pareto, actual_holdout)[0, 1] == approx(0.630, abs=0.0005)
    assert numpy.corrcoef(of_bg, of_pareto)[0, 1] == approx(0.996, abs=0.0006)
    assert numpy.corrcoef(of_mbg, actual_holdout)[0, 1] == approx(0.627, abs=0.0005)
    assert [of.sum() / actual_holdout.sum() - 1 for of in (of_bg, of_mbg, of_pareto)] == approx(
        [-0.121, -0.162, -0.115], abs=0.0006
    )
