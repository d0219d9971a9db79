"""Extracts appended to a project: untouched customers stay, touched ones are brought up to date, nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pipeline_projects import ran
from test_pipeline_run import run_and_be_killed

from c360ml import tables
from c360ml.errors import ConfigError, ProjectError, SourceError
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import append_files, run_pipeline
from c360ml.pipeline.manifest import MANIFEST_FILE

HEADER = (
    "customer_id,first_name,middle_initial,last_name,name_suffix,email,home_phone,address_line1,address_line2,"
    "city,state,zip,dob,dealer_code,created_date,updated_date"
)
STRANGER = "C9999999,ZEBULON,Q,QUARTERMAIN,,zq@example.org,,1 NOWHERE LN,,RENO,NV,89501,,D001,2026-01-01,2026-02-20"


def extract(folder: Path, *rows: str) -> Path:
    file = folder / "more.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n", "utf-8")
    return file


def identities(folder: Path) -> dict[str, str]:
    with Lakehouse(folder) as lake:
        return dict(lake.rows(f"select record_id, master_id from {lake.open(tables.IDENTITIES)}"))


def one_row(folder: Path) -> str:
    """A row of the DMS extract, as its file has it."""
    return (folder / "extracts" / "dms" / "customers.csv").read_text("utf-8").splitlines()[1]


@pytest.mark.slow
def test_the_story_of_appended_extracts(small_world_copy, tmp_path):
    """A stranger is a new customer, a second record joins its person, nobody else changes; then all is fresh."""
    before = identities(small_world_copy)
    known = one_row(small_world_copy)
    again = "C9999998," + known.split(",", 1)[1]
    result = append_files(small_world_copy, [extract(tmp_path, STRANGER, again)], source="dms")
    after = identities(small_world_copy)
    appended = result.summary("link")["appended"]
    assert (appended["new"], appended["changed"], appended["vanished"]) == (2, 0, 0)
    assert before == {record: after[record] for record in before}
    assert after["dms:C9999998"] == before["dms:" + known.split(",")[0]]
    assert after["dms:C9999999"] not in before.values()
    assert ran(run_pipeline(small_world_copy)) == []


@pytest.mark.slow
def test_a_killed_append_is_finished_by_the_next(small_world_copy, tmp_path):
    """After a kill between two tables of the link step, appending again gives what an unharmed append gives."""
    unharmed = Path(shutil.copytree(small_world_copy, tmp_path / "unharmed"))
    file = extract(tmp_path, STRANGER)
    append_files(unharmed, [file], source="dms")
    append_files_killed(small_world_copy, file, at="silver.linked_records")
    append_files(small_world_copy)
    assert identities(small_world_copy) == identities(unharmed)


def append_files_killed(folder: Path, file: Path, at: str) -> None:
    from c360ml.pipeline.append import add_files

    add_files(folder, [file], "dms")
    run_and_be_killed(folder, at, append=True)


def test_files_that_cannot_be_appended_are_refused(small_world_project, tmp_path):
    """Unknown sources, missing files and files the source would not find are refused before anything is copied."""
    file = extract(tmp_path, STRANGER)
    before = sorted((small_world_project / "extracts" / "dms").iterdir())
    with pytest.raises(SourceError, match="must be one of"):
        append_files(small_world_project, [file], source="nowhere")
    with pytest.raises(SourceError, match="must be there"):
        append_files(small_world_project, [tmp_path / "none.csv"], source="dms")
    with pytest.raises(SourceError, match="must match"):
        append_files(small_world_project, [Path(shutil.copy(file, tmp_path / "more.json"))], source="dms")
    assert sorted((small_world_project / "extracts" / "dms").iterdir()) == before


def test_a_project_whose_training_was_stopped_is_not_appended_to(small_world_copy, tmp_path):
    """Without a linkage that came to its end there is nothing to append to: the error says to run."""
    manifest = small_world_copy / MANIFEST_FILE
    content = json.loads(manifest.read_text("utf-8"))
    del content["steps"]["link"]
    manifest.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ProjectError, match="c360ml run"):
        append_files(small_world_copy, [extract(tmp_path, STRANGER)], source="dms")


def test_other_settings_need_a_run(small_world_copy, tmp_path):
    """A model is not asked to go on under settings it was not trained with."""
    config = small_world_copy / "c360ml.toml"
    config.write_text(config.read_text("utf-8") + "\n[linkage]\nseed = 7\n", "utf-8")
    with pytest.raises(ConfigError, match="as the model was trained"):
        append_files(small_world_copy, [extract(tmp_path, STRANGER)], source="dms")
