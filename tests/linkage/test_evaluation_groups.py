"""Whom errors hit: per pair of sources, and per group."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from c360ml import evaluate_clusters


@pytest.fixture(scope="module")
def judged():
    """People of two groups and three sources; records of the second group are lost more often."""
    random = np.random.default_rng(8)
    true = np.repeat(np.arange(200), 3)
    group = np.where(true % 2, "b", "a")
    lost = random.random(600) < np.where(group == "a", 0.05, 0.35)
    table = pd.DataFrame(
        {
            "record_id": [f"r{n:03}" for n in range(600)],
            "true_id": true,
            "cluster_id": np.where(lost, random.integers(0, 400, 600), true),
            "group": group,
            "source": np.array(["crm", "web", "shop"])[random.integers(0, 3, 600)],
        }
    )
    measured = evaluate_clusters(
        table[["record_id", "cluster_id"]],
        table[["record_id", "true_id"]],
        groups=table[["record_id", "group"]],
        sources=table[["record_id", "source"]],
    )
    return table, measured


def ends(table, group):
    """Found, right and true pair ends of a group, counted pair by pair."""
    found = right = true = 0
    for left, other in itertools.permutations(table.itertuples(), 2):
        if left.group == group:
            together, same = left.cluster_id == other.cluster_id, left.true_id == other.true_id
            found, right, true = found + together, right + (together and same), true + same
    return found, right, true


@pytest.mark.parametrize("group", ["a", "b"])
def test_rates_of_a_group_are_those_of_counting(judged, group):
    """False-merge and missed-link rates of a group equal counting every pair that ends in it."""
    table, measured = judged
    row = next(row for row in measured["groups"] if row["group"] == group)
    found, right, true = ends(table, group)
    assert (found, found - right, true, true - right) == tuple(
        row[name] for name in ("found_ends", "false_ends", "true_ends", "missed_ends")
    )
    assert 1 - right / true == pytest.approx(row["missed_link_rate"])
    low, high = row["missed_link_rate_interval"]
    assert low < row["missed_link_rate"] < high


def test_the_largest_gap_is_named(judged):
    """A planted disparity is found, with an interval beyond nought; the worse group comes first."""
    gap = next(gap for gap in judged[1]["gaps"] if gap["rate"] == "missed_link_rate")
    assert ("b", "a") == (gap["worst"], gap["best"])
    assert 0 < gap["interval"][0] < gap["gap"] < gap["interval"][1]


def test_groups_alike_show_no_sure_gap(judged):
    """Groups drawn by lot differ by no more than chance."""
    table = judged[0]
    groups = table[["record_id"]].assign(group=np.where(table["true_id"] % 4 < 2, "x", "y"))
    measured = evaluate_clusters(table[["record_id", "cluster_id"]], table[["record_id", "true_id"]], groups=groups)
    gap = next(gap for gap in measured["gaps"] if gap["rate"] == "missed_link_rate")
    assert gap["interval"][0] < 0 < gap["interval"][1]


def test_small_groups_are_shown_and_not_compared(judged):
    """A group of few people, and records without a group, are listed, but no gap rests on a few people."""
    table = judged[0]
    groups = table[["record_id"]].assign(group=np.where(table["true_id"] < 5, "few", "many"))[30:]
    measured = evaluate_clusters(table[["record_id", "cluster_id"]], table[["record_id", "true_id"]], groups=groups)
    assert {"(none)": 30, "many": 570} == {row["group"]: row["records"] for row in measured["groups"]}
    assert [] == measured["gaps"]


def test_source_pairs_are_those_of_counting(judged):
    """True and found pairs per pair of sources equal counting, and add up to those of the file."""
    table, measured = judged
    counted = {}
    for left, right in itertools.combinations(table.itertuples(), 2):
        key = tuple(sorted((left.source, right.source)))
        together, same = left.cluster_id == right.cluster_id, left.true_id == right.true_id
        true, found, both = counted.get(key, (0, 0, 0))
        counted[key] = (true + same, found + together, both + (together and same))
    rows = {(row["source_l"], row["source_r"]): row for row in measured["source_pairs"]}
    assert counted.keys() == rows.keys()
    for key, (true, found, both) in counted.items():
        assert (true, found) == (rows[key]["true_pairs"], rows[key]["found_pairs"])
        assert (both / found, both / true) == pytest.approx((rows[key]["precision"], rows[key]["recall"]))
