"""`c360ml forget`: erase a person who asked for it, and prove it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from c360ml.cli.commands import app, console
from c360ml.errors import ConfigError

if TYPE_CHECKING:
    from c360ml.identity.forget import Person
    from c360ml.pipeline.forget import Forgotten


@app.command()
def forget(
    record: Annotated[str | None, typer.Option(help="One of the person's records, as SOURCE:KEY.")] = None,
    master_id: Annotated[str | None, typer.Option(help="Instead of a record: the person's master ID.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    project: Annotated[Path, typer.Option(help="Project folder, after a run.")] = Path("."),
) -> None:
    """Erase a person from bronze to gold, index, models and labels, with all older versions, and prove it."""
    from c360ml.pipeline.forget import forget_person

    if (record is None) == (master_id is None):
        raise ConfigError(
            "name the person by --record or by --master-id", got="both or neither", hint="--record SOURCE:KEY"
        )

    def confirm(person: Person) -> bool:
        if yes:
            return True
        status.stop()
        console.print(f"This erases {len(person.records)} records: {', '.join(person.records)}.", highlight=False)
        return typer.confirm("There is no way back. Erase them?")

    with console.status("finding the person") as status:
        told = forget_person(project, record=record, master_id=master_id, confirm=confirm, say=status.update)
    if told is None:
        console.print("Nothing was erased.")
        return
    console.print(_table(told), "")
    console.print(
        f"{told.files_searched:,} files below data, models and mlruns were searched: nothing of the person is left.\n"
        "The extracts that were landed are yours: they may still hold the person, whom later runs leave out.\n"
        "Next: c360ml run, which makes models, households and the index anew.",
        soft_wrap=True,
    )


def _table(told: Forgotten) -> Table:
    table = Table(title=f"Forgotten: {told.records} records of one person", title_justify="left", box=None)
    table.add_column("where")
    table.add_column("rows", justify="right")
    for name, rows in told.rows.items():
        table.add_row(name, f"{rows:,}")
    for name in told.files_changed:
        table.add_row(name, "blotted")
    return table
