"""The combined scorer: the same answer in process, through the scoring server, and from an exported folder."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace

import mlflow
import pandas
import pytest
from mlflow.pyfunc import scoring_server
from starlette.testclient import TestClient

from c360ml import tables
from c360ml.errors import ModelError
from c360ml.identity import IdentityStore
from c360ml.identity.online_index import read_model
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.online import model_digest
from c360ml.serving.schemas import answer
from c360ml.serving.scorer import SCORER, export_champion, register_scorer
from c360ml.standardize.records import ROLES
from c360ml.tracking import log_run
from c360ml.tracking.store import tracking_store


@pytest.fixture(scope="module")
def records(published_project):
    """Raw records of the small world, a stranger and one that says nothing."""
    roles = ", ".join(f"nullif(trim({role}), '') as {role}" for role in ROLES)
    with Lakehouse(published_project.folder) as lake:
        lake.open(tables.CUSTOMERS)
        rows = lake.sql(f"select {roles} from bronze.customers order by md5(source || source_key) limit 12")
        known = rows.to_arrow_table().to_pylist()
    return [*known, {"surname": "Xyzzyqwort", "email": "m@xyzzyqwort.eu"}, {}]


@pytest.fixture(scope="module")
def expected(published_project, records):
    """What the identity store answers in process."""
    with IdentityStore(published_project.folder) as store:
        return [answer(store.resolve(record)).model_dump() for record in records]


@pytest.fixture(scope="module")
def exported(published_project):
    """The exported champion."""
    with Lakehouse(published_project.folder) as lake:
        return export_champion(lake)


@pytest.fixture(scope="module")
def client(exported):
    """The scoring server's app around the exported champion, without a socket."""
    return TestClient(scoring_server.init(mlflow.pyfunc.load_model(str(exported))), raise_server_exceptions=False)


def ask(client, inputs):
    return client.post("/invocations", json={"inputs": inputs})


def test_the_server_answers_as_the_store_does(client, records, expected):
    """Known records get master ID, value and segments; a stranger is new; nothing is matched on emptiness."""
    response = ask(client, records)
    assert 200 == response.status_code
    assert expected == response.json()["predictions"]
    assert {True, False} == {each["is_new"] for each in expected}
    assert any(each["clv"] for each in expected)
    assert (True, 0.0, None) == tuple(expected[-1][name] for name in ("is_new", "match_probability", "error"))


def test_clv_is_past_and_projected_value(expected):
    """The lifetime value is what a customer spent and is expected to spend; every number is finite."""
    for each in expected:
        if each["master_id"]:
            assert each["historical_value"] + each["projected_value"] == pytest.approx(each["clv"])
            assert each["value_tier"]
        assert all(math.isfinite(value) for value in each.values() if isinstance(value, float))


def test_one_bad_record_does_not_spoil_the_others(client, records, expected):
    """A record with an unknown field or a huge text gets an error that does not repeat it; the rest get answers."""
    response = ask(client, [{"emial": "secret@x.org"}, records[0], {"surname": "secret" * 2000}])
    wrong, right, huge = response.json()["predictions"]
    assert expected[0] == right
    assert "ColumnError: a record's fields must be roles" == wrong["error"]
    assert "DataError: surname must have at most 10,000 characters" == huge["error"]
    assert wrong["master_id"] is None and wrong["is_new"] is None
    assert "secret" not in response.text


def test_errors_of_our_code_show_no_traceback(client, records, monkeypatch):
    """An error nobody thought of is told by its kind only."""

    def broken(self, record):
        raise RuntimeError("secret")

    monkeypatch.setattr(IdentityStore, "resolve", broken)
    response = ask(client, [records[0]])
    assert "RuntimeError" == response.json()["predictions"][0]["error"]
    assert "Traceback" not in response.text and "secret" not in response.text


@pytest.mark.parametrize("value", [7, 1.5, True, ["secret"], {"secret": 1}])
def test_values_of_wrong_types_are_errors_of_their_record(client, records, expected, value, recwarn):
    """MLflow quotes a request that it refuses, so a value that is no text is refused by the model, in its place."""
    response = ask(client, [{"surname": value, "email": "secret@x.org"}, records[0]])
    wrong, right = response.json()["predictions"]
    assert "DataError: surname must be text or null" == wrong["error"]
    assert expected[0] == right
    assert "secret" not in response.text
    assert not recwarn.list


