"""What tests of the identity store share: the small world with its online index."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from c360ml.identity import build_index
from c360ml.lakehouse import Lakehouse


@pytest.fixture(scope="module")
def indexed(small_world_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small world with its index; not to be changed."""
    folder = Path(shutil.copytree(small_world_project, tmp_path_factory.mktemp("indexed") / "project"))
    with Lakehouse(folder) as lake:
        build_index(lake)
    return folder


@pytest.fixture
def project(indexed: Path, tmp_path: Path) -> Path:
    """A copy of model and index that a test may change."""
    for part in ("models", "data/index"):
        shutil.copytree(indexed / part, tmp_path / "project" / part)
    return tmp_path / "project"
