"""Whether probabilities mean what they say, against pair-by-pair computation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from c360ml import evaluate_clusters
from c360ml.errors import ColumnError, ConfigError


@pytest.fixture(scope="module")
def scored():
    """Pairs of 60 people with two records each, scored with some error; clusters are those of the links."""
    random = np.random.default_rng(4)
    ids = [f"r{number:03}" for number in range(120)]
    true = {name: number // 2 for number, name in enumerate(ids)}
    left, right = np.triu_indices(120, 1)
    chosen = (left // 2 == right // 2) | (random.random(len(left)) < 0.05)
    chosen &= random.random(len(left)) < 0.9  # blocking loses some
    left, right = left[chosen], right[chosen]
    same = left // 2 == right // 2
    weight = np.where(same, random.normal(3, 3, len(left)), random.normal(-4, 3, len(left)))
    pairs = pd.DataFrame(
        {
            "record_id_l": np.array(ids)[left],
            "record_id_r": np.array(ids)[right],
            "match_probability": 1 / (1 + 2.0**-weight),
        }
    )
    truth = pd.DataFrame({"record_id": ids, "true_id": [true[name] for name in ids]})
    clusters = truth.assign(cluster_id=[n // 2 if n % 8 else 1000 + n for n in range(120)])[["record_id", "cluster_id"]]
    return clusters, truth, pairs, same


@pytest.fixture(scope="module")
def measured(scored):
    """The evaluation of these pairs."""
    clusters, truth, pairs, _ = scored
    return evaluate_clusters(clusters, truth, pairs=pairs, threshold=0.7)


def test_scores_are_those_of_sklearn(scored, measured):
    """Brier score and log loss equal scikit-learn's."""
    probability, same = scored[2]["match_probability"], scored[3]
    assert brier_score_loss(same, probability) == pytest.approx(measured["brier_score"], abs=1e-6)
    assert log_loss(same, probability) == pytest.approx(measured["log_loss"], abs=1e-6)


def test_bins_are_those_of_counting(scored, measured):
    """Bins of equal width hold the pairs, mean probability and true share that pandas finds, within their interval."""
    table = scored[2].assign(same=scored[3], bin=lambda t: np.minimum(t["match_probability"] * 20 // 1, 19))
    expected = table.groupby("bin").agg(
        pairs=("same", "size"), mean_probability=("match_probability", "mean"), true_share=("same", "mean")
    )
    found = pd.DataFrame(measured["calibration"])
    np.testing.assert_allclose(expected, found[["pairs", "mean_probability", "true_share"]], atol=1e-6)
    assert (found["low"] <= found["true_share"]).all() and (found["true_share"] <= found["high"]).all()


def test_equal_count_bins_hold_alike_many_pairs(scored, measured):
    """Bins of equal count share out all pairs, in order of probability, none much larger than another."""
    bins = pd.DataFrame(measured["calibration_equal_counts"])
    assert len(scored[2]) == bins["pairs"].sum()
    assert bins["mean_probability"].is_monotonic_increasing
    assert bins["pairs"].max() < 1.6 * bins["pairs"].min()


def test_threshold_table_is_that_of_counting(scored, measured):
    """Precision and recall above each of about fifty thresholds equal counting, and fall or rise as they must."""
    table = pd.DataFrame(measured["thresholds"])
    probability, same = scored[2]["match_probability"].to_numpy(), scored[3]
    for row in table.itertuples():
        above = probability > row.threshold
        assert above.sum() == row.pairs
        assert (same[above].mean() if above.any() else 1.0) == pytest.approx(row.precision, abs=1e-6)
        assert same[above].sum() / 60 == pytest.approx(row.recall, abs=1e-6)
    assert 48 <= len(table) <= 52
    assert table["pairs"].is_monotonic_decreasing and table["recall"].is_monotonic_decreasing
    assert table["threshold"].is_monotonic_increasing


def test_the_chosen_threshold_is_marked_once(scored, measured):
    """One row of the table is the threshold in use, to the pair."""
    chosen = [row for row in measured["thresholds"] if row["chosen"]]
    assert [0.7] == [row["threshold"] for row in chosen]
    assert int((scored[2]["match_probability"] > 0.7).sum()) == chosen[0]["pairs"]


def test_recall_is_explained_step_by_step(scored, measured):
    """Shares compared, linked and kept multiply, and with the share gained add up, to pairwise recall."""
    steps = measured["recall_steps"]
    product = steps["compared_share"] * steps["linked_share"] * steps["kept_share"]
    assert measured["pairwise_recall"] == pytest.approx(product + steps["gained_share"])
    assert (60, int(scored[3].sum())) == (steps["true_pairs"], steps["compared_pairs"])
    assert steps["gained_pairs"] > 0 and steps["kept_share"] < 1


def test_pairs_in_either_order_and_twice_are_one(scored, measured):
    """Pairs given the other way round, or repeated, change nothing."""
    clusters, truth, pairs, _ = scored
    turned = pairs.rename(columns={"record_id_l": "record_id_r", "record_id_r": "record_id_l"})
    assert measured == evaluate_clusters(clusters, truth, pairs=pd.concat([turned, pairs.head(9)]), threshold=0.7)


def test_probabilities_that_are_none_are_refused(scored):
    """A probability beyond one is told, as is a threshold of one."""
    clusters, truth, pairs, _ = scored
    with pytest.raises(ColumnError, match="between 0 and 1"):
        evaluate_clusters(clusters, truth, pairs=pairs.assign(match_probability=7))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        evaluate_clusters(clusters, truth, threshold=1)
