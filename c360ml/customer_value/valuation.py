"""From transactions to the value of every customer, in one call."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from c360ml.customer_value.backtest import Backtest, backtest_days
from c360ml.customer_value.columns import read_numbers, with_columns
from c360ml.customer_value.fitting import Models, fit_models
from c360ml.customer_value.history import history_of
from c360ml.customer_value.lifetime_value import add_value
from c360ml.customer_value.transactions import (
    Day,
    Grain,
    PurchaseDays,
    Refunds,
    as_date,
    collect_purchase_days,
    count_customers_with_refunds_only,
)
from c360ml.errors import C360Error, DataError, FitError
from c360ml.lakehouse import as_relation, connect, same_kind

FORMAT = 1
VALUE_COLUMNS = (
    "customer_id",
    "repeat_purchases",
    "first_to_last_purchase_weeks",
    "age_weeks",
    "mean_spend",
    "probability_alive",
    "expected_purchases",
    "expected_spend",
    "historical_value",
    "projected_value",
)


@dataclass(frozen=True)
class Valuation:
    """What customers are worth: a table, the histories it rests on, the models, and how good they are.

    `table` has one row a customer and `VALUE_COLUMNS`; `history` is that of `purchase_history`; `model` is
    plain JSON; `metrics` too: `fitted` (and `reason` if not), counts, parameters, sums, `holdout`.
    """

    table: Any = field(repr=False)
    history: Any = field(repr=False)
    model: dict[str, Any]
    metrics: dict[str, Any]
    backtest: Backtest | None = field(default=None, repr=False)


def value_transactions(
    transactions: Any,
    *,
    customer: str,
    date: str,
    amount: str,
    observation_end: Day | None = None,
    holdout_start: Day | None = None,
    horizon_weeks: float = 52,
    discount_rate_per_year: float = 0.10,
    grain: Grain = "day",
    refunds: Refunds = "net",
) -> Valuation:
    """Value every customer of a transaction table.

    Where the data cannot carry a forecast (fewer than 20 customers with repeat purchases, say), forecasts are
    null, past values stand, and `metrics["fitted"]` and `metrics["reason"]` say so.

    Raises:
        ColumnError: a column is missing, or cannot hold dates or amounts.
        DataError: dates or amounts cannot be read, or there is no purchase.

    >>> import pandas
    >>> sales = pandas.DataFrame({
    ...     "who": ["ann", "ann", "bob"], "day": ["20240101", "20240201", "20240301"], "paid": [10, 20, 30]})
    >>> valuation = value_transactions(sales, customer="who", date="day", amount="paid")
    >>> valuation.table["historical_value"].to_list(), valuation.metrics["reason"]
    ([30.0, 30.0], 'a forecast must rest on at least 20 customers with repeat purchases. Got 1.')
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
    valuation = value_days(
        days,
        holdout_start=None if holdout_start is None else as_date(holdout_start),
        horizon_weeks=horizon_weeks,
        discount_rate_per_year=discount_rate_per_year,
        refunds=refunds,
    )
    return Valuation(
        same_kind(as_relation(con, valuation.table), transactions),
        same_kind(as_relation(con, valuation.history), transactions),
        valuation.model,
        valuation.metrics,
        valuation.backtest,
    )


def value_days(
    days: PurchaseDays,
    *,
    holdout_start: dt.date | None,
    horizon_weeks: float,
    discount_rate_per_year: float,
    refunds: Refunds,
) -> Valuation:
    """Value every customer of purchase days that were collected before; tables are Arrow."""
    history = history_of(days, refunds=refunds).to_arrow_table()
    model: dict[str, Any] = {
        "format": FORMAT,
        "observation_end": str(days.observation_end),
        "refunds": refunds,
        "horizon_weeks": horizon_weeks,
        "discount_rate_per_year": discount_rate_per_year,
    }
    metrics: dict[str, Any] = {"transactions": _plain_counts(days)} | _past(history)
    try:
        models = fit_models(history)
    except (DataError, FitError) as error:
        reason = _reason(error)
        metrics |= {"fitted": False, "reason": reason, "projected_value": None, "holdout": None}
        return Valuation(_without_forecast(history), history, model | {"fitted": False, "reason": reason}, metrics)
    valued = _with_forecast(models, history, horizon_weeks, discount_rate_per_year)
    tested, holdout = _test(days, holdout_start, refunds)
    model |= {
        "fitted": True,
        "bgnbd": models.bgnbd.to_dict(),
        "gamma_gamma": models.gamma_gamma.to_dict() if models.gamma_gamma else None,
        "observed_mean_spend": models.observed_mean_spend,
    }
    metrics |= {"fitted": True, "notes": list(models.notes)} | _measures(model)
    metrics |= _future(valued) | {"holdout": holdout}
    return Valuation(valued, history, model, metrics, tested)


def _plain_counts(days: PurchaseDays) -> dict[str, Any]:
    refunds_only = count_customers_with_refunds_only(days)
    span = {"observation_end": str(days.observation_end)}
    return days.counts | {"customers_with_refunds_only": refunds_only} | span


def _past(history: Any) -> dict[str, Any]:
    x, spend = read_numbers(history, ["repeat_purchases", "total_spend"])
    return {
        "customers": len(x),
        "repeat_buyers": int((x > 0).sum()),
        "repeat_purchases": int(x.sum()),
        "historical_value": float(np.nansum(spend)),
    }


def _future(valued: Any) -> dict[str, Any]:
    purchases, value = read_numbers(valued, ["expected_purchases", "projected_value"])
    known = np.isfinite(value)
    return {
        "expected_purchases": float(purchases.sum()),
        "projected_value": float(value[known].sum()) if known.any() else None,
    }


def _measures(model: dict[str, Any]) -> dict[str, Any]:
    wanted = ["params", "standard_errors", "log_likelihood", "aic", "bic", "customers", "independence"]
    wanted += ["population_mean_spend", "settings"]
    return {
        name: {key: model[name][key] for key in wanted if key in model[name]} if model[name] else None
        for name in ("bgnbd", "gamma_gamma")
    }


def _reason(error: C360Error) -> str:
    return f"{error.rule}. Got {error.got}."


def _without_forecast(history: Any) -> Any:
    unknown = np.full(history.num_rows, np.nan)
    forecast = dict.fromkeys(VALUE_COLUMNS[5:], unknown)
    forecast["historical_value"] = read_numbers(history, ["total_spend"])[0]
    return _selected(with_columns(history, history, forecast))


def _with_forecast(models: Models, history: Any, horizon_weeks: float, rate: float) -> Any:
    spend = models.expected_spend(history)
    valued = add_value(models.bgnbd, spend, history, horizon_weeks=horizon_weeks, discount_rate_per_year=rate)
    return _selected(valued)


def _selected(valued: Any) -> pa.Table:
    return valued.select(list(VALUE_COLUMNS))


def _test(
    days: PurchaseDays, holdout_start: dt.date | None, refunds: Refunds
) -> tuple[Backtest | None, dict[str, Any] | None]:
    if holdout_start is None:
        return None, None
    try:
        tested = backtest_days(days, holdout_start, refunds=refunds)
    except (DataError, FitError) as error:
        return None, {"measured": False, "reason": _reason(error)}
    return tested, {"measured": True} | tested.metrics
