"""How large and how wide a cluster may be."""

import itertools

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.config import Linkage
from c360ml.linkage.cluster_budget import LARGEST_CLUSTER, WIDEST_CLUSTER, fit_budget
from c360ml.linkage.clusters import average_linkage
from c360ml.linkage.constraints import Constraints


def chain(records: int, weight: float = 15.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Records in a row: neighbours agree well, others so that all of them merge in the end."""
    pairs = np.array(list(itertools.combinations(range(records), 2))).T
    near = pairs[1] - pairs[0] == 1
    return pairs[0], pairs[1], np.where(near, weight, 1.0)


def test_defaults_are_those_of_the_config():
    """The config and the estimator believe the same of a person."""
    assert (Linkage().largest_cluster, Linkage().widest_cluster) == (LARGEST_CLUSTER, WIDEST_CLUSTER)
    assert (Constraints().largest_cluster, Constraints().oversize) == (LARGEST_CLUSTER, Linkage().oversize_clusters)


def test_a_cluster_that_fits_is_left_alone():
    """Within the budget nothing changes and nothing is listed."""
    merges = average_linkage(6, *chain(6))
    left, right, _ = chain(6)
    kept, oversize = fit_budget(6, merges, left, right, largest=6, widest=1)

    assert [0] * 6 == kept.labels(6).tolist()
    assert [] == oversize


def test_a_large_cluster_is_split_at_its_weakest_merges():
    """Two tight groups that are weakly joined come apart where they were joined."""
    pairs = list(itertools.combinations(range(8), 2))
    weights = np.array([9.0 if (one < 4) == (other < 4) else 1.0 for one, other in pairs])
    left, right = np.array(pairs).T
    merges = average_linkage(8, left, right, weights)
    kept, oversize = fit_budget(8, merges, left, right, largest=5, widest=9)

    assert [0] * 8 == merges.labels(8).tolist()
    assert [0] * 4 + [4] * 4 == kept.labels(8).tolist()
    assert [(0, 8, None, "records")] == [(each.record, each.records, each.width, each.reason) for each in oversize]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 4))
def test_every_answer_fits(seed, largest, widest):
    """Records and width of every cluster are within the budget, by networkx; those above it are listed."""
    rng = np.random.default_rng(seed)
    pairs = np.array([pair for pair in itertools.combinations(range(16), 2) if rng.random() < 0.3]).reshape(-1, 2)
    weights = rng.uniform(-4, 15, len(pairs))
    merges = average_linkage(16, pairs[:, 0], pairs[:, 1], weights, threshold=-7.0)
    linked = pairs[weights > -7]
    kept, oversize = fit_budget(16, merges, linked[:, 0], linked[:, 1], largest=largest, widest=widest)

    def measures(labels):
        graph = nx.Graph([pair for pair in linked.tolist() if labels[pair[0]] == labels[pair[1]]])
        graph.add_nodes_from(range(16))
        return {min(part): (len(part), nx.diameter(graph.subgraph(part))) for part in nx.connected_components(graph)}

    before, after = measures(merges.labels(16)), measures(kept.labels(16))
    assert all(records <= largest and width <= widest for records, width in after.values())
    above = {name for name, (records, width) in before.items() if records > largest or width > widest}
    assert above <= {each.record for each in oversize}
    assert {name for name, (records, _) in before.items() if records > largest} == {
        each.record for each in oversize if each.reason == "records"
    }


def test_a_long_chain_is_cut_to_width():
    """A chain of links is cut into pieces that are not wider than the budget."""
    left = np.arange(29)
    merges = average_linkage(30, left, left + 1, np.full(29, 15.0), threshold=-8.0)
    kept, oversize = fit_budget(30, merges, left, left + 1, largest=100, widest=4)
    sizes = np.bincount(kept.labels(30))

    assert (30, 29) == (oversize[0].records, oversize[0].width)
    assert sizes.max() <= 5


def test_what_reviewers_joined_is_not_split():
    """Merges that reviewers asked for stay, however large the cluster."""
    joined = np.zeros(5, dtype=np.int64)
    empty = np.array([], dtype=np.int64)
    merges = average_linkage(5, empty, empty, np.array([]), joined=joined)
    kept, oversize = fit_budget(5, merges, joined[1:], np.arange(1, 5), largest=2, widest=1)

    assert [0] * 5 == kept.labels(5).tolist()
    assert [5] == [each.records for each in oversize]
