"""Recalibration: decided pairs make match weights mean what they say, and nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml import LinkageModel, tables
from c360ml.errors import DataError, ModelError, NotFittedError
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.online import OnlineScorer
from c360ml.linkage.recalibration import (
    RecalibratedClasses,
    Recalibration,
    importance_of_strata,
    match_probabilities,
)

weights_of_pairs = st.lists(st.floats(-60, 60), min_size=20, max_size=80)


def decided(true_weight, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights that a model gives, and decisions drawn from the odds that `true_weight` makes of them."""
    random = np.random.default_rng(seed)
    weights = random.uniform(-10, 10, size)
    return weights, random.random(size) < match_probabilities(true_weight(weights))


def calibration_error(weights: np.ndarray, matches: np.ndarray) -> float:
    probability = match_probabilities(weights)
    bins = np.minimum((probability * 20).astype(int), 19)
    gaps = [abs(probability[bins == each].sum() - matches[bins == each].sum()) for each in range(20)]
    return sum(gaps) / len(weights)


def confident(weights):
    return 1.5 + 0.5 * weights


def saturated(weights):
    return 4 * np.tanh(weights / 2)


@pytest.mark.parametrize(("truth", "size", "form"), [(confident, 500, "platt"), (saturated, 20_000, "isotonic")])
def test_calibration_is_recovered(truth, size, form):
    """Weights that say too much are made to say what is so, on pairs that were not learnt from."""
    learnt = Recalibration().fit(*decided(truth, size, seed=1))
    weights, matches = decided(truth, 20_000, seed=2)

    assert form == learnt.form_
    assert calibration_error(weights, matches) > 0.05
    assert calibration_error(learnt.transform(weights), matches) < 0.025


def test_calibrated_weights_stay():
    """Weights that mean what they say are left as they are."""
    assert "identity" == Recalibration().fit(*decided(lambda weights: weights, 2_000, seed=3)).form_


@pytest.mark.parametrize("size", [0, 5, 19])
def test_few_decisions_change_nothing(size):
    """Without enough decisions every weight stays, to the last bit."""
    learnt = Recalibration().fit(*decided(confident, size, seed=4))
    weights = np.linspace(-80, 80, 33)

    assert ("identity", size) == (learnt.form_, learnt.decisions_)
    assert weights.tolist() == learnt.transform(weights).tolist()


@settings(max_examples=10, deadline=None)
@given(weights_of_pairs, st.integers(0, 2**32 - 1))
def test_order_of_pairs_stays(weights, seed):
    """Whatever the decisions are, a pair of more weight keeps more weight, beyond those decided too."""
    weights = np.array(weights)
    learnt = Recalibration().fit(weights, np.random.default_rng(seed).random(len(weights)) < 0.5)
    asked = np.sort(np.append(weights, [-500.0, 0.0, 500.0]))

    assert (np.diff(learnt.transform(asked)) >= 0).all()
    assert (np.diff(learnt.transform(np.arange(-100.0, 100.0))) > 0).all()


def test_isotonic_keeps_order_too():
    """A curve of any form rises strictly, even where decisions do not."""
    learnt = Recalibration().fit(*decided(saturated, 3_000, seed=5))

    assert "isotonic" in learnt.log_loss_
    assert (np.diff(learnt.transform(np.arange(-100.0, 100.0))) > 0).all()


@settings(max_examples=10, deadline=None)
@given(weights_of_pairs, st.integers(0, 2**32 - 1))
def test_never_worse_than_the_identity(weights, seed):
    """The chosen form has at most the cross-validated loss of the identity."""
    weights = np.array(weights)
    learnt = Recalibration().fit(weights, np.random.default_rng(seed).random(len(weights)) < 0.5)

    assert learnt.log_loss_[learnt.form_] <= learnt.log_loss_["identity"]


def test_row_order_changes_nothing():
    """Shuffled decisions give the same curve to the last bit."""
    weights, matches = decided(confident, 400, seed=6)
    importance = np.random.default_rng(6).uniform(0.5, 2, 400)
    order = np.random.default_rng(7).permutation(400)

    one = Recalibration().fit(weights, matches, importance)
    other = Recalibration().fit(weights[order], matches[order], importance[order])
    assert one.to_dict() == other.to_dict()


def test_importance_is_repetition():
    """A decision that stands for three pairs weighs as three decisions."""
    weights, matches = decided(confident, 300, seed=8)
    importance = np.where(np.arange(300) % 2, 3.0, 1.0)
    repeated = np.repeat(np.arange(300), importance.astype(int))

    weighed = Recalibration().fit(weights, matches, importance).transform(np.array([-5.0, 5.0]))
    counted = Recalibration().fit(weights[repeated], matches[repeated]).transform(np.array([-5.0, 5.0]))
    assert counted == pytest.approx(weighed, abs=0.1)


