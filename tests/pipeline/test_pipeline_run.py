"""A run does only what changed, all of it, once at a time, and survives being killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline_projects import differing_tables, ran, set_in_config, versions

from c360ml import tables
from c360ml.config import CONFIG_FILE
from c360ml.errors import ConfigError, ProjectError, SourceError
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import STEPS, run_pipeline
from c360ml.pipeline.run import Watcher

STEP_NAMES = [step.name for step in STEPS]
# Dies when a table is about to be written, or a step to start: killed, as by a power cut or the memory killer.
DIE_AT = """
import os, signal, sys
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import run_pipeline
from c360ml.pipeline.run import Watcher

folder, at, append = sys.argv[1:]

def dying(write):
    def written(lake, table, *args, **kwargs):
        if table.path == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(lake, table, *args, **kwargs)
    return written

class DyingWatcher(Watcher):
    def starts(self, step):
        if step.name == at:
            os.kill(os.getpid(), signal.SIGKILL)

Lakehouse.write, Lakehouse.amend = dying(Lakehouse.write), dying(Lakehouse.amend)
run_pipeline(folder, watcher=DyingWatcher(), append=append == "append")
"""


def run_and_be_killed(folder: Path, at: str, *, append: bool = False) -> None:
    """Run a project in a process of its own that is killed at a step's start or before a table is written."""
    told = subprocess.run(
        [sys.executable, "-c", DIE_AT, folder, at, "append" if append else "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert -signal.SIGKILL == told.returncode, told.stderr


class Listener(Watcher):
    """Notes what it hears."""

    def __init__(self):
        self.heard = []

    def starts(self, step):
        self.heard.append(("starts", step.name))

    def says(self, message):
        self.heard.append(("says", message))

    def ends(self, result):
        self.heard.append(("ends", result.name))


def test_unchanged_rerun_does_nothing(small_world_copy):
    """Rerunning unchanged input skips every step and leaves tables, record and models as they are."""
    files = [path for path in small_world_copy.rglob("*") if path.is_file() and path.name != ".lock"]
    before = {path: path.read_bytes() for path in files}
    result = run_pipeline(small_world_copy)
    assert ([], False) == (ran(result), result.changed)
    assert before == {path: path.read_bytes() for path in files}
    assert len(files) == len([path for path in small_world_copy.rglob("*") if path.is_file() and path.name != ".lock"])


def test_unchanged_rerun_tells_the_same(small_world_copy):
    """A rerun that did nothing still tells every summary and the evaluation of the run before."""
    first = run_pipeline(small_world_copy)
    manifest = json.loads((small_world_copy / "data" / "manifest.json").read_text())
    assert {name: first.summary(name) for name in STEP_NAMES} == {
        name: step["summary"] for name, step in manifest["steps"].items()
    }
    assert first.evaluation["b3_f1"] > 0.9
    assert first.digest == run_pipeline(small_world_copy).digest


def test_steps_are_announced_in_order(small_world_copy):
    """A watcher hears each step begin and end, in the order of the flow."""
    listener = Listener()
    run_pipeline(small_world_copy, watcher=listener)
    assert [(what, name) for name in STEP_NAMES for what in ("starts", "ends")] == listener.heard


def test_changed_setting_reruns_what_depends_on_it(small_world_copy):
    """A new horizon values again and redoes what reads values, but lands and links nothing."""
    before = versions(small_world_copy)
    set_in_config(small_world_copy, "[value]\nhorizon_weeks = 13")
    listener = Listener()
    result = run_pipeline(small_world_copy, watcher=listener)
    assert ["value", "doubt", "value_doubt", "segment", "campaigns", "profile"] == ran(result)
    rewritten = {table.path for step in STEPS if step.name in ran(result) for table in step.writes}
    assert rewritten == {path for path, version in versions(small_world_copy).items() if version != before[path]}
    with Lakehouse(small_world_copy) as lake:
        total = f"select sum(projected_value) from {lake.open(tables.CUSTOMER_VALUE)}"
        shorter = lake.one(total)
        lake.open(tables.CUSTOMER_VALUE, version=0)
        assert 0 < shorter < lake.one(total)


@pytest.mark.slow
def test_changed_source_file_reruns_all(small_world_copy):
    """One more row in one file runs every step again, and nobody's master ID changes."""
    with (small_world_copy / "extracts/digital/accounts.ndjson").open("a") as file:
        file.write('{"user_id": "new1", "name": "Zebulon Quickfoot", "email": "zq@post.net"}\n')
    assert STEP_NAMES == ran(run_pipeline(small_world_copy))
    with Lakehouse(small_world_copy) as lake:
        ids = f"select record_id, master_id from {lake.open(tables.IDENTITIES)}"
        after = dict(lake.rows(ids))
        lake.open(tables.IDENTITIES, version=0)
        before = dict(lake.rows(ids))
    assert {"digital:new1"} == set(after) - set(before)
    assert [] == [record for record, master in before.items() if after[record] != master]


def test_lost_table_is_written_again(small_world_copy, small_world_project):
    """A table that was deleted from the project is made again by its step alone."""
    with Lakehouse(small_world_copy) as lake:
        shutil.rmtree(lake.path(tables.CUSTOMER_SEGMENTS))
    assert ["segment"] == ran(run_pipeline(small_world_copy))
    assert [] == differing_tables(small_world_copy, small_world_project)


@pytest.mark.slow
def test_killed_run_resumes_where_it_was(small_world_project, tmp_path):
    """A run killed between two tables of a step, and again later, ends with the tables of a run left in peace."""
    project = Path(
        shutil.copytree(small_world_project, tmp_path / "project", ignore=shutil.ignore_patterns("data", "models"))
    )
    run_and_be_killed(project, "silver.golden_provenance")
    manifest = json.loads((project / "data" / "manifest.json").read_text())
    assert ["land", "validate", "standardize", "link"] == list(manifest["steps"])
    assert 0 == versions(project)["silver.golden_records"]
    assert versions(project)["silver.identities"] is None

    run_and_be_killed(project, "segment")
    manifest = json.loads((project / "data" / "manifest.json").read_text())
    assert STEP_NAMES[: STEP_NAMES.index("segment")] == list(manifest["steps"])
    assert 0 == versions(project)["silver.links"]

    result = run_pipeline(project)
    assert ["segment", "campaigns", "profile"] == ran(result)
    assert [] == differing_tables(project, small_world_project)
    for model in (small_world_project / "models").iterdir():
        assert model.read_bytes() == (project / "models" / model.name).read_bytes()


def test_second_run_at_the_same_time_is_refused(small_world_copy):
    """While a run is at work, until its reports are done, another on the same project is told to wait."""

    def run_again(lake, result):
        with pytest.raises(ProjectError, match="a project runs once at a time"):
            run_pipeline(small_world_copy)

    run_pipeline(small_world_copy, then=run_again)
    run_pipeline(small_world_copy)


def test_lock_left_by_a_dead_run_does_no_harm(small_world_copy):
    """A lock file that nobody holds does not stop a run."""
    (small_world_copy / "data" / ".lock").write_text("99999999")
    assert not run_pipeline(small_world_copy).changed


@pytest.mark.slow
def test_answers_do_not_depend_on_threads(small_world_project, tmp_path):
    """One thread or many: the same master IDs, the same customers, the same row in every table."""
    project = Path(
        shutil.copytree(small_world_project, tmp_path / "project", ignore=shutil.ignore_patterns("data", "models"))
    )
    set_in_config(project, f"[engine]\nthreads = {1 if (os.cpu_count() or 1) > 1 else 2}")
    assert STEP_NAMES == ran(run_pipeline(project))
    assert [] == differing_tables(project, small_world_project)


def test_engine_settings_change_no_answer(small_world_copy):
    """What the machine may use is no reason to run again."""
    set_in_config(small_world_copy, "[engine]\nthreads = 1\nmemory_limit_gb = 1.5")
    assert not run_pipeline(small_world_copy).changed


# ---------------------------------------------------------------------- what is done after the steps
def test_reports_are_made_until_they_succeed(small_world_copy):
    """A run that failed while it published is published by the next, and then no more."""
    published = []

    def fail(lake, result):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_pipeline(small_world_copy, then=fail)
    for _ in range(3):
        run_pipeline(small_world_copy, then=lambda lake, result: published.append(result.published))
    assert [False, True, True] == published


def test_publishing_sees_the_open_lakehouse(small_world_copy):
    """Reports can ask every table of the run."""
    counts = {}

    def count(lake, result):
        counts.update({table.path: lake.one(f"select count(*) from {table.path}") for table in tables.ALL})

    result = run_pipeline(small_world_copy, then=count)
    assert counts["gold.customer_360"] == counts["silver.golden_records"] == result.summary("identify")["customers"]


def test_changed_labels_are_judged_again(small_world_copy):
    """New labels run no step, but measure and publish again."""
    labels = small_world_copy / "labels" / "labelled_pairs.csv"
    lines = labels.read_text().splitlines()
    run_pipeline(small_world_copy, then=lambda lake, result: None)
    labels.write_text("\n".join(lines[: len(lines) // 2]) + "\n")
    result = run_pipeline(small_world_copy)
    assert ([], False) == (ran(result), result.published)
    assert len(lines) // 2 - 1 == result.evaluation["labelled_pairs"]


def test_project_without_labels_is_not_judged(small_world_copy):
    """Without labels there is no evaluation, and nothing runs again for it."""
    path = small_world_copy / CONFIG_FILE
    path.write_text(path.read_text().partition("[evaluation]")[0])
    result = run_pipeline(small_world_copy)
    assert ({}, []) == (result.evaluation, ran(result))


# ---------------------------------------------------------------------- refusals
def test_folder_without_config_is_refused(tmp_path):
    """A folder that is no project is told how to become one, and stays empty."""
    with pytest.raises(ConfigError, match="c360ml init"):
        run_pipeline(tmp_path)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["labelled_pairs", "true_ids"])
def test_missing_labels_are_refused_before_any_work(small_world_project, tmp_path, missing):
    """A label file that is not there is told at once, by its setting, before a step has run."""
    project = Path(shutil.copytree(small_world_project, tmp_path / "project", ignore=shutil.ignore_patterns("data")))
    next((project / "labels").glob(f"{missing.replace('_ids', '')}*")).unlink()
    with pytest.raises(SourceError, match=rf"\[evaluation\] {missing} must name a CSV or Parquet file of the project"):
        run_pipeline(project)
    assert [".lock"] == [path.name for path in (project / "data").iterdir()]
