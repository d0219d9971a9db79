"""The choice of a model: rolling origins, baselines, and a winner that is told apart on planted worlds."""

import datetime as dt
import json

import numpy
import pandas
import pytest
from pytest import approx

from c360ml.customer_value import compare_models, holdout_backtest, value_transactions
from c360ml.customer_value import model_choice as module
from c360ml.customer_value.holdout import baselines_of, split_days
from c360ml.customer_value.transactions import collect_purchase_days
from c360ml.errors import DataError
from c360ml.lakehouse import as_relation, connect

ROLES = {"customer": "customer", "date": "day", "amount": "paid"}


@pytest.fixture(scope="module")
def days(cdnow):
    """CDNOW's purchase days."""
    con = connect()
    return collect_purchase_days(con, as_relation(con, cdnow), **ROLES)


@pytest.fixture(scope="module")
def comparison(days):
    """All models on CDNOW, the last holdout 26 weeks."""
    return compare_models(days, dt.date(1997, 12, 31), refunds="net")


def test_three_origins_within_the_history(comparison):
    """There are three origins of equal holdouts, each with as much history before it as its holdout is long."""
    origins = sorted({row["origin"] for row in comparison.origins})

    assert len(origins) == 3
    assert origins[-1] == "1997-12-31"
    assert dt.date.fromisoformat(origins[0]) - dt.timedelta(weeks=26) >= dt.date(1997, 1, 1)
    assert comparison.holdout_weeks == 26
    assert comparison.notes == ()


def test_each_origin_is_a_backtest_of_its_own(comparison, cdnow):
    """A model's error at an earlier origin is that of a backtest of only the days until its holdout's end."""
    (row,) = (row for row in comparison.origins if (row["origin"], row["name"]) == ("1997-10-01", "mbg_nbd"))
    alone = holdout_backtest(
        cdnow, **ROLES, holdout_start="1997-10-01", observation_end="1998-03-31", model="mbg_nbd"
    ).metrics

    assert {name: row[name] for name in ("bias", "mae", "rmse", "gini")} == approx(
        {name: alone[name] for name in ("bias", "mae", "rmse", "gini")}
    )


def test_sums_over_origins(comparison):
    """The bias over origins is that of all purchases together, and every forecast has its row."""
    for row in comparison.models:
        of_origins = [each for each in comparison.origins if each["name"] == row["name"]]
        predicted = sum(each["predicted_purchases"] for each in of_origins)
        assert row["bias"] == approx(predicted / sum(each["actual_purchases"] for each in of_origins) - 1)
    assert [row["name"] for row in comparison.models] == [
        *("bg_nbd", "mbg_nbd", "pareto_nbd"),
        *("past_rate", "last_period", "mean"),
    ]
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["winner"] == comparison.winner


def test_models_beat_those_without_one(comparison):
    """On CDNOW every model has a smaller error than each simple forecast, and the winner is told with its reason."""
    errors = {row["name"]: row["rmse"] for row in comparison.models}

    assert max(list(errors.values())[:3]) < min(list(errors.values())[3:])
    assert comparison.why.startswith("BG/NBD: no other model is clearly better")


def row_of(name, rmse, bias):
    """A row of the comparison."""
    return {"name": name, "rmse": rmse, "bias": bias}


@pytest.mark.parametrize(
    ("errors", "winner", "words"),
    [
        ({"bg_nbd": (1.0, -0.1), "mbg_nbd": (0.99, -0.1), "pareto_nbd": (1.0, 0.1)}, "bg_nbd", "no other model"),
        ({"bg_nbd": (1.0, -0.1), "mbg_nbd": (0.95, -0.3), "pareto_nbd": (0.97, 0.0)}, "mbg_nbd", "5.0 % below BG/NBD"),
        ({"bg_nbd": (1.0, -0.2), "mbg_nbd": (1.0, -0.1), "pareto_nbd": (1.004, 0.01)}, "pareto_nbd", "nearer"),
        ({"bg_nbd": (1.0, -0.2), "mbg_nbd": (1.1, 0.0), "pareto_nbd": (None, None)}, "bg_nbd", "no other model"),
        ({"bg_nbd": (None, None), "mbg_nbd": (1.0, 0.0), "pareto_nbd": (1.0, 0.0)}, "mbg_nbd", "BG/NBD could not"),
    ],
)
def test_rule_of_the_choice(errors, winner, words):
    """BG/NBD stays unless another is clearly better in error, or as good and nearer in sum."""
    baselines = [row_of(name, 2.0, 0.5) for name in ("past_rate", "last_period", "mean")]
    found, why = module._choose([*(row_of(name, *each) for name, each in errors.items()), *baselines], 3)

    assert found == winner
    assert words in why