def test_strata_stand_for_their_pairs():
    """The shares of strata among decisions become those among pairs, unless one decision would rule."""
    each = importance_of_strata(np.array([800.0, 400.0]), np.array([10.0, 20.0]))
    assert 800 / 400 == pytest.approx(each[0] * 10 / (each[1] * 20))
    assert 10.0 == importance_of_strata(np.array([1e9, 10.0]), np.array([1.0, 1000.0])).max()


def test_json_round_trip():
    """A recalibration that went through JSON recalibrates as before."""
    learnt = Recalibration().fit(*decided(saturated, 2_000, seed=9))
    again = Recalibration.from_dict(json.loads(json.dumps(learnt.to_dict(), allow_nan=False)))
    weights = np.linspace(-30, 30, 61)

    assert learnt.to_dict() == again.to_dict()
    assert learnt.transform(weights).tolist() == again.transform(weights).tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"form": "other"},
        {"curve": {"at": [0.0], "to": [0.0]}},
        {"curve": {"at": [0.0, 1.0], "to": [1.0, 0.0], "ends": [1.0, 1.0]}},
        {"curve": {"at": [float("nan")], "to": [0.0], "ends": [1.0, 1.0]}},
        {"curve": {"at": [0.0], "to": [0.0], "ends": [-1.0, 1.0]}},
        {"decisions": None},
    ],
)
def test_damaged_recalibrations_are_refused(change):
    """A recalibration that would turn pairs over, or lacks a part, is a model error."""
    with pytest.raises(ModelError):
        Recalibration.from_dict({**Recalibration.identity().to_dict(), **change})


def test_asking_before_fit_is_a_clear_error():
    """A recalibration that was not fitted says so."""
    for ask in (lambda new: new.transform(np.zeros(1)), lambda new: new.to_dict()):
        with pytest.raises(NotFittedError, match="Recalibration"):
            ask(Recalibration())


@pytest.mark.parametrize(
    ("weights", "matches", "importance"),
    [([0.0], [True, False], None), ([np.inf], [True], None), ([0.0], [2], None), ([0.0], [True], [0.0])],
)
def test_decisions_that_are_none_are_refused(weights, matches, importance):
    """Arrays of several lengths, or with values that are no numbers, are errors."""
    with pytest.raises(DataError):
        Recalibration().fit(np.array(weights), np.array(matches), importance)


# ---------------------------------------------------------------------- in the model
@pytest.fixture(scope="module")
def lake(small_world_project):
    with Lakehouse(small_world_project) as lake:
        lake.open(tables.RECORDS)
        yield lake


@pytest.fixture(scope="module")
def decisions(lake, plain) -> pd.DataFrame:
    """Decisions of one who knows the truth on half of the scored pairs."""
    lake.con.register("plain_pairs_given", plain["pairs"])
    lake.rows("create temp table plain_pairs as from plain_pairs_given")
    truth = lake.folder / "labels" / "true_people.parquet"
    return lake.sql(f"""
        select record_id_l, record_id_r, case when l.true_id = r.true_id then 'match' else 'non-match' end as decision
        from plain_pairs
        join '{truth}' l on l.record_id = record_id_l
        join '{truth}' r on r.record_id = record_id_r
        where hash(least(l.true_id, r.true_id)) % 2 = 0
        order by all
    """).df()


@pytest.fixture(scope="module")
def plain(lake) -> dict:
    """What a model said before any recalibration, and the model."""
    model = LinkageModel().fit(tables.RECORDS.path, con=lake.con)
    return {"pairs": model.predict(), "json": model.to_dict(), "clusters": model.cluster(), "model": model}


@pytest.fixture(scope="module")
def recalibrated(small_world_project, plain) -> Iterator[LinkageModel]:
    """The same model from JSON, with a recalibration that is far from the identity."""
    learnt = Recalibration().fit(*decided(confident, 500, seed=1))
    content = json.loads(json.dumps({**plain["json"], "recalibration": learnt.to_dict()}))
    with Lakehouse(small_world_project) as lake:
        yield LinkageModel.from_dict(content).score(lake.open(tables.RECORDS), con=lake.con)


def test_the_model_learns_from_decisions(decisions, plain):
    """Recalibrating counts the decisions, never worsens the loss on them, and keeps the classes."""
    model = plain["model"].recalibrate(decisions)
    learnt = model.recalibration_

    assert 0 < learnt.decisions_ <= len(decisions)
    assert learnt.log_loss_[learnt.form_] <= learnt.log_loss_["identity"]
    assert plain["json"]["classes"] == model.to_dict()["classes"]


