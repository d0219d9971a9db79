"""The champion that a project serves: read from its folder, without MLflow, and replaced while it answers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c360ml.errors import C360Error, ModelError, ProjectError
from c360ml.identity.base_files import RECORDS, open_rows
from c360ml.identity.store_delta import INDEX_FOLDER, Delta
from c360ml.linkage.online import model_digest
from c360ml.linkage.step import MODEL_FILE
from c360ml.serving.record_scorer import RecordScorer
from c360ml.serving.schemas import Answer
from c360ml.serving.scorer import EXPORT_FOLDER
from c360ml.tracking.exports import MANIFEST, verify_export

_logger = logging.getLogger("c360ml.serving")
_SECONDS_BETWEEN_LOOKS = 1.0
_MODEL = f"artifacts/{Path(MODEL_FILE).name}"


@dataclass(frozen=True)
class Champion:
    """An exported scorer: its version in the registry, its linkage model, and what tells it from the next."""

    version: str
    model: dict[str, Any]
    stamp: tuple[int, int]


def read_champion(project: Path) -> Champion:
    """Read the scorer that the last run exported.

    Raises:
        ModelError: there is none, or its files are not those that were exported.
        ProjectError: there is no such folder.
    """
    if not project.is_dir():
        raise ProjectError("a project must be a folder", got=str(project), hint="name it with --project")
    folder = project / EXPORT_FOLDER
    try:
        stamp = _stamp(folder)
        version = verify_export(folder)["version"]
        return Champion(version, json.loads((folder / _MODEL).read_text("utf-8")), stamp)
    except OSError as error:
        raise ModelError(
            "a project that is served must have a champion scorer",
            got=f"none that can be read in {folder} ({type(error).__name__})",
            hint=f"c360ml run --project {project}",
        ) from error


def count_records(project: Path, champion: Champion) -> int:
    """Count the records of the champion's index.

    Raises:
        ModelError: there is no index of it.
    """
    delta = Delta(project)
    try:
        found = delta.base(model_digest(champion.model))
    finally:
        delta.close()
    if found is None:
        raise ModelError("a model must have its online index", got="none", hint=f"c360ml run --project {project}")
    return open_rows(project / INDEX_FOLDER / found[1], RECORDS).standing()


class ChampionScorer:
    """Answers with a project's champion; one that a run puts in its place is taken within a second.

    For one thread at a time.

    Args:
        project: the project's folder, after a run.

    Raises:
        ModelError: there is no champion, or no index of it.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self.champion = read_champion(project)
        self._scorer = RecordScorer(project, self.champion.model)
        self._looked = time.monotonic()

    def resolve(self, record: Mapping[str, Any]) -> Answer:
        """Answer for one record, or raise what `RecordScorer.resolve` raises."""
        return self._current().resolve(record)

    def answer(self, record: Mapping[str, Any]) -> Answer:
        """Answer for one record; if it cannot be read, say so in `error`, without repeating it."""
        return self._current().answer(record)

    def check(self) -> None:
        """Look something up, so that an index that cannot be read is noticed."""
        self._current().check()

    def close(self) -> None:
        """Close the index."""
        self._scorer.close()

    def _current(self) -> RecordScorer:
        now = time.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._looked = now
            self._take_next()
        return self._scorer

    def _take_next(self) -> None:
        """Take another champion if there is one; until it can be read the old one answers on."""
        try:
            if _stamp(self._project / EXPORT_FOLDER) == self.champion.stamp:
                return
            champion = read_champion(self._project)
            scorer = RecordScorer(self._project, champion.model)
        except (OSError, C360Error) as error:
            _logger.warning("champion not taken: %s", type(error).__name__)
            return
        self._scorer.close()
        self.champion, self._scorer = champion, scorer
        _logger.info("serving champion version %s", champion.version)


def _stamp(folder: Path) -> tuple[int, int]:
    found = (folder / MANIFEST).stat()
    return found.st_ino, found.st_mtime_ns
