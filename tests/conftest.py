"""What tests of several rooms share: one small world that was run once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from c360ml.pipeline import run_pipeline
from c360ml.synthetic import write_world


@pytest.fixture(scope="session")
def small_world_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 400 people whose pipeline has run; not to be changed."""
    folder = tmp_path_factory.mktemp("small_world")
    write_world(folder, customers=400, seed=11)
    run_pipeline(folder)
    return folder


@pytest.fixture
def small_world_copy(small_world_project: Path, tmp_path: Path) -> Path:
    """A copy of the small world that a test may change."""
    return Path(shutil.copytree(small_world_project, tmp_path / "project"))