@pytest.mark.parametrize("inputs", [["Lee"], "Lee", [None]])
def test_what_is_no_list_of_records_is_refused(client, inputs):
    """What is no list of JSON objects is refused as a bad request."""
    assert 400 == ask(client, inputs).status_code


def test_a_table_is_scored_in_process(exported, records, expected):
    """A data frame of records, empty cells and all, gets the answers that its records get."""
    model = mlflow.pyfunc.load_model(str(exported))
    assert expected == [each.model_dump() for each in model.predict(pandas.DataFrame(records))]


def test_no_records_no_answers(client):
    """An empty list is answered by an empty list."""
    assert [] == ask(client, []).json()["predictions"]


def test_the_scorer_names_fields_by_type(published_project):
    """The signature has typed, optional fields of the roles, and the example is a made-up person."""
    with tracking_store(published_project.folder):
        info = mlflow.models.get_model_info(f"models:/{SCORER}@champion")
    (record,) = info.signature.inputs.to_dict()
    assert set(ROLES) == set(record["properties"])
    assert not any(field["required"] for field in record["properties"].values())


def test_the_project_may_be_elsewhere(published_project, exported, records, expected, tmp_path, monkeypatch):
    """C360ML_PROJECT and the model's config say where the project is; without an index there is a clear error."""
    with pytest.raises(ModelError, match="online index"):
        mlflow.pyfunc.load_model(str(exported), model_config={"project": str(tmp_path)})
    monkeypatch.setenv("C360ML_PROJECT", str(published_project.folder))
    moved = mlflow.pyfunc.load_model(str(exported), model_config={"project": str(tmp_path)})
    assert expected[0] == moved.predict(records[:1])[0].model_dump()


def test_a_challenger_does_not_stop_the_champion(small_world_copy, published_project, records):
    """The index of the champion is kept and renewed beside that of a worse model, and no other is kept."""
    result = replace(published_project.result, folder=small_world_copy)
    worse = replace(result, evaluation={**result.evaluation, "pairwise_f1": 0.5})
    with Lakehouse(small_world_copy) as lake:
        register_scorer(lake, result, log_run(lake, result))
        champion = read_model(small_world_copy)
        (small_world_copy / "data" / "index" / "left_over-1").mkdir()
        lake.write_json("models/linkage.json", {**champion, "seed": 2})
        register_scorer(lake, worse, log_run(lake, worse))
        challenger = read_model(small_world_copy)
    kept = {path.name.partition("-")[0] for path in (small_world_copy / "data" / "index").iterdir() if path.is_dir()}
    assert {model_digest(champion), model_digest(challenger)} == kept
    with tracking_store(small_world_copy):
        for alias in ("champion", "challenger"):
            answers = mlflow.pyfunc.load_model(f"models:/{SCORER}@{alias}").predict(records[:1])
            assert answers[0].error is None


def test_export_needs_a_champion(tmp_path):
    """Before a scorer was registered there is nothing to export, and the error says what to do."""
    with Lakehouse(tmp_path) as lake, pytest.raises(ModelError, match="c360ml run"):
        export_champion(lake)


# ---------------------------------------------------------------------- the real server
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(model, variables, folder):
    """Start `mlflow models serve` and wait until it answers; returns the process and its address."""
    port = free_port()
    log = (folder / "server.log").open("w")
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)],
        cwd=folder,
        env={**os.environ, **variables, "MLFLOW_DISABLE_TELEMETRY": "true", "UVICORN_ACCESS_LOG": "0"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(180):
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=2).close()
            return process, address
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.5)
    stop(process)
    raise AssertionError((folder / "server.log").read_text())


def stop(process):
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=30)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["registry", "folder"])
def test_mlflow_models_serve_answers(published_project, exported, records, expected, source, tmp_path):
    """`mlflow models serve` answers over HTTP, from the registry and from the exported folder without a database."""
    registry = {"MLFLOW_TRACKING_URI": published_project.tracked.tracking_uri}
    nowhere = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'none.db'}"}
    model, variables = (f"models:/{SCORER}@champion", registry) if source == "registry" else (str(exported), nowhere)
    process, address = serve(model, variables, tmp_path)
    try:
        request = urllib.request.Request(
            f"{address}/invocations",
            data=json.dumps({"inputs": records}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answers = json.load(response)["predictions"]
    finally:
        stop(process)
    assert expected == answers
    assert not (tmp_path / "none.db").exists()
