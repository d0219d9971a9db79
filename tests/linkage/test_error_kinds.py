"""Errors by kind: disjoint, total, and called by their right name."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from c360ml import LinkageModel, standardize_records
from c360ml.linkage import error_kinds as module
from c360ml.linkage.comparisons import choose_comparisons
from c360ml.linkage.error_kinds import Agreement, merge_kinds, miss_kinds

FIELDS = choose_comparisons({"given_name", "surname", "date_of_birth", "email", "phone", "street", "city"})
SAME = {field.name: 99 for field in FIELDS}


def fields(**changed):
    """One pair whose fields agree fully, but for those named: -1 missing, 0 different, 1 near."""
    digits = [
        min({**SAME, **changed}[field.name], max(at for at, full in enumerate(field.full) if full)) for field in FIELDS
    ]
    return Agreement(FIELDS, np.array([digits]))


def missing(*but):
    return {field.name: -1 for field in FIELDS if field.name not in but}


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("household merge", {"given_name": 0}),
        ("household merge", {"given_name": 0, "surname": 0}),
        ("household merge", {"given_name": 1, "date_of_birth": 0}),
        ("namesake merge", {"date_of_birth": 0, "email": 0, "phone": 0, "street": 0}),
        ("namesake merge", {"surname": 1, "street": 0}),
        ("shared contact", {"given_name": 0, "surname": 0, "street": 0}),
        ("other merge", {"given_name": 0, "surname": 0, "street": 0, "email": 0, "phone": -1}),
        ("other merge", missing("surname")),
    ],
)
def test_false_merges_are_named(kind, changed):
    """A pair of two people is of the first kind whose rule fits."""
    assert [kind] == merge_kinds(fields(**changed)).tolist()


@pytest.mark.parametrize(
    ("kind", "changed", "linked", "never"),
    [
        ("cut by clustering", {"surname": 0}, True, False),
        ("name change", {"surname": 0, "street": 0}, False, True),
        ("move", {"street": 0, "place": 0}, False, False),
        ("move", {"street": -1, "place": 0}, False, False),
        ("given name otherwise", {"given_name": 1, "email": 0}, False, False),
        ("missing value", missing("given_name", "surname"), False, False),
        ("typing error", {"date_of_birth": 1}, False, True),
        ("never compared", {}, False, True),
        ("weak evidence", {}, False, False),
    ],
)
def test_missed_links_are_named(kind, changed, linked, never):
    """A missed pair of one person is of the first kind whose rule fits."""
    flags = {"linked": np.array([linked]), "never": np.array([never])}
    assert [kind] == miss_kinds(fields(**changed), **flags).tolist()


def test_every_kind_says_what_it_means():
    """Whatever pattern a pair has, its kind is one with a meaning."""
    states = [range(-1, 2)] * 4
    for given, surname, street, mail in itertools.product(*states):
        pair = fields(given_name=given, surname=surname, street=street, email=mail)
        kinds = [*merge_kinds(pair)]
        for linked, never in itertools.product((False, True), repeat=2):
            kinds += [*miss_kinds(pair, linked=np.array([linked]), never=np.array([never]))]
        assert set() == set(kinds) - set(module.MEANINGS)


# ---------------------------------------------------------------------- a whole model
@pytest.fixture(scope="module")
def people():
    """Couples with one surname and home, each partner twice; of some the second record has little in common."""
    rows = []
    first = ("ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ivy", "joe", "kay", "leo")
    last = ("stone", "marsh", "pike", "vance", "orwell", "tanner", "usher", "quill")
    for home in range(90):
        for partner in range(2):
            number = 2 * home + partner
            row = {
                "first": first[(home * 5 + partner * 7 + home // 12) % 12],
                "last": f"{last[home % 8]}{'' if home % 3 else last[home // 8 % 8]}",
                "born": f"{1940 + number * 7 % 60}-{1 + number % 12:02}-{1 + number * 5 % 28:02}",
                "mail": f"m{number}@post.example" if home % 4 else f"home{home}@post.example",
                "street": f"{home + 3} Elm Road",
                "town": f"town{home % 9}",
                "who": number,
            }
            change = [{}, {"last": "newname"}, {"street": f"{home} Oak Lane", "town": "elsewhere"}, {"first": "zoe"}]
            second = {**row, **change[number % 4]}
            if number % 3 == 0:
                second |= {"mail": None, "born": None}
            rows += [row, second]
    return pd.DataFrame(rows).assign(id=[f"r{n:03}" for n in range(360)])


@pytest.fixture(scope="module")
def judged(people):
    """The evaluation of these people, and the clusters."""
    roles = {"given_name": "first", "surname": "last", "date_of_birth": "born", "email": "mail"}
    records = standardize_records(people, id="id", columns=roles | {"address": "street", "city": "town"})
    model = LinkageModel().fit(records)
    truth = people.rename(columns={"id": "record_id", "who": "true_id"})[["record_id", "true_id"]]
    return model, truth, model.evaluate(truth), model.cluster()


def error_pairs(people, clusters):
    """Sets of false and of missed pairs, found pair by pair."""
    who, where = people.set_index("id")["who"], clusters.set_index("record_id")["cluster_id"]
    false, missed = set(), set()
    for left, right in itertools.combinations(sorted(who.index), 2):
        same, together = who[left] == who[right], where[left] == where[right]
        if same != together:
            (missed if same else false).add((left, right))
    return {"false_merges": false, "missed_links": missed}


def test_kinds_are_disjoint_and_total(judged, people):
    """The pairs of all kinds add up to the errors found pair by pair, and shares to one."""
    counted = error_pairs(people, judged[3])
    assert len(counted["missed_links"]) > 10
    for side, kinds in judged[2]["errors"].items():
        assert len(counted[side]) == sum(kind["pairs"] for kind in kinds)
        assert not kinds or sum(kind["share"] for kind in kinds) == pytest.approx(1)


def test_examples_are_such_errors(judged, people):
    """Up to five examples of each kind are pairs of record ids that are errors, each of one kind only."""
    counted = error_pairs(people, judged[3])
    for side, kinds in judged[2]["errors"].items():
        shown = [tuple(pair) for kind in kinds for pair in kind["examples"]]
        assert all(min(5, kind["pairs"]) == len(kind["examples"]) for kind in kinds)
        assert set() == set(shown) - counted[side] and len(shown) == len(set(shown))


def test_recall_of_a_model_is_explained(judged):
    """Blocking, model and clustering recall multiply, and with what clusters gained give pairwise recall."""
    found = judged[2]
    product = found["blocking_recall"] * found["model_recall"] * found["clustering_recall"]
    assert found["pairwise_recall"] == pytest.approx(product + found["recall_steps"]["gained_share"])


def test_many_errors_are_sampled_and_add_up_still(judged, monkeypatch):
    """With more errors than are looked at, a sample stands for all, and kinds still add up nearly."""
    model, truth, whole, _ = judged
    monkeypatch.setattr(module, "MOST_COMPARED", 15)
    sampled = model.evaluate(truth)["errors"]["missed_links"]
    total = sum(kind["pairs"] for kind in whole["errors"]["missed_links"])
    assert total == pytest.approx(sum(kind["pairs"] for kind in sampled), abs=len(sampled))
    assert sum(len(kind["examples"]) for kind in sampled) < total


def test_labelled_pairs_get_the_same_kinds(judged, people):
    """Missed pairs given as labels are of the kinds that true identities give them."""
    model, _, whole, clusters = judged
    missed = sorted(error_pairs(people, clusters)["missed_links"])
    labels = pd.DataFrame(missed, columns=["record_id_l", "record_id_r"]).assign(decision="match")
    assert whole["errors"]["missed_links"] == model.evaluate(labels)["errors"]["missed_links"]


def test_an_evaluation_shows_itself(judged):
    """In a notebook an evaluation is a table, and as a dict it is plain JSON without a value of any record."""
    import json

    found = judged[2]
    assert "B-cubed" in found._repr_html_() and "blocking recall" in found._repr_html_()
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert type(found.to_dict()) is dict and json.loads(text) == found
    assert "stone" not in text and "post.example" not in text
