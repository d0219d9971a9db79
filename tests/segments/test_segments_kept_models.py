"""Segments mean the same from run to run: models stay, refits follow them."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from c360ml.config import Segments
from c360ml.errors import ModelError
from c360ml.lakehouse import Lakehouse
from c360ml.segments import KMeansSegmenter
from c360ml.segments.kept_models import MODEL_FILE, models_for
from c360ml.segments.kmeans_choice import Candidate, choose, mark_supported
from c360ml.segments.kmeans_matching import match_clusters
from c360ml.segments.kmeans_names import carry_names

FEATURES = ["days_since_last_purchase", "purchases", "total_spend"]


def buyers(size=90, shift=0, seed=4):
    """Draw three kinds of buyers, all of them some days later."""
    random = np.random.default_rng(seed)
    kinds = np.arange(size) % 3
    days = np.array([900, 200, 12])[kinds] * random.lognormal(0, 0.1, size) + shift
    purchases = np.array([1, 5, 30])[kinds] + random.integers(0, 2, size)
    spend = np.array([60.0, 900, 20_000])[kinds] * random.lognormal(0, 0.1, size)
    columns = {"days_since_last_purchase": days, "purchases": purchases, "total_spend": spend}
    return pd.DataFrame({"customer_id": [f"c{n:05}" for n in range(size)], **columns})


@pytest.fixture
def models(tmp_path):
    """Ask for the models of a run and keep them for the next."""

    def ask(table, day, **settings):
        with Lakehouse(tmp_path) as lake:
            lake.con.register("given", table)
            lake.rows("create temp table buyers as select * from given")
            found = models_for(lake, Segments(**settings), day)
            lake.write_json(MODEL_FILE, found.to_dict())
            return found

    ask.file = tmp_path / MODEL_FILE
    return ask


def learned(found):
    """Days of learning."""
    return found.rfm_learned_on, found.kmeans_learned_on


def test_models_stay(models):
    """A later run scores with the cut points and centres of the first, so that ageing shows."""
    first = models(buyers(), "2024-01-31")
    later = models(buyers(shift=90), "2024-04-30")

    assert first.to_dict() == later.to_dict()
    assert ("2024-01-31", "2024-01-31") == learned(later)


def test_refit_learns_anew_and_keeps_names(models):
    """On request both are learned anew, from where they were, and matched to what they were."""
    first = models(buyers(), "2024-01-31")
    later = models(buyers(shift=3, seed=5), "2024-02-29", refit=True)

    assert ("2024-02-29", "2024-02-29") == learned(later)
    assert first.rfm.cut_points_ != later.rfm.cut_points_
    assert first.kmeans.names_ == later.kmeans.names_
    assert {"ari": 1.0, "same_cluster_share": 1.0, "kept_names": 3} == later.kmeans.change_


def test_another_seed_learns_clusters_only(models):
    """A changed seed asks for new clusters and leaves the cut points."""
    models(buyers(), "2024-01-31")

    assert ("2024-01-31", "2024-02-29") == learned(models(buyers(seed=6), "2024-02-29", kmeans_seed=7))


def test_models_of_too_few_are_not_kept(models):
    """What nine buyers taught gives way to what ninety teach."""
    models(buyers(9), "2024-01-31")

    assert ("2024-02-29", "2024-02-29") == learned(models(buyers(90), "2024-02-29"))


def test_a_damaged_file_is_told_and_a_refit_replaces_it(models):
    """Models that cannot be read stop the run with what to do, unless they were to be replaced anyway."""
    models(buyers(), "2024-01-31")
    models.file.write_text('{"rfm": {"model": "Other"}, "kmeans": {"model": "Other"}}', "utf-8")
    with pytest.raises(ModelError, match=r"segments\.refit = true"):
        models(buyers(), "2024-02-29")

    assert ("2024-02-29", "2024-02-29") == learned(models(buyers(), "2024-02-29", refit=True))


def test_a_refit_is_kept_in_json():
    """What a refit says of the fit before is saved with it; models of older releases say nothing."""
    first = KMeansSegmenter().fit(buyers())
    content = KMeansSegmenter().fit(buyers(seed=5), previous=first).to_dict()

    assert content == KMeansSegmenter.from_dict(content).to_dict()
    assert KMeansSegmenter.from_dict({name: part for name, part in content.items() if name != "change"}).change_ is None


def test_a_moved_cluster_is_named_anew():
    """A cluster whose centre moved far is called what it is now, even if it holds the same customers."""
    table = buyers()
    first = KMeansSegmenter().fit(table)
    moved = table.assign(days_since_last_purchase=1000 - table.days_since_last_purchase.clip(upper=999))
    later = KMeansSegmenter().fit(moved, previous=first)

    assert 0 == later.change_["kept_names"]
    assert set(first.names_) != set(later.names_)


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), min_size=5, max_size=80))
def test_permuted_labels_are_matched(permutation, labels):
    """However a refit numbers the same clusters, each is matched to itself."""
    old = np.array(labels)
    new = np.array(permutation)[old]

    assert {permutation[place]: place for place in set(labels)} == match_clusters(old, new)


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=9), st.data())
def test_carried_names_are_unique(names, data):
    """Carried names stay, and no other cluster takes one of them."""
    told = [f"{name} {place}" if names.count(name) > 1 else name for place, name in enumerate(names)]
    places = data.draw(st.sets(st.integers(0, len(names) - 1)))
    carried = {
        place: f"{'abc'[place % 3]}{place}" if data.draw(st.booleans()) else told[-1 - place] for place in places
    }
    if len(set(carried.values())) == len(carried):
        found = carry_names(told, carried)
        assert len(set(found)) == len(found)
        assert carried == {place: found[place] for place in places}


def test_the_gap_speaks_against_too_many():
    """A number of clusters is supported unless a smaller one has a gap greater by more than the error."""
    made = [
        (Candidate(k, 0.5, 0.1, 0.9, 0.8, 0.1, gap, 0.05), np.zeros((k, 3)))
        for k, gap in ((3, 1.0), (4, 0.96), (5, 0.9))
    ]

    assert [True, True, False] == [one.is_supported for one, _ in mark_supported(made, 0.5)]
    assert [False, False, False] == [one.is_supported for one, _ in mark_supported(made, 1.2)]
    assert 4 == choose([one for one, _ in mark_supported(made, 1.2)], kept=4).k


def test_even_buyers_are_no_clusters():
    """Buyers spread evenly, without clusters, are told apart by no good number of clusters."""
    random = np.random.default_rng(1)
    even = np.exp(random.uniform(0, 6, (600, 3)))
    even[:, 1] = 1 + even[:, 1]
    table = pd.DataFrame(even, columns=FEATURES).assign(customer_id=range(600))
    gaps = [one["gap"] for one in KMeansSegmenter(k=3).fit(table).diagnostics_]

    assert max(gaps) < 0.2


# ---------------------------------------------------------------------- real buyers a month apart
@pytest.fixture(scope="module")
def cdnow():
    """Buyers of all of CDNOW until two days, a month apart; found in the wheel without importing it, for it warns."""
    file = Path(find_spec("lifetimes").submodule_search_locations[0]) / "datasets" / "CDNOW_master.txt"
    paid = pd.read_csv(file, sep=r"\s+", header=0, names=["customer_id", "day", "cds", "paid"])
    paid["day"] = pd.to_datetime(paid.day.astype(str))

    def until(day):
        seen = paid[paid.day <= day].groupby("customer_id", as_index=False)
        known = seen.agg(last=("day", "max"), purchases=("day", "nunique"), total_spend=("paid", "sum"))
        return known.assign(days_since_last_purchase=(pd.Timestamp(day) - known["last"]).dt.days).drop(columns="last")

    return until("1997-09-30"), until("1997-10-31")


def test_cdnow_keeps_its_labels(cdnow):
    """A month later a matched refit leaves nine of ten buyers in their cluster, where bare labels would not."""
    before, after = cdnow
    assert 23_570 == len(before) == len(after)
    first = KMeansSegmenter(k=5).fit(before)
    frozen, names = first.predict(after), first.predict(before)
    refit = KMeansSegmenter(k=5).fit(after, previous=first)
    found = refit.predict(after)

    assert 0.85 < np.mean(frozen.kmeans_segment == names.kmeans_segment)
    assert 0.85 < np.mean(found.kmeans_segment == names.kmeans_segment)
    assert 5 == refit.change_["kept_names"]
    bare = [KMeans(5, n_init=1, random_state=seed).fit_predict(_scaled(table)) for seed, table in enumerate(cdnow)]
    assert 0.6 > np.mean(bare[0] == bare[1])


def _scaled(table):
    logarithms = np.log1p(table[FEATURES].to_numpy(dtype=float))
    return (logarithms - logarithms.mean(axis=0)) / logarithms.std(axis=0)
