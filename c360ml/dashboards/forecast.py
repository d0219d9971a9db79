"""Whether the forecast can be believed: who is still a customer, and predicted against actual purchases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml.dashboards.asking import Row, ask
from c360ml.dashboards.charts import Colour, Field, grouped_bars, histogram, lines
from c360ml.dashboards.formats import count, measure, share
from c360ml.dashboards.model_choice import model_blocks
from c360ml.dashboards.page import Block, Chart, DataTable, Text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ALIVE = """
    with known as (
        select least(floor(probability_alive * 20), 19)::int as bin from gold.customer_value
        where probability_alive is not null
    ),
    bins as (
        select unnest(range(20)) as bin
    )
    select bin / 20 as low, (bin + 1) / 20 as high, count(known.bin) as customers
    from bins left join known using (bin)
    group by bin order by bin
"""
_KINDS = ("actual", "predicted")
_MOST_POINTS = 60


def forecast_blocks(con: DuckDBPyConnection, summary: dict[str, Any]) -> list[Block]:
    """Show probability alive, the forecast on held-out weeks, and the models' parameters.

    Args:
        con: holds `gold.customer_value`.
        summary: what the valuation said; `tracking` and `by_repeat_purchases` if there was a holdout.
    """
    return [*_alive(con), *_holdout(summary), *model_blocks(summary), *_parameters(summary)]


def _alive(con: DuckDBPyConnection) -> list[Block]:
    rows = ask(con, _ALIVE)
    total = sum(row["customers"] for row in rows)
    if not total:
        return []
    gone = sum(row["customers"] for row in rows if row["low"] < 0.5)
    table = DataTable(
        "Probability alive",
        ("from", "to", "customers"),
        [(share(row["low"], 0), share(row["high"], 0), count(row["customers"])) for row in rows],
    )
    spec = histogram(
        rows,
        Field("low", "probability of still being a customer", ".0%"),
        Field("high", "to", ".0%"),
        Field("customers", "customers", ","),
    )
    return [Chart(f"{share(gone / total, 0)} of buyers have more likely left than not", spec, numbers=table, half=True)]


def _holdout(summary: dict[str, Any]) -> list[Block]:
    holdout = summary.get("holdout")
    if not holdout:
        return (
            [Text("No weeks were held out, so the forecast was not compared with what came.")]
            if summary.get("fitted")
            else []
        )
    if not holdout.get("measured", True):
        return [Text(f"The forecast was not compared with what came: {holdout['reason']}")]
    blocks: list[Block] = [_errors(holdout)]
    if summary.get("tracking"):
        blocks = [*_tracking(summary["tracking"], holdout), *blocks]
    if summary.get("by_repeat_purchases"):
        blocks.append(_by_repeat_purchases(summary["by_repeat_purchases"]))
    return blocks


def _tracking(tracking: list[Row], holdout: dict[str, Any]) -> list[Block]:
    start = holdout["holdout_start"]
    bias = holdout["bias"]
    title = f"Repeat purchases of the {measure(holdout['holdout_weeks'], 2)} held-out weeks against the forecast"
    if bias is not None:
        title = (
            f"The forecast of the held-out weeks has {share(abs(bias))} too {'many' if bias > 0 else 'few'} purchases"
        )
    mark = (start, "held out →")
    cumulative = [
        {"until": week["until"], "kind": kind, "purchases": week[name]}
        for week in tracking
        for kind, name in zip(_KINDS, ("actual_cumulative", "expected_cumulative"), strict=True)
    ]
    weeks = max(1, -(-len(tracking) // _MOST_POINTS))
    by_period = [
        row
        for kind, name in zip(_KINDS, ("actual_cumulative", "expected_cumulative"), strict=True)
        for row in _increments(tracking[weeks - 1 :: weeks], kind, name)
    ]
    x, colour = Field("until", "week ending"), Colour("kind", "kind", _KINDS)
    period = "week" if weeks == 1 else f"{weeks} weeks"
    span = "a week" if weeks == 1 else period
    table = DataTable(
        "Repeat purchases",
        ("week ending", "actual", "predicted", "held out"),
        [
            (
                week["until"],
                count(week["actual_cumulative"]),
                measure(week["expected_cumulative"], 1),
                "yes" if week["holdout"] else "",
            )
            for week in tracking[weeks - 1 :: weeks]
        ],
    )
    return [
        Chart(
            title,
            lines(
                cumulative,
                x,
                Field("purchases", "repeat purchases so far", ",.0f"),
                colour=colour,
                dates=True,
                mark_x=mark,
            ),
            numbers=table,
            legend=_KINDS,
            half=True,
        ),
        Chart(
            f"Does the model follow the weeks? Repeat purchases every {period}",
            lines(
                by_period,
                x,
                Field("purchases", f"repeat purchases in {span}", ",.0f"),
                colour=colour,
                dates=True,
                mark_x=mark,
            ),
            legend=_KINDS,
            half=True,
        ),
    ]


def _increments(tracking: list[Row], kind: str, name: str) -> list[Row]:
    earlier = [0.0, *(row[name] for row in tracking)]
    return [
        {"until": row["until"], "kind": kind, "purchases": row[name] - before}
        for row, before in zip(tracking, earlier, strict=False)
    ]


def _errors(holdout: dict[str, Any]) -> DataTable:
    def line(title: str, name: str, show: Any) -> tuple[str, str, str]:
        return title, show(holdout.get(name)), show(holdout.get(f"naive_{name}"))

    rows = [
        ("actual purchases", count(holdout["actual_purchases"]), count(holdout["actual_purchases"])),
        line("predicted purchases", "predicted_purchases", count),
        line("bias", "bias", share),
        line("mean absolute error, purchases per customer", "mae", measure),
        line("root mean square error", "rmse", measure),
        line("correlation by customer", "correlation", measure),
    ]
    if holdout.get("spend_bias") is not None:
        rows.append(("bias of spend", share(holdout["spend_bias"]), share(None)))
    return DataTable(
        "Errors of the forecast on the held-out weeks",
        ("measure", "model", "past rate goes on"),
        rows,
        note=f"{count(holdout['customers'])} customers, held out from {holdout['holdout_start']}.",
        half=True,
    )


def _by_repeat_purchases(groups: list[Row]) -> Chart:
    rows = [
        {"repeats": group["repeat_purchases"], "kind": kind, "mean": group[f"{kind}_mean"]}
        for group in groups
        for kind in _KINDS
    ]
    table = DataTable(
        "Held-out purchases by repeat purchases before",
        ("repeat purchases before", "customers", "actual", "predicted"),
        [
            (
                group["repeat_purchases"],
                count(group["customers"]),
                measure(group["actual_mean"]),
                measure(group["predicted_mean"]),
            )
            for group in groups
        ],
    )
    spec = grouped_bars(
        rows,
        Field("repeats", "repeat purchases before"),
        Field("mean", "held-out purchases per customer, by repeat purchases before", ".2f"),
        Colour("kind", "kind", _KINDS),
    )
    return Chart("Do frequent buyers buy on as predicted?", spec, legend=_KINDS, numbers=table, half=True)


def _parameters(summary: dict[str, Any]) -> list[Block]:
    models = (summary.get("purchase_model"), summary.get("gamma_gamma"))
    rows = [
        (model["model"], _with_errors(model), measure(model["log_likelihood"]), count(model["customers"]))
        for model in models
        if model
    ]
    if not rows:
        return []
    columns = ("model", "parameters, ± standard error", "log-likelihood", "customers")
    notes = " ".join(summary.get("notes") or [])
    return [DataTable("Parameters of the models", columns, rows, texts=frozenset({1}), note=notes)]


def _with_errors(model: dict[str, Any]) -> str:
    errors = model.get("standard_errors") or {}
    return ", ".join(
        f"{name} {measure(value)} ± {measure(errors.get(name))}" for name, value in model["params"].items()
    )
