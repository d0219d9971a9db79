"""What tests of several rooms share: one small world that was run once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from c360ml.pipeline import RunResult, run_pipeline
from c360ml.synthetic import write_world

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.tracking import TrackedRun


@dataclass(frozen=True)
class Published:
    """A project whose run was reported, logged and registered."""

    folder: Path
    result: RunResult
    tracked: TrackedRun
    scorer_version: str


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


@pytest.fixture(scope="session")
def published_project(small_world_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The small world after its run was reported, logged and registered; not to be changed."""
    from c360ml.dashboards import write_run_report
    from c360ml.serving.scorer import register_scorer
    from c360ml.tracking import log_run

    folder = Path(shutil.copytree(small_world_project, tmp_path_factory.mktemp("published") / "project"))
    published = []

    def publish(lake: Lakehouse, result: RunResult) -> None:
        tracked = log_run(lake, result, report=write_run_report(lake, result))
        published.append(Published(folder, result, tracked, register_scorer(lake, result, tracked)))

    run_pipeline(folder, then=publish)
    return published[0]
