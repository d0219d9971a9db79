"""Gamma-Gamma: how much a customer spends on a purchase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import digamma, gammaln
from scipy.stats import rankdata

from c360ml.customer_value.columns import Floats, as_frame, read_numbers, read_weights, with_columns
from c360ml.customer_value.compression import Column, add_up, encode
from c360ml.customer_value.estimation import LikelihoodModel
from c360ml.customer_value.maximum_likelihood import best_start, find_optimum
from c360ml.errors import DataError

Params = tuple[float, float, float]
"""p, q, v."""

_SAMPLE = 5_000
_STARTS = ((1.1, 1.4, 0.0), (2.0, 1.1, -1.0), (0.0, 2.0, 2.0))
_PRIOR_CENTRE = np.array([1.1, 1.1, -0.4])  # p = 3, q = 3, v = 2/3 of the mean: population mean = the mean


class GammaGamma(LikelihoodModel):
    """The Gamma-Gamma model of spend per purchase (Fader and Hardie's note 025, 2013).

    A customer's spend varies around their own mean as Gamma(p, nu), and nu among customers as Gamma(q, v);
    the mean is supposed not to depend on how often they buy: see `independence_`.

    After `fit`: `params_` (p, q, v; v in the currency), `standard_errors_`, `covariance_`,
    `log_likelihood_`, `aic_`, `bic_`, `n_customers_`, `independence_` (Pearson's and Spearman's correlation
    of repeat purchases with mean spend: effect sizes, 0 is what the model supposes), and
    `population_mean_spend_`, p v / (q - 1), which is None where q <= 1: then there is no mean.

    Args:
        penalty: Weight of a prior: the logarithms of p, q and v / mean spend are drawn from normal
            distributions around those of 3, 3 and 2/3 with variance 1 / penalty. 0 is maximum likelihood.

    >>> import pandas
    >>> history = pandas.DataFrame({
    ...     "repeat_purchases": [0, 1, 2, 3, 1, 5], "mean_spend": [None, 22.5, 70.0, 31.0, 12.0, 35.0]})
    >>> GammaGamma(penalty=1).fit(history).expected_spend(history).round().tolist()
    [39.0, 30.0, 61.0, 33.0, 24.0, 36.0]
    """

    kind = "Gamma-Gamma"
    meanings: ClassVar[Mapping[str, str]] = {
        "p": "how alike one customer's purchases are",
        "q": "how alike customers' mean spends are",
        "v": "how high spend is",
    }
    settings = ("penalty",)

    independence_: dict[str, float | None]

    def __init__(self, *, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def fit(self, history: Any) -> Self:
        """Learn from the customers with repeat purchases and a positive mean spend; others are left out.

        Raises:
            ColumnError: a column is missing.
            DataError: no such customers, or all spend the same.
            FitError: the data do not tell the parameters; the message names them.
        """
        if self.penalty < 0:
            raise DataError("penalty must not be negative", got=self.penalty, hint="0 for maximum likelihood")
        frame = as_frame(history)
        x, spend = read_numbers(frame, ["repeat_purchases", "mean_spend"])
        weight = read_weights(frame, len(x))
        used = (x > 0) & (spend > 0) & np.isfinite(spend)
        x, spend, weight = x[used], spend[used], weight[used]
        if len(np.unique(spend)) < 2:
            raise DataError(
                "Gamma-Gamma must see customers with repeat purchases and different, positive mean spends",
                got=f"{len(x):,} with a repeat purchase, {len(np.unique(spend))} different mean spends",
                hint="observe the customers for longer, or check the amounts",
            )
        scale = float(weight @ spend / weight.sum())
        objective = _Objective(encode(x), spend / scale, weight, self.penalty)
        sample = objective.sample()
        start = best_start(sample, _STARTS, rows=float(sample.weight.sum()))
        optimum = find_optimum(objective, start, model="GammaGamma", meanings=self.meanings, rows=float(weight.sum()))
        values = np.exp(optimum.logs) * [1.0, 1.0, scale]
        total, _ = log_likelihood(_as_params(values), _Spends.of(encode(x), spend, weight))
        self._learn(values, optimum.covariance, total, float(weight.sum()))
        self.independence_ = {
            "pearson": _correlation(x, spend, weight),
            "spearman": _correlation(_ranks(x, weight), _ranks(spend, weight), weight),
        }
        return self

    @property
    def population_mean_spend_(self) -> float | None:
        """Mean spend over all customers, p v / (q - 1); None where q <= 1, for then it does not exist."""
        params = self._learned()
        return params["p"] * params["v"] / (params["q"] - 1) if params["q"] > 1 else None

    def expected_spend(self, history: Any) -> Floats:
        """Work out the expected spend on a purchase of each customer.

        p (v + x m) / (p x + q - 1): between their own mean m and the population's, and just the latter
        without repeat purchase or known spend. NaN where there is no mean (p x + q <= 1), never negative.
        """
        params = self._learned()
        p, q, v = params["p"], params["q"], params["v"]
        x, spend = read_numbers(as_frame(history), ["repeat_purchases", "mean_spend"])
        known = np.where(np.isfinite(spend), x, 0.0)
        mean = np.where(np.isfinite(spend), np.maximum(spend, 0.0), 0.0)
        below = p * known + q - 1
        answer = np.full(x.shape, np.nan)
        np.divide(p * (v + known * mean), below, out=answer, where=below > 0)
        return answer

    def predict(self, history: Any) -> Any:
        """Add `expected_spend` to a history."""
        frame = as_frame(history)
        return with_columns(history, frame, {"expected_spend": self.expected_spend(frame)})

    def to_dict(self) -> dict[str, Any]:
        """Write the fitted model as plain JSON: parameters and measures, no customer data."""
        return super().to_dict() | {
            "independence": self.independence_,
            "population_mean_spend": self.population_mean_spend_,
        }

    def _read(self, content: Mapping[str, Any]) -> None:
        self.independence_ = dict(content["independence"])


@dataclass(frozen=True)
class _Spends:
    """What the likelihood needs of the customers, with all that does not depend on the parameters."""

    x: Column
    spent: Floats
    weight: Floats
    log_spent_per_count: Floats
    log_spend: float

    @classmethod
    def of(cls, x: Column, spend: Floats, weight: Floats) -> _Spends:
        spent = x.per_row() * spend
        log_spent = add_up(x.codes, weight * np.log(spent), len(x.values))
        return cls(x, spent, weight, log_spent, float(weight @ np.log(spend)))


def log_likelihood(params: Params, spends: _Spends) -> tuple[float, Floats]:
    """Sum the weighted log-likelihood (note 025, eq. 1a) and its gradient by p, q and v."""
    p, q, v = params
    x, weight = spends.x, spends.weight
    counts = x.values
    x_weight = x.weight_per_value(weight)
    customers = weight.sum()
    log_all = add_up(x.codes, weight * np.log(spends.spent + v), len(counts))
    inverse = add_up(x.codes, weight / (spends.spent + v), len(counts))

    per_count = gammaln(p * counts + q) - gammaln(p * counts) - gammaln(q) + q * np.log(v)
    total = x_weight @ per_count + (p * counts) @ spends.log_spent_per_count - spends.log_spend
    total -= (p * counts + q) @ log_all

    slope = digamma(p * counts + q)
    by_p = counts @ (x_weight * (slope - digamma(p * counts)) + spends.log_spent_per_count - log_all)
    by_q = x_weight @ (slope - digamma(q)) + customers * np.log(v) - log_all.sum()
    by_v = customers * q / v - (p * counts + q) @ inverse
    return float(total), np.array([by_p, by_q, by_v])


def _as_params(values: Floats) -> Params:
    p, q, v = values.tolist()
    return p, q, v


class _Objective:
    """Negative log-likelihood plus penalty by the logarithms of p, q and v / scale."""

    def __init__(self, x: Column, spend: Floats, weight: Floats, penalty: float) -> None:
        self.x, self.spend, self.weight, self.penalty = x, spend, weight, penalty
        self.spends = _Spends.of(x, spend, weight)

    def __call__(self, logs: Floats) -> tuple[float, Floats]:
        values = np.exp(logs)
        total, gradient = log_likelihood(_as_params(values), self.spends)
        away = logs - _PRIOR_CENTRE
        penalised = self.penalty * away
        return float(-total + penalised @ away / 2), -gradient * values + penalised

    def sample(self) -> _Objective:
        """Take evenly spaced customers in the order of spend, so that starts are compared on few rows."""
        order = np.argsort(self.spend, kind="stable")
        kept = order[:: max(1, len(order) // _SAMPLE)]
        x = Column(self.x.values, self.x.codes[kept])
        return _Objective(x, self.spend[kept], self.weight[kept], self.penalty)


def _ranks(values: Floats, weight: Floats) -> Floats:
    """Rank values as if each were there `weight` times; equal values share their middle rank."""
    if (weight == 1).all():
        return np.asarray(rankdata(values), dtype=np.float64)
    column = encode(values)
    per_value = column.weight_per_value(weight)
    return (np.cumsum(per_value) - (per_value - 1) / 2)[column.codes]


def _correlation(first: Floats, second: Floats, weight: Floats) -> float | None:
    share = weight / weight.sum()
    one, two = first - share @ first, second - share @ second
    spread = np.sqrt((share @ one**2) * (share @ two**2))
    return float(share @ (one * two) / spread) if spread > 0 else None
