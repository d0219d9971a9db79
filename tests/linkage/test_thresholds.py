"""Thresholds: what is promised above them holds, and a slow second way finds the same ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from c360ml.config import Config, Linkage
from c360ml.errors import ColumnError, ConfigError, DataError
from c360ml.linkage.thresholds import (
    choose_threshold,
    chosen_threshold,
    review_band,
    review_band_by_cost,
    threshold_by_cost,
    threshold_by_labels,
    wilson_interval,
)

few = settings(max_examples=6, deadline=None)
probabilities = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=1, max_size=40)
shares = st.floats(0.02, 0.98)
costs = st.floats(0.01, 1000)


def pairs_of(values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"match_probability": values})


@few
@given(probabilities, shares)
def test_target_precision_agrees_with_trying_every_threshold(values, target):
    """The threshold links as many pairs as any that keeps the expected precision."""
    found = choose_threshold(pairs_of(values), target_precision=target)

    tried = [[value for value in values if value >= least] for least in {*values, 2.0} - {0.0}]
    most = max(len(above) for above in tried if not above or sum(above) / len(above) >= target - 1e-12)
    above = [value for value in values if value > found.probability]
    assert most == len(above) == found.pairs
    if above:
        assert found.expected_precision == pytest.approx(sum(above) / len(above))
    if sum(values):
        assert found.expected_recall == pytest.approx(sum(above) / sum(values))


@few
@given(probabilities, shares, shares)
def test_a_higher_target_never_lowers_the_threshold(values, one, other):
    """Asking for more precision never links more pairs."""
    low, high = (choose_threshold(pairs_of(values), target_precision=target) for target in sorted((one, other)))

    assert low.probability <= high.probability
    assert low.pairs >= high.pairs


@few
@given(probabilities)
def test_counted_pairs_are_pairs(values):
    """A row per probability with its number of pairs says the same as a row per pair."""
    counted = pairs_of(values).value_counts().rename("pairs").reset_index()

    assert choose_threshold(pairs_of(values)) == choose_threshold(counted)
    assert review_band(pairs_of(values)) == review_band(counted)


def test_no_pair_is_sure_enough():
    """Where no pair reaches the target nothing is linked, rather than an error in the middle of a run."""
    found = choose_threshold(pairs_of([0.5, 0.2]), target_precision=0.9)

    assert (0, 1.0, 0.0) == (found.pairs, found.expected_precision, found.expected_recall)
    assert "sure enough" in found.why


@few
@given(probabilities, shares, shares)
def test_no_threshold_below_the_least(values, target, least):
    """The least threshold that is allowed holds, and changes nothing where the target asks for more."""
    free, held = (choose_threshold(pairs_of(values), target_precision=target, least=floor) for floor in (0.0, least))

    assert held.probability == max(free.probability, least)
    assert held.pairs == sum(value > held.probability for value in values)


@few
@given(probabilities, costs, costs)
def test_costs_give_bayes_threshold(values, false, missed):
    """With costs F and M links pay from F / (F + M) on, whatever the pairs are."""
    found = threshold_by_cost(pairs_of(values), false_merge_cost=false, missed_merge_cost=missed)

    assert found.probability == pytest.approx(false / (false + missed))


@few
@given(probabilities, costs, costs, costs)
def test_a_dearer_false_merge_never_lowers_the_threshold(values, one, other, missed):
    """The more a false merge costs, the surer a link must be."""
    low, high = (
        threshold_by_cost(pairs_of(values), false_merge_cost=cost, missed_merge_cost=missed)
        for cost in sorted((one, other))
    )

    assert low.probability <= high.probability


@few
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=20))
def test_costs_by_pair_agree_with_trying_every_threshold(rows):
    """With a cost per pair no other threshold costs less in expectation."""
    pairs = pd.DataFrame(rows, columns=["match_probability", "false", "missed"])
    pairs["match_probability"] /= 100
    found = threshold_by_cost(pairs, false_merge_cost="false", missed_merge_cost="missed")

    def expected(threshold: float) -> float:
        linked = pairs["match_probability"] > threshold
        chance = pairs["match_probability"]
        return float(np.where(linked, (1 - chance) * pairs["false"], chance * pairs["missed"]).sum())

    least = min(expected(threshold) for threshold in (-1, *pairs["match_probability"]))
    assert expected(found.probability) == pytest.approx(least)


@few
@given(st.lists(st.tuples(st.integers(1, 100), st.booleans()), min_size=1, max_size=30))
def test_labels_agree_with_trying_every_threshold(rows):
    """No other threshold has a higher F1 on the labelled pairs, and its precision comes with Wilson's interval."""
    chances, matches = [chance / 100 for chance, _ in rows], [match for _, match in rows]
    ids = {"record_id_l": [f"a{n}" for n in range(len(rows))], "record_id_r": [f"b{n}" for n in range(len(rows))]}
    pairs, labels = pd.DataFrame({**ids, "match_probability": chances}), pd.DataFrame({**ids, "is_match": matches})
    if not any(matches):
        with pytest.raises(DataError, match="hold a match"):
            threshold_by_labels(pairs, labels)
        return
    found = threshold_by_labels(pairs, labels)

    def f1(threshold: float) -> float:
        linked = [chance > threshold for chance in chances]
        hits = sum(link and match for link, match in zip(linked, matches, strict=True))
        return 2 * hits / (sum(linked) + sum(matches))

    assert f1(found.probability) == pytest.approx(max(f1(threshold) for threshold in (0, *chances)))
    linked = [match for chance, match in zip(chances, matches, strict=True) if chance > found.probability]
    assert found.expected_precision == pytest.approx(sum(linked) / len(linked))
    interval = binomtest(sum(linked), len(linked)).proportion_ci(method="wilson")
    assert found.precision_interval == pytest.approx((interval.low, interval.high))


