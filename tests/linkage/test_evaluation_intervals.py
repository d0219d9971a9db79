"""How sure measured accuracy is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from c360ml import evaluate_clusters
from c360ml.lakehouse import connect
from c360ml.linkage.evaluation_intervals import (
    MEASURES,
    CountedRows,
    bootstrap,
    cluster_intervals,
    cluster_measures_of,
    counted_rows,
    wilson,
)


def evaluated(clusters, truth, **more):
    ids = [f"r{number}" for number in range(len(clusters))]
    return evaluate_clusters(
        pd.DataFrame({"record_id": ids, "cluster_id": clusters}),
        pd.DataFrame({"record_id": ids, "true_id": truth}),
        **more,
    )


def entity_sums(clusters, truth):
    """Sums of each entity, counted record by record: the second implementation."""
    rows = []
    for entity in sorted(set(truth)):
        mine = [at for at, name in enumerate(truth) if name == entity]
        size = len(mine)
        b3_precision = b3_recall = found = share = 0.0
        for at in mine:
            mates = [other for other in range(len(clusters)) if clusters[other] == clusters[at]]
            right = sum(other in mine for other in mates)
            b3_precision += right / len(mates)
            b3_recall += right / size
            found += (len(mates) - 1) / 2
            share += 1 / len(mates)
        right_pairs = sum(clusters[i] == clusters[j] for i in mine for j in mine if i < j)
        whole = any({at for at, name in enumerate(clusters) if name == cluster} == set(mine) for cluster in clusters)
        rows.append([size, right_pairs, size * (size - 1) / 2, found, b3_precision, b3_recall, whole, share])
    return np.array(rows, dtype=float)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
def test_all_cluster_measures_equal_counting_by_hand(rows):
    """Pairwise, B-cubed and whole-cluster measures equal those of sums counted record by record."""
    clusters, truth = [row[0] for row in rows], [row[1] for row in rows]
    sums = entity_sums(clusters, truth)
    expected = cluster_measures_of(sums.sum(axis=0), len(sums))
    measured = evaluated(clusters, truth)
    assert expected.tolist() == pytest.approx([measured[name] for name in MEASURES])
    exact = {frozenset(np.flatnonzero(np.array(clusters) == c)) for c in clusters} & {
        frozenset(np.flatnonzero(np.array(truth) == t)) for t in truth
    }
    assert len(exact) / len(set(clusters)) == pytest.approx(measured["cluster_precision"])
    assert len(exact) / len(set(truth)) == pytest.approx(measured["cluster_recall"])


def test_intervals_are_those_of_resampling_entities_one_by_one():
    """Multinomial draws over counted rows give the quantiles of drawing entities one by one with replacement."""
    random = np.random.default_rng(3)
    truth = np.repeat(np.arange(60), 3)
    clusters = np.where(random.random(180) < 0.85, truth, 100 + random.integers(0, 40, 180)).tolist()
    measured = evaluated(clusters, truth.tolist())
    sums = entity_sums(clusters, truth.tolist())
    draws = [cluster_measures_of(sums[random.integers(0, 60, 60)].sum(axis=0), 60) for _ in range(4000)]
    for place, name in enumerate(MEASURES):
        expected = np.quantile(np.array(draws)[:, place], [0.025, 0.975])
        assert expected.tolist() == pytest.approx(measured["intervals"][name], abs=0.02)


def test_intervals_hold_the_true_figure_as_often_as_they_say():
    """Of 200 samples of people, about 95 in 100 intervals of B-cubed and pairwise recall hold the true figure."""
    random = np.random.default_rng(5)
    held = np.zeros(2)
    for seed in range(200):
        sizes = random.integers(2, 6, 150)
        lost = random.random(150) < 0.3  # one record of the person is in a cluster of its own
        kept = sizes - lost
        right = kept * (kept - 1) / 2
        rows = np.stack(
            [
                sizes,
                right,
                sizes * (sizes - 1) / 2,
                right,
                sizes,
                (kept**2 + lost) / sizes,
                ~lost,
                1 + lost,
            ],
            axis=1,
        )
        intervals = cluster_intervals(CountedRows(rows.astype(float), np.ones(150)), seed=seed)
        possible = np.arange(2, 6)
        pairs = possible * (possible - 1) / 2
        pairwise = ((0.7 * pairs + 0.3 * (possible - 1) * (possible - 2) / 2).sum()) / pairs.sum()
        b3 = (0.7 * possible + 0.3 * ((possible - 1) ** 2 + 1) / possible).sum() / possible.sum()
        for place, (name, value) in enumerate((("pairwise_recall", pairwise), ("b3_recall", b3))):
            low, high = intervals[name]
            held[place] += low <= value <= high
    assert (held >= 178).all() and (held <= 199).all()


def test_perfect_clusters_have_no_width():
    """If no entity has an error no resample has one."""
    measured = evaluated([1, 1, 2, 2, 3], ["a", "a", "b", "b", "c"])
    assert {name: [1.0, 1.0] for name in MEASURES} == measured["intervals"]


def test_row_order_changes_no_figure():
    """Shuffled rows give the same measures, intervals, kinds and examples."""
    random = np.random.default_rng(9)
    truth = np.repeat(np.arange(40), 3)
    clusters = np.where(random.random(120) < 0.8, truth, random.integers(0, 40, 120))
    table = pd.DataFrame({"record_id": [f"r{n:03}" for n in range(120)], "cluster_id": clusters, "true_id": truth})
    shuffled = table.sample(frac=1, random_state=1)
    first, second = (
        evaluate_clusters(t[["record_id", "cluster_id"]], t[["record_id", "true_id"]]) for t in (table, shuffled)
    )
    assert first == second


def test_another_seed_draws_anew():
    """The seed decides the draws, and the same seed the same draws."""
    rows = CountedRows(np.array([[1.0], [0.0]]), np.array([30.0, 10.0]))
    one, same, other = (bootstrap(rows, lambda sums: sums, seed=seed) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).any()
    assert 30 == pytest.approx(one.mean(), abs=0.5)


def test_counted_rows_count_units():
    """Units with the same sums become one row with their number."""
    with connect() as con:
        rows = counted_rows(con, "select * from (values (1, 2), (1, 2), (0, 5)) as t(a, b)", ("a", "b"))
    assert ([[0, 5], [1, 2]], [1, 2], [2, 9]) == (rows.values.tolist(), rows.units.tolist(), rows.totals.tolist())


@pytest.mark.parametrize(("seen", "trials"), [(0, 4), (3, 10), (17, 17), (50, 900)])
def test_wilson_interval_is_scipys(seen, trials):
    """Intervals of shares are those of scipy's Wilson method."""
    expected = binomtest(seen, trials).proportion_ci(method="wilson")
    low, high = wilson(seen / trials, trials)
    assert (expected.low, expected.high) == pytest.approx((float(low), float(high)), abs=1e-8)
