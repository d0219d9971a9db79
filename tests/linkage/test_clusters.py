"""From scored pairs to clusters."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.linkage.clusters import WEIGHT_OF_UNSCORED_PAIR, average_linkage, components, joined_components
from c360ml.linkage.merge_rules import PairRule, SourceRule, ValueRule

seeds = st.integers(0, 2**32 - 1)


def random_graph(seed: int) -> tuple[int, dict[tuple[int, int], float]]:
    """A small graph; random weights, all exact multiples of 2^-20, make ties impossible in practice."""
    rng = np.random.default_rng(seed)
    records = int(rng.integers(2, 11))
    pairs = list(itertools.combinations(range(records), 2))
    weights = np.rint(rng.uniform(-14, 14, len(pairs)) * 2**20) / 2**20
    return records, {pair: w for pair, w in zip(pairs, weights.tolist(), strict=True) if rng.random() < 0.6}


def brute_force(records, weights, allowed=lambda cluster: True) -> set[frozenset[int]]:
    """Merge the best pair of clusters that may merge, one at a time, as a textbook says."""
    clusters = [frozenset([record]) for record in records]

    def mean(a, b):
        pairs = [tuple(sorted(pair)) for pair in itertools.product(a, b)]
        return sum(weights.get(pair, WEIGHT_OF_UNSCORED_PAIR) for pair in pairs) / len(pairs)

    while True:
        pairs = [pair for pair in itertools.combinations(clusters, 2) if allowed(pair[0] | pair[1])]
        if not pairs:
            return set(clusters)
        a, b = max(pairs, key=lambda pair: mean(*pair))
        if mean(a, b) <= 0:
            return set(clusters)
        clusters = [each for each in clusters if each not in (a, b)] + [a | b]


def as_arrays(weights):
    left, right = (np.array([pair[side] for pair in weights], dtype=np.int64) for side in (0, 1))
    return left, right, np.array(list(weights.values()), dtype=float)


def as_sets(labels):
    return {frozenset(np.nonzero(labels == label)[0].tolist()) for label in set(labels.tolist())}


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_same_clusters_as_the_textbook_algorithm(seed):
    """Merging all mutual best pairs at once gives what merging one pair at a time gives."""
    records, weights = random_graph(seed)
    merges = average_linkage(records, *as_arrays(weights))

    assert brute_force(range(records), weights) == as_sets(merges.labels(records))


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_same_clusters_as_the_textbook_algorithm_under_rules(seed):
    """Under rules and reviewed groups, a merge that is not allowed is left out and the next best is done."""
    records, weights = random_graph(seed)
    rng = np.random.default_rng(seed)
    sources, values = rng.integers(0, 4, records), rng.integers(-1, 4, records)
    cannot = [tuple(sorted(pair)) for pair in rng.integers(0, records, (2, 2)).tolist() if pair[0] != pair[1]]
    never, most = [(0, 0), (1, 2)], int(rng.integers(1, 3))

    def allowed(cluster):
        held = {int(values[record]) for record in cluster} - {-1}
        pairs = [tuple(sorted(pair)) for pair in itertools.combinations(cluster, 2)]
        met = {tuple(sorted((int(sources[a]), int(sources[b])))) for a, b in pairs}
        return len(held) <= most and not met & set(never) and not set(pairs) & set(cannot)

    group = sorted(rng.choice(records, 2, replace=False).tolist())
    joined = np.arange(records)
    if allowed(group):
        joined[group] = group[0]
    units = {unit: frozenset(np.nonzero(joined == unit)[0].tolist()) for unit in set(joined.tolist())}
    between = {}
    for (left, right), weight in weights.items():
        ends = tuple(sorted((int(joined[left]), int(joined[right]))))
        between.setdefault(ends, []).append(weight)
    means = {ends: round(sum(held) / len(held) * 2**20) / 2**20 for ends, held in between.items()}
    expected = brute_force(units, means, lambda cluster: allowed(frozenset().union(*map(units.get, cluster))))
    rules = [SourceRule(sources, never), ValueRule("value", values, most)]
    if cannot:
        rules.append(PairRule(records, *np.array(cannot).T))
    merges = average_linkage(records, *as_arrays(weights), rules=rules, joined=joined)
    found = as_sets(merges.labels(records))

    assert {frozenset().union(*map(units.get, cluster)) for cluster in expected} == found
    assert all(allowed(cluster) for cluster in found)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_order_of_pairs_does_not_matter(seed):
    """Shuffled pairs give the same merges, ties and all."""
    rng = np.random.default_rng(seed)
    records, weights = random_graph(seed)
    tied = {pair: float(round(weight / 5)) for pair, weight in weights.items()}
    arrays = as_arrays(tied)
    order = rng.permutation(len(tied))
    once, again = average_linkage(records, *arrays), average_linkage(records, *(part[order] for part in arrays))

    assert np.array_equal(once.labels(records), again.labels(records))
    assert sorted(once.mean_weights.tolist()) == sorted(again.mean_weights.tolist())


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_a_cluster_grows_ever_more_weakly(seed):
    """No merge of a cluster is stronger than the merges that made its parts."""
    records, weights = random_graph(seed)
    merges = average_linkage(records, *as_arrays(weights))
    last = np.full(records, np.inf)
    for keep, drop, weight in zip(merges.keep, merges.drop, merges.mean_weights, strict=True):
        assert weight <= min(last[keep], last[drop])
        last[keep] = weight


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(2, 6), st.floats(-1.9, 3.9), seeds)
def test_a_weak_bridge_between_two_people_is_cut(one, other, bridge, seed):
    """Two groups of records that are joined by a single pair, weaker than their own, stay two people."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(one + other).tolist()
    groups = names[:one], names[one:]
    weights = {
        tuple(sorted(pair)): float(rng.uniform(4, 15)) for group in groups for pair in itertools.combinations(group, 2)
    }
    link = tuple(sorted((groups[0][0], groups[1][0])))
    graph = nx.Graph([*weights, link])
    weights[link] = bridge
    found = as_sets(average_linkage(one + other, *as_arrays(weights), threshold=-2.0).labels(one + other))

    assert link in {tuple(sorted(pair)) for pair in nx.bridges(graph)}
    assert {frozenset(group) for group in groups} == found


