"""Blocking recall without labels, against matches whose number is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.linkage.capture_recapture import chao_total, estimate_recall

KINDS = ("names", "birth", "place", "contact")
RULES = ((0, 1), (0, 2), (1, 2), (3,))


def drawn(matches, agreement, seed=1):
    """Agreement of matches whose kinds of evidence agree independently: the patterns, and how many have each."""
    random = np.random.default_rng(seed)
    agree = np.concatenate(
        [random.random((matches, len(KINDS))) < np.array(probabilities) for probabilities in agreement]
    )
    return np.unique(agree, axis=0, return_counts=True)


def true_recall(patterns, counts):
    found = np.any([patterns[:, list(rule)].all(axis=1) for rule in RULES], axis=0)
    return counts[found].sum() / counts.sum()


def test_independent_evidence_is_extrapolated():
    """If kinds of evidence agree independently, the matches that no rule finds are estimated within two points."""
    patterns, counts = drawn(20_000, [(0.7, 0.6, 0.5, 0.3)])

    estimate = estimate_recall(patterns, counts.astype(float), KINDS, RULES)

    assert true_recall(patterns, counts) == pytest.approx(estimate.recall, abs=0.02)
    assert estimate.low <= true_recall(patterns, counts) <= estimate.high


def test_messy_records_are_seen():
    """If some records are messier than others, two groups of matches come closer to the truth than Chao's bound."""
    patterns, counts = drawn(20_000, [(0.95, 0.9, 0.9, 0.6), (0.5, 0.4, 0.5, 0.1)])
    truth = true_recall(patterns, counts)

    estimate = estimate_recall(patterns, counts.astype(float), KINDS, RULES)

    assert abs(estimate.recall - truth) < 0.03
    assert abs(estimate.recall - truth) < abs(estimate.chao_recall - truth) + 0.01


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.1, 0.95), min_size=4, max_size=4), st.integers(0, 1000))
def test_estimates_are_shares_in_order(agreement, seed):
    """Whatever agrees, recall is a share between its low and high, and matches add up."""
    patterns, counts = drawn(300, [agreement], seed)
    estimate = estimate_recall(patterns, counts.astype(float), KINDS, RULES)

    if estimate is not None:
        assert 0 <= estimate.low <= estimate.recall <= estimate.high <= 1
        total = estimate.matches_found + estimate.matches_missed
        assert estimate.recall == pytest.approx(estimate.matches_found / total)


def test_nothing_found_is_no_estimate():
    """Without a captured match there is nothing to extrapolate from."""
    assert estimate_recall(np.zeros((1, 4), dtype=bool), np.ones(1), KINDS, RULES) is None


def test_rows_of_patterns_have_no_order():
    """The order of the patterns changes nothing."""
    patterns, counts = drawn(2_000, [(0.7, 0.6, 0.5, 0.3)])
    order = np.random.default_rng(0).permutation(len(counts))

    straight = estimate_recall(patterns, counts.astype(float), KINDS, RULES)
    shuffled = estimate_recall(patterns[order], counts[order].astype(float), KINDS, RULES)

    assert straight.recall == pytest.approx(shuffled.recall, abs=1e-9)


def test_chao_bound_of_poisson_captures():
    """If every match is found a Poisson number of times, Chao's bound is the true number of matches."""
    captures = np.random.default_rng(3).poisson(1.2, 50_000)
    times, counts = np.unique(captures[captures > 0], return_counts=True)

    assert chao_total(counts.astype(float), times) == pytest.approx(50_000, rel=0.02)
