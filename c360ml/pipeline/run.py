"""Run the steps of a project: under a lock, only what changed, judged against labels, published all at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import ProjectError
from c360ml.identity import clear_inbox, write_inbox
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline.judge import judge, open_labels
from c360ml.pipeline.lock import project_lock
from c360ml.pipeline.manifest import Manifest
from c360ml.pipeline.plan import Plan, plan_run
from c360ml.pipeline.publication import publish
from c360ml.pipeline.run_display import RunDisplay
from c360ml.pipeline.steps import STEPS, Step

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Work = Callable[[Lakehouse, Config], dict[str, Any]]
"""What a step does."""

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
class RunResult(RunDisplay):
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

    def plans(self, plan: Plan) -> None:
        """A run begins that is expected to take what the plan says."""

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
    spark: SparkSession | None = None,
) -> RunResult:
    """Bring a project's tables up to date with its sources and settings.

    While another run is at work in the folder this one waits, and then does what is left to do. Readers see all that
    changed at once, when everything is done; of a run that was killed they see nothing (see `publication`).

    Args:
        folder: the project's folder, which holds `c360ml.toml`.
        watcher: hears of progress; without it a notebook shows it, and nothing else does.
        then: called with the open lakehouse when all steps are done, still under the project's lock.
        append: keep the linkage model, and link only records that are new, changed or gone since the last run.
        spark: session to run on, whatever engine the config names; it stays open. Without it, `engine = "spark"` uses
            the active session or makes one for this machine. What is appended is so little that DuckDB does it.

    Raises:
        ConfigError: the config is missing or wrong.
        ProjectError: it is called within a run of the same folder, or would not fit on the machine.
        SourceError: a source or label file cannot be read at all.
    """
    from c360ml.pipeline.notebook_progress import usual_watcher

    folder, watcher = Path(folder).resolve(), watcher or usual_watcher()
    config = Config.load(folder / CONFIG_FILE)
    with (
        project_lock(folder, watcher.says),
        Lakehouse(
            folder,
            memory_limit_gb=config.engine.memory_limit_gb,
            threads=config.engine.threads,
            say=watcher.says,
        ) as lake,
        _on_engine(config, spark) as run_of,
    ):
        labels = open_labels(lake, config)
        upserted = write_inbox(folder)
        with lake.unpublished():
            if upserted:
                lake.at_publication(lambda: clear_inbox(folder, upserted))
            result = _run_steps(lake, config, watcher, labels, run_of, append=append)
            if then is not None:
                then(lake, result)
            publish(lake, run_id=result.run_id, digest=result.digest)
        _record(lake, result, published=result.published or then is not None)
        return result


@contextmanager
def _on_engine(config: Config, spark: SparkSession | None) -> Iterator[Callable[[Step], Work]]:
    """Say what each step does in full on the engine in use."""
    if config.engine.engine == "duckdb" and spark is None:
        yield lambda step: step.run
        return
    from c360ml.spark import SparkSteps

    with SparkSteps(spark) as on_spark:
        yield lambda step: on_spark.work(step.name) if on_spark.knows(step.name) else step.run


def _run_steps(
    lake: Lakehouse,
    config: Config,
    watcher: Watcher,
    labels: dict[str, str],
    run_of: Callable[[Step], Work],
    *,
    append: bool,
) -> RunResult:
    started = datetime.now(UTC)
    manifest = Manifest(lake, config)
    if not append and not manifest.is_fresh(STEPS[0]):
        plan = plan_run(lake.folder)
        plan.require_fit()
        watcher.plans(plan)
    results = []
    for step in STEPS:
        watcher.starts(step)
        results.append(_run_step(lake, config, step, manifest, run_of, append=append))
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


def _run_step(
    lake: Lakehouse, config: Config, step: Step, manifest: Manifest, run_of: Callable[[Step], Work], *, append: bool
) -> StepResult:
    if manifest.is_fresh(step):
        for table in step.writes:
            lake.open(table)
        return StepResult(step.name, step.title, 0.0, True, manifest.summary(step))
    began = time.perf_counter()
    for table in step.reads:
        lake.open(table)
    summary = _work_of(step, manifest, run_of(step), append=append)(lake, config)
    seconds = round(time.perf_counter() - began, 3)
    manifest.record(step, summary, seconds)
    return StepResult(step.name, step.title, seconds, False, summary)


def _work_of(step: Step, manifest: Manifest, run: Work, *, append: bool) -> Work:
    if step.append is None:
        return run
    if not append:
        manifest.forget(step)
        return run
    if step.learns and not manifest.knows(step):
        raise ProjectError(
            "records must be appended to a project whose last run came to its end",
            got=f"none, or one that was stopped in `{step.name}`",
            hint="run `c360ml run`",
        )
    return step.append
