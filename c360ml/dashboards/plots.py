"""Charts for notebooks: the report's own, as altair charts that show themselves.

>>> from c360ml.customer_value import BgNbd
>>> from c360ml.dashboards import plots
>>> history = {"repeat_purchases": [0, 1, 2, 6, 0, 3], "age_weeks": [38.9, 38.9, 38.9, 39.0, 30.0, 36.0],
...     "first_to_last_purchase_weeks": [0.0, 5.0, 30.4, 38.0, 0.0, 12.0], "weight": [1411, 439, 214, 64, 300, 90]}
>>> model = BgNbd(penalty=1).fit(pa.table(history))
>>> type(plots.plot_alive_grid(model, age_weeks=39)).__name__
'LayerChart'
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa

from c360ml.customer_value.backtest import Backtest
from c360ml.customer_value.columns import as_frame, names_of, read_numbers
from c360ml.customer_value.purchase_model import PurchaseModel
from c360ml.dashboards.campaign_results import funnel_spec
from c360ml.dashboards.charts import Colour, Field, bars, grouped_bars, histogram, lines
from c360ml.dashboards.page import Spec
from c360ml.dashboards.purchase_charts import alive_chart, alive_rows, belief_grid, belief_rows
from c360ml.errors import ColumnError, DataError

_WIDTH = 520
_KINDS = ("actual", "predicted")
_STYLE = Path(__file__).parent / "style.css"


def plot_alive_grid(model: PurchaseModel, *, age_weeks: float) -> Any:
    """Show the probability of still being a customer, by repeat purchases and weeks since the last one."""
    rows = belief_rows(model, age_weeks=age_weeks, weeks_ahead=52)
    return as_altair(belief_grid(rows, Field("probability_alive", "probability of still being a customer", ".0%")))


def plot_purchases_grid(model: PurchaseModel, *, age_weeks: float, weeks_ahead: float = 52) -> Any:
    """Show the purchases expected in the coming weeks, by repeat purchases and weeks since the last one."""
    rows = belief_rows(model, age_weeks=age_weeks, weeks_ahead=weeks_ahead)
    return as_altair(belief_grid(rows, Field("expected_purchases", "purchases expected", ".2f")))


def plot_history_alive(model: PurchaseModel, purchase_days: Sequence[dt.date], observation_end: dt.date) -> Any:
    """Show one customer's probability of still being one over their life; points are purchases."""
    return as_altair(alive_chart(alive_rows(model, purchase_days, observation_end)))


def plot_tracking(backtest: Backtest) -> Any:
    """Show the repeat purchases of each week, actual and predicted, with the start of the holdout."""
    rows: list[dict[str, Any]] = []
    for kind, name in zip(_KINDS, ("actual_cumulative", "expected_cumulative"), strict=True):
        so_far = np.array([week[name] for week in backtest.tracking], dtype=np.float64)
        by_week = np.diff(so_far, prepend=0.0).tolist()
        rows += [
            {"until": week["until"], "kind": kind, "purchases": count}
            for week, count in zip(backtest.tracking, by_week, strict=True)
        ]
    spec = lines(
        rows,
        Field("until", "week ending"),
        Field("purchases", "repeat purchases in the week", ",.0f"),
        colour=Colour("kind", "kind", _KINDS),
        dates=True,
        mark_x=(backtest.metrics["holdout_start"], "held out"),
    )
    return as_altair(spec, legend=True)


def plot_calibration(backtest: Backtest) -> Any:
    """Show mean held-out purchases by repeat purchases before, actual and predicted."""
    rows = [
        {"repeats": group["repeat_purchases"], "kind": kind, "mean": group[f"{kind}_mean"]}
        for group in backtest.by_repeat_purchases
        for kind in _KINDS
    ]
    spec = grouped_bars(
        rows,
        Field("repeats", "repeat purchases before"),
        Field("mean", "held-out purchases per customer, by repeat purchases before", ".2f"),
        Colour("kind", "kind", _KINDS),
    )
    return as_altair(spec, legend=True)


