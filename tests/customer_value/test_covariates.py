"""Covariates that do not change: planted effects are found, whatever their unit, and forecasts follow them."""

import numpy
import pandas
import pytest
from pytest import approx

from c360ml.customer_value import BgNbd, MbgNbd, ParetoNbd, TripleCounts
from c360ml.errors import ColumnError, DataError, FitError, ModelError

BASE = {
    BgNbd: {"r": 0.9, "alpha": 10.0, "a": 0.9, "b": 2.5},
    MbgNbd: {"r": 0.9, "alpha": 8.0, "a": 0.9, "b": 2.5},
    ParetoNbd: {"r": 0.9, "alpha": 8.0, "s": 0.9, "beta": 20.0},
}
EVERY = pytest.mark.parametrize("model", BASE, ids=lambda model: model.__name__)
BUYS, LEAVES = 0.5, 0.8  # by unit of `web` and of `income` the rate is e**.5 times, and .8 added to leaving
CHOSEN = {"purchase_covariates": ["web"], "dropout_covariates": ["income", "web"]}


def params_with(model, web, income):
    """The parameters of note 019 for a customer with covariates."""
    base = dict(BASE[model])
    base["alpha"] *= numpy.exp(-BUYS * web)
    if "beta" in base:
        return base | {"beta": base["beta"] * numpy.exp(-LEAVES * income)}
    return base | {"a": base["a"] * numpy.exp(LEAVES * income / 2), "b": base["b"] * numpy.exp(-LEAVES * income / 2)}


@pytest.fixture(scope="module")
def planted(with_params):
    """Customers whose purchase rate depends on `web`, and leaving on `income`."""

    def draw(model):
        parts = []
        for place, (web, income) in enumerate((web, income) for web in (0, 1) for income in (-1, 0, 1)):
            age = numpy.random.default_rng(place).integers(200, 720, 2500) / 7
            source = with_params(model, params_with(model, web, income))
            part = source.simulate(2500, age_weeks=age, seed=place).to_pandas()
            parts.append(part.assign(web=float(web), income=float(income)))
        return pandas.concat(parts, ignore_index=True)

    return {model: draw(model) for model in BASE}


@pytest.fixture(scope="module")
def fitted(planted):
    """Each model with the right covariates, and one that does nothing."""
    return {model: model(**CHOSEN).fit(planted[model]) for model in BASE}


@EVERY
def test_planted_effects_are_found(model, fitted):
    """Effects are found within four standard errors, and none is found where there is none."""
    found, errors = fitted[model].coefficients_, fitted[model].standard_errors_

    assert list(found) == ["purchase_rate:web", "dropout:income", "dropout:web"]
    for name, truth in zip(found, (BUYS, LEAVES, 0.0), strict=True):
        assert abs(found[name] - truth) < 4 * errors[name]
        assert errors[name] < 0.3
        low, high = fitted[model].confidence_intervals()[name]
        assert low + high == approx(2 * found[name])


@EVERY
def test_effects_matter_to_likelihood_and_forecast(model, fitted, planted, with_params):
    """With covariates the likelihood is much higher, and forecasts are those of each cell's own parameters."""
    plain, table = model().fit(planted[model]), planted[model]
    gain = fitted[model].log_likelihood_ - plain.log_likelihood_
    assert gain > 30
    assert fitted[model].aic_ < plain.aic_ - 50
    assert fitted[model].log_likelihood(table) == approx(fitted[model].log_likelihood_, rel=1e-12)

    for web, income in ((0.0, -1.0), (1.0, 1.0)):
        cell = table[(table.web == web) & (table.income == income)].head(300)
        truth = with_params(model, params_with(model, web, income))
        wanted = truth.expected_purchases(52, cell)
        assert fitted[model].expected_purchases(52, cell).mean() == approx(wanted.mean(), rel=0.15)
        new = pandas.DataFrame({"web": [web], "income": [income]})
        by_cell = fitted[model].expected_purchases_new(52, covariates=new)
        assert by_cell == approx([float(truth.expected_purchases_new(52))], rel=0.15)
        assert fitted[model].pmf([0], 52, covariates=new) == approx([float(truth.pmf(0, 52))], rel=0.15)


