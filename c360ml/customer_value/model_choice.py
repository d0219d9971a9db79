"""Compare the models of purchases on several holdouts, beside forecasts that know no model, and choose one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from c360ml.customer_value.columns import Floats, read_numbers
from c360ml.customer_value.fitting import PURCHASE_MODELS, ModelName, fit_purchases
from c360ml.customer_value.forecast_errors import forecast_errors, ratio
from c360ml.customer_value.holdout import Split, baselines_of, split_days
from c360ml.customer_value.purchase_model import PurchaseModel
from c360ml.customer_value.transactions import PurchaseDays, Refunds
from c360ml.errors import DataError, FitError

_ORIGINS = 3
_LEAST_STEP_DAYS = 28
_MOST_CUSTOMERS = 50_000  # more tell the models no better apart, and Pareto/NBD takes its time
_USUAL: ModelName = "bg_nbd"
_CLEARLY = 0.02  # of the root mean square error
_AS_GOOD = 0.005
_LESS_BIAS = 0.05
_BASELINES = {"past_rate": "past rate goes on", "last_period": "last period again", "mean": "mean rate of all"}


@dataclass(frozen=True)
class Comparison:
    """How the models forecast at each origin, and which one is to be used.

    `models` has a row a model and a row a baseline, over all origins: `bias` of the sums, `mae`, `rmse`, `gini`,
    `purchases` (predicted), `note` if something had to be done; null where a model could not be fitted. `origins`
    has a row an origin and model. `sampled_customers` is None where all customers were compared.
    """

    winner: ModelName
    why: str
    models: list[dict[str, Any]] = field(repr=False)
    origins: list[dict[str, Any]] = field(repr=False)
    holdout_weeks: float
    notes: tuple[str, ...]
    sampled_customers: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Write everything as plain JSON."""
        return asdict(self) | {"notes": list(self.notes)}


def compare_models(days: PurchaseDays, holdout_start: dt.date, *, refunds: Refunds) -> Comparison:
    """Forecast from up to three origins with each model and each baseline, and choose the model.

    The last origin is `holdout_start`; earlier ones leave at least as much history before them as their holdout is
    long, which is as long as the last. BG/NBD stays unless another model is clearly better (its root mean square
    error 2 % less; or no greater by more than 0.5 %, and the bias of its sum 5 points less), so that the choice does
    not go to and fro between runs. With more than 50,000 customers so many of them are compared.

    Raises:
        DataError: there is nothing on one of the sides, or too little for every model.
    """
    sample, size = _sample(days)
    try:
        starts, length, notes = _origins(sample, holdout_start)
        fitted: dict[ModelName, PurchaseModel] = {}
        tried = [row for start in starts for row in _try_models(sample, start, length, refunds, fitted)]
    finally:
        if sample is not days:
            sample.drop()
    names = [*PURCHASE_MODELS, *_BASELINES]
    models = [_over_origins(name, [row for row in tried if row["name"] == name]) for name in names]
    winner, why = _choose(models, len(starts))
    if size is not None:
        notes.append(f"models were compared on {size:,} customers, drawn by a hash of their key")
    return Comparison(winner, why, models, [_plain(row) for row in tried], length.days / 7, tuple(notes), size)


