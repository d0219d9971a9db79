"""lifetimes as oracle, where it is finite."""

import warnings

import numpy
import pytest
from pytest import approx

from c360ml.customer_value import BgNbd, GammaGamma

HISTORY = ["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"]


@pytest.fixture(scope="module")
def lifetimes():
    """The archived package; importing it warns on today's pandas."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        yield lifetimes


def test_bgnbd_agrees(lifetimes, simulate):
    """Parameters, expectations and probabilities alive agree with lifetimes on simulated customers."""
    drawn = simulate(5000, seed=3)
    x, t_x, age = (drawn[name].to_numpy(float) for name in HISTORY)
    ours = BgNbd().fit(drawn)
    theirs = lifetimes.BetaGeoFitter().fit(x, t_x, age)
    r, alpha, a, b = (ours.params_[name] for name in ("r", "alpha", "a", "b"))
    theirs_at_ours = theirs.params_.copy()
    theirs_at_ours[:] = [r, alpha, a, b]

    assert dict(theirs.params_) == approx(ours.params_, rel=1e-3)
    theirs.params_ = theirs_at_ours
    expected = theirs.conditional_expected_number_of_purchases_up_to_time(52, x, t_x, age)
    assert ours.expected_purchases(52, drawn) == approx(numpy.asarray(expected), rel=1e-8)
    alive = theirs.conditional_probability_alive(x, t_x, age)
    assert ours.probability_alive(drawn) == approx(numpy.asarray(alive), rel=1e-10)


def test_gamma_gamma_agrees(lifetimes, calibration):
    """Parameters and expected spends agree with lifetimes on CDNOW."""
    buyers = calibration[calibration.mean_spend > 0]
    ours = GammaGamma().fit(calibration)
    theirs = lifetimes.GammaGammaFitter().fit(buyers.repeat_purchases, buyers.mean_spend)

    assert dict(theirs.params_) == approx(ours.params_, rel=1e-4)
    expected = theirs.conditional_expected_average_profit(buyers.repeat_purchases, buyers.mean_spend)
    assert ours.expected_spend(buyers) == approx(expected.to_numpy(), rel=1e-4)
