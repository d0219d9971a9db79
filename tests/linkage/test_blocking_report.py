"""What the model says of its blocking, and what must not change it."""

import json

import duckdb
import numpy as np
import pandas as pd
import pytest

from c360ml import LinkageModel, standardize_records
from c360ml.errors import ColumnError

GIVEN = ("ann", "bob", "carla", "dan", "eva", "finn", "gina", "hugo", "ida", "jon", "kim", "leo", "mona", "ned")
SURNAMES = ("abbott", "baker", "clarke", "dixon", "ellis", "foster", "grant", "hughes", "irwin", "jarvis", "knight")
ROLES = {"given_name": "given", "surname": "sur", "date_of_birth": "born", "email": "mail", "city": "town"}


def make_people(people=150, seed=4):
    """People with two records each, the second with slips and gaps."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        given, surname = random.choice(GIVEN), random.choice(SURNAMES)
        born = f"{random.integers(1940, 2000)}-{random.integers(1, 13):02}-{random.integers(1, 29):02}"
        row = {"given": given, "sur": surname, "born": born, "mail": f"{given}{person}@x.org"}
        row |= {"town": f"town{random.integers(12)}", "who": person}
        again = {**row, **{name: None for name in ("born", "mail", "town", "given") if random.random() < 0.35}}
        if random.random() < 0.2:
            again["sur"] = surname[::-1]
        rows += [{**row, "key": f"a{person:03}"}, {**again, "key": f"b{person:03}"}]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def people():
    return make_people()


@pytest.fixture(scope="module")
def truth(people):
    return people.rename(columns={"key": "record_id", "who": "true_id"})[["record_id", "true_id"]]


@pytest.fixture(scope="module")
def model(people):
    return LinkageModel().fit(standardize_records(people, id="key", columns=ROLES))


@pytest.fixture(scope="module")
def report(model, truth):
    return model.blocking_report(truth)


def test_report_adds_up(report):
    """First found pairs of the chosen rules are the candidate pairs; expected matches likewise."""
    chosen = [rule for rule in report["rules"] if rule["chosen"]]

    assert report["candidate_pairs"] == sum(rule["first_found_pairs"] for rule in chosen)
    assert report["expected_matches"] == pytest.approx(sum(rule["first_found_matches"] for rule in chosen), abs=0.1)
    assert sum(rule["new_pairs"] for rule in chosen) == report["candidate_pairs"]


def test_true_recall_is_that_of_all_true_pairs(model, people, report):
    """Recall with labels is the share of true pairs among the candidates, counted pair by pair."""
    blocked = model._con.execute("""
        select l.record_id, r.record_id from scored_pairs
        join linkage_features l on l.rid = rid_l join linkage_features r on r.rid = rid_r where blocked
    """).fetchall()
    who = dict(zip(people["key"], people["who"], strict=True))
    found = sum(who[left] == who[right] for left, right in blocked)

    assert {"true_pairs": 150, "found": found, "recall": found / 150} == report["true_recall"]


def test_estimate_is_near_the_true_recall(report):
    """Without labels, recall is estimated within a few points of what labels say."""
    assert report["true_recall"]["recall"] == pytest.approx(report["estimated_recall"]["recall"], abs=0.05)


def test_report_is_plain_json_without_values(report, people):
    """The report can be stored, and holds no name, e-mail or birth date."""
    text = json.dumps(report, allow_nan=False)

    assert not any(value in text for value in {*people["mail"].dropna(), *people["born"].dropna(), *SURNAMES})


def test_truth_needs_its_columns(model):
    """Truth of another form is refused."""
    with pytest.raises(ColumnError, match="true_id"):
        model.blocking_report(pd.DataFrame({"record_id": ["a000"]}))


def told(people, roles, threads):
    """The report of a fit."""
    con = duckdb.connect(config={"threads": threads})
    records = standardize_records(people, id="key", columns=roles)
    return LinkageModel().fit(records, con=con).blocking_report()


def test_row_order_column_names_and_threads_change_nothing(people, model):
    """Shuffled rows, other column names and one thread give the same rules and counts."""
    plain = json.dumps(model.blocking_report())
    shuffled = people.sample(frac=1, random_state=1)
    renamed = people.rename(columns={column: f"{column} x" for column in ROLES.values()})

    assert plain == json.dumps(told(shuffled, ROLES, threads=4))
    assert plain == json.dumps(told(renamed, {role: f"{column} x" for role, column in ROLES.items()}, threads=1))


def test_a_stored_model_blocks_as_the_fitted_one(people, model):
    """A model read from JSON finds the same candidate pairs in the same records."""
    again = LinkageModel.from_dict(json.loads(json.dumps(model.to_dict())))
    again.score(standardize_records(people, id="key", columns=ROLES))

    assert again.summary()["candidate_pairs"] == model.summary()["candidate_pairs"]
