"""The linkage model as people use it: fit, predict, cluster, evaluate, explain, score."""

import json

import duckdb
import numpy as np
import pandas as pd
import pytest
from couples import GIVEN, SURNAMES

from c360ml import LinkageModel, standardize_records
from c360ml.errors import ColumnError, ConfigError, DataError, ModelError, NotFittedError

ROLES = {
    "given_name": "given",
    "surname": "surname",
    "email": "email",
    "phone": "phone",
    "date_of_birth": "born",
    "address": "address",
    "postcode": "zip",
}


def make_people(households: int, seed: int) -> pd.DataFrame:
    """Households of a couple with one address and land line; each person has one to three records."""
    rng = np.random.default_rng(seed)
    rows = []
    for house in range(households):
        surname = f"{SURNAMES[rng.integers(len(SURNAMES))]}{chr(97 + house % 26)}"
        home = {
            "address": f"{100 + house} Oak{house % 40} St",
            "zip": f"{10000 + house % 60}",
            "line": f"212555{house:04d}",
        }
        first, second = rng.choice(GIVEN, 2, replace=False)
        for member, given in enumerate((first, second)):
            born = f"{1950 + rng.integers(50)}-{1 + rng.integers(12):02d}-{1 + rng.integers(28):02d}"
            for copy in range(rng.integers(1, 4)):
                typed = given[0] if rng.random() < 0.1 else given
                rows.append(
                    {
                        "id": f"p{house:04d}{member}{copy}",
                        "person": f"{house}-{member}",
                        "given": typed,
                        "surname": surname if rng.random() < 0.95 else surname[:-1] + "x",
                        "email": f"{given}.{surname}{house}@mail.org" if rng.random() < 0.6 else None,
                        "phone": home["line"] if rng.random() < 0.6 else None,
                        "born": born if rng.random() < 0.3 else None,
                        "address": home["address"] if rng.random() < 0.8 else None,
                        "zip": home["zip"],
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def people():
    return make_people(250, seed=2)


@pytest.fixture(scope="module")
def records(people):
    return standardize_records(people, id="id", columns=ROLES)


@pytest.fixture(scope="module")
def truth(people):
    return people.rename(columns={"id": "record_id", "person": "true_id"})[["record_id", "true_id"]]


@pytest.fixture(scope="module")
def model(records):
    return LinkageModel().fit(records)


def test_couples_are_told_apart(model, truth):
    """Two people of one address, surname and land line stay two people, at the default threshold."""
    measures = model.evaluate(truth)

    assert measures["pairwise_precision"] > 0.97
    assert measures["b3_f1"] > 0.95


def test_evaluation_names_all_measures(model, truth):
    """Blocking recall and calibration come with precision and recall."""
    measures = model.evaluate(truth)

    assert measures["blocking_recall"] > 0.95
    assert measures["calibration_error"] < 0.05
    assert sum(each["pairs"] for each in measures["calibration"]) == model.summary()["candidate_pairs"]


def test_records_of_unknown_truth_are_left_out(model, truth):
    """Two records whose truth is null are not taken for one person; only known ones are judged."""
    half = truth.copy()
    half.loc[half.index[::2], "true_id"] = None
    measures = model.evaluate(half)

    assert measures["records"] == half["true_id"].notna().sum()
    assert measures["pairwise_precision"] > 0.9


def test_attribute_columns_need_plain_names(records):
    """An attribute column whose name is no plain word is refused by name."""
    with pytest.raises(ColumnError, match="attribute_job title"):
        LinkageModel().fit(records.assign(**{"attribute_job title": "x"}))


def test_evaluation_by_labelled_pairs(model, people):
    """Labelled pairs do where true ids are unknown."""
    labels = pd.DataFrame({"record_id_l": people["id"][:-1].to_list(), "record_id_r": people["id"][1:].to_list()})
    labels["is_match"] = (people["person"].to_numpy()[:-1] == people["person"].to_numpy()[1:]).astype(int)

    assert model.evaluate(labels)["labelled_f1"] > 0.9


def test_pairs_are_ordered_and_bounded(model):
    """Scored pairs name the lesser record first, once, with a probability that fits the weight."""
    pairs = model.predict()

    assert ["record_id_l", "record_id_r", "match_weight", "match_probability", "household_probability"] == list(pairs)
    assert (pairs["record_id_l"] < pairs["record_id_r"]).all()
    assert not pairs.duplicated(["record_id_l", "record_id_r"]).any()
    assert np.allclose(pairs["match_probability"], 1 / (1 + np.exp2(-pairs["match_weight"])))


def test_every_record_is_in_one_cluster(model, records):
    """Clusters partition the records, and are named after their least record."""
    clusters = model.cluster()

    assert sorted(records["record_id"]) == sorted(clusters["record_id"])
    assert (
        clusters.groupby("cluster_id")["record_id"].min() == clusters.groupby("cluster_id")["cluster_id"].min()
    ).all()


def test_same_kind_of_table_comes_back(records):
    """Arrow in, Arrow out; a DuckDB relation in, a relation out."""
    con = duckdb.connect()
    arrow = con.sql("from records").to_arrow_table()

    assert type(arrow) is type(LinkageModel().fit(arrow).cluster())
    assert type(con.sql("from records")) is type(LinkageModel().fit(con.sql("from records")).cluster())


def test_row_order_and_threads_change_nothing(records, model):
    """Shuffled rows on one thread give the same weights and clusters."""
    con = duckdb.connect()
    con.execute("set threads = 1").fetchall()
    shuffled = records.sample(frac=1, random_state=4)
    other = LinkageModel().fit(shuffled, con=con)

    pd.testing.assert_frame_equal(model.predict(), other.predict())
    pd.testing.assert_frame_equal(model.cluster(), other.cluster())


def test_waterfall_sums_to_the_weight(model):
    """The steps of an explanation add up to the match weight of the pair."""
    pair = model.predict().iloc[0]
    steps = model.explain(pair["record_id_l"], pair["record_id_r"])

    assert pair["match_weight"] == pytest.approx(sum(step["weight"] for step in steps[:-1]), abs=1e-9)
    assert pair["match_weight"] == pytest.approx(steps[-1]["match_weight"], abs=1e-9)
    assert ["prior", *(each.name for each in model.comparisons_), "total"] == [step["step"] for step in steps]


def test_model_from_json_scores_as_before(model, records):
    """A model that went through JSON gives the same pairs and clusters on the same records."""
    again = LinkageModel.from_dict(json.loads(json.dumps(model.to_dict()))).score(records)

    pd.testing.assert_frame_equal(model.predict(), again.predict())
    pd.testing.assert_frame_equal(model.cluster(), again.cluster())


def test_a_higher_threshold_makes_no_larger_clusters(records, model):
    """Raising the threshold can only split."""
    strict = LinkageModel(threshold=0.999).fit(records)

    assert strict.cluster()["cluster_id"].nunique() >= model.cluster()["cluster_id"].nunique()


def test_model_holds_no_personal_data(model, people):
    """Comparisons, rules and probabilities are in the model file; values of records are not."""
    text = json.dumps(model.to_dict())

    assert not any(value in text for value in people["email"].dropna().str.lower())
    assert not any(surname in text for surname in people["surname"].unique())


@pytest.mark.parametrize("threshold", [0, 1, -0.1, 1.5])
def test_threshold_is_a_probability(threshold):
    """A threshold outside 0 to 1 is refused."""
    with pytest.raises(ConfigError, match="threshold"):
        LinkageModel(threshold=threshold)


def test_unfitted_model_says_so():
    """Asking before fit is an error that says to call fit."""
    with pytest.raises(NotFittedError, match="fit"):
        LinkageModel().predict()


def test_a_foreign_model_file_is_refused():
    """A model of another format version is refused."""
    with pytest.raises(ModelError, match="format_version"):
        LinkageModel.from_dict({"format_version": 0})


def test_repeated_ids_are_refused(records):
    """Ids must tell records apart."""
    with pytest.raises(ColumnError, match="1 repeated"):
        LinkageModel().fit(pd.concat([records, records.head(1)]))


def test_one_record_cannot_be_linked(records):
    """One record is not enough, and the error says so."""
    with pytest.raises(DataError, match="two records"):
        LinkageModel().fit(records.head(1))


def test_records_that_say_nothing_cannot_be_linked(records):
    """All-null columns are an error, not one big cluster."""
    empty = records[["record_id"]].assign(surname=None, email=None).astype("string")

    with pytest.raises(DataError, match="different values"):
        LinkageModel().fit(empty)


def test_explaining_an_unknown_record_is_an_error(model):
    """A record id that was not fitted is refused without repeating it."""
    with pytest.raises(DataError, match="1 found"):
        model.explain("p000000", "nobody")


def test_two_records_are_enough():
    """The smallest file that can be linked is linked."""
    people = pd.DataFrame({"id": ["a", "b", "c"], "mail": ["ann.lee@x.org", "ann.lee@x.org", "zed.poe@y.org"]})
    clusters = LinkageModel().fit(standardize_records(people, id="id", columns={"email": "mail"})).cluster()

    assert 3 == len(clusters)
