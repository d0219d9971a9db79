"""Labels in all their forms, and what is said of those that will not do."""

from __future__ import annotations

import pandas as pd
import pytest

from c360ml import evaluate_clusters
from c360ml.errors import ColumnError, DataError

# a, b, c are one cluster, d, e another, f is alone
CLUSTERS = pd.DataFrame({"record_id": list("abcdef"), "cluster_id": [1, 1, 1, 2, 2, 3]})


def pairs(*rows, answer="decision"):
    return pd.DataFrame(rows, columns=["record_id_l", "record_id_r", answer])


def test_labelled_pairs_are_measured_with_intervals():
    """Labelled pairs give precision and recall of being in one cluster, with intervals, whichever side comes first."""
    labels = pairs(("a", "b", 1), ("c", "a", 1), ("d", "e", 0), ("f", "a", 1), answer="is_match")
    measured = evaluate_clusters(CLUSTERS, labels)
    assert (4, 2 / 3, 2 / 3) == tuple(measured[f"labelled_{name}"] for name in ("pairs", "precision", "recall"))
    low, high = measured["intervals"]["labelled_precision"]
    assert 0 < low < 2 / 3 < high < 1


@pytest.mark.parametrize(
    ("yes", "no"),
    [(1, 0), (1.0, 0.0), (True, False), ("1", "0"), ("true", "False"), ("match", "non-match"), ("y", "n")],
)
def test_yes_and_no_are_read_in_many_words(yes, no):
    """Numbers, booleans and words say the same, and what says nothing is refused."""
    labels = pairs(("a", "b", yes), ("d", "e", no), answer="is_match")
    if yes == "y":
        with pytest.raises(DataError, match="2 whose is_match is not 0 or 1"):
            evaluate_clusters(CLUSTERS, labels)
    else:
        assert 0.5 == evaluate_clusters(CLUSTERS, labels)["labelled_precision"]


def test_possible_is_no_error_either_way():
    """Pairs labelled possible change neither precision nor recall; how many were joined is told apart."""
    sure = (("a", "b", "match"), ("d", "e", "non-match"), ("a", "f", "match"))
    without, with_ = (
        evaluate_clusters(CLUSTERS, pairs(*sure, *more))
        for more in ((), (("b", "c", "possible"), ("b", "f", "possible_match")))
    )
    measures = ("labelled_pairs", "labelled_precision", "labelled_recall", "labelled_f1")
    assert [without[name] for name in measures] == [with_[name] for name in measures]
    assert (2, 0.5) == (with_["possible_pairs"], with_["possible_joined"])
    assert without["errors"] == with_["errors"]


def test_possible_pairs_should_be_in_the_review_band():
    """Of pairs labelled possible the shares in, above and below the band add up; unscored pairs are below."""
    labels = pairs(("b", "a", "possible"), ("b", "c", "possible"), ("d", "e", "possible"), ("a", "f", "possible"))
    scored = pd.DataFrame(
        {"record_id_l": ["a", "c", "d"], "record_id_r": ["b", "b", "e"], "match_probability": [0.5, 0.95, 0.2]}
    )
    measured = evaluate_clusters(CLUSTERS, labels, pairs=scored)
    shares = {name: measured[f"possible_{name}_review_band"] for name in ("in", "above", "below")}
    assert {"in": 0.5, "above": 0.25, "below": 0.25} == shares
    assert "labelled_f1" not in measured


def test_errors_of_labelled_pairs_are_shown():
    """Missed and false labelled pairs are listed by their record ids."""
    labels = pairs(("b", "a", "non-match"), ("f", "d", "match"), ("a", "c", "match"))
    errors = evaluate_clusters(CLUSTERS, labels)["errors"]
    assert [["a", "b"]] == errors["false_merges"][0]["examples"]
    assert [["d", "f"]] == errors["missed_links"][0]["examples"]


def test_agreeing_repeats_count_once_and_strangers_not_at_all():
    """A pair labelled twice alike counts once; a pair of unknown records is counted apart."""
    labels = pairs(("a", "b", "match"), ("b", "a", "match"), ("a", "zz", "match"))
    measured = evaluate_clusters(CLUSTERS, labels)
    assert (1, 1) == (measured["labelled_pairs"], measured["unknown_pairs"])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("a", "b", None), (None, "b", "match"), ("a", "c", "match")], "2 with a null"),
        ([("a", "a", "match")], "1 of a record with itself"),
        ([("a", "b", "match"), ("b", "a", "non-match")], "1 pairs labelled in two ways"),
        ([("a", "b", "perhaps")], "1 whose decision is not one of match, non-match, possible"),
        ([], "at least one pair"),
    ],
)
def test_bad_labelled_pairs_are_counted_and_refused(rows, told):
    """Nulls, self pairs, unknown words and contradictions are refused with their number."""
    with pytest.raises(DataError, match=told):
        evaluate_clusters(CLUSTERS, pairs(*rows).astype(object))


def test_bad_true_ids_are_counted_and_refused():
    """A record with two true ids is no truth; the same row twice is."""
    truth = pd.DataFrame({"record_id": ["a", "a", "b"], "true_id": ["x", "x", "x"]})
    assert 2 == evaluate_clusters(CLUSTERS, truth)["records"]
    with pytest.raises(DataError, match="1 records with two true ids"):
        evaluate_clusters(CLUSTERS, truth.assign(true_id=["x", "y", "x"]))


def test_labels_of_no_form_are_refused():
    """Columns that are no form of labels are told what they must be."""
    with pytest.raises(ColumnError, match="is_match"):
        evaluate_clusters(CLUSTERS, pairs(("a", "b", 1), answer="answer"))
    with pytest.raises(ColumnError, match="true_id"):
        evaluate_clusters(CLUSTERS, pd.DataFrame({"record_id": ["a"], "who": ["x"]}))


@pytest.mark.parametrize("change", [{"record_id": list("abcdea")}, {"cluster_id": [1, 1, 1, 2, 2, None]}])
def test_clusters_must_name_each_record_once(change):
    """Clusters with a repeated record, or a record without a cluster, are refused."""
    with pytest.raises(DataError, match="clusters must name each record once"):
        evaluate_clusters(CLUSTERS.assign(**change), pairs(("a", "b", 1), answer="is_match"))
