"""How right clusters are."""

import itertools

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml import evaluate_clusters
from c360ml.errors import ColumnError, DataError
from c360ml.linkage.evaluation import expected_calibration_error


def tables(clusters, truth):
    ids = [f"r{number}" for number in range(len(clusters))]
    return (
        pd.DataFrame({"record_id": ids, "cluster_id": clusters}),
        pd.DataFrame({"record_id": ids, "true_id": truth}),
    )


def test_published_example_of_b_cubed():
    """The example of Amigo et al. 2009 style: two clusters, one mixed, worked by hand."""
    measures = evaluate_clusters(*tables([1, 1, 1, 2, 2], ["a", "a", "b", "b", "b"]))

    assert (2 / 3 + 2 / 3 + 1 / 3 + 1 + 1) / 5 == pytest.approx(measures["b3_precision"])
    assert (1 + 1 + 1 / 3 + 2 / 3 + 2 / 3) / 5 == pytest.approx(measures["b3_recall"])
    assert 2 / 4 == pytest.approx(measures["pairwise_precision"])
    assert 2 / 4 == pytest.approx(measures["pairwise_recall"])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
def test_equals_counting_pair_by_pair(rows):
    """Set-oriented measures equal those counted over every pair and record."""
    clusters, truth = [row[0] for row in rows], [row[1] for row in rows]
    measures = evaluate_clusters(*tables(clusters, truth))
    pairs = list(itertools.combinations(range(len(rows)), 2))
    joined = {(i, j) for i, j in pairs if clusters[i] == clusters[j]}
    same = {(i, j) for i, j in pairs if truth[i] == truth[j]}
    b3 = [
        sum(t == truth[i] and c == clusters[i] for c, t in rows) / clusters.count(clusters[i]) for i in range(len(rows))
    ]

    assert (len(joined & same) / len(joined) if joined else 1.0) == pytest.approx(measures["pairwise_precision"])
    assert (len(joined & same) / len(same) if same else 1.0) == pytest.approx(measures["pairwise_recall"])
    assert sum(b3) / len(b3) == pytest.approx(measures["b3_precision"])


def test_records_without_truth_are_left_out():
    """Only records that the truth names are judged."""
    clusters, truth = tables([1, 1, 1], ["a", "a", "b"])

    assert 2 == evaluate_clusters(clusters, truth.head(2))["records"]


def test_null_truth_is_no_identity():
    """Records with null truth are left out rather than taken for one person."""
    measures = evaluate_clusters(*tables([1, 2, 3], ["a", None, None]))

    assert (1, 1) == (measures["records"], measures["true_ids"])


def test_nothing_in_common_is_an_error():
    """Truth about other records is refused, not scored as perfect."""
    clusters, truth = tables([1, 1], ["a", "a"])
    truth["record_id"] = ["x", "y"]

    with pytest.raises(DataError, match="no record in common"):
        evaluate_clusters(clusters, truth)


def test_missing_column_is_named():
    """A table without the promised column gets an error that names it."""
    clusters, truth = tables([1, 1], ["a", "a"])

    with pytest.raises(ColumnError, match="true_id"):
        evaluate_clusters(clusters, truth.drop(columns="true_id"))


def test_calibration_error_by_hand():
    """The error is the distance of probability from share, weighted by pairs."""
    bins = [
        {"pairs": 10, "mean_probability": 0.9, "true_share": 0.8},
        {"pairs": 30, "mean_probability": 0.1, "true_share": 0.1},
    ]

    assert 0.025 == pytest.approx(expected_calibration_error(bins))
