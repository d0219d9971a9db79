"""What BG/NBD, MBG/NBD and Pareto/NBD have in common: learning from counts, priors, certainty, and plain words."""

import json

import numpy
import pandas
import pytest
from pytest import approx

from c360ml.customer_value import BgNbd, GammaGamma, MbgNbd, ParetoNbd, TripleCounts
from c360ml.errors import ColumnError, DataError, FitError

HISTORY = ["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"]
TRUE = {
    BgNbd: {"r": 0.8, "alpha": 12.0, "a": 0.8, "b": 2.5},
    MbgNbd: {"r": 0.8, "alpha": 8.0, "a": 0.8, "b": 2.5},
    ParetoNbd: {"r": 0.8, "alpha": 8.0, "s": 0.8, "beta": 15.0},
}
EVERY = pytest.mark.parametrize("model", TRUE, ids=lambda model: model.__name__)


@pytest.fixture(scope="module")
def fitted(bgnbd, mbgnbd, paretonbd):
    """Each model fitted to CDNOW's calibration period."""
    return {BgNbd: bgnbd, MbgNbd: mbgnbd, ParetoNbd: paretonbd}


@pytest.fixture(scope="module")
def drawn(with_params):
    """Customers drawn from each model with known parameters, 30 to 104 weeks old."""
    ages = numpy.random.default_rng(5).integers(210, 728, 12_000) / 7
    return {
        model: with_params(model, params).simulate(12_000, age_weeks=ages, seed=6).to_pandas()
        for model, params in TRUE.items()
    }


@EVERY
def test_known_parameters_are_found(model, drawn):
    """Parameters that customers were drawn with are found within four standard errors, at an optimum without slope."""
    found = model().fit(drawn[model])

    for name, truth in TRUE[model].items():
        assert abs(numpy.log(found.params_[name] / truth)) < 4 * found.standard_errors_[name] / found.params_[name]
    assert found.search_["slope_in_standard_errors"] < 1e-6
    assert found.search_["agreeing_starts"] >= 2


@EVERY
def test_drawn_customers_are_those_of_the_formulas(model, drawn, with_params):
    """Counts of drawn customers follow the PMF, their mean the expectation, and who is alive the probability."""
    truth = with_params(model, TRUE[model])
    table = truth.simulate(40_000, age_weeks=39, seed=7).to_pandas()
    counts = numpy.bincount(numpy.minimum(table.repeat_purchases, 8), minlength=9)[:8]
    share = truth.pmf(numpy.arange(8), 39)
    alive = truth.probability_alive(table)

    assert (abs(counts - 40_000 * share) < 4.5 * numpy.sqrt(40_000 * share)).all()
    assert table.repeat_purchases.mean() == approx(float(truth.expected_purchases_new(39)), rel=0.03)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        part = (alive > low) & (alive <= low + 0.2)
        assert abs(table.alive[part].sum() - alive[part].sum()) < 4.5 * numpy.sqrt(part.sum() / 4 + 1)
    assert table.equals(truth.simulate(40_000, age_weeks=39, seed=7).to_pandas())


@EVERY
def test_the_future_of_drawn_customers_is_unbiased(model, drawn, with_params):
    """Purchases expected after half the time are those drawn for the whole minus the half, in sum."""
    truth = with_params(model, TRUE[model])
    table = truth.simulate(60_000, age_weeks=30, seed=8).to_pandas()
    expected = truth.expected_purchases(30, table).sum() / 60_000
    wanted = truth.expected_purchases_new(60) - truth.expected_purchases_new(30)

    assert expected == approx(float(wanted), rel=0.02)


@EVERY
def test_weights_count_customers(model, fitted, calibration):
    """A row of weight n teaches as n equal rows do."""
    weighted = calibration.groupby(HISTORY).size().rename("weight").reset_index()
    again = model().fit(weighted)

    assert len(weighted) < len(calibration)
    assert again.params_ == approx(fitted[model].params_, rel=1e-8)
    assert again.standard_errors_ == approx(fitted[model].standard_errors_, rel=1e-7)


@EVERY
def test_row_order_does_not_matter(model, fitted, calibration):
    """Shuffled rows give the same model, to the last bit."""
    shuffled = calibration.sample(frac=1, random_state=1)

    assert json.dumps(model().fit(shuffled).to_dict()) == json.dumps(fitted[model].to_dict())


