"""What is supposed of the parameters before the data are seen, in units that can be talked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from c360ml.customer_value.columns import Floats
from c360ml.errors import DataError


@dataclass(frozen=True)
class Quantity:
    """Something a prior can be stated for: a combination of the logarithms of the parameters.

    `of_time` is the power of the unit of time that it carries; a probability is stated as such, and its odds
    are what is log-normal.
    """

    of_logs: tuple[float, ...]
    of_time: float = 0.0
    is_probability: bool = False


@dataclass(frozen=True)
class Prior:
    """Normal distributions of combinations of the estimates: each row of `directions` has a centre and a weight."""

    directions: Floats
    centres: Floats
    weights: Floats

    def __call__(self, estimates: Floats) -> tuple[float, Floats]:
        """Work out the penalty, minus the log density up to a constant, and its gradient."""
        away = self.directions @ estimates - self.centres
        return float(self.weights @ away**2) / 2, self.directions.T @ (self.weights * away)


def prior_of(
    *,
    penalty: float,
    centre: Sequence[float],
    stated: Mapping[str, Sequence[float]] | None,
    quantities: Mapping[str, Quantity],
    scale: float,
    effects: int = 0,
    effect_penalty: float = 0.0,
) -> Prior:
    """Put together the weak prior of a model, what the user stated, and that effects of covariates are small.

    Raises:
        DataError: a penalty is negative, or what is stated cannot be.
    """
    if penalty < 0 or effect_penalty < 0:
        raise DataError("a penalty must not be negative", got=min(penalty, effect_penalty), hint="0 for none")
    rows, centres, weights = [*np.eye(len(centre))], [*centre], [penalty] * len(centre)
    for name, belief in (stated or {}).items():
        quantity = quantities.get(name)
        if quantity is None:
            raise DataError(
                f"a prior must be stated for one of {sorted(quantities)}",
                got=name,
                hint='prior={"' + next(iter(quantities)) + '": (typical value, factor)}',
            )
        typical, factor = _checked(name, belief, quantity)
        odds = typical / (1 - typical) if quantity.is_probability else typical
        rows.append(np.array(quantity.of_logs))
        centres.append(np.log(odds) - quantity.of_time * np.log(scale))
        weights.append(1 / np.log(factor) ** 2)
    directions = np.zeros((len(rows) + effects, len(centre) + effects))
    directions[: len(rows), : len(centre)] = rows
    directions[len(rows) :, len(centre) :] = np.eye(effects)
    return Prior(
        directions,
        np.concatenate([centres, np.zeros(effects)]),
        np.concatenate([weights, np.full(effects, effect_penalty)]),
    )


def _checked(name: str, belief: Sequence[float], quantity: Quantity) -> tuple[float, float]:
    try:
        typical, factor = (float(number) for number in belief)
    except (TypeError, ValueError):
        typical, factor = 0.0, 0.0
    most = 1 if quantity.is_probability else np.inf
    if not (0 < typical < most and 1 < factor < np.inf):
        raise DataError(
            f"a prior of {name} must be a typical value, above 0{' and below 1' if most == 1 else ''}, and the factor"
            " by which it may well be larger or smaller, above 1",
            got=belief,
            hint=f'prior={{"{name}": (0.25, 2)}} for a quarter, give or take a factor of 2',
        )
    return typical, factor
