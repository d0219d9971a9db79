"""From scored pairs to clusters."""

import itertools

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.linkage.clusters import WEIGHT_OF_UNSCORED_PAIR, average_linkage, components

weighted_graphs = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.dictionaries(
            st.sampled_from(list(itertools.combinations(range(n), 2))),
            # Distinct fractions make ties, which any order may break, impossible in practice.
            st.floats(-14, 14, allow_nan=False).map(lambda w: round(w, 9)),
            max_size=20,
        ),
    )
)


def brute_force(records: int, weights: dict[tuple[int, int], float]) -> set[frozenset[int]]:
    """Merge the best pair of clusters, one at a time, as a textbook says."""
    clusters = [frozenset([record]) for record in range(records)]

    def mean(a, b):
        pairs = [tuple(sorted(pair)) for pair in itertools.product(a, b)]
        return sum(weights.get(pair, WEIGHT_OF_UNSCORED_PAIR) for pair in pairs) / len(pairs)

    while len(clusters) > 1:
        a, b = max(itertools.combinations(clusters, 2), key=lambda pair: mean(*pair))
        if mean(a, b) <= 0:
            break
        clusters = [each for each in clusters if each not in (a, b)] + [a | b]
    return set(clusters)


def as_arrays(weights):
    left, right = (np.array([pair[side] for pair in weights], dtype=np.int64) for side in (0, 1))
    return left, right, np.array(list(weights.values()), dtype=float)


def as_sets(labels):
    return {frozenset(np.nonzero(labels == label)[0].tolist()) for label in set(labels.tolist())}


@settings(max_examples=150, deadline=None)
@given(weighted_graphs)
def test_same_clusters_as_the_textbook_algorithm(graph):
    """Merging all mutual best pairs at once gives what merging one pair at a time gives."""
    records, weights = graph
    if len(set(weights.values())) < len(weights):
        return
    labels = average_linkage(records, *as_arrays(weights))

    assert brute_force(records, weights) == as_sets(labels)


@settings(max_examples=50, deadline=None)
@given(weighted_graphs, st.randoms(use_true_random=False))
def test_order_of_pairs_does_not_matter(graph, random):
    """Shuffled pairs give the same labels, ties and all."""
    records, weights = graph
    shuffled = list(weights.items())
    random.shuffle(shuffled)

    assert np.array_equal(
        average_linkage(records, *as_arrays(weights)), average_linkage(records, *as_arrays(dict(shuffled)))
    )


def test_a_weak_bridge_does_not_join_two_people():
    """One link between two tight groups, against unscored pairs all around it, keeps them apart."""
    weights = dict.fromkeys([(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)], 10.0) | {(2, 3): 3.0}

    assert {frozenset({0, 1, 2}), frozenset({3, 4, 5})} == as_sets(average_linkage(6, *as_arrays(weights)))


def test_components_agree_with_networkx():
    """Connected components equal those of a second implementation."""
    rng = np.random.default_rng(3)
    left, right = rng.integers(0, 200, 150), rng.integers(0, 200, 150)
    graph = nx.Graph()
    graph.add_nodes_from(range(200))
    graph.add_edges_from(zip(left.tolist(), right.tolist(), strict=True))

    assert {frozenset(each) for each in nx.connected_components(graph)} == as_sets(components(200, left, right))


def test_no_pairs_leave_everybody_alone():
    """Without any scored pair each record is its own cluster."""
    empty = np.array([], dtype=np.int64)

    assert [0, 1, 2] == average_linkage(3, empty, empty, np.array([])).tolist()
