"""Measure a forecast on the last part of the data, which the models did not see."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from c360ml.customer_value.columns import Floats, as_frame, read_numbers, read_purchases
from c360ml.customer_value.fitting import ModelName, Models, fit_models
from c360ml.customer_value.forecast_errors import by_tenths, forecast_errors, ratio
from c360ml.customer_value.holdout import Split, baselines_of, split_days
from c360ml.customer_value.model_display import BacktestDisplay
from c360ml.customer_value.purchase_model import PurchaseModel
from c360ml.customer_value.transactions import (
    Day,
    Grain,
    PurchaseDays,
    Refunds,
    as_date,
    collect_purchase_days,
)
from c360ml.lakehouse import as_relation, connect

_MANY = 7  # repeat purchases from which customers are shown together, as in the papers


@dataclass(frozen=True)
class Backtest(BacktestDisplay):
    """How a forecast from the first part of the data met the last part.

    `metrics` are by customer (`mae`, `rmse`, `correlation`, `gini`: how well customers are ranked, 1 is as well as
    what came) and in sum (`bias` = predicted / actual - 1; `recalibration_factor` = actual / predicted), beside
    those of `baselines` that know no model: `past_rate` (the customer's rate so far goes on; also as `naive_*`),
    `last_period` (their last weeks come again) and `mean` (all buy at the mean rate). `tracking` holds cumulative
    repeat purchases by week, `by_repeat_purchases` means by the number of repeat purchases in the first part,
    `by_tenth` means and lift by tenth of customers, the best forecast first.
    """

    metrics: dict[str, Any]
    tracking: list[dict[str, Any]] = field(repr=False)
    by_repeat_purchases: list[dict[str, Any]] = field(repr=False)
    by_tenth: list[dict[str, Any]] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Write everything as plain JSON."""
        return asdict(self)

    def curves(self) -> dict[str, list[dict[str, Any]]]:
        """Take all but the metrics, for charts."""
        return {name: rows for name, rows in asdict(self).items() if name != "metrics"}


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
    model: ModelName = "bg_nbd",
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
    return backtest_days(days, as_date(holdout_start), refunds=refunds, model=model)


def backtest_days(
    days: PurchaseDays, holdout_start: dt.date, *, refunds: Refunds, model: ModelName = "bg_nbd"
) -> Backtest:
    """Backtest on purchase days that were collected before.

    Raises:
        DataError: there is nothing on one of the sides.
        FitError: the first part does not tell the parameters.
    """
    split = split_days(days, holdout_start, refunds=refunds)
    models = fit_models(split.table, model)
    forecast = models.purchases.expected_purchases(split.weeks, split.table)
    (actual,) = read_numbers(split.table, ["holdout_purchases"])
    return Backtest(
        metrics=_metrics(split, models, actual, forecast),
        tracking=_tracking(models.purchases, split),
        by_repeat_purchases=_by_repeat_purchases(split.table, actual, forecast),
        by_tenth=by_tenths(actual, forecast),
    )


def _metrics(split: Split, models: Models, actual: Floats, forecast: Floats) -> dict[str, Any]:
    baselines = {name: forecast_errors(actual, guess) for name, guess in baselines_of(split).items()}
    metrics: dict[str, Any] = {
        "model": models.purchases.kind,
        "customers": len(actual),
        "holdout_weeks": split.weeks,
        "actual_purchases": int(actual.sum()),
        **forecast_errors(actual, forecast),
        **{f"naive_{name}": value for name, value in baselines["past_rate"].items()},
        "baselines": baselines,
        "recalibration_factor": ratio(actual.sum(), forecast.sum()),
        "calibration_log_likelihood": models.purchases.log_likelihood_,
        "holdout_start": str(split.holdout_start),
        "observation_end": str(split.holdout_end),
    }
    return metrics | _spend_metrics(split, models, forecast)


def _spend_metrics(split: Split, models: Models, forecast: Floats) -> dict[str, Any]:
    if models.observed_mean_spend is None:
        return {}
    (spend,) = read_numbers(split.table, ["holdout_spend"])
    value = forecast * models.expected_spend(split.table)
    best = np.argsort(-value, kind="stable")[: max(1, len(value) // 10)]
    return {
        "actual_spend": float(spend.sum()),
        "predicted_spend": float(value.sum()),
        "spend_bias": ratio(value.sum(), spend.sum(), minus=1),
        "spend_of_predicted_top_decile": ratio(spend[best].sum(), spend.sum()),
    }


def _tracking(model: PurchaseModel, split: Split) -> list[dict[str, Any]]:
    """Add up repeat purchases and the model's expectation by the end of each whole week.

    A customer of day d (0 is the first) has been one for w - d / 7 weeks at the end of week w, as in BTYD.
    """
    frame, daily, start = as_frame(split.table), split.daily_repeats, split.start
    first_days = np.asarray([(first - start).days for first in frame["first_purchase_on"].to_pylist()], dtype=np.int64)
    newcomers = np.bincount(first_days, minlength=len(daily)).astype(np.float64)
    expected_by_age = model.expected_purchases_new(np.arange(len(daily) + 1) / 7)
    calibration_weeks = (split.holdout_start - start).days / 7
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


def _by_repeat_purchases(table: Any, actual: Floats, forecast: Floats) -> list[dict[str, Any]]:
    x, _, _ = read_purchases(table)
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
