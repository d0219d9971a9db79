"""What a model of purchases believes: grids by repeat purchases and silence, and one customer's life."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from c360ml.customer_value.purchase_model import PurchaseModel
from c360ml.dashboards.charts import Field, heatmap, lines
from c360ml.dashboards.page import Spec
from c360ml.errors import DataError

Row = dict[str, Any]

REPEATS = (0, 1, 2, 3, 5, 8, 13)
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
_MOST_DAYS = 400


def belief_rows(model: PurchaseModel, *, age_weeks: float, weeks_ahead: float) -> list[Row]:
    """Work out what the model believes of customers of one age, by repeat purchases and weeks since the last one.

    Args:
        model: fitted model.
        age_weeks: weeks since the first purchase.
        weeks_ahead: weeks in which purchases are expected.

    Returns:
        `repeats`, `silence` (weeks since the last purchase), `probability_alive`, `expected_purchases`.
    """
    silences = [0.0, *(round(share * age_weeks) for share in _SHARES[1:-1]), age_weeks]
    cells = [(x, min(silence, age_weeks)) for x in reversed(REPEATS) for silence in sorted(set(silences))]
    # Who bought once has been silent since; who bought again did so some time after the first.
    last = [0.0 if x == 0 else max(age_weeks - silence, age_weeks / 1000) for x, silence in cells]
    history = pa.table(
        {
            "repeat_purchases": [x for x, _ in cells],
            "first_to_last_purchase_weeks": last,
            "age_weeks": [age_weeks] * len(cells),
        }
    )
    alive, expected = model.probability_alive(history), model.expected_purchases(weeks_ahead, history)
    return [
        {"repeats": f"{x}", "silence": f"{silence:.0f}", "probability_alive": float(p), "expected_purchases": float(n)}
        for (x, silence), p, n in zip(cells, alive, expected, strict=True)
        if x or silence == age_weeks
    ]


def belief_grid(rows: Sequence[Row], value: Field) -> Spec:
    """Draw one of the grids of `belief_rows`."""
    spec = heatmap(
        rows, Field("silence", "weeks since the last purchase"), Field("repeats", "repeat purchases"), value, text=value
    )
    silences = sorted({row["silence"] for row in rows}, key=float)
    for layer in spec["layer"]:
        layer["encoding"]["x"]["sort"] = silences
    return spec


def alive_rows(model: PurchaseModel, purchase_days: Sequence[dt.date], observation_end: dt.date) -> list[Row]:
    """Follow one customer: the probability of still being a customer, day by day (fewer for long lives).

    Args:
        model: fitted model.
        purchase_days: days of purchases, in any order; one day is one purchase.
        observation_end: last day.

    Returns:
        `day`, `probability_alive`, `bought`.

    Raises:
        DataError: there is no purchase by the observation end.
    """
    days = sorted({day for day in purchase_days if day <= observation_end})
    if not days:
        raise DataError(
            "a customer must have a purchase by the observation end", got=f"none of {len(purchase_days)}", hint="later"
        )
    span = (observation_end - days[0]).days
    step = max(1, span // _MOST_DAYS)
    since = np.array([(day - days[0]).days for day in days])
    offsets = np.unique(np.concatenate([np.arange(0, span + 1, step), since, since[1:] - 1, [span]]))
    so_far = np.searchsorted(since, offsets, side="right") - 1
    history = pa.table(
        {
            "repeat_purchases": so_far,
            "first_to_last_purchase_weeks": since[so_far] / 7,
            "age_weeks": offsets / 7,
        }
    )
    alive = model.probability_alive(history)
    bought = np.isin(offsets, since)
    return [
        {"day": days[0] + dt.timedelta(days=int(offset)), "probability_alive": float(p), "bought": bool(purchase)}
        for offset, p, purchase in zip(offsets, alive, bought, strict=True)
    ]


def alive_chart(rows: Sequence[Row]) -> Spec:
    """Draw what `alive_rows` tells; points are purchases."""
    alive = Field("probability_alive", "probability of still being a customer", ".0%")
    spec = lines(rows, Field("day", "day"), alive, dates=True)
    spec["layer"][1]["transform"] = [{"filter": "datum.bought"}]
    spec["layer"][1]["mark"] |= {"opacity": 1}
    for layer in spec["layer"]:
        layer["encoding"]["y"] |= {"scale": {"domain": [0, 1]}}
    return spec
