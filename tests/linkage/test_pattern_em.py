"""EM on pattern counts: it climbs, it ends where a brute-force EM ends, and from any start its classes keep names."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_patterns import ALL_PAIRS, COMPARISONS, planted_patterns

from c360ml.linkage import em_starts
from c360ml.linkage.class_choice import drop_unlearnable
from c360ml.linkage.comparisons import EMAIL, GIVEN_NAME, SURNAME
from c360ml.linkage.latent_classes import LEARNT_CLASSES, LatentClasses
from c360ml.linkage.pattern_em import CountedPatterns, Mixture, PatternEm, level_blocks, normalized

CLASSES = len(LEARNT_CLASSES)


@pytest.fixture(scope="module")
def planted():
    """Patterns of candidate and random pairs with planted persons, households and strangers."""
    digits, _, random = planted_patterns(seed=5)
    patterns, counts = np.unique(digits, axis=0, return_counts=True)
    random_patterns, random_counts = np.unique(random, axis=0, return_counts=True)
    return patterns, counts.astype(float), random_patterns, random_counts.astype(float)


@pytest.fixture(scope="module")
def fitted(planted):
    return LatentClasses(COMPARISONS).fit(*planted, all_pairs=ALL_PAIRS)


@pytest.fixture(scope="module")
def ended(planted):
    """Where the anchored start ends, all classes in use."""
    em, start, _ = anchored_em(COMPARISONS, *planted, ALL_PAIRS)
    return em.run(start, most_iterations=1000, tolerance=1e-5).mixture


def anchored_em(comparisons, patterns, counts, random_patterns, random_counts, all_pairs):
    """The EM that `LatentClasses.fit` runs, and where it starts."""
    model = LatentClasses(comparisons)
    candidates = CountedPatterns(comparisons, patterns, counts)
    random = CountedPatterns(comparisons, random_patterns, random_counts)
    blocks = level_blocks(comparisons)
    mix = normalized(candidates.level_counts(counts) + 0.5, blocks)
    start = np.stack([model._start(each, mix) for each in LEARNT_CLASSES])
    em, _ = drop_unlearnable(model._em(candidates, random, start, all_pairs), model.class_names)
    chance = normalized(random.level_counts(random_counts) + 0.5, blocks)
    return em, Mixture(np.full(CLASSES, counts.sum() / (2 * CLASSES)), start, chance), mix


def untied(em: PatternEm) -> PatternEm:
    """The same EM with chance given, and without levels that a class takes from the first one."""
    learns = np.zeros_like(em.free)
    for block in em.blocks:
        learns[:, block] = em.free[:, block].any(axis=1, keepdims=True)
    return replace(em, free=learns, kept=np.ones_like(em.kept), learn_chance=False)


def test_the_log_likelihood_never_falls(planted):
    """With chance given, each step of EM raises the log-likelihood, or keeps it to the last digits."""
    em, start, _ = anchored_em(COMPARISONS, *planted, ALL_PAIRS)
    run = untied(em).run(start, most_iterations=200, tolerance=1e-7)

    rises = np.diff(run.log_likelihoods)

    assert len(rises) > 10
    assert rises.min() >= -1e-9 * abs(run.log_likelihoods[-1])


def test_the_log_likelihood_hardly_falls_with_slack(planted):
    """Slack that follows the person class is not part of a step's optimum, which costs next to nothing."""
    em, start, _ = anchored_em(COMPARISONS, *planted, ALL_PAIRS)
    run = replace(em, learn_chance=False).run(start, most_iterations=200, tolerance=1e-7)

    assert np.diff(run.log_likelihoods).min() >= -1e-6 * abs(run.log_likelihoods[-1])
    assert max(run.log_likelihoods) - run.log_likelihoods[-1] < 0.5


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 8), st.integers(-1, 6), st.integers(-1, 5)), min_size=2, max_size=40))
def test_the_log_likelihood_never_falls_for_any_patterns(rows):
    """Whatever the patterns, however few, no step lowers the log-likelihood."""
    comparisons = (GIVEN_NAME, SURNAME, EMAIL)
    digits = np.array(rows)
    ones = np.ones(len(rows))
    em, start, _ = anchored_em(comparisons, digits, ones, digits, ones, 1000.0)
    run = untied(em).run(start, most_iterations=30, tolerance=1e-9)

    assert np.diff(run.log_likelihoods).min(initial=0.0) >= -1e-8