def test_only_sampled_pairs_teach(plain, decisions):
    """Where decisions say which pairs were drawn at random, the others teach nothing; possible never does."""
    model = plain["model"]
    marked = decisions.assign(sampled=(np.arange(len(decisions)) % 3 == 0).astype(int))

    assert model.recalibrate(marked[marked["sampled"] == 1]).recalibration_.to_dict() == (
        model.recalibrate(marked).recalibration_.to_dict()
    )
    assert 0 == model.recalibrate(marked.assign(sampled=0)).recalibration_.decisions_
    assert 0 == model.recalibrate(decisions.assign(decision="possible")).recalibration_.decisions_


def test_labels_are_decisions(plain, decisions):
    """Labelled pairs teach the same as the same decisions in words."""
    model = plain["model"]
    labels = decisions.assign(is_match=(decisions["decision"] == "match").astype(int)).drop(columns="decision")

    assert model.recalibrate(decisions).recalibration_.to_dict() == model.recalibrate(labels).recalibration_.to_dict()


def test_every_pair_is_weighed_anew(plain, recalibrated):
    """The pairs compared stay, and each weight goes through the curve."""
    both = plain["pairs"].to_pandas().merge(recalibrated.predict().to_pandas(), on=["record_id_l", "record_id_r"])

    assert len(both) > 500
    expected = recalibrated.recalibration_.transform(both["match_weight_x"].to_numpy())
    assert expected == pytest.approx(both["match_weight_y"].to_numpy(), abs=1e-9)
    assert match_probabilities(expected) == pytest.approx(both["match_probability_y"].to_numpy(), abs=1e-9)


def test_default_clusters_hardly_change(plain, recalibrated):
    """The default cut means the same after a recalibration, so that it moves probabilities rather than people."""
    before, after = plain["clusters"].to_pandas(), recalibrated.cluster().to_pandas()
    same = before.merge(after, on="record_id").eval("cluster_id_x == cluster_id_y").mean()

    assert same > 0.98


def test_one_record_is_weighed_as_the_batch(recalibrated):
    """The online scorer gives a stored pair the recalibrated weight that the batch gives it."""
    pair = recalibrated.predict().to_pandas().iloc[7]
    scorer = OnlineScorer(json.loads(json.dumps(recalibrated.to_dict())))
    features = recalibrated._features.name
    rows = {row["record_id"]: row for row in recalibrated._con.sql(f"from {features}").to_arrow_table().to_pylist()}
    left, right = rows[pair["record_id_l"]], rows[pair["record_id_r"]]
    digits = scorer.digits(left, [tuple(right[column] for column in scorer.columns)])

    assert pair["match_weight"] == pytest.approx(scorer.match_weights(digits)[0], abs=1e-9)
    assert pair["match_weight"] == pytest.approx(scorer.explain(digits[0])[-1]["match_weight"], abs=1e-9)


def test_explanation_ends_with_the_recalibration(recalibrated):
    """The waterfall tells what the recalibration added, and still sums to the weight."""
    pair = recalibrated.predict().to_pandas().iloc[3]
    steps = recalibrated.explain(pair["record_id_l"], pair["record_id_r"])

    assert ["recalibration", "total"] == [step["step"] for step in steps[-2:]]
    assert "platt" == steps[-2]["level"]
    assert pair["match_weight"] == pytest.approx(sum(step["weight"] for step in steps[:-1]), abs=1e-9)
    assert pair["match_weight"] == pytest.approx(steps[-1]["match_weight"], abs=1e-9)


def test_other_classes_share_what_is_left(recalibrated):
    """Class probabilities sum to one, hold the recalibrated match probability, and keep the others' proportions."""
    scorer, classes = recalibrated.scorer_, recalibrated.classes_
    digits = np.random.default_rng(1).integers(-1, 2, (200, len(recalibrated.comparisons_)))
    before, after = classes.class_probabilities(digits), scorer.class_probabilities(digits)

    assert isinstance(scorer, RecalibratedClasses)
    assert np.allclose(1.0, after.sum(axis=1))
    assert np.allclose(match_probabilities(scorer.match_weights(digits)), after[:, 0])
    clear = before[:, 1:].sum(axis=1) > 1e-6
    shares = [each[clear, 1:] / each[clear, 1:].sum(axis=1, keepdims=True) for each in (before, after)]
    assert np.allclose(*shares, atol=1e-6)
