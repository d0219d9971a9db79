"""BG/NBD: its gradient, its stable forms, what it learns, and what it refuses."""

import json

import numpy
import pandas
import pyarrow
import pytest
from pytest import approx

from c360ml.customer_value import BgNbd
from c360ml.errors import ColumnError, DataError, FitError, ModelError, NotFittedError
from c360ml.lakehouse import as_relation, connect

PARAMS = (0.243, 4.414, 0.793, 2.426)
HISTORY = ["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"]


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
