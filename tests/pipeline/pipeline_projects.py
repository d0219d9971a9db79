"""What tests of the pipeline ask of a project."""

from __future__ import annotations

from pathlib import Path

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import RunResult
from c360ml.tables import Table

OF_THE_RUN = {"loaded_at", "run_id", "happened_at", "valid_from", "retired_at", "state", "modified_ns"}


def versions(folder: Path) -> dict[str, int | None]:
    """Delta version of every table."""
    with Lakehouse(folder) as lake:
        return {table.path: lake.version(table) for table in tables.ALL}


def contents(folder: Path, table: Table) -> list[str]:
    """All rows as sorted text, but for the times of runs and files, and the table versions that steps note."""
    columns = ", ".join(name for name in table.columns if name not in OF_THE_RUN)
    with Lakehouse(folder) as lake:
        return [
            row
            for (row,) in lake.rows(f"select t::varchar from (select {columns} from {lake.open(table)}) t order by 1")
        ]


def differing_tables(one: Path, other: Path) -> list[str]:
    """Tables whose rows are not the same in two projects."""
    return [table.path for table in tables.ALL if contents(one, table) != contents(other, table)]


def ran(result: RunResult) -> list[str]:
    """Names of the steps that had to run."""
    return [step.name for step in result.steps if not step.skipped]


def set_in_config(folder: Path, text: str) -> None:
    """Add a section to a project's config."""
    path = folder / "c360ml.toml"
    path.write_text(f"{path.read_text('utf-8')}\n{text}\n", "utf-8")
