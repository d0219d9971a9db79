"""Covariates that do not change with time: who buys more often, and who leaves sooner (Hardie's note 019).

Each covariate shifts the logarithm of a customer's own parameters by effect * (covariate - mean) / deviation.
Customers of equal covariates are one cell with parameters of its own; the likelihood is worked out by cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from c360ml.customer_value.columns import Codes, Floats
from c360ml.customer_value.compression import Histories, distinct_codes
from c360ml.customer_value.priors import Prior
from c360ml.errors import DataError


class CellLikelihood(Protocol):
    """A log-likelihood whose parameters differ by cell."""

    def log_likelihood(self, params: Floats, histories: Histories) -> tuple[float, Floats]:
        """Sum the weighted log-likelihood and its gradient by each parameter of each cell."""


@dataclass(frozen=True)
class Design:
    """Cells of equal covariates, and how effects of the covariates shift the parameters of a cell.

    `shifts` has a row for each effect and a column for each parameter; `cells` a row for each cell and a column
    for each effect, standardised.
    """

    shifts: Floats
    cells: Floats

    def params(self, estimates: Floats) -> Floats:
        """Work out the parameters, a column for each cell, from logarithms and effects."""
        count = self.shifts.shape[1]
        logs, effects = estimates[:count], estimates[count:]
        return np.asarray(np.exp(logs[:, None] + self.shifts.T @ (effects * self.cells).T), dtype=np.float64)

    def gradient(self, params: Floats, by_params: Floats) -> Floats:
        """Turn a gradient by the parameters of each cell into one by logarithms and effects."""
        by_logs = by_params * params
        by_effects = ((self.shifts @ by_logs) * self.cells.T).sum(axis=1)
        return np.concatenate([by_logs.sum(axis=1), by_effects])


@dataclass(frozen=True)
class Standard:
    """How a covariate is standardised: (value - mean) / deviation."""

    name: str
    mean: float
    deviation: float


def standardise(names: Sequence[str], values: Sequence[Floats], weight: Floats) -> list[Standard]:
    """Find mean and deviation of each covariate over the customers.

    Raises:
        DataError: a covariate is the same for all customers.
    """
    share = weight / weight.sum()
    standards = []
    for name, column in zip(names, values, strict=True):
        mean = float(np.sum(share * column))
        deviation = float(np.sqrt(np.sum(share * (column - mean) ** 2)))
        if not deviation > 1e-9 * max(abs(mean), 1e-300):
            raise DataError(f"covariate {name} must differ among customers", got="one value", hint="leave it out")
        standards.append(Standard(name, mean, deviation))
    return standards


def cells_of(values: Sequence[Floats], rows: int) -> tuple[Floats, Codes]:
    """Find the distinct combinations of covariates, one a row, and which of them each customer has."""
    if not values:
        return np.zeros((1, 0)), np.zeros(rows, dtype=np.int64)
    columns, codes = distinct_codes(values)
    return np.column_stack([column.per_row() for column in columns]), codes


@dataclass(frozen=True)
class Objective:
    """Negative log-likelihood plus penalty by the logarithms of the parameters and the effects of covariates."""

    likelihood: CellLikelihood
    histories: Histories
    design: Design
    prior: Prior

    def __call__(self, estimates: Floats) -> tuple[float, Floats]:
        """Work out the value and its gradient."""
        params = self.design.params(estimates)
        total, by_params = self.likelihood.log_likelihood(params, self.histories)
        penalty, by_penalty = self.prior(estimates)
        return penalty - total, by_penalty - self.design.gradient(params, by_params)
