"""A batch gets the answers that its records get one by one, through the model, its index shared or not."""

import json
import random
import shutil

import mlflow
import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.pyfunc import scoring_server
from starlette.testclient import TestClient

from c360ml.identity import IdentityStore
from c360ml.identity.base_files import Base
from c360ml.identity.batch_resolution import _numbered
from c360ml.identity.online_index import build_index, read_model
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.online import model_digest
from c360ml.serving.record_scorer import RecordScorer
from c360ml.standardize.records import ROLES


def mixed(records):
    """Records as they are, with halves of others, and such as nobody sends."""
    rng = random.Random(5)
    crossed = []
    for one, other in zip(records[:300], records[300:600], strict=True):
        crossed.append({role: rng.choice((one, other))[role] for role in ROLES})
    return [*records, *crossed, {}, {"surname": '"; \\ é\u2028'}, {"email": "nobody@nowhere.example"}]


def assert_alike(expected, actual):
    """The same answers, numbers to 1e-9."""
    assert len(expected) == len(actual)
    for one, other in zip(expected, actual, strict=True):
        left, right = one.model_dump(), other.model_dump()
        assert [step.pop("step") for step in left["explanation"] or ()] == [
            step.pop("step") for step in right["explanation"] or ()
        ]
        for step, found in zip(left.pop("explanation") or (), right.pop("explanation") or (), strict=True):
            assert step == {name: pytest.approx(cell, abs=1e-9) for name, cell in found.items()}
        golden = right.pop("golden_record")
        assert left.pop("golden_record") == golden
        assert left == {name: pytest.approx(cell, abs=1e-9) if isinstance(cell, float) else cell
                        for name, cell in right.items()}  # fmt: skip


def test_a_batch_is_answered_as_its_records_are(served_project, raw_records):
    """Customer, probability, waterfall, golden record and value are those of each record alone."""
    records = mixed(raw_records)
    scorer = RecordScorer(served_project, read_model(served_project))
    assert_alike([scorer.answer(record) for record in records], scorer.answer_all(records))
    scorer.close()


def test_what_was_upserted_counts_in_batches(served_project, raw_records, tmp_path):
    """Records that were added are found, and those they replace are not."""
    project = shutil.copytree(served_project, tmp_path / "project")
    person = {"given_name": "Quillon", "surname": "Xavertine", "email": "quillon@xavertine.example"}
    with IdentityStore(project, writable=True) as store:
        new = store.upsert(person, source="web", source_key="1").master_id
        base = store._base.records
        replaced = base[len(base) // 2][0].partition(":")
        store.upsert(person, source=replaced[0], source_key=replaced[2])
        records = [person, *mixed(raw_records)]
        expected = [store.resolve(record) for record in records]
        actual = store.resolve_all(records)
    assert new == actual[0].master_id
    assert [(one.master_id, one.candidates) for one in expected] == [(one.master_id, one.candidates) for one in actual]


def test_bad_records_of_a_batch_get_their_errors(served_project, raw_records):
    """One that cannot be read is answered by its error, in its place."""
    scorer = RecordScorer(served_project, read_model(served_project))
    records = [*raw_records[:80], {"surname": 7}, {"emial": "x"}, *raw_records[80:100]]
    found = scorer.answer_all(records)
    assert [80, 81] == [place for place, each in enumerate(found) if each.error]
    assert "DataError: surname must be text or null" == found[80].error
    assert scorer.answer(raw_records[99]) == found[-1]
    scorer.close()


def test_a_batch_that_fails_is_answered_one_by_one(served_project, raw_records, monkeypatch):
    """An error nobody thought of in the work on a batch costs time, not answers."""

    def broken(self, records):
        raise RuntimeError("secret")

    scorer = RecordScorer(served_project, read_model(served_project))
    expected = scorer.answer_all(raw_records[:60])
    monkeypatch.setattr(IdentityStore, "resolve_all", broken)
    assert_alike(expected, scorer.answer_all(raw_records[:60]))
    scorer.close()


def test_a_frame_of_records_is_scored_as_a_batch(served_project, raw_records, monkeypatch):
    """The registered model answers a data frame as its records, without resolving them one by one."""
    scorer = RecordScorer(served_project, read_model(served_project))
    expected = [scorer.answer(record) for record in raw_records[:200]]
    scorer.close()
    monkeypatch.setenv("C360ML_PROJECT", str(served_project))
    model = mlflow.pyfunc.load_model(str(served_project / "models" / "c360-scorer"))
    monkeypatch.setattr(IdentityStore, "resolve", lambda *record: pytest.fail("one by one"))
    assert_alike(expected, model.predict(pandas.DataFrame(raw_records[:200])))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 9), min_size=30, max_size=30), min_size=1, max_size=40))
