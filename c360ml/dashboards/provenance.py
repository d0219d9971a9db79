"""Where a report's figures come from: the run, its steps, settings, versions and tables."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.dashboards.formats import UNKNOWN, count, plural
from c360ml.dashboards.page import DataTable, Section

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult

_LIBRARIES = ("c360ml", "duckdb", "deltalake", "splink", "mlflow", "scikit-learn", "scipy", "numpy", "altair")


def provenance_section(lake: Lakehouse, result: RunResult) -> Section:
    """Show which run made the figures, from what and where they are."""
    ran = sum(not step.skipped for step in result.steps)
    answer = (
        f"Run {result.run_id} took {result.seconds:,.1f} seconds; {plural(ran, 'step')} of {len(result.steps)} had to"
        " run. Two runs with the same digest have the same tables."
    )
    blocks = [_run(result), _steps(result), _sources(result), _settings(result), versions_table(), _tables(lake)]
    return Section("provenance", "Where do the figures come from?", answer, blocks)


def _run(result: RunResult) -> DataTable:
    rows = [
        ("project", result.config.project.name),
        ("run", result.run_id),
        ("digest", result.digest),
        ("started", f"{result.started_at:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    return DataTable("The run", ("what", "value"), rows, texts=frozenset({1}), half=True)


def versions_table() -> DataTable:
    """List the versions of what computed the figures."""
    rows = [("python", platform.python_version()), *((name, _version(name)) for name in _LIBRARIES)]
    return DataTable("Versions", ("library", "version"), rows, texts=frozenset({1}), half=True)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return UNKNOWN


def _steps(result: RunResult) -> DataTable:
    rows = [
        (step.title, step.name, "unchanged, skipped" if step.skipped else f"{step.seconds:,.2f}")
        for step in result.steps
    ]
    return DataTable("Steps", ("step", "name", "seconds"), rows, texts=frozenset({1}), half=True)


def _sources(result: RunResult) -> DataTable:
    rows = [(source.name, source.kind, source.files, f"{source.trust:g}") for source in result.config.sources]
    return DataTable("Sources", ("name", "kind", "files", "trust"), rows, texts=frozenset({1, 2}))


def _settings(result: RunResult) -> DataTable:
    settings = result.config.model_dump(mode="json", exclude={"sources"})
    rows = [(name, "not set" if value is None else str(value)) for name, value in _flat(settings)]
    return DataTable("Settings", ("setting", "value"), rows, texts=frozenset({1}), half=True)


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _tables(lake: Lakehouse) -> DataTable:
    rows = []
    for table in tables.ALL:
        number = lake.one(f"select count(*) from {table.path}")
        where = lake.path(table).relative_to(lake.folder).as_posix()
        rows.append((table.path, table.about, count(number), str(lake.version(table)), where))
    return DataTable(
        "Tables",
        ("table", "what it holds", "rows", "version", "Delta table below the project"),
        rows,
        texts=frozenset({1, 4}),
    )
