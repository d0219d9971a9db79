"""Why the forecast is made by this model: models side by side on held-out weeks, and what they suppose of the data."""

from __future__ import annotations

from typing import Any

from c360ml.dashboards.asking import Row
from c360ml.dashboards.charts import Colour, Field, lines
from c360ml.dashboards.formats import count, measure, money, share
from c360ml.dashboards.page import Block, Chart, DataTable

_KINDS = ("actual", "predicted")
_YEARS = {
    "value_year_1": "first year",
    "value_year_2": "second year",
    "value_year_3": "third year",
    "value_all_years": "without end",
}


def model_blocks(summary: dict[str, Any]) -> list[Block]:
    """Show the comparison of the models, the best forecast's tenths, assumptions, months, and value by year.

    Args:
        summary: what the valuation said; parts that it does not hold are left out.
    """
    blocks = [*_comparison(summary.get("comparison")), *_tenths(summary.get("by_tenth") or [])]
    rails = summary.get("guard_rails")
    if rails:
        blocks += [_assumptions(rails, summary), *_months(rails["months"])]
    return [*blocks, *_years(summary)]


def _comparison(comparison: dict[str, Any] | None) -> list[Block]:
    if not comparison:
        return []
    rows = [
        (
            row["title"],
            count(row["purchases"]),
            share(row["bias"]),
            measure(row["mae"]),
            measure(row["rmse"]),
            measure(row["gini"]),
            row["note"] or "",
        )
        for row in comparison["models"]
    ]
    columns = ("forecast", "purchases", "bias", "MAE", "RMSE", "Gini", "note")
    note = " ".join([comparison["why"] + ".", *(f"{said}." for said in comparison["notes"])])
    actual = count(next((row["actual"] for row in comparison["models"] if row["actual"] is not None), None))
    title = f"Models beside simple forecasts on held-out weeks, when {actual} purchases came"
    return [DataTable(title, columns, rows, texts=frozenset({6}), note=note)]


def _tenths(tenths: list[Row]) -> list[Block]:
    rows = [
        (str(row["tenth"]), measure(row["actual_mean"]), measure(row["predicted_mean"]), measure(row["lift"], 2))
        for row in tenths
    ]
    columns = ("tenth of customers", "actual", "predicted", "lift")
    note = "The best forecast first. Lift: purchases per customer by those of all customers."
    title = "Held-out purchases per customer by tenth of the forecast"
    return [DataTable(title, columns, rows, note=note, half=True)] if rows else []


def _assumptions(rails: dict[str, Any], summary: dict[str, Any]) -> DataTable:
    said = {
        "customers who bought once": rails["one_time_buyers"]["words"],
        "spend and frequency are independent": (rails["independence"] or {}).get("words"),
        "months are alike": rails["months"]["words"],
        "forecast and last holdout": (summary.get("recalibration") or {}).get("words"),
        "mean spend exists": (summary.get("gamma_gamma") or {}).get("no_mean_because"),
    }
    rows = [(what, words) for what, words in said.items() if words]
    return DataTable(
        "What the models suppose, held against the data", ("matter", "finding"), rows, texts=frozenset({1})
    )


def _months(months: dict[str, Any]) -> list[Block]:
    by_month = months["by_month"]
    if len(by_month) < 2 or months["effect"] is None:
        return []
    rows = [
        {"month": f"{row['month']}-01", "kind": kind, "purchases": row[name]}
        for row in by_month
        for kind, name in zip(_KINDS, ("repeat_purchases", "expected"), strict=True)
    ]
    table = DataTable(
        "Purchases by month",
        ("month", "purchases", "repeat purchases", "predicted"),
        [
            (row["month"], count(row["purchases"]), count(row["repeat_purchases"]), measure(row["expected"], 1))
            for row in by_month
        ],
    )
    spec = lines(
        rows,
        Field("month", "month"),
        Field("purchases", "repeat purchases in a month", ",.0f"),
        colour=Colour("kind", "kind", _KINDS),
        dates=True,
    )
    title = f"Months are {share(months['effect'], 0)} off what the model expects, chance apart"
    return [Chart(title, spec, legend=_KINDS, numbers=table, half=True)]


def _years(summary: dict[str, Any]) -> list[Block]:
    rows = [(title, money(summary[name], None)) for name, title in _YEARS.items() if summary.get(name) is not None]
    if not rows:
        return []
    note = "Each year alone, discounted to today; 'without end' holds all years, also those nobody can foresee."
    return [DataTable("Projected value by year", ("year", "value"), rows, note=note, half=True)]