def plot_value_distribution(customers: Any, *, value: str = "projected_value", bins_per_decade: int = 4) -> Any:
    """Show how value is spread over customers, on a log scale; values of 0 or less are left out.

    The first bar holds all below a thousandth of the median: who is almost surely gone is worth next to nothing.

    Args:
        customers: table of `value_transactions` or `gold.customer_value`.
        value: column to show.
        bins_per_decade: bars for each factor of ten.

    Raises:
        ColumnError: the column is missing.
        DataError: no value is above 0.
    """
    (amounts,) = read_numbers(as_frame(customers), [value])
    amounts = amounts[np.isfinite(amounts) & (amounts > 0)]
    if not len(amounts):
        raise DataError(f"{value} must be above 0 for some customer", got="none", hint="choose another column")
    amounts = np.maximum(amounts, np.median(amounts) / 1000)
    place = np.floor(np.log10(amounts) * bins_per_decade).astype(np.int64)
    edges, counts = np.unique(place, return_counts=True)
    rows = [
        {"low": 10 ** (edge / bins_per_decade), "high": 10 ** ((edge + 1) / bins_per_decade), "customers": count}
        for edge, count in zip(edges.tolist(), counts.tolist(), strict=True)
    ]
    title = f"{value.replace('_', ' ')} of a customer (log scale)"
    fields = Field("low", title, "~s"), Field("high", "to", "~s"), Field("customers", "customers", ",")
    return as_altair(histogram(rows, *fields, log=True))


def plot_segments(customers: Any, *, segment: str = "rfm_segment", value: str = "projected_value") -> Any:
    """Show the customers of each segment and what they are worth together, most valuable first.

    Raises:
        ColumnError: a column is missing.
    """
    frame = as_frame(customers)
    if segment not in names_of(frame):
        raise ColumnError("the segments must be a column", got=segment, hint=f"choose of {names_of(frame)}")
    names = np.array(
        [
            str(name)
            for name in list(frame[segment].to_pylist() if hasattr(frame[segment], "to_pylist") else frame[segment])
        ]
    )
    (amounts,) = read_numbers(frame, [value])
    kinds, place = np.unique(names, return_inverse=True)
    sums, counts = np.bincount(place, np.nan_to_num(amounts)), np.bincount(place)
    rows = [
        {"segment": str(kinds[at]), "value": float(sums[at]), "customers": int(counts[at])}
        for at in np.argsort(-sums, kind="stable")
    ]
    spec = bars(
        rows,
        Field("segment", segment.replace("_", " ")),
        Field("value", f"{value.replace('_', ' ')} of all", ".3s"),
        more=(Field("customers", "customers", ","),),
    )
    return as_altair(spec)


def plot_campaign_funnel(results: Any) -> Any:
    """Show the shares of customers sent a campaign who opened, clicked and bought.

    Args:
        results: table of `campaign_results` or `gold.campaign_results`.

    Raises:
        DataError: no campaign was sent.
    """
    table = as_frame(results)
    rows: list[dict[str, Any]] = table.to_pylist() if isinstance(table, pa.Table) else table.to_dict("records")
    whole = [row for row in rows if row["value_tier"] == "ALL" and row["sent"]]
    if not whole:
        raise DataError("some campaign must have been sent", got="none", hint="check the sends")
    named = [{**row, "campaign": row["campaign_name"] or row["campaign_id"]} for row in whole]
    return as_altair(funnel_spec(named), legend=True)


def as_altair(spec: Spec, *, legend: bool = False) -> Any:
    """Make an altair chart of one of the report's specifications, in the report's light colours.

    Args:
        spec: what a function of `charts` gives.
        legend: show which colour is which, which in the report the card does.
    """
    colours = _colours()
    plain = re.sub(r"var\(--([a-z0-9-]+)\)", lambda found: colours[found.group(1)], json.dumps(spec))
    content: dict[str, Any] = json.loads(plain)
    content |= {"width": _WIDTH, "config": _theme(colours)}
    content.pop("autosize", None)
    if legend:
        for layer in content.get("layer", [content]):
            if "color" in layer["encoding"]:
                layer["encoding"]["color"].pop("legend", None)
    return alt.Chart.from_dict(content)


def _colours() -> Mapping[str, str]:
    """Colours of the page's light style: the first of each name."""
    found = re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", _STYLE.read_text("utf-8"))
    return dict(reversed(found))


def _theme(colours: Mapping[str, str]) -> dict[str, Any]:
    series = [colours[f"series-{number}"] for number in range(1, 6)]
    return {
        "view": {"stroke": None},
        "axis": {
            "labelColor": colours["muted"],
            "titleColor": colours["muted"],
            "gridColor": colours["line"],
            "titleFontWeight": "normal",
            "labelLimit": 260,
            "labelSeparation": 4,
        },
        "range": {"category": series},
        "bar": {"color": series[0]},
        "rect": {"color": series[0]},
        "line": {"color": series[0]},
        "point": {"color": series[0], "filled": True},
        "style": {"reference": {"color": colours["muted"], "strokeDash": [4, 4], "strokeWidth": 1}},
    }