def test_labels_at_a_target_precision():
    """Of the thresholds that reach the target on labels the one of most recall is taken; unscored pairs are missed."""
    ids = {"record_id_l": list("abcde"), "record_id_r": list("vwxyz")}
    pairs = pd.DataFrame({**ids, "match_probability": [0.9, 0.8, 0.7, 0.6, 0.5]})
    labels = pd.DataFrame(
        {"record_id_l": list("wvxyzq"), "record_id_r": list("bacdeq"), "is_match": [1, 1, 0, 1, 0, 1]}
    )

    found = threshold_by_labels(pairs, labels, target_precision=0.7)
    assert (0.75, 0.75) == (found.expected_precision, found.expected_recall)
    assert 0.5 < found.probability < 0.6
    with pytest.raises(DataError, match="reach the target"):
        threshold_by_labels(pairs, labels.assign(is_match=[0, 0, 0, 0, 1, 0]), target_precision=0.9)


@few
@given(probabilities, shares, shares)
def test_what_is_decided_unseen_is_right_enough(values, target, missed):
    """Above the band the expected precision holds, and below it no more than the allowed share of matches is left."""
    band = review_band(pairs_of(values), target_precision=target, target_missed=missed)

    above = [value for value in values if value > band.upper]
    below = [value for value in values if value < band.lower]
    assert band.lower <= band.upper
    assert not above or sum(above) / len(above) >= target - 1e-12
    assert sum(below) <= missed * sum(values) + 1e-9
    assert band.pairs == sum(band.lower < value < band.upper for value in values)


@few
@given(probabilities, costs, costs, costs)
def test_a_review_pays_within_the_band_only(values, false, missed, review):
    """A pair is in the band of costs exactly if the better decision is expected to cost more than a review."""
    band = review_band_by_cost(pairs_of(values), false_merge_cost=false, missed_merge_cost=missed, review_cost=review)

    worth = [value for value in values if min(value * missed, (1 - value) * false) > review * (1 + 1e-9)]
    maybe = [value for value in values if min(value * missed, (1 - value) * false) > review * (1 - 1e-9)]
    assert len(worth) <= band.pairs <= len(maybe)


@few
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_of_a_share_is_wilsons(counts):
    """The interval agrees with scipy's."""
    hits, trials = counts
    expected = binomtest(hits, trials).proportion_ci(method="wilson")
    assert (expected.low, expected.high) == pytest.approx(wilson_interval(hits, trials), abs=1e-9)


def test_settings_choose_at_most_one_way():
    """Two ways to choose a threshold, or half of the costs, are refused by name."""
    for linkage in (
        {"target_precision": 0.9, "match_probability_threshold": 0.5},
        {"target_precision": 0.9, "false_merge_cost": 2, "missed_merge_cost": 1},
        {"match_probability_threshold": 0.5, "false_merge_cost": 2, "missed_merge_cost": 1},
    ):
        with pytest.raises(ConfigError, match="choose one of"):
            Config.parse({"linkage": linkage})
    for linkage in ({"false_merge_cost": 2}, {"missed_merge_cost": 2}, {"review_cost": 2}):
        with pytest.raises(ConfigError, match="go together"):
            Config.parse({"linkage": linkage})


def test_settings_choose_the_threshold():
    """Target precision, costs or nothing in the settings give the threshold of each way, or none."""
    pairs = pairs_of([1.0, 0.9, 0.3, 0.1])

    assert chosen_threshold(pairs, Linkage()) is None
    assert chosen_threshold(pairs, Linkage(match_probability_threshold=0.7)) is None
    assert choose_threshold(pairs, target_precision=0.95) == chosen_threshold(pairs, Linkage(target_precision=0.95))
    assert 0.2 == chosen_threshold(pairs, Linkage(target_precision=0.5), least=0.2).probability
    assert 0.8 == chosen_threshold(pairs, Linkage(false_merge_cost=4, missed_merge_cost=1), least=0.9).probability


@pytest.mark.parametrize(
    ("error", "ask"),
    [
        (ConfigError, lambda pairs: choose_threshold(pairs, target_precision=1.0)),
        (ConfigError, lambda pairs: review_band(pairs, target_missed=0)),
        (ConfigError, lambda pairs: threshold_by_cost(pairs, false_merge_cost=0, missed_merge_cost=1)),
        (ConfigError, lambda pairs: threshold_by_cost(pairs, false_merge_cost=1, missed_merge_cost=float("inf"))),
        (ColumnError, lambda pairs: threshold_by_cost(pairs, false_merge_cost="cost", missed_merge_cost=1)),
        (
            ColumnError,
            lambda pairs: threshold_by_cost(pairs.assign(cost="x"), false_merge_cost=1, missed_merge_cost="cost"),
        ),
        (ColumnError, lambda pairs: choose_threshold(pairs.rename(columns={"match_probability": "p"}))),
        (ColumnError, lambda pairs: choose_threshold(pairs.assign(match_probability=1.5))),
        (ColumnError, lambda pairs: choose_threshold(pairs.assign(match_probability=None))),
        (ColumnError, lambda pairs: threshold_by_labels(pairs, pairs)),
    ],
)
def test_what_cannot_be_asked_is_refused(error, ask):
    """Targets that are no shares, costs that are no money and tables that hold no probabilities are errors."""
    with pytest.raises(error):
        ask(pairs_of([0.9, 0.1]))