def _sample(days: PurchaseDays) -> tuple[PurchaseDays, int | None]:
    """Take few enough customers, the same ones whatever the order of rows."""
    (customers,) = days.con.execute(f"select approx_count_distinct(customer_id) from {days.name}").fetchall()[0]
    if customers <= _MOST_CUSTOMERS:
        return days, None
    name = f"{days.name}_sample"
    query = f"create or replace temp table {name} as select * from {days.name} where hash(customer_id) % $parts = 0"
    days.con.execute(query, {"parts": -(-customers // _MOST_CUSTOMERS)}).fetchall()
    (size,) = days.con.execute(f"select count(distinct customer_id) from {name}").fetchall()[0]
    return replace(days, name=name), int(size)


def _origins(days: PurchaseDays, holdout_start: dt.date) -> tuple[list[dt.date], dt.timedelta, list[str]]:
    """Place up to three origins, the last at `holdout_start`, and say so if there are fewer."""
    (first,) = days.con.execute(f"select min(day) from {days.name} where purchases > 0").fetchall()[0]
    length = max(1, (days.observation_end - holdout_start).days + 1)
    room = max(0, (holdout_start - (first or holdout_start)).days - length)
    count = min(_ORIGINS, 1 + room // _LEAST_STEP_DAYS)
    step = min(length, room // (count - 1)) if count > 1 else 0
    starts = [holdout_start - dt.timedelta(days=step * back) for back in reversed(range(count))]
    notes = []
    if count < _ORIGINS:
        notes.append(
            f"{count} origin{'s' if count > 1 else ''} instead of {_ORIGINS}: before the last holdout of"
            f" {length / 7:.0f} weeks there are {(length + room) / 7:.0f} weeks, which leaves no room for more"
        )
    return starts, dt.timedelta(days=length), notes


def _try_models(
    days: PurchaseDays, start: dt.date, length: dt.timedelta, refunds: Refunds, fitted: dict[ModelName, PurchaseModel]
) -> list[dict[str, Any]]:
    """Forecast from one origin; `fitted` has the models of the origin before, and gets those of this one."""
    end = min(start + length - dt.timedelta(days=1), days.observation_end)
    split = split_days(days, start, refunds=refunds, holdout_end=end)
    (actual,) = read_numbers(split.table, ["holdout_purchases"])
    tried = [_try_model(name, split, actual, fitted) for name in PURCHASE_MODELS]
    if not any(row["fitted"] for row in tried):
        raise DataError("a model must be fitted to compare", got=tried[0]["note"], hint="keep fewer weeks aside")
    return tried + [_row(name, split, actual, guess) for name, guess in baselines_of(split).items()]


def _try_model(name: ModelName, split: Split, actual: Floats, fitted: dict[ModelName, PurchaseModel]) -> dict[str, Any]:
    try:
        model, notes = fit_purchases(split.table, name, near=fitted.get(name))
    except (DataError, FitError) as error:
        absent = {"origin": str(split.holdout_start), "name": name, "fitted": False}
        return absent | {"note": f"not fitted: {error.got}"}
    if not notes:
        fitted[name] = model
    row = _row(name, split, actual, model.expected_purchases(split.weeks, split.table))
    return row | {"log_likelihood": model.log_likelihood_, "note": "; ".join(notes) or None}


def _row(name: str, split: Split, actual: Floats, forecast: Floats) -> dict[str, Any]:
    return {
        "origin": str(split.holdout_start),
        "name": name,
        "fitted": True,
        "customers": len(actual),
        "actual_purchases": int(actual.sum()),
        **forecast_errors(actual, forecast),
        "note": None,
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"title": _title(row["name"])}


def _title(name: Any) -> str:
    return _BASELINES.get(name) or PURCHASE_MODELS[name].kind


def _over_origins(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put the origins together: sums for the bias, customers for the other measures."""
    notes = list(dict.fromkeys(row["note"] for row in rows if row["note"]))
    summary: dict[str, Any] = {"name": name, "title": _title(name), "note": "; ".join(notes) or None}
    if not all(row["fitted"] for row in rows):
        return summary | dict.fromkeys(("purchases", "actual", "bias", "mae", "rmse", "gini"))
    weight = np.array([row["customers"] for row in rows], dtype=np.float64)
    predicted, actual = (sum(row[key] for row in rows) for key in ("predicted_purchases", "actual_purchases"))
    ginis = [row["gini"] for row in rows if row["gini"] is not None]
    return summary | {
        "purchases": predicted,
        "actual": actual,
        "bias": ratio(predicted, actual, minus=1),
        "mae": float(np.average([row["mae"] for row in rows], weights=weight)),
        "rmse": float(np.sqrt(np.average([row["rmse"] ** 2 for row in rows], weights=weight))),
        "gini": float(np.mean(ginis)) if ginis else None,
    }


def _choose(rows: Sequence[dict[str, Any]], origins: int) -> tuple[ModelName, str]:
    """Choose a model by its errors over all origins and say why."""
    by_name = {row["name"]: row for row in rows}
    fitted: list[ModelName] = [name for name in PURCHASE_MODELS if by_name[name]["rmse"] is not None]
    if not fitted:
        raise DataError("a model must be fitted at every origin", got="none", hint="keep fewer weeks aside")
    usual = _USUAL if _USUAL in fitted else fitted[0]
    best = min(fitted, key=lambda name: by_name[name]["rmse"])
    span = f"over {origins} holdout{'s' if origins > 1 else ''}"
    winner, why = usual, f"no other model is clearly better {span}"
    if usual != _USUAL:
        why = f"{PURCHASE_MODELS[_USUAL].kind} could not be fitted at every origin"
    if by_name[best]["rmse"] < by_name[usual]["rmse"] * (1 - _CLEARLY):
        winner = best
        why = f"its root mean square error is the least {span}, {_less(by_name[best], by_name[usual])} {_kind(usual)}"
    else:
        fair = min(fitted, key=lambda name: _off(by_name[name]))
        close = by_name[fair]["rmse"] <= by_name[usual]["rmse"] * (1 + _AS_GOOD)
        if close and _off(by_name[fair]) < _off(by_name[usual]) - _LESS_BIAS:
            winner = fair
            why = f"its errors are as small as those of {_kind(usual)}, and its sum is nearer to the truth {span}"
    return winner, f"{_kind(winner)}: {why}. {_measures(by_name[winner])}. {_beside_baselines(winner, by_name)}"


def _kind(name: ModelName) -> str:
    return PURCHASE_MODELS[name].kind


def _off(row: dict[str, Any]) -> float:
    return abs(row["bias"]) if row["bias"] is not None else float("inf")


def _less(best: dict[str, Any], usual: dict[str, Any]) -> str:
    return f"{100 * (1 - best['rmse'] / usual['rmse']):.1f} % below"


def _measures(row: dict[str, Any]) -> str:
    bias = "unknown" if row["bias"] is None else f"{100 * row['bias']:+.1f} %"
    return f"Root mean square error {row['rmse']:.3f} purchases, bias {bias}"


def _beside_baselines(winner: ModelName, by_name: dict[str, dict[str, Any]]) -> str:
    best = min(_BASELINES, key=lambda name: by_name[name]["rmse"])
    if by_name[best]["rmse"] < by_name[winner]["rmse"]:
        return (
            f"Beware: '{_BASELINES[best]}' without any model is better (error {by_name[best]['rmse']:.3f}), so these"
            " customers do not buy as the models suppose"
        )
    return f"The best forecast without a model ('{_BASELINES[best]}') has an error of {by_name[best]['rmse']:.3f}"
