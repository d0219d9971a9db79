"""Gamma-Gamma: its gradient, what it learns, and what it says where there is no mean."""

import json

import numpy
import pandas
import pytest
from pytest import approx

from c360ml.customer_value import GammaGamma
from c360ml.customer_value.compression import encode
from c360ml.customer_value.gamma_gamma import _Spends, log_likelihood
from c360ml.errors import DataError, ModelError, NotFittedError


def test_gradient_is_that_of_the_log_likelihood(calibration):
    """The analytic gradient agrees with finite differences."""
    buyers = calibration[calibration.mean_spend > 0]
    x = encode(buyers.repeat_purchases.to_numpy(float))
    spends = _Spends.of(x, buyers.mean_spend.to_numpy(), numpy.ones(len(buyers)))
    params = numpy.array([5.0, 3.0, 20.0])
    _, gradient = log_likelihood(tuple(params), spends)

    for place, side in enumerate(numpy.diag(params * 1e-6)):
        up, _ = log_likelihood(tuple(params + side), spends)
        down, _ = log_likelihood(tuple(params - side), spends)
        assert gradient[place] == approx((up - down) / (2 * side[place]), rel=1e-5)


def test_currency_does_not_matter(calibration, gamma_gamma):
    """Spend in cents gives v times 100 and the same p and q."""
    in_cents = calibration.assign(mean_spend=calibration.mean_spend * 100)
    wanted = gamma_gamma.params_ | {"v": gamma_gamma.params_["v"] * 100}

    assert GammaGamma().fit(in_cents).params_ == approx(wanted, rel=1e-8)


def test_weights_count_customers(calibration):
    """A row of weight 2 teaches as two equal rows do, also of independence."""
    twice = GammaGamma().fit(pandas.concat([calibration, calibration], ignore_index=True))
    weighted = GammaGamma().fit(calibration.assign(weight=2))

    assert weighted.params_ == approx(twice.params_, rel=1e-9)
    assert weighted.independence_ == approx(twice.independence_, rel=1e-9)


def test_known_parameters_are_found(simulate):
    """Parameters of simulated customers are found within four standard errors."""
    model = GammaGamma().fit(simulate(15_000))

    for name, truth in {"p": 6.0, "q": 4.0, "v": 60.0}.items():
        assert abs(model.params_[name] - truth) < 4 * model.standard_errors_[name]
    assert abs(model.independence_["pearson"]) < 0.03


def test_no_mean_where_q_is_at_most_one(simulate):
    """With q <= 1 the population has no mean: None, NaN for new customers, never a negative spend."""
    heavy = simulate(20_000, q=0.7, p=3.0)
    model = GammaGamma().fit(heavy)
    spend = model.expected_spend(heavy)
    bought_once = heavy.repeat_purchases == 0

    assert model.params_["q"] < 1
    assert model.population_mean_spend_ is None
    assert numpy.isnan(spend[bought_once]).all()
    assert (spend[~bought_once] > 0).all()


def test_spend_lies_between_own_and_population_mean(gamma_gamma, calibration):
    """The expected spend of a repeat buyer lies between their own mean and the population's."""
    buyers = calibration[calibration.mean_spend > 0]
    expected, own = gamma_gamma.expected_spend(buyers), buyers.mean_spend.to_numpy()
    population = gamma_gamma.population_mean_spend_

    assert (expected >= numpy.minimum(own, population) - 1e-9).all()
    assert (expected <= numpy.maximum(own, population) + 1e-9).all()


def test_unknown_and_refunded_spend(gamma_gamma):
    """Unknown spend gives the population's mean; spend that was refunded counts as none."""
    history = pandas.DataFrame({"repeat_purchases": [3, 3, 3], "mean_spend": [None, -5.0, 0.0]})
    unknown, refunded, nothing = gamma_gamma.expected_spend(history)

    assert unknown == approx(gamma_gamma.population_mean_spend_)
    assert 0 < refunded == nothing < unknown


def test_model_survives_json(gamma_gamma, calibration):
    """A model read back from JSON predicts the same."""
    again = GammaGamma.from_dict(json.loads(json.dumps(gamma_gamma.to_dict())))

    assert again.to_dict() == gamma_gamma.to_dict()
    assert (again.expected_spend(calibration) == gamma_gamma.expected_spend(calibration)).all()
    with pytest.raises(ModelError, match="format 7"):
        GammaGamma.from_dict(gamma_gamma.to_dict() | {"format": 7})


@pytest.mark.parametrize("spend", [[5.0] * 30, [None] * 30, [-1.0, -2.0] * 15])
def test_spend_must_vary_and_be_positive(spend):
    """Without different positive spends there is nothing to learn."""
    history = pandas.DataFrame({"repeat_purchases": 2, "mean_spend": pandas.array(spend, dtype="Float64")})

    with pytest.raises(DataError, match="different, positive mean spends"):
        GammaGamma().fit(history)


def test_unfitted_model_says_so(calibration):
    """A model that was not fitted does not answer."""
    with pytest.raises(NotFittedError, match="GammaGamma"):
        GammaGamma().expected_spend(calibration)
