"""BG/NBD: its gradient, its stable forms, what it learns, and what it refuses."""

import json

import mpmath
import numpy
import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pytest import approx

from c360ml.customer_value import BgNbd
from c360ml.customer_value import bg_nbd_formulas as formulas
from c360ml.errors import ColumnError, DataError, FitError, ModelError, NotFittedError
from c360ml.lakehouse import as_relation, connect

PARAMS = (0.243, 4.414, 0.793, 2.426)
HISTORY = ["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"]


def exact_expectation(params, x, t_x, age, weeks):
    """Expected purchases as the paper has them, in 50 digits."""
    with mpmath.workdps(50):
        r, alpha, a, b = (mpmath.mpf(value) for value in params)
        a += mpmath.mpf("1e-25") if a == 1 else 0
        b += mpmath.mpf("1e-25") if a + b == 1 else 0
        z = weeks / (alpha + age + weeks)
        series = mpmath.hyp2f1(r + x, b + x, a + b + x - 1, z)
        if_alive = (a + b + x - 1) / (a - 1) * (1 - (1 - z) ** (r + x) * series)
        odds = a / (b + x - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x) if x else 0
        return float(if_alive / (1 + odds))


def ours(params, x, t_x, age, weeks):
    """Expected purchases as we work them out."""
    xs, t_xs, ages = (numpy.array([float(value)]) for value in (x, t_x, age))
    if_alive = formulas.expected_if_alive(params, xs, ages, weeks)
    return (if_alive * formulas.probability_alive(params, xs, t_xs, ages))[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("a", [0.05, 0.3, 0.793, 0.9899, 0.991, 1.0, 1 + 1e-9, 1.009, 1.3, 8.0])
@pytest.mark.parametrize("b", [0.2, 0.7, 2.426, 30.0])
@pytest.mark.parametrize("customer", [(0, 0, 0), (0, 0, 39), (1, 39, 39), (30, 5, 39), (3000, 39, 39)])
def test_expectation_is_exact(a, b, customer):
    """Expected purchases agree with 50 digits, also at a near 1, a + b <= 1, x = 0, x = 3000 and t_x = T."""
    for weeks in (1 / 7, 52.0, 520.0):
        exact = exact_expectation((0.243, 4.414, a, b), *customer, weeks)

        assert ours((0.243, 4.414, a, b), *customer, weeks) == approx(exact, rel=1e-9, abs=1e-300)


def test_expectation_where_lifetimes_has_none():
    """Expected purchases are finite where a + b < 1 makes the plain form take the log of a negative."""
    assert ours((0.5, 5.0, 0.2, 0.3), 0, 0, 30, 20) == approx(
        exact_expectation((0.5, 5.0, 0.2, 0.3), 0, 0, 30, 20), rel=1e-10
    )


@given(
    x=some.integers(1, 5000),
    share=some.floats(0.001, 1),
    age=some.floats(0.1, 2000),
    weeks=some.floats(0, 2000),
    a=some.floats(0.01, 20),
    b=some.floats(0.01, 50),
)
@settings(max_examples=200, deadline=None)
def test_predictions_are_possible(x, share, age, weeks, a, b):
    """A probability alive lies between 0 and 1, and expected purchases are finite and grow with time."""
    params = (0.243, 4.414, a, b)
    xs, t_xs, ages = (numpy.array([value]) for value in (float(x), age * share, age))

    assert 0 <= formulas.probability_alive(params, xs, t_xs, ages)[0] <= 1
    sooner, later = (formulas.expected_if_alive(params, xs, ages, t)[0] for t in (weeks, weeks * 1.1 + 1))
    assert 0 <= sooner <= later < numpy.inf


def test_gradient_is_that_of_the_log_likelihood(calibration):
    """The analytic gradient agrees with finite differences."""
    columns = [calibration[name].to_numpy(float) for name in HISTORY]
    histories = formulas.Histories.of(*columns, numpy.ones(len(calibration)))
    params = numpy.array(PARAMS) * 1.3
    _, gradient = formulas.log_likelihood(tuple(params), histories)

    for place, side in enumerate(numpy.diag(params * 1e-6)):
        up, _ = formulas.log_likelihood(tuple(params + side), histories)
        down, _ = formulas.log_likelihood(tuple(params - side), histories)
        assert gradient[place] == approx((up - down) / (2 * side[place]), rel=1e-5)


def test_purchase_counts_add_up():
    """Probabilities of all purchase counts add up to 1, and their mean is the expectation."""
    model = BgNbd(penalty=0)
    model._learn(numpy.array(PARAMS), numpy.eye(4), 0.0, 1.0)
    counts = numpy.arange(3000)
    probabilities = model.pmf(counts, 39)

    assert probabilities.sum() == approx(1, abs=1e-9)
    assert probabilities @ counts == approx(float(model.expected_purchases_new(39)), rel=1e-7)


def test_weights_count_customers(calibration, bgnbd):
    """A row of weight n teaches as n equal rows do."""
    weighted = calibration.groupby(HISTORY).size().rename("weight").reset_index()
    model = BgNbd().fit(weighted)

    assert len(weighted) < len(calibration)
    assert model.params_ == approx(bgnbd.params_, rel=1e-8)
    assert model.standard_errors_ == approx(bgnbd.standard_errors_, rel=1e-6)


def test_row_order_does_not_matter(calibration, bgnbd):
    """Shuffled rows give the same model, to the last digit."""
    shuffled = calibration.sample(frac=1, random_state=1)

    assert BgNbd().fit(shuffled).params_ == approx(bgnbd.params_, rel=1e-13)


def test_unit_of_time_does_not_matter(calibration, bgnbd):
    """Times in days give alpha times 7, the same r, a, b, and the log-likelihood of that unit."""
    in_days = calibration.assign(**{name: calibration[name] * 7 for name in HISTORY[1:]})
    model = BgNbd().fit(in_days)
    wanted = bgnbd.params_ | {"alpha": bgnbd.params_["alpha"] * 7}

    assert model.params_ == approx(wanted, rel=1e-8)
    assert model.log_likelihood_ == approx(bgnbd.log_likelihood_ - 2457 * numpy.log(7), rel=1e-10)


def test_covariance_is_one(bgnbd):
    """The covariance is symmetric and positive definite, and its roots are the standard errors."""
    covariance = numpy.array(bgnbd.covariance_)

    assert (covariance == covariance.T).all()
    assert numpy.linalg.eigvalsh(covariance)[0] > 0
    assert numpy.sqrt(numpy.diag(covariance)) == approx(list(bgnbd.standard_errors_.values()))


def test_known_parameters_are_found(simulate):
    """Parameters of simulated customers are found within four standard errors."""
    model = BgNbd().fit(simulate(15_000))

    for name, truth in {"r": 0.8, "alpha": 20.0, "a": 0.8, "b": 2.5}.items():
        assert abs(model.params_[name] - truth) < 4 * model.standard_errors_[name]


def test_forecast_of_simulated_customers_is_unbiased(simulate):
    """Expected purchases of half the time meet what the same customers did in the whole, in sum."""
    params = {"r": 0.8, "alpha": 20.0, "a": 0.8, "b": 2.5}
    model = BgNbd().fit(simulate(10_000, **params))
    drawn = simulate(10_000, **params, seed=2)
    expected = model.expected_purchases_new(drawn.age_weeks.to_numpy()).sum()

    assert expected == approx(drawn.repeat_purchases.sum(), rel=0.05)


@pytest.mark.parametrize("kind", ["pandas", "arrow", "relation"])
def test_prediction_comes_back_as_the_table_came(kind, calibration, bgnbd):
    """`predict` keeps the kind of table, its columns and the order of its rows."""
    history = calibration.head(50)
    table = pyarrow.Table.from_pandas(history, preserve_index=False)
    con = connect()
    given_table = {"pandas": history, "arrow": table, "relation": as_relation(con, table)}[kind]
    answer = bgnbd.predict(given_table, weeks=39)
    frame = {"pandas": lambda: answer, "arrow": lambda: answer.to_pandas(), "relation": lambda: answer.df()}[kind]()

    assert type(answer) is type(given_table)
    assert list(frame.columns) == [*history.columns, "probability_alive", "expected_purchases"]
    assert frame.customer_id.to_list() == history.customer_id.to_list()
    assert frame.expected_purchases.to_numpy() == approx(bgnbd.expected_purchases(39, history))


def test_model_survives_json(bgnbd, calibration):
    """A model read back from JSON predicts the same."""
    again = BgNbd.from_dict(json.loads(json.dumps(bgnbd.to_dict())))

    assert again.to_dict() == bgnbd.to_dict()
    assert (again.expected_purchases(52, calibration) == bgnbd.expected_purchases(52, calibration)).all()


def test_damaged_model_is_refused(bgnbd):
    """A model file of another model, or without a parameter, is an error."""
    with pytest.raises(ModelError, match=r"Gamma-Gamma"):
        BgNbd.from_dict(bgnbd.to_dict() | {"model": "Gamma-Gamma"})
    with pytest.raises(ModelError, match="alpha"):
        BgNbd.from_dict(bgnbd.to_dict() | {"params": {"r": 1.0}})


def test_unfitted_model_says_so(calibration):
    """A model that was not fitted does not answer."""
    with pytest.raises(NotFittedError, match="BgNbd"):
        BgNbd().predict(calibration)


def test_customers_who_never_leave_are_named(simulate):
    """Data without drop-out do not tell a and b: the error says so, and a weak prior answers."""
    loyal = simulate(3000, a=1e-6, b=10.0)

    with pytest.raises(FitError, match=r"\b[ab] \(how many"):
        BgNbd().fit(loyal)
    assert BgNbd(penalty=1).fit(loyal).params_["r"] == approx(0.8, rel=0.15)


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([], DataError, "must have rows"),
        ([[0, 0.0, 10.0]] * 30, DataError, "repeat purchases"),
        ([[1, 12.0, 10.0]], DataError, "1 of 1 rows"),
        ([[1, 0.0, 10.0]], DataError, "1 of 1 rows"),
        ([[0, 3.0, 10.0]], DataError, "1 of 1 rows"),
        ([[-1, 3.0, 10.0]], DataError, "1 of 1 rows"),
        ([[1.5, 3.0, 10.0]], DataError, "1 of 1 rows"),
        ([[1, 3.0, float("nan")]], DataError, "1 of 1 rows"),
        ([[1, 3.0, "ten"]], ColumnError, "age_weeks must hold numbers"),
    ],
)
def test_impossible_histories_are_refused(rows, error, words):
    """Histories that cannot be true are refused, with how many rows."""
    with pytest.raises(error, match=words):
        BgNbd().fit(pandas.DataFrame(rows, columns=HISTORY))


def test_missing_column_is_named(calibration):
    """A missing column is named beside those that are there."""
    with pytest.raises(ColumnError, match=r"no \['age_weeks'\].*repeat_purchases"):
        BgNbd().fit(calibration.drop(columns="age_weeks"))


def test_impossible_arguments_are_refused(calibration, bgnbd):
    """Negative penalties, weights or horizons are refused."""
    with pytest.raises(DataError, match="penalty"):
        BgNbd(penalty=-1).fit(calibration)
    with pytest.raises(DataError, match="weights"):
        BgNbd().fit(calibration.assign(weight=0))
    with pytest.raises(DataError, match="weeks ahead"):
        bgnbd.expected_purchases(-1, calibration)
    with pytest.raises(ColumnError, match="DataFrame"):
        BgNbd().fit([1, 2, 3])
