"""The page of an evaluation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report_reading import addresses, charts, check_spec, own_text

from c360ml import evaluate_clusters
from c360ml.dashboards.evaluation_page import evaluation_blocks, evaluation_sections, verdict, write_evaluation_page


@pytest.fixture(scope="module")
def tables():
    """Clusters of 100 people with errors, truth, groups, sources and scored pairs."""
    random = np.random.default_rng(12)
    true = np.repeat(np.arange(100), 3)
    ids = np.array([f"r{n:03}" for n in range(300)])
    cluster = np.where(random.random(300) < 0.9, true, random.integers(0, 100, 300))
    left, right = np.triu_indices(300, 1)
    near = (true[left] == true[right]) | (cluster[left] == cluster[right])
    left, right = left[near], right[near]
    chance = np.where(
        cluster[left] == cluster[right], random.uniform(0.6, 0.99, len(left)), random.uniform(0, 0.6, len(left))
    )
    return {
        "clusters": pd.DataFrame({"record_id": ids, "cluster_id": cluster}),
        "truth": pd.DataFrame({"record_id": ids, "true_id": true}),
        "pairs": pd.DataFrame({"record_id_l": ids[left], "record_id_r": ids[right], "match_probability": chance}),
        "groups": pd.DataFrame({"record_id": ids, "group": np.where(true % 2, "<odd>", "even")}),
        "sources": pd.DataFrame({"record_id": ids, "source": np.array(["crm", "web", "shop"])[np.arange(300) % 3]}),
    }


def test_the_page_answers_every_question(tables, tmp_path):
    """With truth, pairs, groups and sources the page has all sections, whole charts, and asks no other computer."""
    report = write_evaluation_page(evaluate_clusters(**tables), tmp_path, clusters="found.csv", truth="truth.csv")
    text = own_text(report)
    questions = (
        "How right",
        "Where are true links lost",
        "Which errors",
        "Which sources",
        "believed",
        "other thresholds",
    )
    assert all(question in text for question in (*questions, "served alike", "Evaluation: found.csv"))
    assert "&lt;odd&gt;" in text and "<odd>" not in text
    assert [] == addresses(report)
    assert len(charts(report)) >= 9
    for spec in charts(report):
        check_spec(spec)


def test_the_page_says_the_figures(tables, tmp_path):
    """B-cubed F1 and its interval stand on the page as they were measured."""
    found = evaluate_clusters(**tables)
    text = own_text(write_evaluation_page(found, tmp_path, clusters="c", truth="t"))
    low, high = found["intervals"]["b3_f1"]
    assert f"{found['b3_f1']:.1%} ({low:.1%} to {high:.1%})" in text
    assert f"{found['recall_steps']['true_pairs']:,} true pairs" in text


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (["match", "non-match"], "Against 2 labelled pairs, precision is"),
        (["possible", "possible"], "2 pairs labelled possible, none match or non-match."),
    ],
)
def test_labelled_pairs_make_a_page_too(tables, tmp_path, answers, words):
    """Labelled pairs and clerical decisions are told in words, with what they can show and no more."""
    labels = tables["pairs"].head(2)[["record_id_l", "record_id_r"]].assign(decision=answers)
    found = evaluate_clusters(tables["clusters"], labels, pairs=tables["pairs"])
    assert verdict(found).startswith(words)
    text = own_text(write_evaluation_page(found, tmp_path, clusters="c", truth="t"))
    assert words in text and "other thresholds" not in text


@pytest.mark.parametrize(
    "sample",
    [
        lambda tables: tables["truth"].assign(weight=1.0),
        lambda tables: tables["pairs"].drop(columns="match_probability").assign(is_match=1, weight=2.0),
    ],
)
def test_estimates_are_called_estimates(tables, sample):
    """What a sample says is told as an estimate."""
    found = evaluate_clusters(tables["clusters"], sample(tables))
    assert verdict(found).startswith("Estimated from")
    assert evaluation_sections(found)


def test_perfect_clusters_make_a_page(tables, tmp_path):
    """Without any error the page says so and draws what there is."""
    perfect = tables["truth"].rename(columns={"true_id": "cluster_id"})
    found = evaluate_clusters(perfect, tables["truth"], groups=tables["groups"])
    report = write_evaluation_page(found, tmp_path, clusters="c", truth="t")
    assert "no pair of one person was missed" in own_text(report)
    for spec in charts(report):
        check_spec(spec)


def test_without_labels_a_report_says_so():
    """Inside a report an empty evaluation is one sentence."""
    (block,) = evaluation_blocks({})
    assert "No labels were given" in block.html()
