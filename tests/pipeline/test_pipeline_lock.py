"""Who comes second to a project waits for the first, is told for whom, and then finds all done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import mlflow
import pytest

from c360ml.config import CONFIG_FILE
from c360ml.errors import ProjectError
from c360ml.pipeline import lock
from c360ml.pipeline.lock import HOLDER_FILE, LOCK_FILE, project_lock
from c360ml.synthetic import write_world
from c360ml.tracking.store import tracking_store


def test_a_second_program_waits_and_is_told_for_whom(tmp_path, monkeypatch):
    """While one holds the project another waits, hears its process and since when, and gets it afterwards."""
    monkeypatch.setattr(lock, "_SECONDS_BETWEEN_LOOKS", 0.05)
    told, order = [], []
    heard = threading.Event()

    def come_second():
        with project_lock(tmp_path, lambda message: (told.append(message), heard.set())):
            order.append("second")

    second = threading.Thread(target=come_second)
    with project_lock(tmp_path):
        since = json.loads((tmp_path / HOLDER_FILE).read_text())["since"]
        second.start()
        assert heard.wait(10)
        order.append("first")
    second.join(10)
    assert ["first", "second"] == order
    assert f"process {os.getpid()} " in told[0] and since in told[0]
    assert [LOCK_FILE] == [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]


def test_a_run_within_itself_is_refused(tmp_path):
    """A thread that holds the project would wait for itself, and is told instead."""
    with project_lock(tmp_path), pytest.raises(ProjectError, match="once at a time"), project_lock(tmp_path):
        pass


def test_nobody_waits_for_the_dead(tmp_path):
    """A note that a killed process left is no lock."""
    (tmp_path / "data").mkdir()
    (tmp_path / HOLDER_FILE).write_text('{"host": "gone", "pid": 1, "thread": 1, "since": "2026-01-01"}')
    with project_lock(tmp_path):
        assert os.getpid() == json.loads((tmp_path / HOLDER_FILE).read_text())["pid"]


@pytest.mark.slow
def test_four_first_runs_at_once_all_succeed(tmp_path):
    """Four processes start the first run of a fresh project at once: all succeed, and one of them did the work."""
    project = tmp_path / "fresh"
    write_world(project, customers=60, seed=3)
    command = [sys.executable, "-m", "c360ml", "run", "--project", str(project)]
    root = {"PYTHONPATH": str(Path(__file__).parents[2]), "MLFLOW_DISABLE_TELEMETRY": "true"}
    started = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **root}
        )
        for _ in range(4)
    ]
    printed = [process.communicate()[0] for process in started]
    assert [0] * 4 == [process.returncode for process in started], printed
    assert 3 == sum("Nothing changed since the last run" in text for text in printed)
    with tracking_store(project):
        (experiment,) = mlflow.search_experiments(filter_string="name != 'Default'")
        runs = mlflow.search_runs([experiment.experiment_id], output_format="list")
        assert 1 == sum(run.info.run_name.startswith("pipeline ") for run in runs)
        assert {"FINISHED"} == {run.info.status for run in runs}
    assert (project / "report.html").is_file() and (project / CONFIG_FILE).is_file()
