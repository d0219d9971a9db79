"""Draws of partitions against all partitions, listed and weighed one by one."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.linkage import partition_sampler
from c360ml.linkage.doubtful_units import DoubtfulUnits
from c360ml.linkage.merge_rules import PairRule
from c360ml.linkage.partition_sampler import draw_large, draw_small, partitions_of


def all_partitions(units):
    """List the partitions of a set by putting the first unit with every subset of the others."""
    if not units:
        return [[]]
    first, *others = units
    found = []
    for size in range(len(others) + 1):
        for mates in combinations(others, size):
            rest = [unit for unit in others if unit not in mates]
            found += [[[first, *mates], *more] for more in all_partitions(rest)]
    return found


def probabilities(weights):
    """Weigh each partition by the odds of its pairs; labels by least unit -> probability."""
    size = len(weights)
    odds = {}
    for partition in all_partitions(list(range(size))):
        labels = tuple(min(part) for unit in range(size) for part in partition if unit in part)
        odds[labels] = np.prod([2.0 ** weights[i, j] for part in partition for i, j in combinations(part, 2)])
    whole = sum(odds.values())
    return {labels: share / whole for labels, share in odds.items()}


def symmetric(size, seed, scale=2.0):
    """Random log2 odds between units."""
    weights = np.random.default_rng(seed).normal(0, scale, (size, size))
    return (weights + weights.T) / 2


def frequencies(drawn):
    """How often each partition was drawn."""
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    return {tuple(row): count / len(drawn) for row, count in zip(found.tolist(), counts, strict=True)}


@pytest.mark.parametrize(("units", "bell"), [(1, 1), (2, 2), (3, 5), (4, 15), (5, 52), (6, 203), (7, 877)])
def test_every_partition_is_listed_once(units, bell):
    """The list has as many partitions as Bell's number, each once, and they are those found otherwise."""
    listed = {tuple(row) for row in partitions_of(units).tolist()}
    assert bell == len(partitions_of(units)) == len(listed)
    assert set(probabilities(np.zeros((units, units)))) == listed


@pytest.mark.parametrize("sampler", [draw_small, draw_large])
@pytest.mark.parametrize(("size", "seed"), [(2, 1), (3, 2), (4, 3), (5, 4)])
def test_partitions_come_as_often_as_their_pairs_say(sampler, size, seed):
    """Both samplers draw each partition with its probability, within five standard errors."""
    weights = symmetric(size, seed)
    draws = 8_000
    drawn = sampler(weights[None], draws, np.random.default_rng(seed))[0]
    seen = frequencies(drawn)
    for labels, expected in probabilities(weights).items():
        assert expected == pytest.approx(seen.get(labels, 0.0), abs=5 * np.sqrt(expected / draws) + 1e-4)


def test_a_pair_alone_is_together_with_its_own_probability():
    """Two units are together as often as the calibrated probability of their pair."""
    drawn = draw_small(np.array([[[0.0, np.log2(4)], [np.log2(4), 0.0]]]), 50_000, np.random.default_rng(3))
    assert (drawn[0, :, 1] == 0).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("sampler", [draw_small, draw_large])
def test_what_is_forbidden_is_never_drawn(sampler):
    """Units that a rule keeps apart are never together, however strong the others pull."""
    weights = np.full((1, 4, 4), 9.0)
    weights[0, 0, 3] = weights[0, 3, 0] = -np.inf
    drawn = sampler(weights, 2_000, np.random.default_rng(1))[0]
    assert not (drawn[:, 0] == drawn[:, 3]).any()
    assert (drawn[:, 1] == drawn[:, 2]).mean() > 0.9