def test_a_better_naive_forecast_is_told():
    """Where a forecast without a model is better than the best model, the reason says so."""
    rows = [row_of(name, 1.0, 0.0) for name in ("bg_nbd", "mbg_nbd", "pareto_nbd", "past_rate", "mean")]
    _, why = module._choose([*rows, row_of("last_period", 0.5, 0.0)], 1)

    assert "Beware: 'last period again'" in why


def test_baselines_by_hand():
    """Simple forecasts are what they say, counted by hand; an age of nothing forecasts nothing from itself."""
    sales = pandas.DataFrame(
        {
            "customer": ["ann", "ann", "ann", "ann", "bob", "cid", "cid"],
            "day": ["2024-01-01", "2024-01-29", "2024-02-19", "2024-03-05", "2024-02-25", "2024-02-05", "2024-02-12"],
        }
    )
    con = connect()
    days = collect_purchase_days(
        con, as_relation(con, sales), customer="customer", date="day", amount=None, observation_end="2024-03-10"
    )
    split = split_days(days, dt.date(2024, 2, 26), refunds="net")  # two weeks from there, and two weeks before
    found = {name: guess.round(6).tolist() for name, guess in baselines_of(split).items()}

    assert split.table.column("holdout_purchases").to_pylist() == [1, 0, 0]
    assert found["past_rate"] == approx([2 / 55 * 14, 0, 1 / 20 * 14], abs=1e-5)
    assert found["last_period"] == approx([1.0, 0, 1.0], abs=1e-5)
    assert found["mean"] == approx([3 / 75 * 14] * 3, abs=1e-5)


def test_short_history_says_why_there_are_fewer_origins(days):
    """Where the history leaves no room, there are fewer origins and the note says so."""
    found = compare_models(days, dt.date(1997, 9, 17), refunds="net")

    assert len({row["origin"] for row in found.origins}) == 1
    assert "1 origin instead of 3" in found.notes[0]


def test_a_sample_is_enough_and_the_same_in_any_order(cdnow, monkeypatch):
    """Many customers are compared on a sample that does not depend on the order of rows, and it is told."""
    monkeypatch.setattr(module, "_MOST_CUSTOMERS", 1200)
    con = connect()
    found = []
    for rows in (cdnow, cdnow.sample(frac=1, random_state=1)):
        days = collect_purchase_days(con, as_relation(con, rows), **ROLES)
        found.append(compare_models(days, dt.date(1997, 12, 31), refunds="net"))

    assert found[0].to_dict() == found[1].to_dict()
    assert 900 < found[0].sampled_customers < 1500
    assert "were compared on" in found[0].notes[-1]
    assert not [name for (name,) in con.sql("show tables").fetchall() if name.endswith("_sample")]


def test_nothing_to_fit_is_refused(days):
    """A first part without repeat purchases cannot choose a model."""
    with pytest.raises(DataError, match="must be fitted"):
        compare_models(days, dt.date(1997, 1, 3), refunds="net")


def test_auto_and_forced_models(cdnow, comparison):
    """Auto takes the winner; a forced model is used as told, without a comparison; unknown ones are refused."""
    auto = value_transactions(cdnow, **ROLES, holdout_start="1997-12-31")
    forced = value_transactions(cdnow, **ROLES, model="mbg_nbd", holdout_start="1997-12-31")

    assert auto.metrics["model"] == comparison.winner
    assert auto.metrics["comparison"]["models"] == comparison.to_dict()["models"]
    assert (forced.metrics["model"], forced.metrics["comparison"]) == ("mbg_nbd", None)
    assert forced.model["purchase_model"]["model"] == "MBG/NBD"
    with pytest.raises(DataError, match="the model must be one of"):
        value_transactions(cdnow, **ROLES, model="nbd")


def test_recalibration_is_offered_and_applied_only_if_wanted(cdnow):
    """The factor is actual by predicted purchases of the last holdout; only if wanted it multiplies forecasts."""
    plain, applied = (
        value_transactions(cdnow, **ROLES, model="bg_nbd", holdout_start="1997-10-01", recalibrate=wanted)
        for wanted in (False, True)
    )
    factor = plain.metrics["recalibration"]["factor"]

    assert factor == approx(1 / (1 + plain.metrics["holdout"]["bias"]))
    assert (plain.model["recalibration"], applied.model["recalibration"]) == (1.0, factor)
    for name in ("expected_purchases", "projected_value", "value_year_3", "value_all_years"):
        assert applied.table[name].to_numpy() == approx(factor * plain.table[name].to_numpy())
    assert numpy.array_equal(applied.table.probability_alive, plain.table.probability_alive)
