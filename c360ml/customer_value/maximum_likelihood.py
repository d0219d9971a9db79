"""Find the one best fit of a small model, and say in words when there is none.

Parameters are positive and searched as logarithms of scale-free numbers. An optimum is accepted for what it
is (no slope, curved in every direction), never because a search routine says it succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from c360ml.customer_value.columns import Floats
from c360ml.errors import FitError

Objective = Callable[[Floats], tuple[float, Floats]]
"""From the logarithms of the parameters to the negative log-likelihood and its gradient."""

_BOUND = 14.0  # e**14: a parameter a million times larger or smaller than the data's scale is at infinity
_UNKNOWN = 5.0  # a standard error of 5 in the logarithm: a factor of 150 either way


@dataclass(frozen=True)
class Optimum:
    """Where the best fit is, and how sure: covariance of the logarithms."""

    logs: Floats
    covariance: Floats


def best_start(objective: Objective, starts: Sequence[Sequence[float]], *, rows: float) -> Floats:
    """Search from each start and keep the best end."""
    ends = [_search(objective, np.asarray(start, dtype=np.float64), rows) for start in starts]
    return min(ends, key=lambda logs: objective(logs)[0])


def find_optimum(
    objective: Objective, start: Floats, *, model: str, meanings: Mapping[str, str], rows: float
) -> Optimum:
    """Search from a start, polish with Newton's steps, and check that it is an optimum.

    Raises:
        FitError: there is no optimum, or it is flat; the message names the parameters.
    """
    logs = _search(objective, start, rows)
    for _ in range(5):
        hessian = hessian_of(objective, logs)
        settled = _settle(objective, logs, hessian)
        moved, logs = np.abs(settled - logs).max(), settled
        if moved < 1e-6:
            break
    _check(logs, hessian, moved, model, meanings)
    covariance = np.linalg.inv(hessian)
    return Optimum(logs, (covariance + covariance.T) / 2)


def _settle(objective: Objective, logs: Floats, hessian: Floats) -> Floats:
    """Take Newton's steps with one Hessian until they vanish; stay where it is not curved upwards."""
    if np.linalg.eigvalsh(hessian)[0] <= 0:
        return logs
    for _ in range(6):
        step = np.linalg.solve(hessian, objective(logs)[1])
        logs = np.clip(logs - np.clip(step, -1, 1), -_BOUND, _BOUND)
        if np.abs(step).max() < 1e-10:
            break
    return logs


def _search(objective: Objective, start: Floats, rows: float) -> Floats:
    def per_row(logs: Floats) -> tuple[float, Floats]:
        value, gradient = objective(logs)
        return value / rows, gradient / rows

    found = minimize(
        per_row,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-_BOUND, _BOUND)] * len(start),
        options={"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-6},
    )
    return np.asarray(found.x, dtype=np.float64)


def hessian_of(objective: Objective, logs: Floats, width: float = 1e-4) -> Floats:
    """Differentiate the gradient by central differences."""
    columns = [
        (objective(logs + side)[1] - objective(logs - side)[1]) / (2 * width) for side in np.eye(len(logs)) * width
    ]
    hessian = np.array(columns)
    return np.asarray((hessian + hessian.T) / 2, dtype=np.float64)


def _check(logs: Floats, hessian: Floats, moved: float, model: str, meanings: Mapping[str, str]) -> None:
    names = list(meanings)
    at_bound = [name for name, value in zip(names, logs, strict=True) if abs(value) > _BOUND - 1]
    curvatures, directions = np.linalg.eigh(hessian)
    if not at_bound and moved < 1e-6 and curvatures[0] > 0:
        deviations = np.sqrt(np.diag(np.linalg.inv(hessian)))
        at_bound = [name for name, value in zip(names, deviations, strict=True) if value > _UNKNOWN]
        if not at_bound:
            return
    loose = at_bound or [name for name, part in zip(names, directions[:, 0], strict=True) if abs(part) > 0.3]
    raise FitError(
        f"{model} must have one best fit",
        got="data that do not tell " + " nor ".join(f"{name} ({meanings[name]})" for name in loose),
        hint=f"more customers or a longer period, or a weak prior: {model}(penalty=1)",
    )
