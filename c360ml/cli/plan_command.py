"""`c360ml plan`: what a run will take, before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from c360ml.cli.commands import app, console
from c360ml.cli.durations import show_seconds

if TYPE_CHECKING:
    from c360ml.pipeline.plan import Plan


@app.command()
def plan(project: Annotated[Path, typer.Option(help="Project folder.")] = Path(".")) -> None:
    """Reckon rows, pairs, time, memory and disk of a run; `c360ml run` refuses what would not fit."""
    from c360ml.pipeline.plan import plan_run

    planned = plan_run(project)
    for table in plan_tables(planned):
        console.print(table, "")
    planned.require_fit()


def plan_tables(planned: Plan) -> list[Table]:
    """Tables of what a run is expected to take."""
    return [_sources(planned), _pairs(planned), _steps(planned)]


def _sources(planned: Plan) -> Table:
    table = _table("What there is", "source", "kind", "files", "MB", "rows, about")
    for source in planned.sources:
        table.add_row(source.name, source.kind, f"{source.files:,}", f"{source.bytes / 1e6:,.1f}", f"{source.rows:,}")
    table.add_row("all", f"{planned.records:,} customer records", "", "", f"{planned.rows:,}")
    return table


def _pairs(planned: Plan) -> Table:
    table = _table("What will be compared, about", "blocking rule", "pairs")
    for rule, pairs in planned.pairs_by_rule.items():
        table.add_row(rule, f"{pairs:,}")
    table.add_row("compared in all", f"{planned.pairs:,}")
    return table


def _steps(planned: Plan) -> Table:
    table = _table("What it takes, about", "step", "time", "of there is")
    for step in planned.steps:
        table.add_row(step.name, show_seconds(step.seconds), "")
    table.add_row("all steps", show_seconds(planned.seconds), "")
    table.add_row("memory", f"{planned.memory_gb:.1f} GB", f"{planned.machine_memory_gb:.1f} GB")
    table.add_row("disk", f"{planned.disk_gb:.1f} GB", f"{planned.free_disk_gb:.1f} GB free")
    table.caption = planned.basis
    table.caption_justify = "left"
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 or column == "kind" else "right")
    return table
