"""Models go to lifetimes' fitters and come back."""

import warnings

import numpy
import pytest
from pytest import approx

from c360ml.customer_value import BgNbd, GammaGamma, MbgNbd, ParetoNbd
from c360ml.errors import ModelError

HISTORY = ["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"]
FITTERS = {BgNbd: "BetaGeoFitter", MbgNbd: "ModifiedBetaGeoFitter", ParetoNbd: "ParetoNBDFitter"}
EVERY = pytest.mark.parametrize("model", FITTERS, ids=lambda model: model.__name__)


@pytest.fixture(scope="module")
def lifetimes():
    """The archived package; importing it warns on today's pandas."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        yield lifetimes


@pytest.fixture(scope="module")
def fitted(bgnbd, mbgnbd, paretonbd):
    """Each model fitted to CDNOW's calibration period."""
    return {BgNbd: bgnbd, MbgNbd: mbgnbd, ParetoNbd: paretonbd}


@EVERY
def test_a_fitter_predicts_what_the_model_does(lifetimes, model, fitted, calibration):
    """The fitter made of a model is lifetimes' own, and agrees wherever it is finite."""
    fitter = fitted[model].to_lifetimes()
    x, t_x, age = (calibration[name].to_numpy(float) for name in HISTORY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = numpy.asarray(fitter.predict(52, x, t_x, age))
        alive = numpy.asarray(fitter.conditional_probability_alive(x, t_x, age))
    finite = numpy.isfinite(expected) & numpy.isfinite(alive)

    assert type(fitter) is getattr(lifetimes, FITTERS[model])
    assert finite.mean() > 0.99
    assert fitted[model].expected_purchases(52, calibration)[finite] == approx(expected[finite], rel=1e-7)
    assert fitted[model].probability_alive(calibration)[finite] == approx(alive[finite], rel=1e-7)


@EVERY
def test_a_fitter_becomes_a_model(lifetimes, model, fitted, calibration):
    """A fitter of days becomes a model of weeks, with errors and likelihood worked out from its data."""
    fitter = getattr(lifetimes, FITTERS[model])()
    x, t_x, age = (calibration[name].to_numpy(float) for name in HISTORY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numpy.random.seed(1)
        fitter.fit(x, t_x * 7, age * 7)
    taken = model.from_lifetimes(fitter, weeks_per_unit=1 / 7)

    assert taken.params_ == approx(fitted[model].params_, rel=0.02)
    assert taken.params_["alpha"] == approx(fitter.params_["alpha"] / 7, rel=1e-12)
    assert taken.log_likelihood_ == approx(fitted[model].log_likelihood_, abs=0.01)
    assert taken.log_likelihood_ < fitted[model].log_likelihood_
    assert taken.standard_errors_ == approx(fitted[model].standard_errors_, rel=0.05)
    del fitter.data
    with pytest.raises(ModelError, match="hold its data"):
        model.from_lifetimes(fitter, weeks_per_unit=1 / 7)
    again = model.from_lifetimes(fitter, weeks_per_unit=1 / 7, history=calibration)
    assert again.params_ == taken.params_


def test_gamma_gamma_goes_and_comes(lifetimes, gamma_gamma, calibration):
    """A Gamma-Gamma fitter agrees on expected spend, and one that was fitted becomes a model."""
    buyers = calibration[calibration.mean_spend > 0]
    fitter = gamma_gamma.to_lifetimes()
    expected = fitter.conditional_expected_average_profit(buyers.repeat_purchases, buyers.mean_spend)
    assert gamma_gamma.expected_spend(buyers) == approx(expected.to_numpy(), rel=1e-12)

    theirs = lifetimes.GammaGammaFitter().fit(buyers.repeat_purchases, buyers.mean_spend)
    taken = GammaGamma.from_lifetimes(theirs)
    assert taken.params_ == approx(dict(theirs.params_), rel=1e-12)
    assert taken.standard_errors_ == approx(gamma_gamma.standard_errors_, rel=1e-3)
    assert taken.independence_ == approx(gamma_gamma.independence_)


def test_what_is_no_fitter_of_the_model_is_refused(lifetimes, calibration):
    """Another model's fitter, an unfitted one, and parameters that are no optimum are refused."""
    with pytest.raises(ModelError, match=r"BG/NBD must come from a BetaGeoFitter. Got ParetoNBDFitter"):
        BgNbd.from_lifetimes(lifetimes.ParetoNBDFitter(), weeks_per_unit=1)
    with pytest.raises(ModelError, match="must be fitted"):
        BgNbd.from_lifetimes(lifetimes.BetaGeoFitter(), weeks_per_unit=1)
    x, t_x, age = (calibration[name].to_numpy(float) for name in HISTORY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter = lifetimes.BetaGeoFitter().fit(x, t_x, age)
    fitter.params_["r"], fitter.params_["a"] = 50.0, 50.0
    with pytest.raises(ModelError, match="optimum"):
        BgNbd.from_lifetimes(fitter, weeks_per_unit=1)
