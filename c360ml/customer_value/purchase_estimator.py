"""How a model of purchases is fitted: on counted histories, with priors and covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from c360ml.customer_value import lifetimes_bridge
from c360ml.customer_value.columns import Floats
from c360ml.customer_value.compression import Histories
from c360ml.customer_value.covariates import CellLikelihood, Design, Objective, Standard, cells_of, standardise
from c360ml.customer_value.estimation import LikelihoodModel
from c360ml.customer_value.maximum_likelihood import Optimum, Words, find_optimum, optimum_at
from c360ml.customer_value.priors import Quantity, prior_of
from c360ml.customer_value.triple_counts import TripleCounts
from c360ml.errors import DataError

_COARSE_STEPS = 60


class PurchaseFormulas(CellLikelihood, Protocol):
    """What a model of purchases can work out; `params` has a row a parameter."""

    def log_dead_odds(self, params: Floats, x: Floats, t_x: Floats, age: Floats) -> Floats:
        """Log odds of having left."""

    def stays(self, params: Floats, x: Floats, age: Floats, weeks: Floats | float) -> Floats:
        """Probability that who is alive still is after so many weeks."""

    def expected_if_alive(self, params: Floats, x: Floats, age: Floats, weeks: Floats | float) -> Floats:
        """Purchases expected of who is alive."""

    def discounted_if_alive(
        self, params: Floats, x: Floats, age: Floats, weeks: Floats | float, force: float
    ) -> Floats:
        """Discounted purchases expected of who is alive."""

    def expected_for_ever_if_alive(self, params: Floats, x: Floats, age: Floats) -> Floats:
        """Purchases expected ever of who is alive."""

    def alive_at_first(self, params: Floats) -> Floats:
        """Probability of being a customer right after the first purchase."""

    def purchase_count_probability(self, params: Floats, count: Floats, weeks: Floats) -> Floats:
        """Probability of so many repeat purchases of a new customer."""

    def draw(
        self, params: Floats, age: Floats, random: np.random.Generator
    ) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Draw x, t_x and whether alive."""


