"""Intervals of value that hold two doubts: about the models' parameters, and about who the customers are.

In each draw everybody is who `silver.doubtful_partitions` makes them, and parameters are drawn too: normal in their
logarithms by the fit's covariance, around where the draw's own histories would move the fit to (one step of Newton's
method). A customer's value in a draw is that of whoever holds most of their records. Both doubts are drawn
independently, so that their variances add up; identity's share is what is left if the parameters stay as fitted.

An interval covers the *expected* value that the models would give; what a customer will spend varies more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.customer_value.columns import Codes, Floats, read_numbers
from c360ml.customer_value.doubtful_histories import HISTORY, DoubtfulHistories
from c360ml.customer_value.model_display import IntervalsDisplay
from c360ml.customer_value.purchase_model import DistinctHistories
from c360ml.customer_value.saved_models import SavedModels

LEVEL = 0.90

Draws = NDArray[np.float32]


@dataclass(frozen=True)
class ValueIntervals(IntervalsDisplay):
    """What the draws say: of customers in the order of `customers`, and of the total.

    `totals` has the total of each draw under both doubts, `totals_by_parameters` and `totals_by_identity` under one.
    `worth` is what each set of records is worth by the fitted parameters: past and projected.
    """

    customers: list[str]
    value: Floats
    lower: Floats
    upper: Floats
    identity_share: Floats
    totals: Floats
    totals_by_parameters: Floats
    totals_by_identity: Floats
    worth: Floats
    projected: Floats


@dataclass(frozen=True)
class _Histories:
    """Histories to be valued with many parameters."""

    table: pa.Table
    distinct: DistinctHistories

    @classmethod
    def of(cls, models: SavedModels, table: pa.Table) -> _Histories:
        kept = table.select(list(HISTORY))
        return cls(kept, models.models.purchases.distinct(kept))

    def projected(self, models: SavedModels) -> Floats:
        return models.project(self.table, self.distinct)


@dataclass(frozen=True)
class _Parameters:
    """Logarithms to add to the parameters in each draw, of both models: chance, and what the draw's people move."""

    noise: tuple[Floats, Floats]
    shift: tuple[Floats, Floats]

    def of(self, models: SavedModels, draw: int) -> SavedModels:
        """Take the models of a draw."""
        purchases, spend = (noise[draw] + shift[draw] for noise, shift in zip(self.noise, self.shift, strict=True))
        return models.moved(purchases, spend)


def value_intervals(
    models: SavedModels, customers: pa.Table, doubtful: DoubtfulHistories | None, *, draws: int, seed: int
) -> ValueIntervals:
    """Work out the intervals.

    Args:
        models: the fitted models and their terms.
        customers: `gold.customer_value`: one row for each customer who bought, in the order of `customer_id`.
        doubtful: what the draws of identity make; None if nobody is in doubt.
        draws: how many draws there are.
        seed: of the parameters' draws.
    """
    names = customers["customer_id"].to_pylist()
    people = _People.of(names, doubtful)
    noise = models.noise(draws, np.random.default_rng([seed, 7]))
    shift = _shift(models, customers, people, doubtful, draws)
    parameters = _Parameters(noise, shift)
    known = _Histories.of(models, customers)
    held = None if doubtful is None else _Histories.of(models, doubtful.history)
    fitted = known.projected(models)
    sets = np.zeros(1) if held is None else held.projected(models)
    surely = np.ones(len(names), dtype=bool)
    surely[people.rows_of_buyers] = False
    value = np.zeros(len(people.names))
    value[: len(names)] = fitted

    both = np.zeros((draws, len(people.names)), dtype=np.float32)
    by_parameters = np.zeros((draws, len(names)), dtype=np.float32)
    totals = np.zeros((3, draws))
    for draw in range(draws):
        moved = parameters.of(models, draw)
        certain = known.projected(moved)
        by_parameters[draw] = certain
        both[draw, : len(names)] = certain
        drawn = people.sets_with_purchases(doubtful, draw)
        of_sets = np.zeros(1) if held is None else held.projected(moved)
        both[draw, people.rows] = people.pick(of_sets, draw)
        totals[:, draw] = (
            certain[surely].sum() + of_sets[drawn].sum(),
            certain.sum(),
            fitted[surely].sum() + sets[drawn].sum(),
        )
    identity = _by_identity(people, sets, draws)
    lower, upper = _bounds(both)
    past = np.zeros(1) if doubtful is None else read_numbers(doubtful.history, ["total_spend"])[0]
    return ValueIntervals(
        people.names,
        value,
        lower,
        upper,
        _share(people, identity, by_parameters),
        totals[0],
        totals[1],
        totals[2],
        _spread(doubtful, sets + past),
        _spread(doubtful, sets),
    )


