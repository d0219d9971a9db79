"""Constraints as users declare them: on the model, in a project, on one file."""

import json

import numpy as np
import pandas as pd
import pytest
from test_linkage_model import ROLES, make_people

from c360ml import LinkageModel, standardize_records
from c360ml.errors import ConfigError, DataError
from c360ml.linkage import Constraints
from c360ml.linkage.latent_classes import CLASS_NAMES


@pytest.fixture(scope="module")
def people():
    """Couples; the first record of a person is in the register, which holds everybody once."""
    made = make_people(120, seed=3)
    return made.assign(source=np.where(made.groupby("person").cumcount() == 0, "register", "shop"))


@pytest.fixture(scope="module")
def records(people):
    return standardize_records(people, id="id", columns=ROLES, source="source")


@pytest.fixture(scope="module")
def plain(records):
    model = LinkageModel().fit(records)
    model.cluster()
    return model


@pytest.fixture(scope="module")
def duplicate_free(records):
    return LinkageModel(constraints=Constraints(duplicate_free_sources=("register",))).fit(records)


def test_duplicate_free_source_is_neither_compared_nor_joined(duplicate_free, people):
    """No scored pair and no cluster holds two records of the register."""
    source = people.set_index("id")["source"]
    pairs = duplicate_free.predict()
    clusters = duplicate_free.cluster()
    held = clusters.assign(source=clusters["record_id"].map(source)).query("source == 'register'")

    assert not (
        (pairs["record_id_l"].map(source) == "register") & (pairs["record_id_r"].map(source) == "register")
    ).any()
    assert not held.duplicated("cluster_id").any()


def test_duplicate_free_source_does_no_harm(duplicate_free, plain, people):
    """A true constraint does not lower precision, and recall stays."""
    truth = people.rename(columns={"id": "record_id", "person": "true_id"})[["record_id", "true_id"]]
    with_it, without = duplicate_free.evaluate(truth), plain.evaluate(truth)

    assert with_it["pairwise_precision"] >= without["pairwise_precision"] - 0.002
    assert with_it["b3_f1"] > without["b3_f1"] - 0.01


def test_constraints_come_back_from_json(duplicate_free, records):
    """A model from JSON clusters under the constraints it was trained under."""
    again = LinkageModel.from_dict(json.loads(json.dumps(duplicate_free.to_dict()))).score(records)

    pd.testing.assert_frame_equal(duplicate_free.cluster(), again.cluster())


def test_nothing_left_to_compare_is_an_error(records):
    """If every pair is forbidden the error says by what."""
    constraints = Constraints(duplicate_free_sources=("register", "shop"), never_link=(("shop", "register"),))
    with pytest.raises(DataError, match="duplicate_free_sources or never_link"):
        LinkageModel(constraints=constraints).fit(records)


def test_unknown_source_is_an_error(records):
    """A source that no record has is a mistake in the config."""
    with pytest.raises(ConfigError, match="nowhere"):
        LinkageModel(constraints=Constraints(duplicate_free_sources=("nowhere",))).fit(records)


def test_explanations_of_the_model(plain, people):
    """Cluster, path and waterfall are answered by record id; a path brings the pair's own waterfall."""
    same = people[people["person"] == people["person"].value_counts().index[0]]["id"].to_list()
    answer = plain.explain_path(same[0], same[-1])

    assert set(same) & set(plain.explain_cluster(same[0])["record_ids"])
    assert plain.explain(same[0], same[-1]) == answer["waterfall"]
    assert answer["joined"] == (
        len(set(plain.cluster().set_index("record_id").loc[[same[0], same[-1]], "cluster_id"])) == 1
    )


