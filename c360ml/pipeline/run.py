"""Run the steps of a project: under a lock, only what changed, judged against labels at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import ProjectError
from c360ml.identity import clear_inbox, write_inbox
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline.judge import judge, open_labels
from c360ml.pipeline.manifest import Manifest
from c360ml.pipeline.steps import STEPS, Step

RUN_FILE = "data/last_run.json"


@dataclass(frozen=True)
class StepResult:
    """What one step did: seconds, summary, and whether it was skipped as unchanged."""

    name: str
    title: str
    seconds: float
    skipped: bool
    summary: dict[str, Any]


@dataclass(frozen=True)
class RunResult:
    """What a run did. `evaluation` is empty without labels.

    `published` says that an earlier run with the same digest already called `then` to its end.
    """

    folder: Path
    run_id: str
    digest: str
    started_at: datetime
    config: Config
    steps: tuple[StepResult, ...]
    evaluation: dict[str, Any] = field(default_factory=dict)
    published: bool = False

    @property
    def changed(self) -> bool:
        """Whether any step had to run."""
        return any(not step.skipped for step in self.steps)

    @property
    def seconds(self) -> float:
        """Time of all steps."""
        return sum(step.seconds for step in self.steps)

    def summary(self, step: str) -> dict[str, Any]:
        """What a step said."""
        return next(each.summary for each in self.steps if each.name == step)


class Watcher:
    """Hears of a run's progress; this one says nothing."""

    def starts(self, step: Step) -> None:
        """A step begins."""

    def says(self, message: str) -> None:
        """The running step announces a phase."""

    def ends(self, result: StepResult) -> None:
        """A step has ended or was skipped."""


def run_pipeline(
    folder: str | Path,
    *,
    watcher: Watcher | None = None,
    then: Callable[[Lakehouse, RunResult], None] | None = None,
    append: bool = False,
) -> RunResult:
    """Bring a project's tables up to date with its sources and settings.

    Args:
        folder: the project's folder, which holds `c360ml.toml`.
        watcher: hears of progress.
        then: called with the open lakehouse when all steps are done, still under the project's lock.
        append: keep the linkage model, and link only records that are new, changed or gone since the last run.

    Raises:
        ConfigError: the config is missing or wrong.
        ProjectError: another run is at work in the folder.
        SourceError: a source or label file cannot be read at all.
    """
    folder, watcher = Path(folder).resolve(), watcher or Watcher()
    config = Config.load(folder / CONFIG_FILE)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    try:
        with (
            FileLock(folder / "data" / ".lock", timeout=0),
            Lakehouse(
                folder,
                memory_limit_gb=config.engine.memory_limit_gb,
                threads=config.engine.threads,
                say=watcher.says,
            ) as lake,
        ):
            labels = open_labels(lake, config)
            upserted = write_inbox(folder)
            result = _run_steps(lake, config, watcher, labels, append=append)
            if upserted:
                clear_inbox(folder, upserted)
            if then is not None:
                then(lake, result)
            _record(lake, result, published=result.published or then is not None)
            return result
    except Timeout as error:
        raise ProjectError(
            "a project runs once at a time", got=f"another run in {folder}", hint="wait for it to end"
        ) from error


def _run_steps(lake: Lakehouse, config: Config, watcher: Watcher, labels: dict[str, str], *, append: bool) -> RunResult:
    started = datetime.now(UTC)
    manifest = Manifest(lake, config)
    results = []
    for step in STEPS:
        watcher.starts(step)
        results.append(_run_step(lake, config, step, manifest, append=append))
        watcher.ends(results[-1])
    digest = manifest.digest(labels)
    last = lake.read_json(RUN_FILE) or {}
    known = last.get("digest") == digest
    return RunResult(
        folder=lake.folder,
        run_id=started.strftime("%Y%m%dT%H%M%S"),
        digest=digest,
        started_at=started,
        config=config,
        steps=tuple(results),
        evaluation=last["evaluation"] if known else judge(lake, labels),
        published=known and last["published"],
    )


def _record(lake: Lakehouse, result: RunResult, *, published: bool) -> None:
    """Note the run once all is done, so that a run killed while it publishes is published by the next."""
    last = lake.read_json(RUN_FILE) or {}
    if (last.get("digest"), last.get("published")) == (result.digest, published):
        return
    content = {"run_id": result.run_id, "digest": result.digest, "published": published}
    lake.write_json(RUN_FILE, {**content, "evaluation": result.evaluation})


def _run_step(lake: Lakehouse, config: Config, step: Step, manifest: Manifest, *, append: bool) -> StepResult:
    if manifest.is_fresh(step):
        for table in step.writes:
            lake.open(table)
        return StepResult(step.name, step.title, 0.0, True, manifest.summary(step))
    began = time.perf_counter()
    for table in step.reads:
        lake.open(table)
    summary = _work_of(step, manifest, append=append)(lake, config)
    seconds = round(time.perf_counter() - began, 3)
    manifest.record(step, summary, seconds)
    return StepResult(step.name, step.title, seconds, False, summary)


def _work_of(step: Step, manifest: Manifest, *, append: bool) -> Callable[[Lakehouse, Config], dict[str, Any]]:
    if step.append is None:
        return step.run
    if not append:
        manifest.forget(step)
        return step.run
    if not manifest.knows(step):
        raise ProjectError(
            "records must be appended to a project whose last run came to its end",
            got=f"none, or one that was stopped in `{step.name}`",
            hint="run `c360ml run`",
        )
    return step.append
