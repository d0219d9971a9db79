"""Estimates from samples: unbiased, with intervals that hold, from draws that are what they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from c360ml import evaluate_clusters
from c360ml.errors import ConfigError, DataError
from c360ml.lakehouse import connect
from c360ml.linkage import draw_review_sample
from c360ml.linkage.evaluation_intervals import ENTITY_SUMS
from c360ml.linkage.sampled_evaluation import _cluster_ratios, _estimate, _with_f1


@pytest.fixture(scope="module")
def world():
    """Scored pairs of a file whose truth is known: 1,500 pairs, calibrated, joined above even odds."""
    random = np.random.default_rng(2)
    probability = random.beta(0.25, 0.4, 1500)
    pairs = pd.DataFrame(
        {
            "record_id_l": [f"l{n}" for n in range(1500)],
            "record_id_r": [f"r{n}" for n in range(1500)],
            "match_probability": probability,
        }
    )
    pairs["is_match"] = (random.random(1500) < probability).astype(int)
    joined = probability > 0.5
    ids = [f"{side}{n}" for side in "lr" for n in range(1500)]
    clusters = pd.DataFrame(
        {"record_id": ids, "cluster_id": [*range(1500), *(n if joined[n] else 1500 + n for n in range(1500))]}
    )
    true = {
        "precision": pairs["is_match"][joined].mean(),
        "recall": joined[pairs["is_match"] == 1].mean(),
    }
    return pairs, clusters, true


def review(pairs, n, seed):
    """Draw a sample and answer it with the truth."""
    return draw_review_sample(pairs.drop(columns="is_match"), n, seed=seed).merge(
        pairs[["record_id_l", "record_id_r", "is_match"]]
    )


def test_a_sample_is_stratified_and_weighs_what_it_stands_for(world):
    """A drawn sample has the size asked for, no pair twice, every stratum, and weights that add up to all pairs."""
    sample = draw_review_sample(world[0], 300)
    assert 300 == len(sample.drop_duplicates(["record_id_l", "record_id_r"]))
    assert len(world[0]) == pytest.approx(sample["weight"].sum())
    assert sample["stratum"].nunique() == 11 and sample.groupby("stratum").size().min() >= 2
    doubt = sample["match_probability"].between(0.1, 0.9)
    assert doubt.mean() > world[0]["match_probability"].between(0.1, 0.9).mean()


def test_a_sample_is_the_same_for_the_same_seed(world):
    """Row order changes nothing, another seed draws other pairs."""
    pairs = world[0]
    first, same = draw_review_sample(pairs, 50), draw_review_sample(pairs.sample(frac=1, random_state=1), 50)
    assert first.equals(same)
    assert set(first["record_id_l"]) != set(draw_review_sample(pairs, 50, seed=2)["record_id_l"])


@pytest.mark.parametrize("n", [1, 7, 39, 40, 1000])
def test_a_sample_never_exceeds_what_there_is(n):
    """Any number may be asked for; all pairs are drawn if there are fewer, each for itself."""
    pairs = pd.DataFrame(
        {"record_id_l": range(40), "record_id_r": range(40, 80), "match_probability": [0.5] * 3 + [0.999] * 37}
    )
    sample = draw_review_sample(pairs, n)
    assert min(n, 40) == len(sample)
    if n >= 40:
        assert {1.0} == set(sample["weight"])


def test_nothing_to_draw_is_an_error(world):
    """A sample of no pairs, or from none, is refused."""
    with pytest.raises(ConfigError, match="at least one pair"):
        draw_review_sample(world[0], 0)
    with pytest.raises(DataError, match="at least one pair"):
        draw_review_sample(world[0].head(0), 5)


@pytest.fixture(scope="module")
def reviewed(world):
    """Evaluations of 30 samples of 150 reviewed pairs each."""
    pairs, clusters, _ = world
    return [evaluate_clusters(clusters, review(pairs, 150, seed)) for seed in range(30)]


@pytest.mark.parametrize("name", ["precision", "recall"])
def test_estimates_from_reviewed_pairs_hold(world, reviewed, name):
    """Over 30 samples of reviewed pairs the mean estimate is the true figure, and most intervals hold it."""
    true = world[2][name]
    estimates = np.array([each[f"estimated_link_{name}"] for each in reviewed])
    assert true == pytest.approx(estimates.mean(), abs=3 * estimates.std() / np.sqrt(30))
    ends = [each["intervals"][f"estimated_link_{name}"] for each in reviewed]
    assert np.mean([low <= true <= high for low, high in ends]) >= 0.88


def test_weights_take_out_where_the_sample_looked(world, reviewed):
    """Counting a sample that looks where doubt is would be off on average; weighing it is not."""
    plain, weighted = (
        abs(np.mean([each[f"{kind}_precision"] for each in reviewed]) - world[2]["precision"])
        for kind in ("labelled", "estimated_link")
    )
    assert weighted < plain / 3


def test_pairs_left_unreviewed_pass_their_weight_on(world):
    """With strata known, the pairs reviewed so far stand for all; a bare weight column is taken as it is."""
    pairs, clusters, _ = world
    half = review(pairs, 400, 1).groupby("stratum").head(9)
    assert 1500 == pytest.approx(evaluate_clusters(clusters, half)["sampled_from_pairs"], abs=1)
    bare = half.drop(columns=["stratum", "stratum_pairs"])
    assert bare["weight"].sum() == pytest.approx(evaluate_clusters(clusters, bare)["sampled_from_pairs"], abs=1)


def test_no_error_seen_is_no_certainty(world):
    """Where no error was seen the interval still leaves room for one."""
    pairs, clusters, _ = world
    sure = review(pairs, 100, 1).assign(is_match=1)
    measured = evaluate_clusters(clusters, sure[sure["match_probability"] > 0.5])
    low, high = measured["intervals"]["estimated_link_precision"]
    assert (1.0, 1.0) == (measured["estimated_link_precision"], high) and 0.8 < low < 1


@pytest.mark.parametrize("change", [{"weight": None}, {"weight": -1.0}])
def test_samples_without_weight_are_refused(world, change):
    """A weight that is missing or not positive, or a stratum without its size, is told."""
    pairs, clusters, _ = world
    sample = review(pairs, 50, 1).drop(columns=["stratum", "stratum_pairs"])
    with pytest.raises(DataError, match="positive weight"):
        evaluate_clusters(clusters, sample.assign(**change))
    with pytest.raises(DataError, match="stratum_pairs"):
        evaluate_clusters(clusters, sample.drop(columns="weight").assign(stratum=1))


# ---------------------------------------------------------------------- sampled people
@pytest.fixture(scope="module")
def people():
    """Clusters of 2,000 people with splits and merges, and their true figures."""
    random = np.random.default_rng(6)
    true = np.repeat(np.arange(2000), random.integers(1, 6, 2000))
    wrong = random.random(len(true)) < 0.12
    cluster = np.where(wrong, random.integers(0, 2000, len(true)), true)
    ids = [f"r{n:05}" for n in range(len(true))]
    clusters = pd.DataFrame({"record_id": ids, "cluster_id": cluster})
    truth = pd.DataFrame({"record_id": ids, "true_id": true})
    return clusters, truth, evaluate_clusters(clusters, truth)


def test_people_sampled_by_size_give_the_true_figures(people):
    """Over 200 samples of 150 people, large ones more often, mean estimates are the true figures and intervals hold."""
    clusters, truth, whole = people
    sizes = truth.groupby("true_id").size().to_numpy()
    everyone = truth.assign(weight=1.0)
    sums = every_sum(clusters, everyone)
    random = np.random.default_rng(1)
    estimates: dict[str, list] = {}
    for _ in range(200):
        drawn = random.choice(len(sizes), 150, p=sizes / sizes.sum())
        part = {name: values[drawn] for name, values in sums.items()}
        weights, strata = 1.0 / sizes[drawn], np.zeros(150, dtype=int)
        each = {name: _estimate(a, b, weights, strata) for name, (a, b) in _cluster_ratios(part).items()}
        for name, estimate in _with_f1(each).items():
            estimates.setdefault(name, []).append(estimate)
    for name, found in estimates.items():
        values = np.array([value for value, _ in found])
        assert whole[name] == pytest.approx(values.mean(), abs=0.006), name
        assert np.mean([low <= whole[name] <= high for _, (low, high) in found]) >= 0.9, name


def every_sum(clusters, truth):
    """Sums of each true person in the order of their ids."""
    table = truth.merge(clusters)
    table["n"] = table.groupby(["true_id", "cluster_id"])["record_id"].transform("size")
    table["in_cluster"] = table.groupby("cluster_id")["record_id"].transform("size")
    table["in_truth"] = table.groupby("true_id")["record_id"].transform("size")
    table["whole"] = (table["n"] == table["in_truth"]) & (table["n"] == table["in_cluster"])
    by = table.groupby("true_id")
    values = [
        by.size(),
        (table["n"] - 1).groupby(table["true_id"]).sum() / 2,
        by.size() * (by.size() - 1) / 2,
        (table["in_cluster"] - 1).groupby(table["true_id"]).sum() / 2,
        (table["n"] / table["in_cluster"]).groupby(table["true_id"]).sum(),
        (table["n"] / table["in_truth"]).groupby(table["true_id"]).sum(),
        by["whole"].max(),
        (1 / table["in_cluster"]).groupby(table["true_id"]).sum(),
    ]
    return {name: np.asarray(value, dtype=float) for name, value in zip(ENTITY_SUMS, values, strict=True)}


def test_a_sample_of_all_people_is_the_file(people):
    """If everyone is sampled with one weight the estimates are the measures."""
    clusters, truth, whole = people
    measured = evaluate_clusters(clusters, truth.assign(weight=2.5))
    for kind in ("pairwise", "b3", "cluster"):
        for part in ("precision", "recall", "f1"):
            expected = whole[f"{kind}_{part}"]
            assert expected == pytest.approx(measured[f"estimated_{kind}_{part}"], abs=2e-3)


def test_people_who_were_not_sampled_count_as_strangers(people):
    """Records of people outside the sample still make a cluster wrong, which plain evaluation cannot see."""
    clusters, truth, whole = people
    some = truth[truth["true_id"] % 20 == 0]
    estimated = evaluate_clusters(clusters, some.assign(weight=1))["estimated_pairwise_precision"]
    plain = evaluate_clusters(clusters, some)["pairwise_precision"]
    assert abs(estimated - whole["pairwise_precision"]) < 0.05 < plain - whole["pairwise_precision"]


def test_a_person_has_one_weight(people):
    """Weights that differ within a person are refused."""
    clusters, truth, _ = people
    uneven = truth.assign(weight=np.arange(1, len(truth) + 1))
    with pytest.raises(DataError, match="positive weight"):
        evaluate_clusters(clusters, uneven)


def test_samples_come_back_as_the_kind_of_table_given(world):
    """Arrow in, Arrow out."""
    with connect() as con:
        table = con.from_df(world[0]).to_arrow_table()
    assert "pyarrow" in type(draw_review_sample(table, 5)).__module__
