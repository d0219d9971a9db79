"""The table of models at the end of `c360ml value`: which one forecasts best, and why it was taken."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def model_tables(metrics: dict[str, Any]) -> list[Table]:
    """Tables of the compared models and of what they suppose; none where nothing was compared or fitted."""
    return [*_comparison(metrics.get("comparison")), *_findings(metrics)]


def _comparison(comparison: dict[str, Any] | None) -> list[Table]:
    if not comparison:
        return []
    origins = len({row["origin"] for row in comparison["origins"]})
    title = f"Models on {origins} holdout{'s' if origins > 1 else ''} of {comparison['holdout_weeks']:.0f} weeks"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("forecast", style="dim", no_wrap=True, min_width=26)
    for name in ("purchases", "came", "bias", "MAE", "RMSE", "Gini"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in comparison["models"]:
        table.add_row(row["title"] + (" *" if row["name"] == comparison["winner"] else ""), *_cells(row))
    return [table]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    formats = {"purchases": ",.0f", "actual": ",.0f", "bias": "+.1%", "mae": ".3f", "rmse": ".3f", "gini": ".3f"}
    return tuple("-" if row[name] is None else format(row[name], shape) for name, shape in formats.items())


def _findings(metrics: dict[str, Any]) -> list[Table]:
    rails = metrics.get("guard_rails")
    if not rails:
        return []
    said = {
        "why this model": metrics["why_this_model"],
        "last holdout": metrics["recalibration"]["words"],
        "one-time buyers": rails["one_time_buyers"]["words"],
        "spend and frequency": (rails["independence"] or {}).get("words"),
        "months": rails["months"]["words"],
    }
    comparison = metrics.get("comparison") or {"notes": [], "models": []}
    notes = [*comparison["notes"], *(row["note"] for row in comparison["models"] if row["note"])]
    table = Table(
        title="Can it be believed?",
        title_justify="left",
        title_style="bold",
        show_header=False,
        box=None,
        pad_edge=False,
    )
    table.add_column(style="dim", no_wrap=True, min_width=26)
    table.add_column(overflow="fold")
    for name, words in [*said.items(), *(("note", note) for note in notes)]:
        if words:
            table.add_row(name, words)
    return [table]
