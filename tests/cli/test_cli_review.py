"""`c360ml review` and `c360ml threshold`: a person decides, the next run obeys and learns."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from c360ml import tables
from c360ml.cli import app
from c360ml.errors import ConfigError, ProjectError
from c360ml.lakehouse import Lakehouse
from c360ml.linkage import threshold_by_value
from c360ml.pipeline import run_pipeline


def run(*words: object) -> str:
    """Run a command that must succeed; gives what it prints."""
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(word) for word in words])
    if result.exception:
        raise result.exception
    return result.output


def decide(folder: Path, file: Path) -> list[dict[str, str]]:
    """Fill in what one who knows the truth decides."""
    with Lakehouse(folder) as lake:
        truth = dict(lake.rows(f"select record_id, true_id from '{folder}/labels/true_people.parquet'"))
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    for row in rows:
        same = truth[row["record_id_l"]] == truth[row["record_id_r"]]
        row["decision"] = "match" if same else "non-match"
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


@pytest.mark.slow
def test_decided_pairs_are_obeyed_and_accuracy_rises(small_world_copy):
    """After a review by one who knows, a rerun obeys every decision, learns from the sample, and is more right."""
    file = small_world_copy / "labels" / "to_review.csv"
    before = run_pipeline(small_world_copy)
    asked = run("review", "--project", small_world_copy, "--pairs", 100)
    decided = decide(small_world_copy, file)
    taken = run("review", "--project", small_world_copy, "--read", "labels/to_review.csv")
    after = run_pipeline(small_world_copy)

    assert "pairs to review" in asked and "labels/to_review.html" in asked.replace("\n", "")
    assert "pairs decided in all" in taken and "customers that become one" in taken
    assert after.evaluation["labelled_f1"] > before.evaluation["labelled_f1"]
    with Lakehouse(small_world_copy) as lake:
        masters = dict(lake.rows(f"select record_id, master_id from {lake.open(tables.IDENTITIES)}"))
    assert {row["decision"] == "match" for row in decided} == {True, False}
    assert [] == [
        row["record_id_l"]
        for row in decided
        if (masters[row["record_id_l"]] == masters[row["record_id_r"]]) != (row["decision"] == "match")
    ]
    assert 25 == after.summary("link")["recalibration"]["decisions"]

    again = run("review", "--project", small_world_copy, "--pairs", 100)
    pairs = {(row["record_id_l"], row["record_id_r"]) for row in csv.DictReader(file.open(encoding="utf-8"))}
    assert pairs
    assert set() == pairs & {(row["record_id_l"], row["record_id_r"]) for row in decided}
    assert re.search(r"^pairs decided before +100\b", again, re.MULTILINE)


@pytest.mark.slow
def test_settings_choose_the_threshold_of_a_run(small_world_copy):
    """A target precision in the config becomes the threshold of the model, and the run tells why."""
    settings = small_world_copy / "c360ml.toml"
    settings.write_text(settings.read_text("utf-8") + "\n[linkage]\ntarget_precision = 0.99\n", "utf-8")
    summary = run_pipeline(small_world_copy).summary("link")

    assert summary["threshold"] == summary["chosen_threshold"]["probability"] > 0.2
    assert summary["chosen_threshold"]["expected_precision"] >= 0.99
    assert "0.99" in summary["chosen_threshold"]["why"]


def test_unread_decisions_and_foreign_folders_are_safe(small_world_copy, tmp_path):
    """A file with unread decisions is not written over, and personal data is not written outside the project."""
    run("review", "--project", small_world_copy, "--pairs", 8, "--blind")
    decide(small_world_copy, small_world_copy / "labels" / "to_review.csv")

    with pytest.raises(ProjectError, match="8 decisions that were not read"):
        run("review", "--project", small_world_copy)
    for out in (tmp_path / "elsewhere.csv", "labels/to_review.xlsx"):
        with pytest.raises(ConfigError, match="in the project's folder"):
            run("review", "--project", small_world_copy, "--out", out)
    assert not (tmp_path / "elsewhere.csv").exists()


def test_thresholds_are_shown(small_world_project):
    """Each target precision and the given costs have a row of threshold, pairs, precision and recall."""
    told = run(
        "threshold", "--project", small_world_project, "--false-merge-cost", 4, "--missed-merge-cost", 1
    ).splitlines()

    assert 5 == sum(line.startswith("target_precision = ") for line in told)
    assert ["0.8000"] == [line.split()[4] for line in told if line.startswith("costs 4 and 1")]
    with pytest.raises(ConfigError, match="go together"):
        run("threshold", "--project", small_world_project, "--false-merge-cost", 4)


def test_thresholds_by_value_at_stake(small_world_project):
    """With --by-value the threshold of `threshold_by_value` has a row of its own, and dearer false merges raise it."""
    asked = ("threshold", "--project", small_world_project, "--by-value")
    with Lakehouse(small_world_project) as lake:
        wanted = threshold_by_value(lake, false_merge_share=0.05, missed_merge_share=0.05)
    rows = [line.split() for line in run(*asked).splitlines() if "value at stake" in line]
    dear = [line.split() for line in run(*asked, "--false-merge-share", 0.5).splitlines() if "value at stake" in line]

    assert [f"{wanted.probability:.4f}"] == [row[7] for row in rows]
    assert float(rows[0][7]) < float(dear[0][7])