@pytest.mark.parametrize("seed", range(40))
def test_no_answer_has_a_bridge_between_groups(seed):
    """In a random graph of people and noise, no cluster falls into two groups of records if one link is taken away."""
    rng = np.random.default_rng(seed)
    people = rng.integers(0, 8, 24)
    weights = {}
    for left, right in itertools.combinations(range(24), 2):
        if people[left] == people[right]:
            weights[left, right] = float(rng.uniform(3, 15))
        elif rng.random() < 0.08:
            weights[left, right] = float(rng.uniform(-8, 6))
    labels = average_linkage(24, *as_arrays(weights), threshold=-2.0).labels(24)
    graph = nx.Graph([pair for pair, w in weights.items() if w > -2 and labels[pair[0]] == labels[pair[1]]])
    for left, right in list(nx.bridges(graph)):
        graph.remove_edge(left, right)
        # One of the two sides is a single record.
        assert 1 == min(len(nx.node_connected_component(graph, end)) for end in (left, right))
        graph.add_edge(left, right)


def test_components_agree_with_networkx():
    """Connected components equal those of a second implementation, in one go and in parts."""
    rng = np.random.default_rng(3)
    left, right = rng.integers(0, 200, 150), rng.integers(0, 200, 150)
    graph = nx.Graph()
    graph.add_nodes_from(range(200))
    graph.add_edges_from(zip(left.tolist(), right.tolist(), strict=True))
    expected = {frozenset(each) for each in nx.connected_components(graph)}
    parts = joined_components(components(200, left[:70], right[:70]), left[70:], right[70:])

    assert expected == as_sets(components(200, left, right))
    assert expected == as_sets(parts)


def test_no_pairs_leave_everybody_alone():
    """Without any scored pair each record is its own cluster."""
    empty = np.array([], dtype=np.int64)

    assert [0, 1, 2] == average_linkage(3, empty, empty, np.array([])).labels(3).tolist()