def found_units(seed, records=60):
    """Units of a random graph of records."""
    random = np.random.default_rng(seed)
    left, right = np.nonzero(np.triu(random.random((records, records)) < 0.06, 1))
    weights = random.normal(0, 5, len(left))
    return DoubtfulUnits.of(records, left, right, weights, weights > 0, np.arange(records))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_draws_keep_units_and_components(seed):
    """Drawn parts lie inside one component, are named by their least unit, and come again with the same seed."""
    units = found_units(seed)
    drawn = units.draw(5, [], seed)
    place = {member: number for number, member in enumerate(units.members.tolist())}
    assert np.array_equal(drawn, found_units(seed).draw(5, [], seed))
    for row in drawn.tolist():
        for member, part, component in zip(units.members.tolist(), row, units.component.tolist(), strict=True):
            assert part <= member and row[place[part]] == part
            assert component == units.component[place[part]]


def test_all_sizes_of_components_keep_their_probabilities():
    """A component that is filled up to the size of others is drawn as if alone: pairs are together as listed."""
    chain = [(base + i, base + i + 1) for base, size in ((0, 8), (8, 9), (17, 3)) for i in range(size - 1)]
    left, right = (np.array(side) for side in zip(*chain, strict=True))
    units = DoubtfulUnits.of(20, left, right, np.full(len(chain), 1.0), np.zeros(len(chain), bool), np.arange(20))
    drawn = units.draw(1_500, [], 1)
    weights = np.full((3, 3), -8.0)
    weights[[0, 1, 1, 2], [1, 0, 2, 1]] = 1.0
    expected = sum(p for labels, p in probabilities(weights).items() if labels[0] == labels[1])
    assert (drawn[:, 17] == drawn[:, 18]).mean() == pytest.approx(expected, abs=0.06)
    eight = np.full((8, 8), -8.0)
    for i in range(7):
        eight[i, i + 1] = eight[i + 1, i] = 1.0
    listed = draw_small(eight[None], 1_500, np.random.default_rng(2))[0]
    for i in range(7):
        assert (listed[:, i] == listed[:, i + 1]).mean() == pytest.approx(
            (drawn[:, i] == drawn[:, i + 1]).mean(), abs=0.08
        )


def test_rules_hold_in_every_draw():
    """Records that a reviewer told apart are in different parts, though they are in units with others."""
    left, right = np.array([0, 0, 1]), np.array([1, 2, 2])
    units = DoubtfulUnits.of(3, left, right, np.array([9.0, 3.0, 3.0]), np.array([True, True, True]), np.arange(3))
    assert units.unit.tolist() == [0, 0, 2]
    free = units.draw(200, [], 1)
    kept = units.draw(200, [PairRule(3, np.array([1]), np.array([2]))], 1)
    assert (free[:, 0] == free[:, 1]).any()
    assert not (kept[:, 0] == kept[:, 1]).any()


def test_sure_records_are_left_out():
    """A component of one unit is not in doubt, nor are records that only improbable pairs join."""
    units = DoubtfulUnits.of(
        4, np.array([0, 2]), np.array([1, 3]), np.array([12.0, -5.9]), np.array([True, False]), np.arange(4)
    )
    assert units.members.tolist() == []
    assert units.draw(3, [], 1).shape == (3, 0)


def test_reviewed_records_move_as_one():
    """Records that a reviewer joined are one unit, though their pair is improbable."""
    units = DoubtfulUnits.of(
        3, np.array([0, 1]), np.array([1, 2]), np.array([-3.0, 2.0]), np.array([True, False]), np.array([0, 0, 2])
    )
    assert units.unit.tolist() == [0, 0, 2]


def test_threads_do_not_matter(monkeypatch):
    """Chains that run side by side give what they give one after the other, and use up as many random numbers."""
    weights = np.array([symmetric(9, seed) for seed in range(5)])
    answers = []
    for threads, least in ((1, 1), (3, 1), (2, 10_000_000)):
        monkeypatch.setattr(partition_sampler, "_THREADS", threads)
        monkeypatch.setattr(partition_sampler, "_LEAST_CELLS", least)
        random = np.random.default_rng(7)
        answers.append((draw_large(weights, 6, random).tolist(), random.random()))
    assert answers[0] == answers[1] == answers[2]
