"""How clusters hold together, what was cut and why, and the path between two records."""

import itertools
import json

import networkx as nx
import numpy as np
import pytest
from planted_pairs import clustered, partition, reviewed

from c360ml.errors import DataError
from c360ml.linkage.cluster_explanation import explain_cluster, explain_path
from c360ml.linkage.constraints import Constraints

FOUR = dict.fromkeys(itertools.combinations(range(4), 2), 8.0)
BRIDGE = {(0, 1): 9.0, (0, 2): 9.0, (1, 2): 9.0, (3, 4): 9.0, (2, 3): 3.0}


def test_merges_come_in_their_order():
    """Each merge names both clusters, the records after it, and the mean weight that did it."""
    _, asked = clustered(3, {(0, 1): 4.0, (0, 2): 2.0, (1, 2): 8.0}, Constraints())
    answer = explain_cluster(*asked, "r002")

    assert ("r000", ["r000", "r001", "r002"], []) == (answer["cluster_id"], answer["record_ids"], answer["cut"])
    assert [("r001", "r002", 2, 8.0), ("r000", "r001", 3, 3.0)] == [
        (merge["record_id_l"], merge["record_id_r"], merge["records"], merge["mean_weight"])
        for merge in answer["merges"]
    ]


def test_a_cut_bridge_names_its_link_and_the_mean():
    """A link across which two clusters stay apart is named, with the mean of all pairs and how many were unscored."""
    _, asked = clustered(5, BRIDGE, Constraints())
    (cut,) = explain_cluster(*asked, "r000")["cut"]

    assert ("mean weight", None, "r003", 2) == tuple(
        cut[key] for key in ("reason", "records_at_odds", "record_id", "records")
    )
    assert ((3.0 - 5 * 8.0) / 6, 0.0, 5) == (cut["mean_weight"], cut["needed_weight"], cut["unscored_pairs"])
    assert [("r002", "r003", 3.0)] == [
        (link["record_id_l"], link["record_id_r"], link["match_weight"]) for link in cut["links"]
    ]


@pytest.mark.parametrize(
    ("constraints", "columns", "reason"),
    [
        ({"duplicate_free_sources": ("a",)}, {"source": ["a", "b", "b", "a"]}, "duplicate_free_sources"),
        ({"never_link": (("b", "a"),)}, {"source": ["a", "c", "c", "b"]}, "never_link"),
        ({"most_values_per_person": {"email": 1}}, {"email": ["x", None, None, "y"]}, "most_values_per_person: email"),
        ({"reviewed_pairs": reviewed(non_match=[(0, 3)])}, {}, "reviewed non-match"),
    ],
)
def test_a_constraint_that_cut_is_named_with_its_records(constraints, columns, reason):
    """The explanation names the constraint, and the two records that are at odds."""
    _, asked = clustered(4, FOUR, Constraints(**constraints), **columns)
    answer = explain_path(*asked, "r000", "r003")

    assert (False, reason, 8.0) == (answer["joined"], answer["reason"], answer["match_weight"])
    assert ["r000", "r003"] == sorted(answer["cut"]["records_at_odds"])


def test_a_limit_of_two_values_is_named():
    """A third value that two clusters hold only together is named, although no two records are at odds alone."""
    _, asked = clustered(
        3, {(0, 1): 9.0, (0, 2): 8.0, (1, 2): 8.0}, Constraints(most_values_per_person={"email": 2}), email=list("abc")
    )
    (cut,) = explain_cluster(*asked, "r002")["cut"]

    assert ("most_values_per_person: email", ["r002", "r000"]) == (cut["reason"], cut["records_at_odds"])


@pytest.mark.parametrize(
    ("budget", "reason"), [({"largest_cluster": 3}, "largest_cluster"), ({"widest_cluster": 1}, "widest_cluster")]
)
def test_a_budget_that_cut_is_named(budget, reason):
    """Links that only the budget cut say so."""
    weights = {(0, 1): 15.0, (2, 3): 15.0, (1, 2): 15.0, (0, 2): 1.0, (1, 3): 1.0, (0, 3): -1.0}
    _, asked = clustered(4, weights, Constraints(**budget))

    assert {reason} == {cut["reason"] for cut in explain_cluster(*asked, "r000")["cut"]}


