"""What `models/customer_value.json` holds: both models and how they value; with it, draws of their parameters.

Parameters are positive, and their likelihood is closer to normal in their logarithms: those are drawn and moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import digamma

from c360ml.customer_value.columns import Floats, as_frame, read_numbers, read_purchases
from c360ml.customer_value.compression import Histories, add_up, distinct_codes
from c360ml.customer_value.estimation import LikelihoodModel
from c360ml.customer_value.fitting import Models, read_purchase_model
from c360ml.customer_value.gamma_gamma import GammaGamma
from c360ml.customer_value.purchase_model import DistinctHistories, PurchaseModel

Codes = NDArray[np.int64]
_MOST = 3.0
"""A parameter is drawn at most e**3 = 20 times as great or small: beyond, the data hardly tell it."""


@dataclass(frozen=True)
class SavedModels:
    """The models of a valuation, and the terms on which they value."""

    models: Models
    horizon_weeks: float
    discount_rate_per_year: float
    factor: float

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Read what `value_days` wrote as its model.

        Raises:
            ModelError: a model is damaged.
        """
        spend = content["gamma_gamma"]
        models = Models(
            read_purchase_model(content["purchase_model"]),
            GammaGamma.from_dict(spend) if spend else None,
            content["observed_mean_spend"],
            (),
        )
        factor = float(content["margin"]) * float(content["recalibration"])
        return cls(models, content["horizon_weeks"], content["discount_rate_per_year"], factor)

    def project(self, history: Any, distinct: DistinctHistories | None = None) -> Floats:
        """Work out the projected value of each customer of a history; 0 where no amount is known.

        Args:
            history: purchase histories.
            distinct: their distinct rows, if these were found before.
        """
        discounted = self.models.purchases.discounted_purchases(
            self.horizon_weeks,
            history if distinct is None else distinct,
            discount_rate_per_year=self.discount_rate_per_year,
        )
        value = self.models.expected_spend(history) * discounted * self.factor
        return np.where(np.isfinite(value), value, 0.0)

    def moved(self, purchases: Floats, spend: Floats) -> SavedModels:
        """Take other parameters: the logarithms of those learnt, and so much more."""
        models = self.models
        drawn = replace(models, purchases=_moved(models.purchases, purchases))
        if models.gamma_gamma is not None:
            drawn = replace(drawn, gamma_gamma=_moved(models.gamma_gamma, spend))
        return replace(self, models=drawn)

    def noise(self, draws: int, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw what estimation leaves open: normal, in the logarithms of the parameters, by their covariance.

        Returns:
            For the model of purchases, and for that of spend: draw x parameter.
        """
        spend = self.models.gamma_gamma
        return (
            _noise(self.models.purchases, draws, random),
            np.zeros((draws, 0)) if spend is None else _noise(spend, draws, random),
        )

    def shifts(self, before: Any, after: Any, drawn: Sequence[Codes]) -> tuple[Floats, Floats]:
        """Work out how far the parameters would move if some histories gave way to others.

        One step of Newton's method from the optimum: covariance of the logarithms x change of the score.

        Args:
            before: the histories that go.
            after: those that may come.
            drawn: which rows of `after` come, for each draw.

        Returns:
            For the model of purchases, and for that of spend: draw x parameter.
        """
        purchases, spend = self.models.purchases, self.models.gamma_gamma
        change = _sums_of_draws(scores_by_row(purchases, after), drawn) - scores_by_row(purchases, before).sum(axis=0)
        moved = change @ log_covariance(purchases)
        if spend is None:
            return _bounded(moved), np.zeros((len(drawn), 0))
        change = _sums_of_draws(_spends_by_row(spend, after), drawn) - _spends_by_row(spend, before).sum(axis=0)
        return _bounded(moved), _bounded(change @ log_covariance(spend))


def scores_by_row(model: PurchaseModel, history: Any) -> Floats:
    """Gradient of each customer's log-likelihood by the logarithms of the parameters, row x parameter."""
    distinct, codes = distinct_codes(read_purchases(as_frame(history)))
    x, t_x, age = (column.per_row() for column in distinct)
    names = ("repeat_purchases", "first_to_last_purchase_weeks", "age_weeks")
    triples = pa.table(dict(zip(names, (x, t_x, age), strict=True)))
    return purchase_scores(model, triples, np.arange(len(x)), len(x))[codes]


def _spends_by_row(model: GammaGamma, history: Any) -> Floats:
    rows = len(read_numbers(as_frame(history), ["repeat_purchases"])[0])
    return spend_scores(model, history, np.arange(rows), rows)


def _sums_of_draws(scores: Floats, drawn: Sequence[Codes]) -> Floats:
    return np.array([scores[rows].sum(axis=0) for rows in drawn])


def log_covariance(model: LikelihoodModel) -> Floats:
    """Covariance of the logarithms of the parameters."""
    values = np.array(list(model.params_.values()))
    size = len(values)
    return np.asarray(model.covariance_, dtype=np.float64)[:size, :size] / np.outer(values, values)


def purchase_scores(model: PurchaseModel, history: Any, groups: Codes, number: int) -> Floats:
    """Gradient of the log-likelihood by the logarithms of the parameters, group x parameter."""
    x, t_x, age = read_purchases(as_frame(history))
    values = np.array(list(model.params_.values()))
    histories = Histories.of(x, t_x, age, np.ones(len(x)), groups)
    _, slopes = model.formulas.log_likelihood(np.repeat(values[:, None], number, axis=1), histories)
    return np.asarray((slopes * values[:, None]).T)


def spend_scores(model: GammaGamma, history: Any, groups: Codes, number: int) -> Floats:
    """Gradient of the log-likelihood of note 025 by the logarithms of p, q and v, group x parameter."""
    p, q, v = (model.params_[name] for name in ("p", "q", "v"))
    x, spend = read_numbers(as_frame(history), ["repeat_purchases", "mean_spend"])
    used = (x > 0) & np.isfinite(spend) & (spend > 0)
    x, spent, groups = x[used], (x * spend)[used], groups[used]
    rise, log_all = digamma(p * x + q), np.log(spent + v)
    slopes = (
        p * x * (rise - digamma(p * x) + np.log(spent) - log_all),
        q * (rise - digamma(q) + np.log(v) - log_all),
        q - v * (p * x + q) / (spent + v),
    )
    return np.column_stack([add_up(groups, slope, number) for slope in slopes])


def _noise(model: LikelihoodModel, draws: int, random: np.random.Generator) -> Floats:
    covariance = log_covariance(model)
    return _bounded(random.multivariate_normal(np.zeros(len(covariance)), covariance, draws, method="eigh"))


def _bounded(logs: Floats) -> Floats:
    return np.clip(logs, -_MOST, _MOST)


def _moved(model: Any, logs: Floats) -> Any:
    content = model.to_dict()
    values = np.array(list(model.params_.values())) * np.exp(logs)
    return type(model).from_dict(content | {"params": dict(zip(model.params_, values.tolist(), strict=True))})
