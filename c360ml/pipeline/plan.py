"""What a run will take, before it starts: rows, pairs per rule, seconds per step, memory and disk.

Rows are counted from the sizes of the files and their first rows. Pairs come from the project's own model, without one
from what generated worlds of a million records needed. Seconds, memory and disk grow with rows, records or pairs as
`experiments/scaling/run.py` measured on two cores; that experiment writes `step_costs.json`.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from c360ml.config import CONFIG_FILE, Config, Source
from c360ml.errors import ProjectError
from c360ml.linkage.step import MODEL_FILE
from c360ml.sources.files import HEAD_BYTES, Extract, find_extracts, with_inbox

CUSTOMER_KINDS = frozenset(
    {"salesforce", "dynamics365", "dms_customers", "service_customers", "digital_customers", "customers"}
)
_COSTS_FILE = Path(__file__).with_name("step_costs.json")
_FIRST_KEY = re.compile(r'"[^"]+"\s*:')


@dataclass(frozen=True)
class SourceSize:
    """What one source holds: its files, their bytes, and about how many rows."""

    name: str
    kind: str
    files: int
    bytes: int
    rows: int


@dataclass(frozen=True)
class StepCost:
    """What one step is expected to take."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a run is expected to take; `basis` says what it was reckoned from."""

    sources: tuple[SourceSize, ...]
    records: int
    rows: int
    pairs_by_rule: dict[str, int]
    pairs: int
    steps: tuple[StepCost, ...]
    memory_gb: float
    machine_memory_gb: float
    disk_gb: float
    free_disk_gb: float
    basis: str

    @property
    def seconds(self) -> float:
        """Expected time of all steps, in seconds."""
        return sum(step.seconds for step in self.steps)

    def shortfalls(self) -> list[str]:
        """Say what would not fit; empty if all does."""
        found = []
        if self.disk_gb > self.free_disk_gb:
            found.append(f"about {self.disk_gb:.1f} GB of disk, {self.free_disk_gb:.1f} GB free")
        if self.memory_gb > self.machine_memory_gb:
            found.append(f"about {self.memory_gb:.1f} GB of memory, {self.machine_memory_gb:.1f} GB in the machine")
        return found

    def require_fit(self) -> None:
        """Refuse a run that would not fit.

        Raises:
            ProjectError: disk or memory is too small.
        """
        found = self.shortfalls()
        if found:
            raise ProjectError(
                "a run must fit on the machine",
                got=f"needs {' and '.join(found)}",
                hint="free some, lower [linkage] max_pairs, or use a larger machine; `c360ml plan` shows the reckoning",
            )


def plan_run(folder: str | Path) -> Plan:
    """Reckon what a run of a project takes; reads only the first bytes of each file.

    Args:
        folder: the project's folder, which holds `c360ml.toml`.

    Raises:
        ConfigError: the config is missing or wrong.
        SourceError: a source has no file, or one is no table.
    """
    folder = Path(folder).resolve()
    config = with_inbox(folder, Config.load(folder / CONFIG_FILE))
    costs = json.loads(_COSTS_FILE.read_text("utf-8"))
    sources = tuple(_size_of(folder, source) for source in config.sources)
    rows = sum(source.rows for source in sources)
    records = sum(source.rows for source in sources if source.kind in CUSTOMER_KINDS)
    pairs_by_rule, basis = _pairs(folder, records, costs)
    pairs = min(sum(pairs_by_rule.values()), config.linkage.max_pairs)
    counts = {"rows": rows, "records": records, "pairs": pairs}
    return Plan(
        sources=sources,
        records=records,
        rows=rows,
        pairs_by_rule=pairs_by_rule,
        pairs=pairs,
        steps=tuple(StepCost(name, round(_grown(cost, counts), 1)) for name, cost in costs["steps"].items()),
        memory_gb=_rounded_up(_grown(costs["memory_gb"], counts)),
        machine_memory_gb=round(_machine_memory_gb(), 1),
        disk_gb=_rounded_up(_grown(costs["disk_gb"], counts)),
        free_disk_gb=round(shutil.disk_usage(folder).free / 1e9, 1),
        basis=f"{basis}; times as measured on {costs['measured_on']}",
    )


def _size_of(folder: Path, source: Source) -> SourceSize:
    extracts = find_extracts(folder, source)
    sizes = [extract.path.stat().st_size for extract in extracts]
    rows = sum(_rows_of(extract, size) for extract, size in zip(extracts, sizes, strict=True))
    return SourceSize(source.name, source.kind, len(extracts), sum(sizes), rows)


def _rows_of(extract: Extract, size: int) -> int:
    """Rows of a file: its bytes over the mean bytes of a row among its first."""
    if extract.layout == "parquet":
        return int(pq.read_metadata(extract.path).num_rows)
    head = extract.head
    if extract.layout == "documents":
        first = _FIRST_KEY.search(head.partition("[")[2] or head)
        found = head.count(first.group()) if first else 0
    else:
        found = head.rstrip("\n").count("\n") + (extract.layout == "lines")
    read = min(size, HEAD_BYTES)
    return round(found * size / read) if read else 0


def _pairs(folder: Path, records: int, costs: Mapping[str, Any]) -> tuple[dict[str, int], str]:
    """Pairs of each blocking rule, and where the figures come from."""
    path = folder / MODEL_FILE
    if not path.is_file():
        return {"all rules": round(_grown(costs["pairs"], {"records": records}))}, (
            "pairs as in generated worlds, as the project has no model yet"
        )
    fit = json.loads(path.read_text("utf-8")).get("fit", {})
    growth = (records / max(fit.get("records", records), 1)) ** costs["pairs"]["exponent"]
    return _grown_rules(fit.get("blocking_rules", []), growth), "pairs as the project's model found them"


def _grown_rules(rules: Iterable[Mapping[str, Any]], growth: float) -> dict[str, int]:
    return {rule["rule"]: round(rule["new_pairs"] * growth) for rule in rules if rule["chosen"]}


def _grown(cost: Mapping[str, Any], counts: Mapping[str, int]) -> float:
    """Cost of a count in millions: `at_least + per_million * millions ** exponent`."""
    return float(cost["at_least"] + cost["per_million"] * (counts[cost["of"]] / 1e6) ** cost["exponent"])


def _rounded_up(gigabytes: float) -> float:
    return math.ceil(100 * gigabytes) / 100


def _machine_memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