def test_a_brute_force_em_agrees():
    """Loops over pairs, classes and comparisons, written from the formulas, end at the same numbers."""
    comparisons = (GIVEN_NAME, SURNAME, EMAIL)
    digits, _, random = planted_patterns(seed=8)
    digits, random = digits[::70, [0, 1, 4]], random[:300, [0, 1, 4]]
    em, start, _ = anchored_em(comparisons, digits, np.ones(len(digits)), random, np.ones(len(random)), 50_000.0)

    mixture = start
    sizes, learnt, chance = start.sizes.copy(), start.learnt.copy(), start.chance.copy()
    for _ in range(3):
        mixture, _ = em.step(mixture)
        sizes, learnt, chance = brute_force_step(em, digits, random, sizes, learnt, chance)

    assert np.allclose(sizes, mixture.sizes)
    assert np.allclose(learnt[em.free], mixture.learnt[em.free])
    assert np.allclose(chance, mixture.chance)


def brute_force_step(em: PatternEm, digits, random, sizes, learnt, chance):
    """One step of EM, pair by pair."""
    pinned = [em.kept[k] * chance + (1 - em.kept[k]) * learnt[0] for k in range(CLASSES)]
    own = [normalized(np.where(em.free[k], learnt[k], pinned[k]), em.blocks) for k in range(CLASSES)]
    levels = [*own, chance]
    totals = [*(size if used else 0.0 for size, used in zip(sizes, em.in_use, strict=True)), em.all_pairs]

    new_sizes, new_learnt, new_chance = np.ones(CLASSES), em.prior.copy(), 0.5 * chance
    for pair in digits:
        shares = brute_force_shares(em, pair, levels, totals)
        for k in range(CLASSES):
            new_sizes[k] += shares[k]
            for column in shown(em, pair):
                new_learnt[k, column] += shares[k]
    for pair in random:
        for column in shown(em, pair):
            new_chance[column] += brute_force_shares(em, pair, levels, totals)[-1]
    return new_sizes, normalized(new_learnt, em.blocks), normalized(new_chance, em.blocks)


def shown(em, pair):
    """Columns of the levels that a pair shows."""
    return [block.start + digit for digit, block in zip(pair, em.blocks, strict=True) if digit >= 0]


def brute_force_shares(em, pair, levels, totals):
    """Share of each class in a pair, by Bayes' rule."""
    joint = [total * np.prod(row[shown(em, pair)]) for total, row in zip(totals, levels, strict=True)]
    return np.array(joint) / sum(joint)


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]])
def test_labels_cannot_switch(planted, ended, order):
    """Started with another class's agreement, each class still ends as itself: what it may not learn holds it."""
    em, start, _ = anchored_em(COMPARISONS, *planted, ALL_PAIRS)
    swapped = Mixture(start.sizes, start.learnt[order], start.chance)
    run = em.run(swapped, most_iterations=1000, tolerance=1e-5)

    assert ended.sizes[:2] == pytest.approx(run.mixture.sizes[:2], rel=0.01)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_shaken_starts_end_alike(planted, ended, seed):
    """Starting probabilities off by a factor of e at random end at the same persons and households."""
    em, start, _ = anchored_em(COMPARISONS, *planted, ALL_PAIRS)
    noise = np.exp(np.random.default_rng(seed).normal(size=start.learnt.shape))
    shaken = Mixture(start.sizes, normalized(start.learnt * noise, em.blocks), start.chance)
    run = em.run(shaken, most_iterations=1000, tolerance=1e-5)

    assert ended.sizes[:2] == pytest.approx(run.mixture.sizes[:2], rel=0.01)


def test_a_better_start_is_taken(planted, monkeypatch):
    """If another start reaches a better likelihood than the anchored one, it is the one in use."""
    monkeypatch.setattr(em_starts, "MOST_ITERATIONS", 2)  # the anchored start cannot get anywhere
    em, start, mix = anchored_em(COMPARISONS, *planted, ALL_PAIRS)
    run, starts = em_starts.best_start(em, start, mix)

    chosen = next(each for each in starts if each.chosen)

    assert "anchored" != chosen.name
    assert chosen.log_likelihood == max(each.log_likelihood for each in starts)
    assert chosen.sizes[:2] == pytest.approx(run.mixture.sizes[:2], rel=0.05)


def test_every_start_is_reported(fitted):
    """Each start is named with what it came to, and exactly one is in use."""
    assert ["anchored", "many persons", "few persons", "shaken", "all alike"] == [each.name for each in fitted.starts_]
    assert sum(each.chosen for each in fitted.starts_) == 1


def test_pattern_order_changes_nothing(planted, fitted):
    """Patterns in another order give the same classes to rounding."""
    patterns, counts, random_patterns, random_counts = planted
    order = np.random.default_rng(3).permutation(len(patterns))
    other = LatentClasses(COMPARISONS).fit(
        patterns[order], counts[order], random_patterns, random_counts, all_pairs=ALL_PAIRS
    )

    assert np.allclose(fitted.levels_, other.levels_, atol=1e-9)
    assert [each.finding for each in fitted.report_] == [each.finding for each in other.report_]
