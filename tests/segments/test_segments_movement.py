"""Trends and transitions: counted right, added once, killed runs done again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segments_tables import fill
from sklearn.metrics import adjusted_rand_score

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.segments.movement import (
    GONE,
    KINDS,
    NEW,
    measure_movement,
    record_movement,
    stability_index,
    tell_movement,
)


@pytest.fixture
def lake(tmp_path):
    """Open a lakehouse whose customers have no value yet."""
    with Lakehouse(tmp_path) as lake:
        fill(lake, tables.CUSTOMER_VALUE, [])
        yield lake


def move(lake, tiers, day="2024-06-30", finish=True):
    """Do a run in which each customer has a tier; other kinds stay."""
    rows = [{"master_id": one, **dict.fromkeys(KINDS, "same"), "value_tier": tier} for one, tier in tiers.items()]
    fill(lake, tables.OBSERVATION, [{"observation_end": day}])
    columns = ", ".join(f"null::{column.type} as {name}" for name, column in tables.CUSTOMER_SEGMENTS.columns.items())
    lake.rows(f"create or replace temp table new_segments as select {columns} where false")
    for row in rows:
        lake.rows(f"insert into new_segments by name select {', '.join(f'${name} as {name}' for name in row)}", row)
    record_movement(lake)
    if finish:
        lake.write(tables.CUSTOMER_SEGMENTS, "select * from new_segments")


def moves(lake, run):
    """Read a run's moves between tiers."""
    query = "select from_segment, to_segment, customers from gold.segment_transitions where kind = 'value_tier'"
    return {(start, end): n for start, end, n in lake.rows(f"{query} and run = {run}")}


def history(lake):
    """Read both tables."""
    return [
        lake.rows(f"select * from {name} order by all") for name in ("gold.segment_trends", "gold.segment_transitions")
    ]


def test_moves_by_hand(lake):
    """Who stayed, moved, came and went is counted, for every kind, from the second run on."""
    move(lake, {"a": "VIP", "b": "VIP", "c": "ACTIVE"})
    assert [] == lake.rows("select * from gold.segment_transitions")
    move(lake, {"a": "VIP", "b": "ACTIVE", "d": "VIP"}, "2024-07-31")

    assert {("VIP", "VIP"): 1, ("VIP", "ACTIVE"): 1, ("ACTIVE", GONE): 1, (NEW, "VIP"): 1} == moves(lake, 2)
    assert [(kind, 4) for kind in sorted(KINDS)] == lake.rows(
        "select kind, sum(customers)::bigint from gold.segment_transitions group by kind order by kind"
    )
    assert 0.5 == tell_movement(lake)["value_tier"]["moved_share"]
    assert [(1, 2, 0), (2, 2, 1)] == lake.rows(
        "select run, customers, segments_version from gold.segment_trends where segment = 'VIP' order by run"
    )


def test_unchanged_input_adds_nothing(lake):
    """A rerun of the same customers at the same day leaves trends and transitions as they are."""
    move(lake, {"a": "VIP", "b": "ACTIVE"})
    move(lake, {"a": "VIP", "b": "VIP"}, "2024-07-31")
    before = history(lake)
    for _ in range(2):
        move(lake, {"b": "VIP", "a": "VIP"}, "2024-07-31")

    assert before == history(lake)
    move(lake, {"a": "VIP", "b": "VIP"}, "2024-08-31")
    assert {("VIP", "VIP"): 2} == moves(lake, 3)


def test_swapped_customers_are_a_change(lake):
    """Two customers who change places leave every size as it was and are a run of their own."""
    move(lake, {"a": "VIP", "b": "ACTIVE"})
    move(lake, {"a": "ACTIVE", "b": "VIP"})

    assert {("VIP", "ACTIVE"): 1, ("ACTIVE", "VIP"): 1} == moves(lake, 2)


def test_a_killed_run_is_done_again(lake):
    """A run that was killed before its segments were written leaves no trace in what the next one tells."""
    move(lake, {"a": "VIP", "b": "ACTIVE"})
    move(lake, {"a": "VIP", "b": "PREMIUM"}, finish=False)
    move(lake, {"a": "VIP", "b": "VIP"})

    assert {("VIP", "VIP"): 1, ("ACTIVE", "VIP"): 1} == moves(lake, 2)
    assert {1, 2} == {run for (run,) in lake.rows("select run from gold.segment_trends")}
    assert [] == lake.rows("select * from gold.segment_trends where segment = 'PREMIUM'")


def test_segments_of_another_release_are_no_memory(lake):
    """Segments with other columns are not compared with; the history starts with this run."""
    old = tables.Table("customer_segments", "gold", "Old.", ("master_id",), {
        "master_id": tables.CUSTOMER_SEGMENTS.columns["master_id"],
    })  # fmt: skip
    lake.write(old, "select 'a' as master_id")
    move(lake, {"a": "VIP"})

    assert {} == tell_movement(lake)
    assert {1} == {run for (run,) in lake.rows("select run from gold.segment_trends")}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=60))
def test_agreement_is_that_of_scikit_learn(pairs):
    """The adjusted Rand index of the counts is that of the customers themselves."""
    counts = {pair: pairs.count(pair) for pair in pairs}
    told = measure_movement(counts)

    assert adjusted_rand_score(*zip(*pairs, strict=True)) == pytest.approx(told["ari"], abs=1e-12)
    assert sum(start != end for start, end in pairs) / len(pairs) == pytest.approx(told["moved_share"], abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), min_size=1, max_size=9))
def test_stability_index(sizes):
    """The index is never below zero, the same either way, zero for equal shares, and by the formula."""
    before, now = zip(*sizes, strict=True)
    index = stability_index(before, now)

    assert index >= -1e-12
    assert index == pytest.approx(stability_index(now, before))
    assert 0 == pytest.approx(stability_index(before, [7 * size for size in before]), abs=0.5)
    if min(before) > 0 and min(now) > 0:
        old, new = np.array(before) / sum(before), np.array(now) / sum(now)
        assert float(sum((new - old) * np.log(new / old))) == pytest.approx(index)


def test_empty_mixes_have_no_movement():
    """Nobody before, or nobody now, is no movement to measure."""
    assert {"moved_share": 0.0, "psi": 0.0, "ari": 1.0} == measure_movement({(NEW, "a"): 3})
