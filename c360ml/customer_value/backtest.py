"""Measure the forecast on the last part of the data, which the models did not see."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from c360ml.customer_value.bg_nbd import BgNbd
from c360ml.customer_value.columns import Floats, as_frame, read_numbers, read_purchases
from c360ml.customer_value.fitting import Models, fit_models
from c360ml.customer_value.history import history_of
from c360ml.customer_value.transactions import (
    Day,
    Grain,
    PurchaseDays,
    Refunds,
    as_date,
    collect_purchase_days,
)
from c360ml.errors import DataError
from c360ml.lakehouse import as_relation, connect

_MANY = 7  # repeat purchases from which customers are shown together, as in the papers

_SPLIT = """
select
    history.*,
    coalesce(holdout.purchases, 0)                                            as holdout_purchases,
    coalesce(holdout.spend, 0)                                                as holdout_spend
from calibration history
left join (
    select
        customer_id,
        count(*) filter (where purchases > 0)                                 as purchases,
        (coalesce(sum(spend), 0) + case when $net then coalesce(sum(refunded), 0) else 0 end)::double as spend
    from {days}
    where day >= $holdout_start
    group by customer_id
) holdout using (customer_id)
order by customer_id
"""

_DAILY_REPEATS = """
select (day - $start)::int as since_start, count(*) as repeats
from {days}
join (select customer_id, first_purchase_on from calibration) using (customer_id)
where purchases > 0 and day > first_purchase_on
group by since_start
"""


@dataclass(frozen=True)
class Backtest:
    """How a forecast from the first part of the data met the last part.

    `metrics` are by customer (`mae`, `rmse`, `correlation`) and in sum (`bias` = predicted / actual - 1),
    beside a naive forecast of `naive_*`: the customer's past rate goes on. `tracking` holds cumulative repeat
    purchases by week, `by_repeat_purchases` means by the number of repeat purchases in the first part.
    """

    metrics: dict[str, float | int | str | None]
    tracking: list[dict[str, Any]] = field(repr=False)
    by_repeat_purchases: list[dict[str, Any]] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Write everything as plain JSON."""
        return asdict(self)


def holdout_backtest(
    transactions: Any,
    *,
    customer: str,
    date: str,
    holdout_start: Day,
    amount: str | None = None,
    observation_end: Day | None = None,
    grain: Grain = "day",
    refunds: Refunds = "net",
) -> Backtest:
    """Fit on the days before `holdout_start` and compare the forecast with the days from it on.

    Purchases and spend are counted in the same way on both sides. Only customers who bought before
    `holdout_start` count.

    Raises:
        ColumnError: a column is missing, or cannot hold dates or amounts.
        DataError: there is nothing on one of the sides.
        FitError: the first part does not tell the parameters.

    >>> import pandas
    >>> days = pandas.Timestamp("2024-01-01") + pandas.to_timedelta([n * n % 364 for n in range(400)], "D")
    >>> sales = pandas.DataFrame({"who": [n % 40 for n in range(400)], "day": days})
    >>> test = holdout_backtest(sales, customer="who", date="day", holdout_start="2024-10-01")
    >>> test.metrics["customers"], test.metrics["holdout_weeks"]
    (40, 12.571428571428571)
    """
    con = connect()
    days = collect_purchase_days(
        con,
        as_relation(con, transactions),
        customer=customer,
        date=date,
        amount=amount,
        observation_end=observation_end,
        grain=grain,
    )
    return backtest_days(days, as_date(holdout_start), refunds=refunds)


def backtest_days(days: PurchaseDays, holdout_start: dt.date, *, refunds: Refunds) -> Backtest:
    """Backtest on purchase days that were collected before.

    Raises:
        DataError: there is nothing on one of the sides.
        FitError: the first part does not tell the parameters.
    """
    if holdout_start > days.observation_end:
        raise DataError(
            "the holdout must start by the observation end",
            got=f"{holdout_start} after {days.observation_end}",
            hint="give an earlier day",
        )
    history_of(days, refunds=refunds, until=holdout_start - dt.timedelta(days=1)).create("calibration")
    try:
        parameters = {"holdout_start": holdout_start, "net": refunds == "net"}
        split = days.con.sql(_SPLIT.format(days=days.name), params=parameters).to_arrow_table()
        start, daily = _daily_repeats(days)
    finally:
        days.con.execute("drop table calibration").fetchall()
    models = fit_models(split)
    weeks = ((days.observation_end - holdout_start).days + 1) / 7
    calibration_weeks = (holdout_start - start).days / 7
    forecast = models.bgnbd.expected_purchases(weeks, split)
    return Backtest(
        metrics=_metrics(split, models, forecast, weeks)
        | {"holdout_start": str(holdout_start), "observation_end": str(days.observation_end)},
        tracking=_tracking(models.bgnbd, split, start, daily, calibration_weeks),
        by_repeat_purchases=_by_repeat_purchases(split, forecast),
    )


