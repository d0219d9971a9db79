"""A run in MLflow: parent, children, models, champion; nothing personal."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from c360ml import tables
from c360ml.errors import ProjectError
from c360ml.lakehouse import Lakehouse
from c360ml.sources.landed_files import Landed
from c360ml.tracking import log_run
from c360ml.tracking.inputs import digest_of_file
from c360ml.tracking.registry import MADE_UP_PERSON
from c360ml.tracking.store import embedded_uri, ensure_database, tracking_store


@pytest.fixture
def client(published_project):
    """A client of the published project's store."""
    with tracking_store(published_project.folder):
        yield mlflow.MlflowClient()


def load(published, name):
    """Load a registered model by its champion alias."""
    return mlflow.pyfunc.load_model(f"models:/{name}@champion")


def test_importing_the_rooms_does_not_load_mlflow():
    """Tracking and serving load MLflow when they log, not when they are imported."""
    code = "import sys, c360ml.tracking, c360ml.serving; print('mlflow' in sys.modules)"
    assert "False" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()


def test_a_run_is_a_parent_with_a_child_per_room(published_project, client):
    """The parent holds settings and digest; blocking, linkage, identity and all that follows are its children."""
    tracked = published_project.tracked
    parent = client.get_run(tracked.run_id)
    assert published_project.result.digest == parent.data.params["data_digest"]
    assert embedded_uri(published_project.folder) == tracked.tracking_uri
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{tracked.run_id}'")
    by_name = {run.info.run_name: run for run in children}
    assert {"blocking", "linkage", "identity", "value", "segments", "campaigns", "scorer"} == by_name.keys()
    assert by_name["blocking"].data.metrics["scored_recall"] <= 1
    low, high = (by_name["identity"].data.metrics[f"interval.pairwise_f1.{end}"] for end in ("low", "high"))
    assert low < by_name["identity"].data.metrics["pairwise_f1"] < high
    assert published_project.result.evaluation["pairwise_f1"] == by_name["linkage"].data.metrics["pairwise_f1"]
    assert all(run.info.status == "FINISHED" for run in (parent, *children))
    assert tracked.experiment == client.get_experiment(parent.info.experiment_id).name


def test_charts_and_report_are_artifacts(published_project, client):
    """The report is with the parent, charts are with the children, below the project's folder."""
    tracked = published_project.tracked
    held = {file.path for file in client.list_artifacts(tracked.run_id)}
    assert {"report.html", "cards", "data.json", "drift.json", "profile.json"} == held
    kept = published_project.folder / "mlruns" / "artifacts"
    assert {"calibration.svg", "forecast.svg", "value_tiers.svg"} <= {path.name for path in kept.rglob("*.svg")}
    assert {"linkage.html", "value.html", "segments.html"} <= {path.name for path in kept.rglob("charts/*.html")}


def test_datasets_are_logged_by_version_and_digest(published_project, client):
    """Each child names the tables it read with their Delta version and a digest, labels by their hash; no row."""
    tracked = published_project.tracked
    parent = client.get_run(tracked.run_id)
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{tracked.run_id}'")
    read = {
        run.info.run_name: {each.dataset.name: each.dataset for each in run.inputs.dataset_inputs} for run in children
    }
    assert {"silver.records", "labelled_pairs", "true_people"} == read["linkage"].keys()
    digest = published_project.result.digest[:20]
    assert f"{digest}-v0" == read["value"]["gold.interactions"].digest
    assert all(dataset.schema in (None, "null") for named in read.values() for dataset in named.values())


def test_the_hash_of_every_file_read_is_kept(published_project, client, tmp_path):
    """Versions of all tables and BLAKE2b of all extracts and labels are with the run."""
    told = client.download_artifacts(published_project.tracked.run_id, "data.json", str(tmp_path))
    content = json.loads(Path(told).read_text())
    assert {table.path for table in tables.ALL} == content["tables"].keys()
    for file in ("labels/labelled_pairs.csv", "labels/true_people.parquet", "extracts/digital/accounts.ndjson"):
        assert hashlib.blake2b((published_project.folder / file).read_bytes()).hexdigest() == content["files"][file]


def test_an_extract_that_changed_since_it_was_landed_is_hashed_again(tmp_path):
    """A noted hash counts only while size and time of change are those that were noted."""
    file = tmp_path / "accounts.csv"
    file.write_text("id\n1\n")
    state = file.stat()
    assert "noted" == digest_of_file(file, Landed(state.st_size, state.st_mtime_ns, "noted", 1))
    for noted in (None, Landed(state.st_size, None, "noted", 1), Landed(9, state.st_mtime_ns, "noted", 1)):
        assert hashlib.blake2b(file.read_bytes()).hexdigest() == digest_of_file(file, noted)


