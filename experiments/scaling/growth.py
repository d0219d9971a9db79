"""How costs grow with size, and what that means on Spark beyond one machine."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import nnls

SIZES = (50e6, 500e6, 5e9)
CORES = 2
SPARK_OVERHEAD = 3.0
"""CPU of a Spark task beside DuckDB on the same rows: Arrow to and from the JVM, shuffles. An assumption."""
BYTES_PER_RECORD = 600
"""A standard record with its keys and features in a shuffle, uncompressed."""
BYTES_PER_PAIR = 24


@dataclass(frozen=True)
class Growth:
    """`at_least + per_million * millions ** exponent` of a count."""

    of: str
    per_million: float
    exponent: float
    at_least: float = 0.0

    def at(self, count: float) -> float:
        """Cost at a count."""
        return self.at_least + self.per_million * (count / 1e6) ** self.exponent

    def to_dict(self) -> dict[str, object]:
        """As `c360ml plan` reads it."""
        plain = asdict(self)
        return {name: number if isinstance(number, str) else round(number, 4) for name, number in plain.items()}


def fit_growth(of: str, points: list[tuple[float, float]]) -> Growth:
    """Fit a power law through (count, cost), least squares in logarithms; nothing shrinks as data grows."""
    counts, costs = np.array(points, dtype=float).T
    costs = np.maximum(costs, 1e-3)
    exponent = max(float(np.polyfit(np.log(counts / 1e6), np.log(costs), 1)[0]), 0.0)
    level = float(np.exp(np.mean(np.log(costs) - exponent * np.log(counts / 1e6))))
    return Growth(of, level, exponent)


def fit_fixed(of: str, points: list[tuple[float, float]]) -> Growth:
    """Fit a fixed and a linear cost through (count, cost), neither below 0, by least squares of relative errors."""
    counts, costs = np.array(points, dtype=float).T
    costs = np.maximum(costs, 1e-3)
    shares = np.column_stack([np.ones(len(counts)), counts / 1e6]) / costs[:, None]
    (fixed, linear), _ = nnls(shares, np.ones(len(counts)))
    return Growth(of, float(linear), 1.0, float(fixed))


def projection(grown: dict[str, Growth]) -> str:
    """Cores, hours and shuffle at sizes that need Spark, if each step goes on to grow as it did."""
    steps = {name: growth for name, growth in grown.items() if name not in ("pairs", "memory_gb", "disk_gb")}
    lines = [
        "| records | pairs | core hours, DuckDB | core hours, Spark | cores for 2 hours | shuffle, TB |",
        "|---|---|---|---|---|---|",
    ]
    for records in SIZES:
        pairs = grown["pairs"].at(records)
        counts = {"records": records, "pairs": pairs, "rows": records * 9.0}
        hours = sum(growth.at(counts[growth.of]) for growth in steps.values()) * CORES / 3600
        on_spark = hours * SPARK_OVERHEAD
        shuffle = (records * BYTES_PER_RECORD * 3 + pairs * (2 * BYTES_PER_RECORD + 3 * BYTES_PER_PAIR)) / 1e12
        lines.append(
            f"| {records / 1e6:,.0f} million | {pairs / 1e6:,.0f} million | {hours:,.1f} | {on_spark:,.1f} "
            f"| {math.ceil(on_spark / 2):,} | {shuffle:,.2f} |"
        )
    return "\n".join(lines)
