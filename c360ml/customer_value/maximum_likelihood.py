"""Find the one best fit of a small model, and say in words when there is none.

Parameters are positive and searched as logarithms of scale-free numbers. An optimum is accepted for what it
is (no slope, curved in every direction), never because a search routine says it succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from c360ml.customer_value.columns import Floats
from c360ml.errors import FitError, ModelError

Objective = Callable[[Floats], tuple[float, Floats]]
"""From the logarithms of the parameters to the negative log-likelihood and its gradient."""

_BOUND = 14.0  # e**14: a parameter a million times larger or smaller than the data's scale is at infinity
_UNKNOWN = 5.0  # a standard error of 5 in the logarithm: a factor of 150 either way
_SETTLED = 1e-6  # the last step, in logarithms
_FLAT = 1e-4  # the slope, as the distance to the optimum in standard errors
_ROUNDS = 6
_MOST_STEPS = 300
_LEVEL = 1e-6  # slope per customer
_SAME = 1e-3  # two ends whose log-likelihoods differ by less are one optimum


@dataclass(frozen=True)
class Words:
    """How a model speaks of its parameters when the data do not tell them.

    `limits` say what it means when parameters run off together: {"a+ b+": "..."} is for a and b without bound.
    """

    model: str
    meanings: Mapping[str, str]
    limits: Mapping[str, str]


@dataclass(frozen=True)
class Optimum:
    """Where the best fit is, and how sure.

    `covariance` is that of the logarithms; `slope` the scaled norm of the gradient, sqrt(g' H**-1 g): how many
    standard errors away the optimum still is; `agreeing` of the `starts` ended there.
    """

    logs: Floats
    covariance: Floats
    slope: float
    starts: int
    agreeing: int


@dataclass(frozen=True)
class _End:
    logs: Floats
    hessian: Floats
    step: Floats

    @property
    def is_optimum(self) -> bool:
        if self.at_bound.any() or np.abs(self.step).max() > _SETTLED or not _is_curved(self.hessian):
            return False
        return bool(self.slope < _FLAT and np.diag(np.linalg.inv(self.hessian)).max() < _UNKNOWN**2)

    @property
    def at_bound(self) -> Floats:
        return np.asarray(np.where(np.abs(self.logs) > _BOUND - 1, np.sign(self.logs), 0.0))

    @property
    def slope(self) -> float:
        return float(np.sqrt(np.maximum(self.step @ self.hessian @ self.step, 0.0)))

    @property
    def drift(self) -> Floats:
        """Which way parameters run off: those on the way to the bound, or those along the flattest direction."""
        if self.at_bound.any():
            return np.where(np.abs(self.logs) > _BOUND / 2, np.sign(self.logs), 0.0)
        flattest = np.linalg.eigh(self.hessian)[1][:, 0]
        downhill = -flattest @ np.where(np.isfinite(self.step), self.step, 0.0)
        if downhill < 0 or (downhill == 0 and flattest @ self.logs < 0):
            flattest = -flattest
        return np.where(np.abs(flattest) > 0.3, np.sign(flattest), 0.0)


def find_optimum(
    objective: Objective, starts: Sequence[Sequence[float]], *, words: Words, rows: float, coarse: Objective
) -> Optimum:
    """Search from several starts on coarse data, polish the best end on all with Newton's steps, and check it.

    Raises:
        FitError: there is no optimum, or it is flat; the message says which parameters, why, and what to do.
    """
    ends = [_search(coarse, np.asarray(start, dtype=np.float64), rows) for start in starts]
    values = np.array([coarse(logs)[0] for logs in ends])
    failed: _End | None = None
    for place in np.argsort(values, kind="stable"):
        if failed is not None and np.abs(values[:place] - values[place]).min(initial=np.inf) < _SAME:
            continue
        end = _polish(objective, coarse, ends[place], rows)
        if end.is_optimum:
            covariance = np.linalg.inv(end.hessian)
            agreeing = int((np.abs(values - values[place]) < _SAME).sum())
            return Optimum(end.logs, (covariance + covariance.T) / 2, end.slope, len(starts), agreeing)
        failed = failed or end
    raise _diagnosis(failed, words) if failed else ValueError("no start")


def optimum_at(objective: Objective, logs: Floats, *, model: str) -> Optimum:
    """Take a point that was found elsewhere as the optimum, with the curvature that the data have there.

    Raises:
        ModelError: the data are not curved upwards there.
    """
    hessian = hessian_of(objective, logs)
    if not _is_curved(hessian):
        raise ModelError("parameters must lie at an optimum", got="others", hint=f"fit {model}() to the data")
    slope, covariance = objective(logs)[1], np.linalg.inv(hessian)
    return Optimum(logs, (covariance + covariance.T) / 2, float(np.sqrt(slope @ covariance @ slope)), 0, 0)


def _polish(objective: Objective, coarse: Objective, start: Floats, rows: float) -> _End:
    """Take Newton's steps with the curvature of the coarse data, which costs little, then with the true one."""
    logs, step = _settle(objective, start, hessian_of(coarse, start))
    for round_ in range(_ROUNDS):
        before, hessian = logs, hessian_of(objective, logs)
        logs, step = _settle(objective, logs, hessian)
        if max(np.abs(step).max(), np.abs(logs - before).max()) < _SETTLED:  # the curvature is that of this place
            break
        if np.abs(logs).max() > _BOUND - 1:  # running off: no step will settle
            break
        if round_ == 1:  # too far away for Newton
            logs = _search(objective, logs, rows)
    return _End(logs, hessian, step)


def _settle(objective: Objective, logs: Floats, hessian: Floats) -> tuple[Floats, Floats]:
    """Take Newton's steps with one Hessian until they vanish; stay where it is not curved upwards."""
    if not _is_curved(hessian):
        return logs, np.full(len(logs), np.inf)
    before = np.inf
    for _ in range(12):
        step = np.clip(np.linalg.solve(hessian, objective(logs)[1]), -1, 1)
        size = np.abs(step).max()
        if size > before:  # no longer shrinking: rounding, or a curvature that does not fit
            break
        logs, before = np.clip(logs - step, -_BOUND, _BOUND), size
        if size < 1e-10:
            break
    return logs, step


def _search(objective: Objective, start: Floats, rows: float) -> Floats:
    """Go downhill by BFGS within the bounds.

    It is scipy's method without scipy: for a handful of parameters, starting threads for its linear algebra costs
    more than all else. Where it ends is checked, so that it may stop early.
    """

    def per_row(logs: Floats) -> tuple[float, Floats]:
        value, slope = objective(logs)
        return value / rows, np.asarray(slope / rows, dtype=np.float64)

    logs, inverse = np.asarray(np.clip(start, -_BOUND, _BOUND), dtype=np.float64), np.eye(len(start))
    value, slope = per_row(logs)
    for _ in range(_MOST_STEPS):
        free = ~((logs <= -_BOUND) & (slope > 0) | (logs >= _BOUND) & (slope < 0))
        if np.abs(slope * free).max() < _LEVEL:
            break
        toward = -(inverse @ (slope * free)) * free
        if toward @ slope >= 0:
            inverse, toward = np.eye(len(start)), -slope * free
        toward /= max(np.abs(toward).max(), 1.0)
        share, lower = 2.0, np.inf
        while not lower <= value + 1e-4 * share * (toward @ slope) and share > 1e-9:
            share /= 2
            there = np.clip(logs + share * toward, -_BOUND, _BOUND)
            lower, after = per_row(there)
        if not lower < value:
            break
        inverse = _bfgs(inverse, there - logs, after - slope)
        logs, value, slope = there, lower, after
    return logs


def _bfgs(inverse: Floats, moved: Floats, turned: Floats) -> Floats:
    """Update the inverse curvature by how the slope turned; leave it where it turned the wrong way."""
    along = moved @ turned
    if along <= 1e-12 * np.sqrt((moved @ moved) * (turned @ turned)):
        return inverse
    left = np.eye(len(moved)) - np.outer(moved, turned) / along
    return np.asarray(left @ inverse @ left.T + np.outer(moved, moved) / along)


def hessian_of(objective: Objective, logs: Floats, width: float = 1e-4) -> Floats:
    """Differentiate the gradient by central differences."""
    sides = np.eye(len(logs)) * width
    with ThreadPoolExecutor(2) as pool:  # numpy computes beside Python
        above, below = (list(pool.map(objective, list(logs + sign * sides))) for sign in (1, -1))
    columns = [(up[1] - down[1]) / (2 * width) for up, down in zip(above, below, strict=True)]
    hessian = np.array(columns)
    return np.asarray((hessian + hessian.T) / 2, dtype=np.float64)


def _is_curved(hessian: Floats) -> bool:
    """Whether it is curved upwards in every direction, by more than rounding."""
    curvatures = np.linalg.eigvalsh(hessian)
    return bool(curvatures[0] > 1e-12 * abs(curvatures[-1]))


def _diagnosis(end: _End, words: Words) -> FitError:
    """Say which parameters the data do not tell, why, and what to do."""
    names = list(words.meanings)
    ways = {name: "+" if sign > 0 else "-" for name, sign in zip(names, end.drift, strict=True) if sign}
    loose = " nor ".join(f"{name} ({words.meanings[name]})" for name in ways)
    why, unexplained = "", dict(ways)
    for together, reason in words.limits.items():
        if all(unexplained.get(part[:-1]) == part[-1] for part in together.split()):
            why += f"{' and ' if why else ': it is as if '}{reason}"
            unexplained = {name: way for name, way in unexplained.items() if f"{name}{way}" not in together.split()}
    return FitError(
        f"{words.model} must have one best fit",
        got=f"data that do not tell {loose}{why}",
        hint=f"more customers or a longer period, or a weak prior: {words.model}(penalty=1)",
    )