def test_waterfall_tells_the_evidence_of_each_class(plain):
    """Each step tells log2 likelihood ratios against unrelated pairs, as the classes have them, and rarity."""
    pairs = plain.predict()[["record_id_l", "record_id_r"]].head(12).itertuples(index=False)
    waterfalls = [plain.explain(*pair)[:-1] for pair in pairs]
    prior, steps = waterfalls[0][0], [step for waterfall in waterfalls for step in waterfall[1:]]
    classes = plain.classes_
    sizes = dict(zip(CLASS_NAMES, classes.pairs_, strict=True))

    assert np.log2(sizes["person"] / sizes["unrelated"]) == pytest.approx(prior["person_weight"])
    for step in (step for step in steps if step["step"] != "recalibration"):
        for name in CLASS_NAMES[:-1]:
            expected = 0.0
            if step["level"] != "missing":
                mine, unrelated = (
                    max(classes.level_probabilities(each, step["step"])[step["level"]], 1e-12)
                    for each in (name, "unrelated")
                )
                expected = np.log2(mine / unrelated)
            assert expected == pytest.approx(step[f"{name}_weight"], abs=1e-9)
        rarities = ("rare", "uncommon", "common", "shared by a few", "shared by many")
        assert [word for word in rarities if step["level"].endswith(f", {word}")] == [
            step[key] for key in step if key == "rarity"
        ]
    assert {"rare", "uncommon", "common"} & {step.get("rarity") for step in steps}


def test_a_value_of_too_many_people_is_no_evidence(records, plain):
    """Pairs that agree on a land line which more people hold than it may weigh as if it were missing; others do not."""
    model = LinkageModel(constraints=Constraints(most_people_per={"phone": 1})).fit(records)
    clusters = model.cluster().set_index("record_id")["cluster_id"]
    phone = records.set_index("record_id")["phone"]
    holders = clusters.groupby(phone).nunique()
    weights = model.predict().set_index(["record_id_l", "record_id_r"])["match_weight"]
    before = plain.predict().set_index(["record_id_l", "record_id_r"])["match_weight"]
    compared = pd.DataFrame({"after": weights, "before": before}).dropna().reset_index()
    left, right = compared["record_id_l"].map(phone), compared["record_id_r"].map(phone)
    over = (left == right) & (left.map(holders) > 1)

    assert over.sum() > 20
    assert (compared.loc[over, "after"] != compared.loc[over, "before"]).all()
    assert np.allclose(compared.loc[~over, "after"], compared.loc[~over, "before"])
    assert model.clustering_summary()["pairs_with_withheld_evidence"] >= over.sum()
    for pair in compared[over].head(3).itertuples():
        steps = model.explain(pair.record_id_l, pair.record_id_r)
        assert ["missing"] == [step["level"] for step in steps if step["step"] == "phone"]
        assert pair.after == pytest.approx(steps[-1]["match_weight"], abs=1e-9)
    pd.testing.assert_series_equal(clusters, model.cluster().set_index("record_id")["cluster_id"])


def test_most_people_per_needs_a_comparison(records):
    """A limit on a column that has no comparison is refused by name."""
    with pytest.raises(ConfigError, match=r"most_people_per must name identifiers that are compared.*national_id"):
        LinkageModel(constraints=Constraints(most_people_per={"national_id": 1})).fit(records)


def test_reviewers_decisions_are_kept(records, plain):
    """A told-apart pair comes apart and a joined pair together; the summary counts both."""
    pairs = plain.predict()
    together = plain.cluster().set_index("record_id")["cluster_id"]
    same = pairs["record_id_l"].map(together) == pairs["record_id_r"].map(together)
    apart, joined = pairs[same].iloc[0], pairs[same].iloc[-1].copy()
    joined["record_id_l"] = next(
        other for other in together.index[::-1] if together[other] != together[joined["record_id_r"]]
    )
    decided = pd.DataFrame(
        [(*apart.iloc[:2], "non-match"), (*joined.iloc[:2], "match")],
        columns=["record_id_l", "record_id_r", "decision"],
    )
    model = LinkageModel(constraints=Constraints(reviewed_pairs=decided)).fit(records)
    found = model.cluster().set_index("record_id")["cluster_id"]
    summary = model.clustering_summary()

    assert found[apart["record_id_l"]] != found[apart["record_id_r"]]
    assert found[joined["record_id_l"]] == found[joined["record_id_r"]]
    assert (1, 1) == (summary["reviewed_matches"], summary["reviewed_non_matches"])
    assert "reviewed non-match" == model.explain_path(apart["record_id_l"], apart["record_id_r"])["reason"]