@EVERY
def test_unit_of_time_does_not_matter(model, fitted, calibration):
    """Times times 7 give alpha (and beta) times 7, nothing else, and the log-likelihood of that unit."""
    longer = calibration.assign(**{name: calibration[name] * 7 for name in HISTORY[1:]})
    again, wanted = model().fit(longer), dict(fitted[model].params_)
    wanted |= {name: wanted[name] * 7 for name in ("alpha", "beta") if name in wanted}

    assert again.params_ == approx(wanted, rel=1e-8)
    assert again.log_likelihood_ == approx(fitted[model].log_likelihood_ - 2457 * numpy.log(7), rel=1e-11)
    assert again.expected_purchases(52 * 7, longer) == approx(fitted[model].expected_purchases(52, calibration))


@EVERY
def test_merged_counts_teach_as_all_customers(model, fitted, calibration):
    """Fitting merged counts of two parts is fitting all, to the last bit, whichever part comes first."""
    first, second = calibration[:1000], calibration[1000:]
    merged = TripleCounts.of(first).merge(TripleCounts.of(second))
    turned = TripleCounts.of(second).merge(TripleCounts.of(first))

    assert merged.customers == len(calibration)
    assert len(merged) == len(fitted[model].counts_) < len(calibration)
    assert model().fit(merged).to_dict() == model().fit(turned).to_dict() == fitted[model].to_dict()


def test_counts_refuse_what_does_not_fit(calibration):
    """Counts by different covariates are not merged, and impossible histories not counted."""
    with pytest.raises(DataError, match="same covariates"):
        TripleCounts.of(calibration).merge(TripleCounts.of(calibration.assign(z=1.0), ["z"]))
    with pytest.raises(ColumnError, match="'z'"):
        TripleCounts.of(calibration, ["z"])
    with pytest.raises(DataError, match="1 of 1 rows"):
        TripleCounts.of(pandas.DataFrame([[1, 12.0, 10.0]], columns=HISTORY))


@EVERY
def test_a_model_file_is_small_and_knows_no_customer(model, fitted):
    """What a model writes is parameters and measures: under 3 kB, however many customers it saw."""
    assert len(json.dumps(fitted[model].to_dict())) < 3000


@EVERY
def test_covariance_is_one(model, fitted):
    """The covariance is symmetric and positive definite, and its roots are the standard errors."""
    covariance = numpy.array(fitted[model].covariance_)

    assert (covariance == covariance.T).all()
    assert numpy.linalg.eigvalsh(covariance)[0] > 0
    assert numpy.sqrt(numpy.diag(covariance)) == approx(list(fitted[model].standard_errors_.values()))


@EVERY
def test_covariance_is_the_curvature_of_the_log_likelihood(model, fitted, calibration, with_params):
    """Second differences of the log-likelihood itself, not of our gradient, give the same covariance."""
    params = numpy.array(list(fitted[model].params_.values()))

    def value(*moves):
        moved = params.copy()
        for place, size in moves:
            moved[place] *= 1 + size
        return with_params(model, dict(zip(fitted[model].params_, moved, strict=True))).log_likelihood(calibration)

    curvature = numpy.empty((4, 4))
    for one, two in numpy.ndindex(4, 4):
        ends = [left * right * value((one, left * 1e-3), (two, right * 1e-3)) for left in (1, -1) for right in (1, -1)]
        if one == two:
            ends = [value((one, 2e-3)), value((one, -2e-3)), -2 * value()]
        curvature[one, two] = sum(ends) / 4e-6 / params[one] / params[two]
    assert numpy.linalg.inv(-curvature) == approx(numpy.array(fitted[model].covariance_), rel=1e-3)


@EVERY
def test_intervals_hold_the_estimate_and_widen_with_the_level(model, fitted):
    """Intervals are positive, symmetric in the logarithm, and wider for a higher level."""
    for name, value in fitted[model].params_.items():
        low, high = fitted[model].confidence_intervals()[name]
        lower, higher = fitted[model].confidence_intervals(0.99)[name]

        assert 0 < lower < low < value < high < higher
        assert low * high == approx(value**2)
        assert numpy.log(high / low) == approx(2 * 1.959964 * fitted[model].standard_errors_[name] / value, rel=1e-6)
    with pytest.raises(DataError, match="level"):
        fitted[model].confidence_intervals(95)


