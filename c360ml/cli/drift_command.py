"""`c360ml drift`: whether the world has moved away from the champion, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from c360ml.cli.commands import app, console
from c360ml.config import CONFIG_FILE, Config

if TYPE_CHECKING:
    from c360ml.tracking import Drift

_SHOWN = 12


@app.command()
def drift(project: Annotated[Path, typer.Option(help="Project folder, after a run.")] = Path(".")) -> None:
    """Say whether the last run is fine, a source changed, or models should be trained anew; with reasons and a page."""
    from c360ml.dashboards.drift_page import write_drift_page
    from c360ml.lakehouse import Lakehouse
    from c360ml.tracking import drift_since_champion

    Config.load(project / CONFIG_FILE)
    with Lakehouse(project) as lake:
        found = drift_since_champion(lake)
        page = write_drift_page(found, lake.folder)
    for line in _lines(found):
        console.print(line, highlight=False)
    if found.shifts:
        console.print(_table(found), "")
    console.print(f"page  {page}", soft_wrap=True, highlight=False)


def _lines(found: Drift) -> list[str]:
    if found.champion_run_id is None:
        return [found.why_not]
    head = f"Run {found.run_id} against the champion's run {found.champion_run_id}: [bold]{found.verdict}[/]"
    return [head, *(f"  {reason}" for reason in found.reasons)]


def _table(found: Drift) -> Table:
    table = Table(title="Quantities nearest to their limits", title_justify="left")
    for name in ("quantity", "statistic"):
        table.add_column(name)
    for name in ("value", "limit"):
        table.add_column(name, justify="right")
    table.add_column("")
    for shift in sorted(found.shifts, key=lambda each: (-each.times_limit, each.quantity))[:_SHOWN]:
        moved = f"moved: {shift.kind}" if shift.moved else ""
        limit = "-" if shift.limit is None else f"{shift.limit:.3f}"
        table.add_row(shift.quantity, shift.statistic, f"{shift.value:.3f}", limit, moved)
    return table
