"""Holdout forecasts of ours, of peers and of no model at all, measured by one function on the same customers."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from c360ml.customer_value import BgNbd, MbgNbd, ParetoNbd, purchase_history
from c360ml.customer_value.forecast_errors import forecast_errors
from c360ml.errors import FitError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "linkage_accuracy"))
from environments import NotRunError, python_of, run_script  # noqa: E402

TIMEOUT = 600
Forecasts = dict[str, tuple[pd.Series | None, float, str, float | None]]
"""System and model: forecast by customer, seconds, why there is none, and the fit's log-likelihood, in weeks."""


def measure_file(rows: pd.DataFrame, start: str, end: str, scratch: Path) -> list[dict[str, Any]]:
    """Forecast the days from start to end with every system; gives a row of errors for each."""
    rows = rows[rows["day"] <= end]
    before, after = rows[rows["day"] < start], rows[rows["day"] >= start]
    weeks = ((dt.date.fromisoformat(end) - dt.date.fromisoformat(start)).days + 1) / 7
    last = str(dt.date.fromisoformat(start) - dt.timedelta(days=1))
    history = purchase_history(before, customer="customer", date="day", observation_end=last).set_index("customer_id")
    actual = after.groupby("customer")["day"].nunique().reindex(history.index, fill_value=0).astype(float)
    job = {
        "transactions": str(scratch / "transactions.csv"),
        "calibration_end": last,
        "weeks": weeks,
        "forecasts": str(scratch / "forecasts.csv"),
    }
    rows.to_csv(job["transactions"], index=False)
    (scratch / "job.json").write_text(json.dumps(job))
    found = _ours(history, weeks)
    found |= _of_peer("lifetimes", lambda: sys.executable, scratch, ("BG/NBD", "MBG/NBD", "Pareto/NBD"))
    found |= _of_peer("clvkit", lambda: _python("clvkit"), scratch, ("BG/NBD", "MBG/NBD"))
    rate = (history["repeat_purchases"] / history["age_weeks"]).where(history["age_weeks"] > 0, 0.0)
    found["no model, past rate"] = (rate * weeks, 0.0, "", None)
    return [_measured(name, actual, *each) for name, each in found.items()]


def _python(name: str) -> Path:
    return python_of(name, HERE / "peers" / f"requirements-{name}.txt")


def load_completejourney(scratch: Path) -> pd.DataFrame | str:
    """Take Complete Journey from its package, in an environment of its own; or the reason why not."""
    return _written_by("completejourney", "write_completejourney.py", {}, scratch)


def load_rda(file: Path, scratch: Path) -> pd.DataFrame | str:
    """Take customers and days from an R data file, in an environment of its own; or the reason why not."""
    return _written_by("rdata", "write_rda.py", {"rda": str(file.resolve())}, scratch)


def _written_by(environment: str, script: str, job: dict[str, str], scratch: Path) -> pd.DataFrame | str:
    file = scratch / f"{environment}.csv"
    (scratch / "job.json").write_text(json.dumps(job | {"transactions": str(file)}))
    try:
        run_script(_python(environment), HERE / "peers" / script, scratch / "job.json", TIMEOUT)
    except NotRunError as error:
        return str(error)
    return pd.read_csv(file, parse_dates=["day"])


def _ours(history: pd.DataFrame, weeks: float) -> Forecasts:
    found: Forecasts = {}
    for model in (BgNbd, MbgNbd, ParetoNbd):
        began, word = time.perf_counter(), ""
        try:
            fitted = model().fit(history)
        except FitError:
            fitted, word = model(penalty=1).fit(history), "weak prior: no finite optimum"
        forecast = pd.Series(fitted.expected_purchases(weeks, history), index=history.index)
        found[f"c360ml {model.kind}"] = (forecast, time.perf_counter() - began, word, fitted.log_likelihood_)
    return found


def _of_peer(peer: str, python: Callable[[], Path | str], scratch: Path, models: tuple[str, ...]) -> Forecasts:
    try:
        said = run_script(python(), HERE / "peers" / f"predict_{peer}.py", scratch / "job.json", TIMEOUT)
    except NotRunError as error:
        return {f"{peer} {model}": (None, 0.0, str(error), None) for model in models}
    forecasts = pd.read_csv(scratch / "forecasts.csv").set_index("customer")
    return {
        f"{peer} {model}": (forecasts.get(model), said[model].get("seconds", 0.0), said[model].get("failed", ""), None)
        for model in models
    }


def _measured(
    name: str, actual: pd.Series, forecast: pd.Series | None, seconds: float, word: str, likelihood: float | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"system": name, "customers": len(actual), "actual": actual.sum(), "seconds": seconds}
    row["log_likelihood"] = likelihood
    if forecast is None:
        return row | {"word": word}
    aligned = forecast.reindex(actual.index)
    unknown = int(aligned.isna().sum())
    if unknown:
        return row | {"word": f"{unknown:,} customers without a forecast"}
    return row | forecast_errors(actual.to_numpy(), aligned.to_numpy(dtype=float)) | {"word": word}
