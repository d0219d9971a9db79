"""`c360ml promote`: who serves, the champion or its challenger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from c360ml.cli.commands import app, console
from c360ml.config import CONFIG_FILE, Config

if TYPE_CHECKING:
    from c360ml.tracking import Promotion


@app.command()
def promote(
    model: Annotated[str | None, typer.Argument(help="c360-linkage, c360-value, ...; without it all.")] = None,
    force: Annotated[bool, typer.Option(help="Promote what is worse too; the reasons are noted.")] = False,
    project: Annotated[Path, typer.Option(help="Project folder.")] = Path("."),
) -> None:
    """Compare challengers with champions; promote what is not worse, refuse the rest with reasons (exit code 1)."""
    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline.lock import project_lock
    from c360ml.tracking import promote as promote_models

    config = Config.load(project / CONFIG_FILE)
    folder = project.resolve()
    with project_lock(folder, console.print), Lakehouse(folder) as lake:
        found = promote_models(lake, config, model=model, force=force)
    if not found:
        console.print("No model has a challenger: each champion is what the last run made.")
    for each in found:
        console.print(_table(each))
        console.print(_outcome(each), "", highlight=False)
    if not all(each.promoted for each in found):
        raise typer.Exit(1)


def _table(promotion: Promotion) -> Table:
    table = Table(title=promotion.model, title_justify="left")
    table.add_column("compared by")
    table.add_column(f"champion, version {promotion.champion_version}", justify="right")
    table.add_column(f"challenger, version {promotion.challenger_version}", justify="right")
    table.add_column("verdict")
    for check in promotion.checks:
        table.add_row(check.name, check.champion, check.challenger, check.verdict)
    return table


def _outcome(promotion: Promotion) -> str:
    reasons = "".join(f"\n  {reason}" for reason in promotion.reasons)
    if not promotion.promoted:
        return f"[bold]Refused[/]: version {promotion.champion_version} stays the champion, for{reasons}"
    done = f"[bold]Promoted[/]: version {promotion.challenger_version} is the champion, in models/{promotion.model}"
    return f"{done}\n  forced, though{reasons}" if reasons else done