@dataclass(frozen=True)
class _People:
    """Customers of the table and those without a purchase who may have some; who of them is in doubt.

    `rows` are the rows of customers in doubt, `held` the row of the sets' history that each is in each draw, -1 for
    no purchase; `rows_of_buyers` those of `rows` that are in the table.
    """

    names: list[str]
    rows: Codes
    rows_of_buyers: Codes
    held: Codes

    @classmethod
    def of(cls, names: list[str], doubtful: DoubtfulHistories | None) -> _People:
        if doubtful is None:
            nothing = np.zeros(0, dtype=np.int64)
            return cls(names, nothing, nothing, np.zeros((0, 0), dtype=np.int64))
        held = doubtful.row_of_set()[doubtful.customer_sets]
        place = {name: row for row, name in enumerate(names)}
        known = np.array([name in place for name in doubtful.customers], dtype=bool)
        chosen = np.flatnonzero(known | np.any(held >= 0, axis=1))
        kept = [doubtful.customers[number] for number in chosen.tolist()]
        new = [name for name in kept if name not in place]
        place |= {name: len(names) + number for number, name in enumerate(new)}
        rows = np.array([place[name] for name in kept], dtype=np.int64)
        return cls([*names, *new], rows, rows[rows < len(names)], held[chosen])

    def sets_with_purchases(self, doubtful: DoubtfulHistories | None, draw: int) -> Codes:
        """Rows of the sets' history that a draw makes."""
        if doubtful is None:
            return np.zeros(0, dtype=np.int64)
        rows = doubtful.row_of_set()[doubtful.sets_of_draw(draw)]
        return rows[rows >= 0]

    def pick(self, of_sets: Floats, draw: int) -> Floats:
        """Value of each customer in doubt, from those of all sets."""
        if not len(self.rows):
            return np.zeros(0)
        held = self.held[:, draw]
        return np.where(held >= 0, of_sets[held], 0.0)


def _shift(
    models: SavedModels, customers: pa.Table, people: _People, doubtful: DoubtfulHistories | None, draws: int
) -> tuple[Floats, Floats]:
    if doubtful is None or not len(people.rows_of_buyers):
        purchases, spend = models.noise(draws, np.random.default_rng(0))
        return np.zeros_like(purchases), np.zeros_like(spend)
    drawn = [people.sets_with_purchases(doubtful, draw) for draw in range(draws)]
    before = customers.select(list(HISTORY)).take(np.sort(people.rows_of_buyers))
    return models.shifts(before, doubtful.history.select(list(HISTORY)), drawn)


def _by_identity(people: _People, sets: Floats, draws: int) -> Floats:
    """Value of each customer in doubt in each draw, by the fitted parameters."""
    if not len(people.rows):
        return np.zeros((0, draws))
    return np.where(people.held >= 0, sets[people.held], 0.0)


def _bounds(drawn: Draws | Floats) -> tuple[Floats, Floats]:
    """Ends of the interval: between ordered draws, such that one more draw falls inside with the level's chance."""
    ends = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0, method="weibull")
    return ends[0].astype(np.float64), ends[1].astype(np.float64)


def _share(people: _People, identity: Floats, by_parameters: Draws) -> Floats:
    """Share of identity in the variance of each customer's value."""
    of_identity, of_parameters = np.zeros(len(people.names)), np.zeros(len(people.names))
    of_identity[people.rows] = identity.var(axis=1)
    of_parameters[: by_parameters.shape[1]] = by_parameters.var(axis=0, dtype=np.float64)
    whole = of_identity + of_parameters
    return np.divide(of_identity, whole, out=np.zeros_like(whole), where=whole > 0)


def _spread(doubtful: DoubtfulHistories | None, of_rows: Floats) -> Floats:
    """Values by set: 0 for those that bought nothing."""
    if doubtful is None:
        return np.zeros(0)
    rows = doubtful.row_of_set()
    return np.where(rows >= 0, of_rows[rows], 0.0)


def total_interval(totals: Floats) -> dict[str, float]:
    """Mean and interval of a total over the draws.

    >>> round(total_interval(np.arange(99.0))["lower"], 6)
    4.0
    """
    lower, upper = _bounds(np.asarray(totals, dtype=np.float64)[:, None])
    return {"mean": float(totals.mean()), "lower": float(lower[0]), "upper": float(upper[0])}


def summary_of(found: ValueIntervals) -> dict[str, Any]:
    """Say what both doubts make of the total, as plain JSON."""
    of_identity, of_parameters = found.totals_by_identity.var(), found.totals_by_parameters.var()
    whole = float(of_identity + of_parameters)
    return {
        "level": LEVEL,
        "value": float(found.value.sum()),
        **total_interval(found.totals),
        "parameters_alone": total_interval(found.totals_by_parameters),
        "identity_alone": total_interval(found.totals_by_identity),
        "identity_share": float(of_identity / whole) if whole > 0 else 0.0,
    }
