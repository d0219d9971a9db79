"""`c360ml id explain`: the story of a master ID or of a record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from c360ml.cli.commands import app, console
from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import ConfigError

if TYPE_CHECKING:
    from c360ml.identity.id_story import IdStory

id_app = typer.Typer(help="Tell what became of master IDs.", no_args_is_help=True)
app.add_typer(id_app, name="id")


@id_app.callback()
def ids() -> None:
    """Tell what became of master IDs."""


@id_app.command()
def explain(
    master_id: Annotated[str | None, typer.Argument(help="Master ID, living or retired.", show_default=False)] = None,
    record: Annotated[str | None, typer.Option(help="Instead of an ID: a record, as SOURCE:KEY.")] = None,
    as_of: Annotated[str | None, typer.Option(help="With --record: who it was then, e.g. 2026-06-01.")] = None,
    project: Annotated[Path, typer.Option(help="Project folder, after a run.")] = Path("."),
) -> None:
    """Tell the story of a master ID or record: when it was created, what it merged with or split from, and why."""
    from c360ml.identity.id_story import explain_id, explain_record
    from c360ml.lakehouse import Lakehouse

    folder = project.resolve()
    Config.load(folder / CONFIG_FILE)
    if (master_id is None) == (record is None) or (as_of is not None and record is None):
        raise ConfigError(
            "name a master ID, or a record with --record and perhaps --as-of",
            got="neither" if master_id is None and record is None else "both",
            hint="c360ml id explain ID, or c360ml id explain --record SOURCE:KEY --as-of 2026-06-01",
        )
    with Lakehouse(folder, published=True) as lake:
        if record is not None:
            story = explain_record(lake, record, as_of=as_of)
        else:
            story = explain_id(lake, str(master_id))
    console.print(f"{story.name}: {story.state}", highlight=False, soft_wrap=True)
    if story.records:
        console.print(f"Records of customer {story.living_id}: {', '.join(story.records)}", highlight=False)
    console.print(_table(story), "")


def _table(story: IdStory) -> Table:
    table = Table(title="What happened", title_justify="left", box=None, pad_edge=False)
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("run", no_wrap=True)
    for name in ("what", "why"):
        table.add_column(name)
    for event in story.events:
        table.add_row(f"{event.when:%Y-%m-%d %H:%M}", event.run_id, event.told, event.reason)
    return table