@EVERY
def test_probability_alive_falls_with_time_and_meets_the_expectation(model, fitted, calibration):
    """Expected purchases are the integral of being alive times the purchase rate: at first, it is their slope."""
    table = calibration.head(200)
    now, later = (fitted[model].probability_alive(table, weeks_from_now=weeks) for weeks in (0, 26))

    assert (later < now).all()
    assert fitted[model].probability_alive(table, weeks_from_now=1e-9) == approx(now, rel=1e-8)
    by_week = [fitted[model].expected_purchases(weeks, table) for weeks in (13, 26, 39)]
    assert (by_week[1] - by_week[0] > by_week[2] - by_week[1]).all()
    with pytest.raises(DataError, match="weeks ahead"):
        fitted[model].probability_alive(table, weeks_from_now=-1)


@EVERY
def test_discounted_purchases(model, fitted, calibration):
    """Discounting lowers expected purchases, not at all at rate 0, and makes an infinite time finite."""
    table = calibration.head(200)
    ask = fitted[model].discounted_purchases
    plain, year = fitted[model].expected_purchases(52, table), ask(52, table)
    decades, ever = ask(52 * 100, table), ask(numpy.inf, table)

    assert ask(52, table, discount_rate_per_year=0) == approx(plain, rel=1e-10)
    assert (year < plain).all()
    assert (year > plain / 1.1).all()
    assert (decades < ever).all()
    assert decades == approx(ever, rel=1e-3)
    with pytest.raises(DataError, match="infinite time"):
        ask(numpy.inf, table, discount_rate_per_year=0)
    with pytest.raises(DataError, match="above -1"):
        ask(52, table, discount_rate_per_year=-1)


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (BgNbd, {"r": 0.8, "alpha": 12.0, "a": 1.8, "b": 2.5}),
        (MbgNbd, {"r": 0.8, "alpha": 12.0, "a": 1.8, "b": 2.5}),
        (ParetoNbd, {"r": 0.8, "alpha": 8.0, "s": 1.8, "beta": 15.0}),
    ],
)
def test_purchases_ever_without_discount(model, params, with_params, calibration):
    """Where its sum is finite, an infinite time need not be discounted: it is the limit of long ones."""
    truth, table = with_params(model, params), calibration.head(50)
    ever = truth.discounted_purchases(numpy.inf, table, discount_rate_per_year=0)

    assert truth.expected_purchases(1e9, table) == approx(ever, rel=1e-4)
    assert (truth.expected_purchases(5000, table) < ever).all()


@EVERY
def test_log_likelihood_of_other_customers(model, fitted, calibration):
    """The log-likelihood of data adds up over customers, and is that of the fit on the data it was fitted on."""
    parts = fitted[model].log_likelihood(calibration[:700]) + fitted[model].log_likelihood(calibration[700:])

    assert parts == approx(fitted[model].log_likelihood_, rel=1e-12)
    assert fitted[model].aic_ == approx(8 - 2 * parts)


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (BgNbd, "weeks_between_purchases", lambda p: p["alpha"] / p["r"]),
        (MbgNbd, "dropout_probability", lambda p: p["a"] / (p["a"] + p["b"])),
        (ParetoNbd, "weeks_until_dropout", lambda p: p["beta"] / p["s"]),
        (ParetoNbd, "alpha", lambda p: p["alpha"]),
    ],
)
@pytest.mark.parametrize("unit", [1, 7])
def test_priors_speak_in_natural_units(model, name, value, unit, fitted, calibration):
    """A sure prior of a quantity is what is learned, in its own unit; a vague one changes nothing."""
    typical = 0.4 if "probability" in name else 30.0 * unit
    table = calibration.assign(**{column: calibration[column] * unit for column in HISTORY[1:]})
    sure = model(prior={name: (typical, 1.0001)}).fit(table)
    vague = model(prior={name: (typical, 1e6)}).fit(table)

    assert value(sure.params_) == approx(typical, rel=1e-3)
    assert sure.log_likelihood_ < vague.log_likelihood_
    assert vague.params_["r"] == approx(fitted[model].params_["r"], rel=0.01)


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        ({"churn": (0.3, 2)}, "churn"),
        ({"dropout_probability": (1.3, 2)}, "below 1"),
        ({"r": (1.0, 0.5)}, "above 1"),
        ({"r": 1.0}, "factor"),
        ({"r": ("many", 2)}, "factor"),
    ],
)
def test_impossible_priors_are_refused(prior, words, calibration):
    """A prior of something that the model has not, or that cannot be, is an error that says what can."""
    with pytest.raises(DataError, match=words):
        BgNbd(prior=prior).fit(calibration)