def _daily_repeats(days: PurchaseDays) -> tuple[dt.date, Floats]:
    """Count repeat purchases by day since the first purchase of all."""
    start = days.con.execute("select min(first_purchase_on) from calibration").fetchall()[0][0]
    rows = days.con.execute(_DAILY_REPEATS.format(days=days.name), {"start": start}).fetchall()
    daily = np.zeros((days.observation_end - start).days + 1)
    for since_start, repeats in rows:
        daily[since_start] = repeats
    return start, daily


def _metrics(split: Any, models: Models, forecast: Floats, weeks: float) -> dict[str, Any]:
    x, _, age = read_purchases(split)
    actual, spend = read_numbers(split, ["holdout_purchases", "holdout_spend"])
    rate = np.divide(x, age, out=np.zeros_like(x), where=age > 0)
    metrics: dict[str, Any] = {
        "customers": len(x),
        "holdout_weeks": weeks,
        "actual_purchases": int(actual.sum()),
    }
    metrics |= _errors(actual, forecast) | {
        f"naive_{name}": value for name, value in _errors(actual, rate * weeks).items()
    }
    metrics["calibration_log_likelihood"] = models.bgnbd.log_likelihood_
    if models.observed_mean_spend is not None:
        value = forecast * models.expected_spend(split)
        best = np.argsort(-value, kind="stable")[: max(1, len(value) // 10)]
        metrics |= {
            "actual_spend": float(spend.sum()),
            "predicted_spend": float(value.sum()),
            "spend_bias": _ratio(value.sum(), spend.sum()),
            "spend_of_predicted_top_decile": _ratio(spend[best].sum(), spend.sum(), minus=0),
        }
    return metrics


def _errors(actual: Floats, forecast: Floats) -> dict[str, float | None]:
    error = forecast - actual
    varied = actual.std() > 0 and forecast.std() > 0
    return {
        "predicted_purchases": float(forecast.sum()),
        "bias": _ratio(forecast.sum(), actual.sum()),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "correlation": float(np.corrcoef(actual, forecast)[0, 1]) if varied else None,
    }


def _ratio(part: float, whole: float, *, minus: int = 1) -> float | None:
    return float(part / whole - minus) if whole > 0 else None


def _tracking(
    bgnbd: BgNbd, split: Any, start: dt.date, daily: Floats, calibration_weeks: float
) -> list[dict[str, Any]]:
    """Add up repeat purchases and the model's expectation by the end of each whole week.

    A customer of day d (0 is the first) has been one for w - d / 7 weeks at the end of week w, as in BTYD.
    """
    frame = as_frame(split)
    first_days = np.asarray([(first - start).days for first in frame["first_purchase_on"].to_pylist()], dtype=np.int64)
    newcomers = np.bincount(first_days, minlength=len(daily)).astype(np.float64)
    expected_by_age = bgnbd.expected_purchases_new(np.arange(len(daily) + 1) / 7)
    rows = []
    for week in range(1, len(daily) // 7 + 1):
        known = newcomers[: 7 * week]
        rows.append(
            {
                "week": week,
                "until": str(start + dt.timedelta(days=7 * week - 1)),
                "holdout": week > calibration_weeks,
                "actual_cumulative": int(daily[: 7 * week].sum()),
                "expected_cumulative": float(known @ expected_by_age[7 * week : 0 : -1]),
            }
        )
    return rows


def _by_repeat_purchases(split: Any, forecast: Floats) -> list[dict[str, Any]]:
    x, actual = read_numbers(split, ["repeat_purchases", "holdout_purchases"])
    group = np.minimum(x, _MANY).astype(np.int64)
    customers = np.bincount(group)
    actuals, forecasts = np.bincount(group, actual), np.bincount(group, forecast)
    return [
        {
            "repeat_purchases": f"{x}+" if x == _MANY else str(x),
            "customers": int(count),
            "actual_mean": float(actuals[x] / count),
            "predicted_mean": float(forecasts[x] / count),
        }
        for x, count in enumerate(customers)
        if count
    ]