def test_errors_are_told_by_record_key(published_project, client):
    """Examples of false merges and missed links are pairs of keys that the project knows, and nothing else of them."""
    kept = published_project.folder / "mlruns" / "artifacts"
    (found,) = (json.loads(path.read_text()) for path in kept.rglob("tables/errors.json"))
    with Lakehouse(published_project.folder) as lake:
        known = {key for (key,) in lake.rows(f"select record_id from {lake.open(tables.RECORDS)}")}
    assert found
    assert {"error", "kind", "record_id_l", "record_id_r"} == {name for row in found for name in row}
    assert {row[side] for row in found for side in ("record_id_l", "record_id_r")} <= known


def test_models_are_code_and_json(published_project):
    """No model holds a pickle, and what each needs is named."""
    kept = published_project.folder / "mlruns" / "artifacts"
    names = {path.name for path in kept.rglob("*") if path.is_file()}
    assert {"model_linkage.py", "model_value.py", "model_segments.py", "scorer_model.py", "linkage.json"} <= names
    assert not {name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))}
    for requirements in kept.rglob("requirements.txt"):
        assert {"c360ml", "mlflow"} == {line.split("==")[0] for line in requirements.read_text().split()}


def test_the_first_versions_are_champions(published_project, client):
    """Each model is registered, its first version is the champion, and a tag says why."""
    versions = published_project.tracked.model_versions | {"c360-scorer": published_project.scorer_version}
    assert {"c360-linkage", "c360-value", "c360-segments", "c360-scorer"} == versions.keys()
    for name, version in versions.items():
        champion = client.get_model_version_by_alias(name, "champion")
        assert version == str(champion.version)
        assert champion.tags["alias_decision"].startswith("champion: ")


def test_the_linkage_model_scores_raw_pairs(published_project, client):
    """Two spellings of one person are probably one, two strangers are not, and a bad record gets an error."""
    model = load(published_project, "c360-linkage")
    same = {"left": MADE_UP_PERSON, "right": {**MADE_UP_PERSON, "given_name": "ADA", "phone": "415.555.2671"}}
    other = {"left": MADE_UP_PERSON, "right": {"given_name": "Bob", "surname": "Stone", "email": "bob@stone.org"}}
    bad = {"left": MADE_UP_PERSON, "right": {"emial": "x"}}
    scores = [score.model_dump() for score in model.predict([same, other, bad])]
    assert scores[0]["match_probability"] > 0.99
    assert scores[1]["match_probability"] < 0.01
    assert scores[0]["match_weight"] == pytest.approx(scores[0]["explanation"][-1]["weight"])
    assert "ColumnError: a record's fields must be roles" == scores[2]["error"]


def test_the_value_model_answers_as_the_batch_did(published_project, client):
    """A customer's history gives the value that the pipeline wrote; an impossible one gives an error."""
    model = load(published_project, "c360-value")
    with Lakehouse(published_project.folder) as lake:
        lake.open(tables.CUSTOMER_VALUE)
        row = lake.sql("from gold.customer_value where repeat_purchases > 1 order by customer_id limit 1")
        row = row.to_arrow_table().to_pylist()[0]
    names = ("repeat_purchases", "first_to_last_purchase_weeks", "age_weeks", "mean_spend")
    history = {name: float(row[name]) for name in names}
    impossible = {**history, "age_weeks": 0.0}
    known, wrong = (value.model_dump() for value in model.predict([history, impossible]))
    for name in ("probability_alive", "expected_purchases", "expected_spend", "projected_value"):
        assert row[name] == pytest.approx(known[name], rel=1e-9)
    assert wrong["error"].startswith("DataError")
    assert wrong["projected_value"] is None


