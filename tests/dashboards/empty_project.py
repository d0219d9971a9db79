"""A project whose tables exist and hold nothing, and what its run says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import RunResult, StepResult
from c360ml.tables import Table

NOTHING_SAID: dict[str, dict[str, Any]] = {
    "validate": {"read": 0, "rejected": 0},
    "link": {
        "records": 0,
        "candidate_pairs": 0,
        "links": 0,
        "threshold": 0.5,
        "blocking_rules": [],
        "pairs_by_class": {},
        "iterations": 0,
        "converged": True,
    },
    "identify": {"customers": 0, "households": 0},
    "value": {
        "fitted": False,
        "reason": "there must be a purchase. Got none.",
        "customers": 0,
        "historical_value": 0.0,
        "projected_value": None,
        "holdout": None,
    },
    "value_doubt": {"draws": 0, "reason": "no forecast was fitted"},
}


def empty_lake(folder: Path) -> Lakehouse:
    """Write every table of the contracts without a row."""
    lake = Lakehouse(folder)
    for table in tables.ALL:
        columns = ", ".join(f"null as {name}" for name in table.columns)
        lake.write(table, f"select {columns} where false")
    return lake


def fill(lake: Lakehouse, table: Table, *rows: dict[str, Any]) -> None:
    """Replace a table by rows; columns that a row does not name are null."""
    selects = []
    parameters: dict[str, Any] = {}
    for number, row in enumerate(rows):
        cells = []
        for name in table.columns:
            if name in row:
                parameters[f"{name}_{number}"] = row[name]
                cells.append(f"${name}_{number} as {name}")
            else:
                cells.append(f"null as {name}")
        selects.append(f"select {', '.join(cells)}")
    lake.write(table, " union all ".join(selects), parameters)


def quiet_run(lake: Lakehouse, config: Config | None = None, **said: dict[str, Any]) -> RunResult:
    """The result of a run whose steps said nothing but what is given."""
    summaries = {name: summary | said.get(name, {}) for name, summary in NOTHING_SAID.items()}
    return RunResult(
        folder=lake.folder,
        run_id="20240101T000000",
        digest="abc",
        started_at=datetime(2024, 1, 1, tzinfo=UTC),
        config=config or Config(),
        steps=tuple(StepResult(name, name.capitalize(), 0.0, False, summary) for name, summary in summaries.items()),
    )
