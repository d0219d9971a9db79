"""Planted pairs through batches, constraints and budget to the table of clusters."""

import itertools

import numpy as np
import planted_pairs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_pairs import clustered, partition, reviewed

from c360ml.errors import ConfigError, DataError
from c360ml.linkage import clustering as clustering_module
from c360ml.linkage.clusters import average_linkage
from c360ml.linkage.constraints import Constraints, NumberedConstraints

FOUR = dict.fromkeys(itertools.combinations(range(4), 2), 8.0)


def random_people(seed: int, records: int = 40) -> dict[tuple[int, int], float]:
    """Pairs of planted people, and noise between them."""
    rng = np.random.default_rng(seed)
    people = rng.integers(0, records // 3, records)
    pairs = list(itertools.combinations(range(records), 2))
    same = [bool(people[left] == people[right]) for left, right in pairs]
    return {
        pair: float(rng.normal(6, 4) if alike else rng.normal(-3, 4))
        for pair, alike in zip(pairs, same, strict=True)
        if rng.random() < (0.9 if alike else 0.1)
    }


@pytest.mark.parametrize("batch", [1, 3, 50, 10_000])
@pytest.mark.parametrize("seed", [1, 2])
def test_batches_change_nothing(batch, seed, monkeypatch):
    """Clusters of many small batches are those of all pairs at once."""
    monkeypatch.setattr(clustering_module, "_PAIRS_PER_BATCH", batch)
    weights = random_people(seed)
    ends = np.array(list(weights)).T
    labels = average_linkage(40, *ends, np.array(list(weights.values())), threshold=-2.0).labels(40)
    expected = {frozenset(np.nonzero(labels == label)[0].tolist()) for label in set(labels.tolist())}
    _, (con, *_) = clustered(40, weights, Constraints(), weight=-2.0)

    assert expected == partition(con)


@pytest.mark.parametrize("threads", [1, 4])
def test_order_of_rows_and_threads_change_nothing(threads):
    """Pairs and records in any order, on any number of threads, give the same table."""
    weights = random_people(5)
    _, (con, *_) = clustered(40, weights, Constraints(), weight=-2.0)
    expected = con.execute("select * from clusters order by record_id").fetchall()
    con, features = planted_pairs.planted(40, weights)
    con.execute(f"set threads = {threads}").fetchall()
    con.execute("create or replace temp table scored_pairs as from scored_pairs order by hash(rid_l, rid_r)").fetchall()
    numbered = NumberedConstraints(con, features, Constraints())
    clustering_module.Clustering(con, features, numbered, -2.0).run()

    assert expected == con.execute("select * from clusters order by record_id").fetchall()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_constraints_always_hold(seed):
    """Whatever is declared and reviewed, no cluster breaks it, and reviewed matches are together."""
    rng = np.random.default_rng(seed)
    sources = [f"s{number}" for number in rng.integers(0, 3, 40)] + ["s0", "s1", "s2"]
    ids = [None if number == 0 else f"n{number}" for number in rng.integers(0, 9, 43)]
    apart = [tuple(sorted(pair)) for pair in rng.integers(0, 40, (6, 2)).tolist() if pair[0] != pair[1]]
    together = [pair for pair in [(40, 41), (41, 42)] if ids[40] == ids[41] == ids[42] or None in ids[40:]]
    limited = {"national_id": 1} if not together or len(set(ids[40:]) - {None}) <= 1 else {"national_id": 3}
    constraints = Constraints(
        duplicate_free_sources=("s0",),
        never_link=(("s2", "s1"),) if not together else (),
        most_values_per_person=limited,
        reviewed_pairs=reviewed(match=together, non_match=apart),
        largest_cluster=4,
    )
    _, (con, *_) = clustered(43, random_people(seed), constraints, weight=-6.0, source=sources, national_id=ids)
    for cluster in partition(con):
        held = [sources[record] for record in cluster]
        assert held.count("s0") <= 1
        assert not constraints.never_link or not {"s1", "s2"} <= set(held)
        assert len({ids[record] for record in cluster} - {None}) <= next(iter(limited.values()))
        assert not any(set(pair) <= cluster for pair in apart)
        assert len(cluster) <= 4
        assert all(set(pair) <= cluster or not set(pair) & cluster for pair in together)


def test_next_best_merge_is_done():
    """A record that may not join its best partner joins the next best."""
    weights = {(0, 1): 9.0, (0, 2): 8.0, (1, 2): -8.0}
    constraints = Constraints(duplicate_free_sources=("crm",))
    _, (con, *_) = clustered(3, weights, constraints, source=["crm", "crm", "web"])

    assert {frozenset({0, 2}), frozenset({1})} == partition(con)


def test_reviewed_matches_are_joined_first():
    """A reviewed match of a pair that was never scored joins a record to all that the other is joined to."""
    _, (con, *_) = clustered(6, FOUR, Constraints(reviewed_pairs=reviewed(match=[(3, 4)])))

    assert {frozenset(range(5)), frozenset({5})} == partition(con)


def test_reviewed_pairs_of_others_are_counted():
    """A reviewed pair that names a record which is not there is counted and does nothing."""
    found, (con, *_) = clustered(4, FOUR, Constraints(reviewed_pairs=reviewed(non_match=[(0, 1), (2, 9)])))

    assert (1, 1) == (found.summary()["reviewed_non_matches"], found.summary()["reviewed_pairs_of_unknown_records"])
    assert not any({0, 1} <= cluster for cluster in partition(con))
    assert 0 < found.summary()["cut_links"]


@pytest.mark.parametrize(
    ("decided", "declared", "said"),
    [
        (reviewed([(0, 1), (1, 2)], [(0, 2)]), {}, "reviewed non-matches.*r000 and r002"),
        (reviewed([(0, 1)]), {"duplicate_free_sources": ("s",)}, "constraint on sources.*r000 and r001"),
        (reviewed([(1, 2)]), {"most_values_per_person": {"email": 1}}, "constraint on email.*r001 and r002"),
    ],
)
def test_contradictions_name_the_records(decided, declared, said):
    """Reviewed matches that break a rule, even over a third record, are an error that names two records."""
    with pytest.raises(DataError, match=said):
        clustered(4, FOUR, Constraints(reviewed_pairs=decided, **declared), email=["a", "b", "c", None])


def test_too_large_clusters_stop_the_run_if_asked():
    """With oversize = stop the error names a record and the limits; else the cluster is split and listed."""
    with pytest.raises(DataError, match=r"at most 3 records.*1 larger clusters.*r000"):
        clustered(4, FOUR, Constraints(largest_cluster=3, oversize="stop"))
    found, (con, *_) = clustered(4, FOUR, Constraints(largest_cluster=3))

    assert max(map(len, partition(con))) <= 3
    assert [{"record_id": "r000", "records": 4, "width": None, "reason": "records"}] == (
        found.summary()["largest_oversize_clusters"]
    )


def test_cohesion_is_the_mean_probability_inside():
    """A record's cohesion is the mean match probability of its pairs inside the cluster; alone it is 1."""
    _, (con, *_) = clustered(4, {(0, 1): 3.0, (0, 2): 1.0, (1, 2): 2.0}, Constraints())
    rows = con.execute("select cohesion from clusters order by record_id").fetchall()

    assert [
        pytest.approx(value, abs=1e-9) for value in ((8 / 9 + 2 / 3) / 2, (8 / 9 + 4 / 5) / 2, (4 / 5 + 2 / 3) / 2, 1)
    ] == [row[0] for row in rows]


def test_pairs_that_may_be_one_person_are_counted():
    """Pairs within a duplicate-free source, and between sources never linked, are neither compared nor counted."""
    constraints = Constraints(duplicate_free_sources=("a",), never_link=(("b", "c"),))
    con, features = planted_pairs.planted(6, FOUR, source=["a", "a", "b", "b", "c", "a"])
    numbered = NumberedConstraints(con, features, constraints)
    con.execute(
        "create temp table pairs as select l.rid as rid_l, r.rid as rid_r from planted_features l "
        "join planted_features r on l.rid < r.rid"
    ).fetchall()
    count = con.execute(f"select count(*) from {numbered.permit('pairs')}").fetchall()[0][0]

    assert 15 - 3 - 2 == numbered.permitted_pairs == count


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"most_values_per_person": {"email": 0}}, "whole numbers"),
        ({"most_people_per": {"email": 1.5}}, "whole numbers"),
        ({"largest_cluster": 0}, "whole numbers"),
        ({"never_link": (("a",),)}, "pairs of sources"),
        ({"oversize": "drop"}, "split or stop"),
    ],
)
def test_wrong_constraints_are_refused(wrong, said):
    """Limits are whole numbers from 1, never_link holds pairs, oversize is one of two words."""
    with pytest.raises(ConfigError, match=said):
        Constraints(**wrong)


def test_unknown_columns_and_sources_are_refused():
    """A constraint that names a column or source which is not there is an error that lists the right ones."""
    con, features = planted_pairs.planted(4, FOUR)
    with pytest.raises(ConfigError, match=r"most_values_per_person.*shoe_size"):
        NumberedConstraints(con, features, Constraints(most_values_per_person={"shoe_size": 1}))
    with pytest.raises(ConfigError, match=r"sources of the records.*nowhere"):
        NumberedConstraints(con, features, Constraints(duplicate_free_sources=("nowhere",))).require_sources()


def test_constraints_survive_json():
    """What is declared is the same after JSON; reviewers' decisions are not part of a model file."""
    declared = Constraints(("a",), (("b", "a"),), {"email": 2}, {"phone": 3}, reviewed([(0, 1)]), 9, 2, "stop")
    again = Constraints.from_dict(declared.to_dict())

    assert declared.never == again.never
    assert declared.to_dict() == again.to_dict()
    assert again.reviewed_pairs is None