def test_the_segments_model_answers_as_the_batch_did(published_project, client):
    """A customer's counts give the segments that the pipeline wrote."""
    model = load(published_project, "c360-segments")
    with Lakehouse(published_project.folder) as lake:
        lake.open(tables.CUSTOMER_360)
        lake.open(tables.OBSERVATION)
        rows = (
            lake.sql("""
            select purchases::double as purchases, service_visits::double as service_visits,
                date_diff('day', last_purchase_on, observation_end)::double as days_since_last_purchase,
                coalesce(purchase_revenue, 0) as total_spend, customer_value, projected_value, historical_value,
                digital_interactions::double as digital_interactions, rfm_score, rfm_segment, kmeans_segment,
                value_tier
            from gold.customer_360, gold.observation order by master_id limit 60
        """)
            .to_arrow_table()
            .to_pylist()
        )
    asked = ("purchases", "service_visits", "days_since_last_purchase", "total_spend", "projected_value")
    answers = model.predict([{name: row[name] for name in (*asked, "digital_interactions")} for row in rows])
    segments = ("rfm_score", "rfm_segment", "kmeans_segment", "value_tier")
    assert [{name: row[name] for name in segments} for row in rows] == [
        answer.model_dump(include=set(segments)) for answer in answers
    ]
    assert model.predict([{"purchases": 1.0}])[0].error.startswith("DataError")


def test_nothing_personal_is_in_mlflow(published_project):
    """No e-mail address, telephone number or name of a customer is in any file of MLflow."""
    with Lakehouse(published_project.folder) as lake:
        lake.open(tables.RECORDS)
        found = lake.rows("""
            select distinct value from (
                select unnest([
                    email, email_raw, phone, phone_raw, date_of_birth_raw,
                    given_name || ' ' || surname, name_raw, address_raw
                ]) as value
                from silver.records
            ) where length(value) >= 8
        """)
    personal = {value.lower().encode() for (value,) in found}
    assert len(personal) > 1000
    for path in (published_project.folder / "mlruns").rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            leaked = [value for value in personal if value in content]
            assert not leaked, f"{len(leaked)} values in {path.name}"


def test_a_later_model_becomes_the_challenger(small_world_copy, published_project):
    """A second model is registered as challenger and the champion stays; the same model again is no new version."""
    result = replace(published_project.result, folder=small_world_copy)
    with Lakehouse(small_world_copy) as lake:
        first, again = log_run(lake, result), log_run(lake, result)
        lake.write_json("models/linkage.json", {**lake.read_json("models/linkage.json"), "seed": 2})
        second, third = log_run(lake, result), log_run(lake, result)
    versions = [run.model_versions["c360-linkage"] for run in (first, again, second, third)]
    assert ["1", "1", "2", "2"] == versions
    with tracking_store(small_world_copy):
        client = mlflow.MlflowClient()
        assert "1" == str(client.get_model_version_by_alias("c360-linkage", "champion").version)
        challenger = client.get_model_version_by_alias("c360-linkage", "challenger")
        assert "2" == str(challenger.version)
        assert "c360ml promote" in challenger.tags["alias_decision"]


def test_the_users_own_store_is_respected(tmp_path, monkeypatch):
    """MLFLOW_TRACKING_URI is used and left as it is; without it nothing stays set."""
    own = f"sqlite:///{tmp_path / 'own.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own)
    with tracking_store(tmp_path) as uri:
        assert own == uri
    assert not (tmp_path / "mlruns").exists()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with tracking_store(tmp_path) as uri:
        assert embedded_uri(tmp_path) == uri == os.environ["MLFLOW_TRACKING_URI"]
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert not mlflow.is_tracking_uri_set()


def test_mlflow_troubles_are_named(tmp_path, monkeypatch):
    """A store that MLflow cannot use is an error of ours that says what to do."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'own.db'}")
    with pytest.raises(ProjectError, match="MLFLOW_TRACKING_URI"), tracking_store(tmp_path):
        mlflow.get_run("0" * 32)


@pytest.mark.slow
def test_several_first_users_do_not_crash(tmp_path):
    """Processes that use a new store at the same time all succeed, and leave one whole database."""
    code = (
        "import sys; from pathlib import Path; from c360ml.tracking.store import *\n"
        "folder = Path(sys.argv[1])\n"
        "with tracking_store(folder) as uri: print(ensure_experiment(folder, 'demo', uri))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = {process.communicate()[0].strip() for process in processes}
    assert [0, 0, 0] == [process.returncode for process in processes]
    assert 1 == len(answers)
    assert ["mlflow.db"] == [path.name for path in (tmp_path / "mlruns").iterdir()]


def test_an_existing_database_is_left_alone(tmp_path):
    """A database that is there is never written over."""
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"mine")
    ensure_database(database)
    assert b"mine" == database.read_bytes()


def test_logged_files_are_json_that_strict_readers_take(published_project):
    """Every JSON artifact is valid JSON without NaN."""

    def refuse(word):
        raise AssertionError(word)

    for path in (published_project.folder / "mlruns").rglob("*.json"):
        json.loads(Path(path).read_text("utf-8"), parse_constant=refuse)
