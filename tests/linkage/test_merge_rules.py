"""Rules over clusters as arrays, against sets."""

import numpy as np
import pytest

from c360ml.linkage.merge_rules import PairRule, SourceRule, ValueRule


def follow(rules, records: int, seed: int):
    """Merge random clusters and ask, after each round, which may merge; and what the clusters hold."""
    rng = np.random.default_rng(seed)
    clusters = {record: {record} for record in range(records)}
    for _ in range(6):
        ends = rng.choice(sorted(clusters), (len(clusters) // 4, 2), replace=False)
        keep, drop = ends.min(axis=1), ends.max(axis=1)
        for one, other in zip(keep.tolist(), drop.tolist(), strict=True):
            clusters[one] |= clusters.pop(other)
        for rule in rules:
            rule.merge(keep, drop)
        left, right = rng.choice(sorted(clusters), (2, 60))
        apart = left != right
        yield left[apart], right[apart], clusters


@pytest.mark.parametrize("most", [1, 2, 3])
def test_values_are_counted_as_sets_are(most):
    """A merge is allowed exactly if both clusters together have few enough values, or one of them has none."""
    values = np.random.default_rng(5).integers(-1, 12, 60)
    rule = ValueRule("email", values, most)
    asked = 0
    for left, right, clusters in follow([rule], 60, seed=most):
        held = [
            [{int(values[record]) for record in clusters[name]} - {-1} for name in side.tolist()]
            for side in (left, right)
        ]
        expected = [len(a | b) <= most or not a or not b for a, b in zip(*held, strict=True)]
        assert expected == rule.allows(left, right).tolist()
        asked += len(expected) - sum(expected)
    assert asked > 0


@pytest.mark.parametrize("sources", [5, 70, 130])
def test_sources_are_kept_apart_as_sets_are(sources):
    """However many sources there are, a merge is allowed exactly if no two of them may never meet."""
    rng = np.random.default_rng(sources)
    of = rng.integers(-1, sources, 90)
    never = [tuple(sorted(pair)) for pair in rng.integers(0, sources, (sources, 2)).tolist()]
    rule = SourceRule(of, never)
    seen = set()
    for left, right, clusters in follow([rule], 90, seed=1):
        for one, other, allowed in zip(left.tolist(), right.tolist(), rule.allows(left, right).tolist(), strict=True):
            met = {tuple(sorted((of[a], of[b]))) for a in clusters[one] for b in clusters[other]}
            assert (not met & set(never)) == allowed
            seen.add(allowed)
    assert {True, False} == seen


def test_records_told_apart_stay_apart():
    """Clusters of two records that a reviewer told apart may not merge."""
    cannot = np.random.default_rng(2).integers(0, 60, (2, 40))
    cannot = cannot[:, cannot[0] != cannot[1]]
    rule = PairRule(60, *cannot)
    seen = set()
    for left, right, clusters in follow([rule], 60, seed=4):
        for one, other, allowed in zip(left.tolist(), right.tolist(), rule.allows(left, right).tolist(), strict=True):
            apart = any(
                {a, b} & clusters[one] and {a, b} & clusters[other] and not {a, b} <= clusters[one] | set()
                for a, b in cannot.T.tolist()
                if {a, b} <= clusters[one] | clusters[other] and not {a, b} <= clusters[other]
            )
            assert apart != allowed
            seen.add(allowed)
    assert {True, False} == seen
