"""Promotion: what is worse is refused with reasons, what is not becomes the champion and is exported."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from typer.testing import CliRunner

from c360ml import tables
from c360ml.cli import app
from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import ModelError
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline.judge import open_labels
from c360ml.tracking import champion_comparison, drift_of_run, log_run, promote, verify_export
from c360ml.tracking.exports import write_manifest
from c360ml.tracking.promotion import BETTER, WORSE, _backtest
from c360ml.tracking.store import tracking_store

SPLIT = "case when hash(record_id) % 4 = 0 then 'split ' || record_id else master_id end as master_id"
MEND = "coalesce(true_id, master_id) as master_id"


def challenge(folder, result, columns):
    """Log a run as it is; change master IDs and the linkage model; log again: its model is the challenger."""
    config = Config.load(folder / CONFIG_FILE)
    result = replace(result, folder=folder, config=config)
    with Lakehouse(folder) as lake:
        log_run(lake, result)
        lake.rows(f"""create temp table labels as
            select record_id, min(true_id) as true_id from '{folder}/labels/true_people.parquet' group by 1""")
        lake.open(tables.IDENTITIES)
        lake.rows(f"""create temp table planted as select identities.* replace ({columns})
            from silver.identities as identities left join labels using (record_id)""")
        lake.write(tables.IDENTITIES, "from planted")
        lake.write_json("models/linkage.json", {**lake.read_json("models/linkage.json"), "seed": 2})
        log_run(lake, replace(result, run_id="second"))
    return config


def alias_version(folder, alias, name="c360-linkage"):
    with tracking_store(folder):
        return str(mlflow.MlflowClient().get_model_version_by_alias(name, alias).version)


@pytest.mark.slow
def test_a_worse_challenger_is_refused_with_reasons(small_world_copy, published_project):
    """Splitting customers loses true pairs beyond chance and changes many IDs: refused, unless it is forced."""
    config = challenge(small_world_copy, published_project.result, SPLIT)
    with Lakehouse(small_world_copy) as lake:
        (refused,) = promote(lake, config)
        assert (False, "c360-linkage") == (refused.promoted, refused.model)
        assert any("F1 on true people falls from" in reason for reason in refused.reasons)
        assert any("would change master ID" in reason for reason in refused.reasons)
        assert "1" == alias_version(small_world_copy, "champion")
        (forced,) = promote(lake, config, model="c360-linkage", force=True)
    assert forced.promoted and forced.reasons
    assert "2" == alias_version(small_world_copy, "champion")
    with tracking_store(small_world_copy):
        version = mlflow.MlflowClient().get_model_version("c360-linkage", "2")
    assert version.tags["alias_decision"].startswith("champion: forced, though F1")
    assert "second" == json.loads((small_world_copy / "models/c360-linkage/profile.json").read_text())["run_id"]


@pytest.mark.slow
def test_the_command_refuses_with_exit_code_1_and_promotes_what_is_better(small_world_copy, published_project):
    """Master IDs as the truth has them change many customers, and are promoted, for the labels prove them right."""
    challenge(small_world_copy, published_project.result, MEND)
    done = CliRunner().invoke(app, ["promote", "--project", str(small_world_copy)])
    assert 0 == done.exit_code, done.output
    assert "Promoted: version 2 is the champion" in done.output and "better" in done.output
    assert "2" == verify_export(small_world_copy / "models/c360-linkage")["version"]
    again = CliRunner().invoke(app, ["promote", "--project", str(small_world_copy)])
    assert (0, True) == (again.exit_code, "No model has a challenger" in again.output)


def test_a_model_without_challenger_is_told(published_project):
    """Asking for one model that has no challenger, or is none of ours, is an error that says what to do."""
    config = published_project.result.config
    with Lakehouse(published_project.folder) as lake:
        for model, told in (("c360-value", "must have a challenger"), ("c360-x", "must be one of c360-linkage")):
            with pytest.raises(ModelError, match=told):
                promote(lake, config, model=model)


def test_sides_are_judged_as_by_hand(small_world_copy, published_project):
    """F1 of both sides over all pairs of labelled people is that of counting the pairs one by one."""
    config = Config.load(small_world_copy / CONFIG_FILE)
    with Lakehouse(small_world_copy) as lake:
        lake.open(tables.IDENTITIES)
        lake.rows(
            "create temp table planted as select * replace ("
            "case when hash(record_id) % 9 = 0 then 'split' else master_id end as master_id) "
            "from silver.identities"
        )
        lake.write(tables.IDENTITIES, "from planted")
        assert champion_comparison.keep_sides(lake, tables.IDENTITIES, "record_id, master_id", (0, 1))
        judged = {each.labels: each for each in champion_comparison.judge_sides(lake, open_labels(lake, config))}
        truth = dict(lake.rows("select record_id, true_id from judged_true_ids"))
        sides = [
            dict(lake.rows(f"select record_id, master_id from {side}_identities")) for side in champion_comparison.SIDES
        ]
        assert not champion_comparison.keep_sides(lake, tables.IDENTITIES, "record_id", (0, 99))

    def f1(side):
        found = right = true = 0
        for one, other in itertools.combinations(sorted(truth.keys() & side.keys()), 2):
            joined, same = side[one] == side[other], truth[one] == truth[other]
            found, right, true = found + joined, right + (joined and same), true + same
        return 2 * right / (found + true)

    people = judged["true people"]
    assert [f1(side) for side in sides] == pytest.approx([people.champion_f1, people.challenger_f1])
    assert "worse" == people.verdict
    evaluation = published_project.result.evaluation
    assert evaluation["pairwise_f1"] == pytest.approx(people.champion_f1)
    assert evaluation["labelled_f1"] == pytest.approx(judged["labelled pairs"].champion_f1)


def test_a_backtest_that_got_worse_is_refused():
    """An error that grows against the naive forecast is worse, a smaller one better, and chance is allowed for."""
    champion = {"mae": 0.8, "naive_mae": 1.0, "bias": 0.02, "actual_purchases": 1000}
    for change, verdicts in (
        ({"mae": 0.9}, [WORSE, "as good"]),
        ({"mae": 0.7, "bias": 0.01}, [BETTER, BETTER]),
        ({"bias": -0.2}, ["as good", WORSE]),
        ({"bias": -0.2, "actual_purchases": 40}, ["as good", "as good"]),
    ):
        assert verdicts == [check.verdict for check in _backtest(champion, {**champion, **change})]
    assert [] == list(_backtest({}, champion))


# ---------------------------------------------------------------------- exports
def test_exported_champions_need_no_database_and_are_checked(published_project, tmp_path, monkeypatch):
    """A copy elsewhere, without any store, answers; a changed, missing or added file is refused at load."""
    exported = published_project.folder / "models" / "c360-segments"
    assert {"README.md", "profile.json", "manifest.json", "MLmodel"} <= {path.name for path in exported.iterdir()}
    copy = Path(shutil.copytree(exported, tmp_path / "elsewhere"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    answer = mlflow.pyfunc.load_model(str(copy)).predict([{"purchases": 0.0}])[0]
    assert ("PROSPECT", None) == (answer.rfm_segment, answer.error)
    assert not (tmp_path / "none.db").exists()
    (copy / "artifacts" / "segments.json").write_text("{}")
    with pytest.raises(ModelError, match=r"artifacts/segments.json"):
        mlflow.pyfunc.load_model(str(copy))
    write_manifest(copy, {"name": "c360-segments"})
    assert "c360-segments" == verify_export(copy)["name"]
    (copy / "extra.py").write_text("")
    with pytest.raises(ModelError, match=r"1 changed, missing or added: extra.py"):
        verify_export(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"must have a manifest.json"):
        verify_export(copy)


def test_cards_tell_data_accuracy_limits_and_drift(published_project):
    """Each model's card, in Markdown beside the model, says what it is, how right, where it fails, and drift."""
    for name in ("c360-linkage", "c360-value", "c360-segments"):
        card = (published_project.folder / "models" / name / "README.md").read_text()
        parts = [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]
        assert {"What it is for", "How it works", "Parameters", "Limits", "Data", "Drift"} <= set(parts)
        assert published_project.result.digest in card
    evaluation = published_project.result.evaluation
    low, high = evaluation["intervals"]["pairwise_f1"]
    linkage = (published_project.folder / "models/c360-linkage/README.md").read_text()
    assert f"{evaluation['pairwise_f1']:.4f} ({low:.4f} to {high:.4f})" in linkage
    pages = list((published_project.folder / "mlruns").rglob("cards/c360-linkage/model_card.html"))
    assert 1 == len(pages) and "<h2>Calibration</h2>" in pages[0].read_text()


@pytest.mark.slow
def test_the_next_run_is_held_against_the_champion(small_world_copy, published_project):
    """After the first tracked run each run's drift is measured against the exported champion, and logged."""
    result = replace(published_project.result, folder=small_world_copy)
    with Lakehouse(small_world_copy) as lake:
        log_run(lake, result)
        drift = drift_of_run(lake, replace(result, run_id="later"))
        tracked = log_run(lake, replace(result, run_id="later"), drift=drift)
    assert (result.run_id, "fine") == (drift.champion_run_id, drift.verdict)
    with tracking_store(small_world_copy):
        run = mlflow.get_run(tracked.run_id)
    assert "fine" == run.data.tags["c360ml.drift"]
    assert 0.0 == run.data.metrics["drift.purchase rate"] == run.data.metrics["drift.moved.retrain"]
