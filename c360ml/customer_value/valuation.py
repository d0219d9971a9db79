"""From transactions to the value of every customer, in one call."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from c360ml.customer_value.backtest import Backtest, backtest_days
from c360ml.customer_value.columns import read_numbers, with_columns
from c360ml.customer_value.fitting import ModelChoice, ModelName, fit_models
from c360ml.customer_value.guard_rails import guard_rails
from c360ml.customer_value.history import describe_origin, history_of
from c360ml.customer_value.lifetime_value import add_value
from c360ml.customer_value.model_choice import Comparison, compare_models
from c360ml.customer_value.origin import with_origin
from c360ml.customer_value.transactions import (
    Day,
    Grain,
    PurchaseDays,
    Refunds,
    as_date,
    collect_purchase_days,
    describe_refunds,
)
from c360ml.errors import C360Error, DataError, FitError
from c360ml.lakehouse import as_relation, connect, same_kind

FORMAT = 2
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
    "value_year_1",
    "value_year_2",
    "value_year_3",
    "value_all_years",
)
_LONGEST_HOLDOUT_DAYS = 182


@dataclass(frozen=True)
class Terms:
    """What value means: how far ahead, discounted how, which share of revenue, and by which model."""

    horizon_weeks: float = 52
    discount_rate_per_year: float = 0.10
    margin: float = 1.0
    refunds: Refunds = "net"
    model: ModelChoice = "auto"
    recalibrate: bool = False

    def __post_init__(self) -> None:
        models = get_args(ModelChoice)
        if self.model not in models:
            raise DataError(f"the model must be one of {list(models)}", got=repr(self.model), hint="auto is usual")


@dataclass(frozen=True)
class Valuation:
    """What customers are worth: a table, the histories it rests on, the models, and how good they are.

    `table` has one row a customer and `VALUE_COLUMNS`; `history` is that of `purchase_history`; `model` is
    plain JSON; `metrics` too: `fitted` (and `reason` if not), counts, parameters, sums, `holdout`, `comparison` of
    the models, `recalibration` and `guard_rails` (what the models suppose, held against the data, in words).
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
    model: ModelChoice = "auto",
    margin: float = 1.0,
    recalibrate: bool = False,
) -> Valuation:
    """Value every customer of a transaction table.

    The columns of value are those of `customer_lifetime_value`. With `model="auto"` the model of purchases is
    chosen on holdouts, the last of which begins at `holdout_start`, or without it covers the last third of the
    time, at most 26 weeks; with another model there is a holdout only from `holdout_start`. `recalibrate`
    multiplies forecasts by actual / predicted purchases of the last holdout, which is reported in any case.

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
        holdout_start=_holdout_start(days, model) if holdout_start is None else as_date(holdout_start),
        terms=Terms(horizon_weeks, discount_rate_per_year, margin, refunds, model, recalibrate),
    )
    history = same_kind(as_relation(con, valuation.history), transactions)
    return Valuation(
        same_kind(as_relation(con, valuation.table), transactions),
        with_origin(history, describe_origin(days, refunds)),
        valuation.model,
        valuation.metrics,
        valuation.backtest,
    )


def value_days(days: PurchaseDays, *, holdout_start: dt.date | None, terms: Terms) -> Valuation:
    """Value every customer of purchase days that were collected before; tables are Arrow."""
    history = with_origin(
        history_of(days, refunds=terms.refunds).to_arrow_table(), describe_origin(days, terms.refunds)
    )
    model: dict[str, Any] = {"format": FORMAT, **describe_origin(days, terms.refunds)}
    model |= {name: getattr(terms, name) for name in ("horizon_weeks", "discount_rate_per_year", "margin")}
    metrics: dict[str, Any] = {"transactions": _plain_counts(days, terms.refunds)} | _past(history, terms.margin)
    comparison, why = _compare(days, holdout_start, terms)
    name: ModelName = _chosen(terms.model, comparison)
    metrics |= {"model": name, "why_this_model": why, "comparison": comparison and comparison.to_dict()}
    try:
        models = fit_models(history, name)
    except (DataError, FitError) as error:
        reason = _reason(error)
        metrics |= {"fitted": False, "reason": reason, "projected_value": None, "holdout": None}
        unknown = _without_forecast(history, terms.margin)
        return Valuation(unknown, history, model | {"fitted": False, "reason": reason}, metrics)
    tested, holdout = _test(days, holdout_start, terms.refunds, name)
    recalibration = _recalibration(holdout, terms.recalibrate)
    model |= {
        "fitted": True,
        "purchase_model": models.purchases.to_dict(),
        "gamma_gamma": models.gamma_gamma.to_dict() if models.gamma_gamma else None,
        "observed_mean_spend": models.observed_mean_spend,
        "recalibration": recalibration["applied"],
    }
    valued = add_value(
        models.purchases,
        models.expected_spend(history),
        history,
        horizon_weeks=terms.horizon_weeks,
        discount_rate_per_year=terms.discount_rate_per_year,
        margin=terms.margin,
        recalibration=recalibration["applied"],
    )
    metrics |= {"fitted": True, "notes": list(models.notes)} | _measures(model) | _future(valued)
    metrics |= {"holdout": holdout, "recalibration": recalibration, "guard_rails": guard_rails(days, history, models)}
    return Valuation(valued.select(list(VALUE_COLUMNS)), history, model, metrics, tested)


def _holdout_start(days: PurchaseDays, model: ModelChoice) -> dt.date | None:
    """Keep the last third aside, at most 26 weeks, where a model must be chosen."""
    if model != "auto":
        return None
    (first,) = days.con.execute(f"select min(day) from {days.name} where purchases > 0").fetchall()[0]
    length = min(_LONGEST_HOLDOUT_DAYS, ((days.observation_end - first).days + 1) // 3) if first else 0
    return days.observation_end - dt.timedelta(days=length - 1) if length else None


def _compare(days: PurchaseDays, holdout_start: dt.date | None, terms: Terms) -> tuple[Comparison | None, str]:
    if terms.model != "auto":
        return None, "the settings say so"
    if holdout_start is None:
        return None, "no weeks were held out, so models were not compared"
    try:
        comparison = compare_models(days, holdout_start, refunds=terms.refunds)
    except (DataError, FitError) as error:
        return None, f"models could not be compared: {_reason(error)}"
    return comparison, comparison.why


def _chosen(model: ModelChoice, comparison: Comparison | None) -> ModelName:
    if model != "auto":
        return model
    return comparison.winner if comparison else "bg_nbd"


def _recalibration(holdout: dict[str, Any] | None, wanted: bool) -> dict[str, Any]:
    """Offer actual / predicted purchases of the last holdout as a factor, and say whether it is applied."""
    factor = (holdout or {}).get("recalibration_factor")
    if factor is None or factor <= 0:
        return {"factor": None, "applied": 1.0, "words": "No holdout, so no factor to recalibrate by."}
    words = f"Customers made {factor:.3f} times as many purchases in the last holdout as predicted."
    if wanted:
        return {"factor": factor, "applied": factor, "words": f"{words} All forecasts were multiplied by it."}
    return {"factor": factor, "applied": 1.0, "words": f"{words} Set value.recalibrate to multiply forecasts by it."}


def _plain_counts(days: PurchaseDays, refunds: Refunds) -> dict[str, Any]:
    return days.counts | describe_refunds(days, refunds) | {"observation_end": str(days.observation_end)}


def _past(history: Any, margin: float) -> dict[str, Any]:
    x, spend = read_numbers(history, ["repeat_purchases", "total_spend"])
    return {
        "customers": len(x),
        "repeat_buyers": int((x > 0).sum()),
        "one_time_buyers": int((x == 0).sum()),
        "repeat_purchases": int(x.sum()),
        "historical_value": float(np.nansum(spend)) * margin,
    }


def _future(valued: Any) -> dict[str, Any]:
    names = ["projected_value", "value_year_1", "value_year_2", "value_year_3", "value_all_years"]
    (purchases,) = read_numbers(valued, ["expected_purchases"])
    sums = {name: _known_sum(values) for name, values in zip(names, read_numbers(valued, names), strict=True)}
    return {"expected_purchases": float(purchases.sum()), **sums}


def _known_sum(value: Any) -> float | None:
    known = np.isfinite(value)
    return float(value[known].sum()) if known.any() else None


def _measures(model: dict[str, Any]) -> dict[str, Any]:
    wanted = ["model", "params", "standard_errors", "log_likelihood", "aic", "bic", "customers", "independence"]
    wanted += ["population_mean_spend", "no_mean_because", "settings"]
    return {
        name: {key: model[name][key] for key in wanted if key in model[name]} if model[name] else None
        for name in ("purchase_model", "gamma_gamma")
    }


def _reason(error: C360Error) -> str:
    return f"{error.rule}. Got {error.got}."


def _without_forecast(history: Any, margin: float) -> Any:
    forecast = dict.fromkeys(VALUE_COLUMNS[5:], np.full(history.num_rows, np.nan))
    forecast["historical_value"] = read_numbers(history, ["total_spend"])[0] * margin
    return with_columns(history, history, forecast).select(list(VALUE_COLUMNS))


def _test(
    days: PurchaseDays, holdout_start: dt.date | None, refunds: Refunds, model: ModelName
) -> tuple[Backtest | None, dict[str, Any] | None]:
    if holdout_start is None:
        return None, None
    try:
        tested = backtest_days(days, holdout_start, refunds=refunds, model=model)
    except (DataError, FitError) as error:
        return None, {"measured": False, "reason": _reason(error)}
    return tested, {"measured": True} | tested.metrics
