"""How far a forecast by customer was from what came: errors, ranking and calibration by tenths.

Customers of equal forecast share what they did, so that no order of theirs can make a forecast look better.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from c360ml.customer_value.columns import Floats
from c360ml.customer_value.compression import add_up, encode

_TENTHS = 10


def forecast_errors(actual: Floats, forecast: Floats) -> dict[str, float | None]:
    """Measure a forecast: in sum (`bias` = predicted / actual - 1), by customer, and as a ranking (`gini`).

    >>> import numpy
    >>> errors = forecast_errors(numpy.array([0.0, 2.0]), numpy.array([1.0, 2.0]))
    >>> errors["bias"], errors["mae"], errors["gini"]
    (0.5, 0.5, 1.0)
    """
    error = forecast - actual
    varied = actual.std() > 0 and forecast.std() > 0
    return {
        "predicted_purchases": float(forecast.sum()),
        "bias": ratio(forecast.sum(), actual.sum(), minus=1),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "correlation": float(np.corrcoef(actual, forecast)[0, 1]) if varied else None,
        "gini": normalized_gini(actual, forecast),
    }


def ratio(part: float, whole: float, *, minus: int = 0) -> float | None:
    """Divide, less `minus`; None where there is nothing to divide by."""
    return float(part / whole - minus) if whole > 0 else None


def normalized_gini(actual: Floats, forecast: Floats) -> float | None:
    """Say how well a forecast ranks customers: 1 as well as what came itself, 0 as well as chance.

    The Gini coefficient of what came, customers in the order of the forecast, by the one in its own order. None
    where all did the same.

    >>> import numpy
    >>> normalized_gini(numpy.array([0.0, 1.0, 3.0]), numpy.ones(3))
    0.0
    """
    best = _gini(actual, actual)
    return _gini(actual, forecast) / best if best > 1e-12 else None


def _gini(actual: Floats, forecast: Floats) -> float:
    customers, amount, _ = _concentration(actual, forecast)
    if amount[-1] <= 0:
        return 0.0
    area = np.trapezoid(amount / amount[-1], customers / customers[-1])
    return float(2 * area - 1)


def _concentration(actual: Floats, forecast: Floats) -> tuple[Floats, Floats, Floats]:
    """Add up customers, what they did and what was forecast, the best forecast first, ties as one step."""
    column = encode(-forecast)
    steps = len(column.values)
    sums = (add_up(column.codes, part, steps) for part in (np.ones(len(actual)), actual, forecast))
    customers, amount, predicted = (np.concatenate([[0.0], np.cumsum(part)]) for part in sums)
    return customers, amount, predicted


def by_tenths(actual: Floats, forecast: Floats) -> list[dict[str, Any]]:
    """Compare means in tenths of customers, the best forecast first; `lift` is the actual mean by that of all.

    >>> import numpy
    >>> tenths = by_tenths(numpy.arange(10.0), numpy.arange(10.0))
    >>> tenths[0]
    {'tenth': 1, 'customers': 1.0, 'actual_mean': 9.0, 'predicted_mean': 9.0, 'lift': 2.0}
    """
    customers, amount, predicted = _concentration(actual, forecast)
    edges = np.linspace(0, customers[-1], _TENTHS + 1)
    size = customers[-1] / _TENTHS
    actuals = np.diff(np.interp(edges, customers, amount)) / size
    predictions = np.diff(np.interp(edges, customers, predicted)) / size
    overall = amount[-1] / customers[-1]
    return [
        {
            "tenth": place + 1,
            "customers": float(size),
            "actual_mean": float(actuals[place]),
            "predicted_mean": float(predictions[place]),
            "lift": ratio(actuals[place], overall),
        }
        for place in range(_TENTHS)
    ]