class PurchaseEstimator(LikelihoodModel):
    """The half of a model of purchases that learns."""

    formulas: ClassVar[PurchaseFormulas]
    quantities: ClassVar[Mapping[str, Quantity]]
    limits: ClassVar[Mapping[str, str]]
    starts: ClassVar[Sequence[tuple[float, float, float, float]]]
    centre: ClassVar[tuple[float, float, float, float]]
    time_powers: ClassVar[tuple[float, float, float, float]]
    purchase_shift: ClassVar[tuple[float, float, float, float]]
    dropout_shift: ClassVar[tuple[float, float, float, float]]
    settings = ("penalty", "prior", "purchase_covariates", "dropout_covariates", "covariate_penalty")

    coefficients_: dict[str, float]
    covariates_: dict[str, dict[str, float]]
    counts_: TripleCounts
    origin_: dict[str, str] | None = None

    def __init__(
        self,
        *,
        penalty: float = 0.0,
        prior: Mapping[str, Sequence[float]] | None = None,
        purchase_covariates: Sequence[str] = (),
        dropout_covariates: Sequence[str] = (),
        covariate_penalty: float = 1.0,
    ) -> None:
        self.penalty, self.prior = penalty, prior
        self.purchase_covariates, self.dropout_covariates = purchase_covariates, dropout_covariates
        self.covariate_penalty = covariate_penalty

    def fit(self, history: Any, *, near: Self | None = None) -> Self:
        """Learn the parameters from a history, one row a customer (or `weight` customers), or from counts of it.

        Args:
            history: The customers.
            near: A model fitted to customers much like these: the search begins there alone, instead of at several
                places.

        Raises:
            ColumnError: a column is missing.
            DataError: rows cannot be true, or nobody bought twice.
            FitError: the data do not tell the parameters; the message names them and says why.
        """
        counts = TripleCounts.of(history, self._covariate_names())
        self._check(counts)
        objective, standards, scale = self._objective(counts)
        coarse = Objective(self.formulas, objective.histories.rounded(_COARSE_STEPS), objective.design, objective.prior)
        effects = [0.0] * len(self._effects())
        starts = self.starts if near is None else [near._logs(scale)]
        optimum = find_optimum(
            objective,
            [[*start, *effects] for start in starts],
            words=self._words(),
            rows=counts.customers,
            coarse=coarse,
        )
        self._take(optimum, objective, standards, scale, counts)
        self.origin_ = counts.origin
        return self

    def log_likelihood(self, history: Any) -> float:
        """Work out the log-likelihood of a history, of other customers say, times in weeks."""
        self._learned()
        counts = TripleCounts.of(history, self._covariate_names())
        values, cells = cells_of(counts.columns[3:], len(counts))
        x, t_x, age = counts.columns[:3]
        histories = Histories.of(x, t_x, age, counts.weight, cells)
        return self.formulas.log_likelihood(self._params_of_cells(values.T), histories)[0]

    @classmethod
    def from_lifetimes(cls, fitter: Any, *, weeks_per_unit: float, history: Any = None) -> Self:
        """Take over the parameters of a fitted lifetimes fitter; errors and likelihood are worked out anew.

        Args:
            fitter: One of lifetimes' fitters.
            weeks_per_unit: Weeks in the unit of time the fitter was fitted in: 1/7 for days.
            history: What it was fitted on, where the fitter was saved without its data.

        Raises:
            ModelError: it is not this model's fitter, not fitted, or without data.
        """
        params = lifetimes_bridge.params_of(fitter, cls.kind)
        powers = np.array(cls.time_powers)
        values = np.array([params[name] for name in cls.meanings]) * weeks_per_unit**powers
        counts = TripleCounts.of(lifetimes_bridge.data_of(fitter, weeks_per_unit) if history is None else history)
        model = cls()
        objective, standards, scale = model._objective(counts)
        logs = np.log(values / scale**powers)
        optimum = optimum_at(objective, logs, model=cls.__name__)
        model._take(optimum, objective, standards, scale, counts)
        return model

    def _logs(self, scale: float) -> list[float]:
        """Logarithms of the parameters, times in units of `scale` weeks."""
        logs: list[float] = np.log(
            np.array(list(self._learned().values())) / scale ** np.array(self.time_powers)
        ).tolist()
        return logs

    def _check(self, counts: TripleCounts) -> None:
        if not counts.columns[0].any():
            raise DataError(
                f"{self.kind} must see repeat purchases",
                got=f"{counts.customers:,.0f} customers without any",
                hint="observe the customers for longer",
            )

    def _covariate_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.purchase_covariates, *self.dropout_covariates]))

    def _effects(self) -> list[tuple[str, str]]:
        """List the effects: what they act on, and the covariate."""
        return [("purchase_rate", name) for name in self.purchase_covariates] + [
            ("dropout", name) for name in self.dropout_covariates
        ]

    def _estimates(self) -> dict[str, float]:
        return self._learned() | self.coefficients_

    def _words(self) -> Words:
        effects = {f"{part}:{name}": f"the effect of {name}" for part, name in self._effects()}
        return Words(type(self).__name__, {**self.meanings, **effects}, self.limits)

    def _objective(self, counts: TripleCounts) -> tuple[Objective, list[Standard], float]:
        x, t_x, age, *values = counts.columns
        scale = float(np.sum(counts.weight * age)) / counts.customers
        standards = standardise(self._covariate_names(), values, counts.weight)
        of_cells, cells = cells_of(values, len(counts))
        effects = len(self._effects())
        prior = prior_of(
            penalty=self.penalty,
            centre=self.centre,
            stated=self.prior,
            quantities=self.quantities,
            scale=scale,
            effects=effects,
            effect_penalty=self.covariate_penalty,
        )
        histories = Histories.of(x, t_x, age, counts.weight, cells).in_units_of(scale)
        return Objective(self.formulas, histories, self._design(of_cells.T, standards), prior), standards, scale

    def _design(self, values: Floats, standards: Sequence[Standard]) -> Design:
        """Arrange covariates (a row each, a column a cell) by the effects they have."""
        by_name = {
            part.name: (column - part.mean) / part.deviation for part, column in zip(standards, values, strict=True)
        }
        shifts = {"purchase_rate": self.purchase_shift, "dropout": self.dropout_shift}
        effects = self._effects()
        cells = np.empty((values.shape[1], len(effects)))
        for place, (_, name) in enumerate(effects):
            cells[:, place] = by_name[name]
        return Design(np.array([shifts[part] for part, _ in effects]).reshape(-1, 4), cells)

    def _take(
        self, optimum: Optimum, objective: Objective, standards: Sequence[Standard], scale: float, counts: TripleCounts
    ) -> None:
        """Keep what was learned, in weeks and in units of the covariates."""
        total, _ = self.formulas.log_likelihood(objective.design.params(optimum.logs), objective.histories)
        total -= float(np.sum(counts.weight * counts.columns[0])) * np.log(scale)  # of times in weeks
        powers = np.array(self.time_powers)
        deviations = {part.name: part.deviation for part in standards}
        units = np.concatenate([np.ones(4), [1 / deviations[name] for _, name in self._effects()]])
        natural = Optimum(
            optimum.logs,
            np.outer(units, units) * optimum.covariance,
            optimum.slope,
            optimum.starts,
            optimum.agreeing,
        )
        self._learn(np.exp(optimum.logs[:4]) * scale**powers, natural, float(total), counts.customers)
        effects = zip(self._effects(), (optimum.logs * units)[4:].tolist(), strict=True)
        self.coefficients_ = {f"{part}:{name}": value for (part, name), value in effects}
        self.covariates_ = {part.name: {"mean": part.mean, "deviation": part.deviation} for part in standards}
        self.counts_ = counts

    def _read(self, content: Mapping[str, Any]) -> None:
        self.origin_ = None if content.get("origin") is None else dict(content["origin"])
        self.coefficients_ = {name: float(value) for name, value in content.get("coefficients", {}).items()}
        self.covariates_ = {
            name: {"mean": float(part["mean"]), "deviation": float(part["deviation"])}
            for name, part in content.get("covariates", {}).items()
        }

    def _params_of_cells(self, values: Floats) -> Floats:
        """Work out parameters from covariates, of which `values` has a row each."""
        logs = np.log(list(self._learned().values()))
        if not self._effects():
            return np.exp(logs)[:, None]
        standards = [Standard(name, part["mean"], part["deviation"]) for name, part in self.covariates_.items()]
        per_deviation = [
            self.coefficients_[f"{part}:{name}"] * self.covariates_[name]["deviation"] for part, name in self._effects()
        ]
        return self._design(values, standards).params(np.concatenate([logs, per_deviation]))
