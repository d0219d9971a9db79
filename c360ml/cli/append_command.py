"""`c360ml append`: more records into a project, with the models as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from c360ml.cli.commands import app, console, show_run

if TYPE_CHECKING:
    from c360ml.pipeline import RunResult


@app.command()
def append(
    files: Annotated[list[Path] | None, typer.Argument(help="Extracts of one source, of its kind.")] = None,
    source: Annotated[str | None, typer.Option(help="The source's name in c360ml.toml.")] = None,
    project: Annotated[Path, typer.Option(help="Project folder.")] = Path("."),
) -> None:
    """Add, change and withdraw records without training anew; customers that they do not touch stay as they are."""
    from c360ml.pipeline import append_files

    result = show_run(
        lambda watcher, then: append_files(project, files or (), source=source, watcher=watcher, then=then)
    )
    if result is not None:
        console.print(_counts(result), "")


def _counts(result: RunResult) -> Table:
    told, ids = _told(result, "link").get("appended", {}), _told(result, "identify")
    table = Table(title="Appended", title_justify="left")
    table.add_column("what")
    table.add_column("records", justify="right")
    for name, title in (
        ("new", "new records"),
        ("changed", "changed records"),
        ("vanished", "withdrawn records"),
        ("compared_pairs", "pairs compared"),
        ("touched_records", "records clustered again"),
        ("keys_outgrown", "block keys that grew too large: `c360ml run` learns anew"),
    ):
        table.add_row(title, f"{told.get(name, 0):,}")
    for name in ("new_ids", "merged", "split"):
        if name in ids:
            table.add_row(f"customers: {name.replace('_', ' ')}", f"{ids[name]:,}")
    return table


def _told(result: RunResult, name: str) -> dict[str, Any]:
    """What a step said, if it had anything to do: else it says what it did the last time."""
    return next(({} if step.skipped else step.summary) for step in result.steps if step.name == name)
