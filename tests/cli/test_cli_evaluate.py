"""`c360ml evaluate` on any tool's clusters."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from c360ml.cli import app
from c360ml.errors import DataError, SourceError

CLUSTERS = pd.DataFrame({"record_id": ["1", "2", "3", "4"], "cluster_id": ["a", "a", "b", "b"]})
TRUTH = pd.DataFrame({"record_id": [1, 2, 3, 4], "true_id": [7, 7, 7, 8]})


def run(*words) -> str:
    """Run a command, which must succeed."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    return result.output


@pytest.fixture
def files(tmp_path):
    """A folder with clusters and truth."""
    CLUSTERS.to_csv(tmp_path / "clusters.csv", index=False)
    TRUTH.to_parquet(tmp_path / "truth.parquet")
    return tmp_path


def test_evaluate_prints_and_writes_the_same(files):
    """The command prints precision, recall and F1 with an interval, and writes the figures and the page."""
    printed = run("evaluate", files / "clusters.csv", "--truth", files / "truth.parquet", "--out", files / "out")
    assert ["evaluation.json", "report.html"] == sorted(path.name for path in (files / "out").iterdir())
    found = json.loads((files / "out" / "evaluation.json").read_text("utf-8"))
    assert (0.5, 1 / 3) == (found["pairwise_precision"], pytest.approx(found["pairwise_recall"]))
    assert f"precision 0.5000  recall 0.3333  F1 {found['pairwise_f1']:.4f}" in printed
    low, high = found["intervals"]["pairwise_f1"]
    assert f"{low:.4f} to {high:.4f}" in printed
    assert "Evaluated clusters.csv by truth.parquet" in printed


def test_evaluate_takes_the_folder_of_link(files):
    """The folder that link wrote brings clusters, pairs and threshold along."""
    folder = files / "linked"
    folder.mkdir()
    CLUSTERS.rename(columns={"cluster_id": "master_id"}).to_parquet(folder / "people.parquet")
    pairs = pd.DataFrame({"record_id_l": ["1", "2"], "record_id_r": ["2", "3"], "match_probability": [0.9, 0.3]})
    pairs.to_parquet(folder / "pairs.parquet")
    (folder / "metrics.json").write_text('{"fit": {"threshold": 0.8}}')
    printed = run("evaluate", folder, "--truth", files / "truth.parquet", "--out", files / "out")
    found = json.loads((files / "out" / "evaluation.json").read_text("utf-8"))
    assert [0.8] == [row["threshold"] for row in found["thresholds"] if row["chosen"]]
    assert "scored recall" in printed and "drawn together" in printed


def test_evaluate_compares_groups(files):
    """With groups the figures hold rates of each."""
    pd.DataFrame({"record_id": [1, 2, 3, 4], "group": ["x", "x", "y", "y"]}).to_csv(files / "groups.csv", index=False)
    run(
        *("evaluate", files / "clusters.csv", "--truth", files / "truth.parquet"),
        *("--groups", files / "groups.csv", "--out", files / "out"),
    )
    found = json.loads((files / "out" / "evaluation.json").read_text("utf-8"))
    assert ["x", "y"] == [row["group"] for row in found["groups"]]


def test_evaluate_takes_decisions(files):
    """Clerical decisions are labels of the command too."""
    (files / "decided.csv").write_text("record_id_l,record_id_r,decision\n1,2,match\n3,4,non-match\n1,3,possible\n")
    printed = run("evaluate", files / "clusters.csv", "--truth", files / "decided.csv", "--out", files / "out")
    assert "precision 0.5000  recall 1.0000" in printed and "possible pairs" in printed


def test_evaluate_tells_faults_in_a_sentence(files):
    """Missing files, strangers and damaged metrics end in an error of ours."""
    runner = CliRunner()
    gone = runner.invoke(app, ["evaluate", str(files / "gone.csv"), "--truth", str(files / "truth.parquet")])
    assert isinstance(gone.exception, SourceError)
    TRUTH.assign(record_id=[91, 92, 93, 94]).to_csv(files / "others.csv", index=False)
    strangers = runner.invoke(
        app,
        ["evaluate", str(files / "clusters.csv"), "--truth", str(files / "others.csv"), "--out", str(files / "out")],
    )
    assert isinstance(strangers.exception, DataError)
    folder = files / "linked"
    folder.mkdir()
    (folder / "metrics.json").write_text("{}")
    damaged = runner.invoke(app, ["evaluate", str(folder), "--truth", str(files / "truth.parquet")])
    assert isinstance(damaged.exception, SourceError)