@pytest.mark.parametrize("seed", range(8))
def test_path_has_the_strongest_weakest_link(seed):
    """Without the path's weakest link and those weaker, networkx finds no way any more; with it, it does."""
    rng = np.random.default_rng(seed)
    pairs = [pair for pair in itertools.combinations(range(9), 2) if rng.random() < 0.5]
    weights = {pair: float(weight) for pair, weight in zip(pairs, rng.uniform(-2, 15, len(pairs)), strict=True)}
    _, asked = clustered(9, weights, Constraints(), weight=-7.9)
    group = sorted(max(partition(asked[0]), key=len))
    left, right = group[0], group[-1]
    answer = explain_path(*asked, f"r{left:03d}", f"r{right:03d}")

    inside = {pair: weight for pair, weight in weights.items() if set(pair) <= set(group)}
    weakest = answer["weakest_weight"]
    stronger = nx.Graph([pair for pair, weight in inside.items() if weight > weakest])
    stronger.add_nodes_from(group)
    assert not nx.has_path(stronger, left, right)
    steps = [tuple(int(step[side][1:]) for side in ("record_id_l", "record_id_r")) for step in answer["path"]]
    assert weakest == min(inside[step] for step in steps)
    assert nx.has_path(nx.Graph(steps), left, right)
    assert len(steps) == nx.shortest_path_length(nx.Graph(steps), left, right)


def test_path_goes_over_reviewed_matches():
    """A reviewed match is a link of the path, without a weight."""
    _, asked = clustered(5, {(0, 1): 5.0}, Constraints(reviewed_pairs=reviewed([(1, 4)])))
    answer = explain_path(*asked, "r000", "r004")

    assert [(5.0, False), (None, True)] == [(step["match_weight"], step["reviewed"]) for step in answer["path"]]
    assert 5.0 == answer["weakest_weight"]
    assert {"mean weight", "reviewed match"} == {merge["reason"] for merge in explain_cluster(*asked, "r000")["merges"]}


def test_records_that_no_link_connects_say_why():
    """Records of two components were never compared, or their pair weighs too little, or their sources forbid it."""
    _, asked = clustered(
        4, {(0, 1): 5.0, (1, 2): -4.0}, Constraints(duplicate_free_sources=("a",)), source=list("aaab")
    )
    reasons = {right: explain_path(*asked, "r001", right)["reason"] for right in ("r000", "r002", "r003")}

    assert {"r000": "duplicate_free_sources", "r002": "duplicate_free_sources", "r003": "never compared"} == reasons
    _, asked = clustered(3, {(0, 1): 5.0, (1, 2): -4.0}, Constraints())
    answer = explain_path(*asked, "r001", "r002")
    assert ("match weight", -4.0, True, None) == tuple(
        answer[key] for key in ("reason", "match_weight", "blocked", "cut")
    )


def test_explanations_give_the_clusters_of_the_table():
    """What is explained is what was clustered, and can be written as JSON."""
    rng = np.random.default_rng(1)
    weights = {pair: float(rng.normal(0, 6)) for pair in itertools.combinations(range(30), 2) if rng.random() < 0.2}
    constraints = Constraints(
        duplicate_free_sources=("a",), reviewed_pairs=reviewed([(3, 7)], [(1, 2)]), largest_cluster=4
    )
    _, asked = clustered(30, weights, constraints, weight=-2.0, source=[*"aabbbabbbb" * 3])
    for cluster in partition(asked[0]):
        answer = explain_cluster(*asked, f"r{max(cluster):03d}")
        assert sorted(cluster) == [int(record_id[1:]) for record_id in answer["record_ids"]]
        assert len(cluster) - 1 == len(answer["merges"])
        assert json.loads(json.dumps(answer)) == answer


def test_unknown_records_are_refused():
    """A record id that is not there, or the same twice, is an error that does not repeat it."""
    _, asked = clustered(3, {(0, 1): 5.0}, Constraints())
    with pytest.raises(DataError, match="record id of the fitted records"):
        explain_cluster(*asked, "secret")
    with pytest.raises(DataError, match="two different"):
        explain_path(*asked, "r000", "r000")