def test_equal_patterns_have_equal_numbers(rows):
    """Patterns are numbered alike exactly if they are alike, also where numbers would grow beyond 64 bits."""
    patterns = np.array([*rows, *rows[:3]])
    numbers = _numbered(patterns)
    _, expected = np.unique(patterns, axis=0, return_inverse=True)
    _, actual = np.unique(numbers, return_inverse=True)
    pairs = set(zip(expected.tolist(), actual.tolist(), strict=True))
    assert len(set(expected.tolist())) == len(set(actual.tolist())) == len(pairs)


# ---------------------------------------------------------------------- refusals
@pytest.mark.parametrize("name", ["c360-scorer", "c360-linkage", "c360-value", "c360-segments"])
def test_no_model_repeats_inputs_that_it_refuses(served_project, name):
    """What is no list of objects is refused by 400 and a rule, and what was sent is not in the answer."""
    model = mlflow.pyfunc.load_model(str(served_project / "models" / name))
    client = TestClient(scoring_server.init(model), raise_server_exceptions=False)
    for inputs in (["secret"], "secret", [None, "secret"], {"secret": "secret"}, [["secret"]], 7):
        for body in ({"inputs": inputs}, {"messages": inputs}):
            response = client.post("/invocations", json=body)
            assert 400 == response.status_code
            assert "secret" not in response.text
            assert {"error_code", "message"} == set(response.json())


# ---------------------------------------------------------------------- the index
@pytest.fixture(scope="module")
def two_bases(served_project, tmp_path_factory):
    """A base of the newest model, and beside it one of a model with another threshold."""
    project = shutil.copytree(served_project, tmp_path_factory.mktemp("two") / "project")
    other = {**read_model(project), "threshold": 0.75}
    with Lakehouse(project) as lake:
        first = build_index(lake)
        second = build_index(lake, model=other, beside=first)
        alone = build_index(lake, model={**other, "threshold": 0.7})
    return first, second, alone, model_digest(other)


def test_a_second_index_shares_what_is_the_same(two_bases):
    """Records and customers of two models on the same tables are one file each, and the base is whole."""
    first, second, alone, digest = two_bases
    for name in ("records.jsonl", "records.u64", "customers.jsonl", "customers.u64"):
        assert (first / name).samefile(second / name)
        assert not (first / name).samefile(alone / name)
    assert len(Base(second, digest).customers) == len(Base(first, model_digest(read_model(first.parents[2]))).customers)


def test_keys_by_statistics_are_those_by_block_keys(two_bases):
    """The newest model's keys, made from its statistics, are those that an older model's block keys give."""
    first, second, alone, _ = two_bases
    files = [json.loads((base / "about.json").read_text())["sizes"] for base in two_bases[:3]]
    for of_older_model in files[1:]:
        assert of_older_model.pop("statistics.parquet")
    assert files[0] == files[1] == files[2]
    for name in files[0]:
        assert (first / name).read_bytes() == (second / name).read_bytes() == (alone / name).read_bytes()