LOYAL = "it is as if nobody ever left"
ALIKE = "all customers bought equally often"


@pytest.mark.parametrize(
    ("model", "source", "params", "names", "why"),
    [
        (BgNbd, BgNbd, {"r": 0.8, "alpha": 20.0, "a": 1e-6, "b": 10.0}, r"\b[ab] \(how many", LOYAL),
        (MbgNbd, MbgNbd, {"r": 0.8, "alpha": 20.0, "a": 1e-6, "b": 10.0}, r"\b[ab] \(how many", LOYAL),
        (ParetoNbd, ParetoNbd, {"r": 0.8, "alpha": 20.0, "s": 1e-6, "beta": 10.0}, r"\bs \(how alike", LOYAL),
        (
            ParetoNbd,
            ParetoNbd,
            {"r": 0.8, "alpha": 10.0, "s": 5e5, "beta": 1e7},
            r"beta \(how long",
            "left at one rate",
        ),
        (BgNbd, BgNbd, {"r": 1e6, "alpha": 1e7, "a": 0.8, "b": 2.5}, r"\br \(how alike", ALIKE),
        (BgNbd, BgNbd, {"r": 0.8, "alpha": 8.0, "a": 2e5, "b": 6e5}, r"\ba \(how many", "equally likely to leave"),
    ],
)
def test_what_data_do_not_tell_is_said_in_words(model, source, params, names, why, with_params):
    """Instead of "did not converge": which parameters the data do not tell, why, what to do; and that works."""
    customers = with_params(source, params).simulate(4000, age_weeks=52, seed=4)

    with pytest.raises(FitError, match=names) as error:
        model().fit(customers)
    assert why in str(error.value)
    assert f"{model.__name__}(penalty=1)" in str(error.value)
    helped = model(penalty=1).fit(customers)
    assert helped.params_["r"] / helped.params_["alpha"] == approx(params["r"] / params["alpha"], rel=0.25)


def test_pareto_says_when_a_purchase_is_what_customers_leave_after(drawn):
    """Pareto/NBD on customers who leave after purchases may see one rate of leaving for all, and says that."""
    with pytest.raises(FitError, match="all customers left at one rate"):
        ParetoNbd().fit(drawn[BgNbd])


@EVERY
def test_one_time_buyers_alone_teach_nothing(model):
    """Without any repeat purchase there is nothing to learn."""
    with pytest.raises(DataError, match=f"{model.kind} must see repeat purchases"):
        model().fit(pandas.DataFrame([[0, 0.0, 10.0]] * 30, columns=HISTORY))


def test_spend_without_a_mean_is_said_in_words(with_params):
    """With q <= 1 Gamma-Gamma says in words that there is no mean; with q > 1 there is nothing to say."""
    heavy = with_params(GammaGamma, {"p": 3.0, "q": 0.7, "v": 20.0})
    x = numpy.random.default_rng(1).poisson(2, 4000)
    table = pandas.DataFrame({"repeat_purchases": x, "mean_spend": heavy.simulate(x, seed=2)})
    found = GammaGamma().fit(table)

    assert found.params_["q"] < 1
    assert found.no_mean_because_.startswith(f"q = {found.params_['q']:.3g} is not above 1")
    assert found.to_dict()["no_mean_because"] == found.no_mean_because_
    assert found.to_dict()["population_mean_spend"] is None
    assert GammaGamma(penalty=1).fit(table.assign(mean_spend=table.mean_spend.clip(upper=50))).no_mean_because_ is None


def test_drawn_spend_has_the_parameters_it_was_drawn_with(with_params):
    """Gamma-Gamma finds the parameters of drawn spend within four standard errors, and none without purchases."""
    params = {"p": 6.0, "q": 4.0, "v": 60.0}
    x = numpy.random.default_rng(1).poisson(2, 20_000)
    spend = with_params(GammaGamma, params).simulate(x, seed=3)
    found = GammaGamma().fit(pandas.DataFrame({"repeat_purchases": x, "mean_spend": spend}))

    assert numpy.isnan(spend[x == 0]).all()
    for name, truth in params.items():
        assert abs(numpy.log(found.params_[name] / truth)) < 4 * found.standard_errors_[name] / found.params_[name]
    assert found.log_likelihood(pandas.DataFrame({"repeat_purchases": x, "mean_spend": spend})) == approx(
        found.log_likelihood_, rel=1e-12
    )