@EVERY
def test_unit_and_origin_of_a_covariate_do_not_matter(model, fitted, planted):
    """Income in thousands and from another zero gives effects by that unit, and the same model otherwise."""
    moved = planted[model].assign(income=planted[model].income * 1000 + 5000)
    again = model(**CHOSEN).fit(moved)

    assert again.coefficients_["dropout:income"] * 1000 == approx(fitted[model].coefficients_["dropout:income"])
    assert again.params_ == approx(fitted[model].params_, rel=1e-7)
    assert again.log_likelihood_ == approx(fitted[model].log_likelihood_, rel=1e-10)
    assert again.expected_purchases(52, moved) == approx(fitted[model].expected_purchases(52, planted[model]))


@EVERY
def test_counts_by_covariates_teach_the_same(model, fitted, planted):
    """Counts of histories by covariates, merged from parts, teach what the customers do."""
    names = ["web", "income"]
    halves = [TripleCounts.of(part, names) for part in (planted[model][::2], planted[model][1::2])]
    again = model(**CHOSEN).fit(halves[0].merge(halves[1]))

    assert again.params_ == approx(fitted[model].params_, rel=1e-8)
    assert again.coefficients_ == approx(fitted[model].coefficients_, rel=1e-6)


def test_a_heavy_penalty_leaves_no_effect(planted):
    """The prior of an effect is in standard deviations of the covariate: a heavy one makes it vanish."""
    held = BgNbd(**CHOSEN, covariate_penalty=1e9).fit(planted[BgNbd])

    assert list(held.coefficients_.values()) == approx([0, 0, 0], abs=1e-4)
    assert held.params_ == approx(BgNbd().fit(planted[BgNbd]).params_, rel=1e-3)


def test_many_cells_give_what_few_do(planted):
    """A covariate with a value of its own for every customer is fitted too, and does nothing if it is noise."""
    table = planted[BgNbd].assign(noise=numpy.random.default_rng(1).normal(size=len(planted[BgNbd])))
    found = BgNbd(purchase_covariates=["web", "noise"], dropout_covariates=["income"]).fit(table)
    few = BgNbd(purchase_covariates=["web"], dropout_covariates=["income"]).fit(table)

    assert abs(found.coefficients_["purchase_rate:noise"]) < 4 * found.standard_errors_["purchase_rate:noise"]
    assert found.coefficients_["dropout:income"] == approx(few.coefficients_["dropout:income"], rel=0.05)


def test_covariates_must_be_known_and_differ(planted, fitted):
    """Missing, unknown and constant covariates are refused, at fit and at predict."""
    table = planted[BgNbd][::3]

    with pytest.raises(ColumnError, match="'income'"):
        BgNbd(**CHOSEN).fit(table.drop(columns="income"))
    with pytest.raises(DataError, match=r"web must be known of every customer. Got 5,000 of 5,000"):
        BgNbd(**CHOSEN).fit(table.assign(web=numpy.nan))
    with pytest.raises(DataError, match="web must differ"):
        BgNbd(**CHOSEN).fit(table.assign(web=3.0))
    with pytest.raises(ColumnError, match="'web'"):
        fitted[BgNbd].predict(table.drop(columns="web"))
    with pytest.raises(DataError, match="penalty"):
        BgNbd(**CHOSEN, covariate_penalty=-1).fit(table)
    with pytest.raises(ModelError, match="without covariates"):
        fitted[BgNbd].to_lifetimes()


def test_effects_that_cannot_be_told_apart_are_named(planted):
    """Two covariates that are one leave both effects unknown, if no penalty decides: the error names them."""
    table = planted[BgNbd].assign(online=planted[BgNbd].web * 2)

    with pytest.raises(FitError, match=r"the effect of web.*the effect of online"):
        BgNbd(purchase_covariates=["web", "online"], covariate_penalty=0).fit(table)
    both = BgNbd(purchase_covariates=["web", "online"]).fit(table).coefficients_
    assert both["purchase_rate:web"] == approx(both["purchase_rate:online"] * 2)
