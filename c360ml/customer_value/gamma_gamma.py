"""Gamma-Gamma: how much a customer spends on a purchase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import digamma, gammaln

from c360ml.customer_value import lifetimes_bridge
from c360ml.customer_value.columns import Floats, as_frame, read_numbers, read_weights, with_columns
from c360ml.customer_value.compression import Column, add_up, encode
from c360ml.customer_value.estimation import LikelihoodModel
from c360ml.customer_value.maximum_likelihood import Optimum, Words, find_optimum, optimum_at
from c360ml.customer_value.priors import Prior, prior_of
from c360ml.errors import DataError

Params = tuple[float, float, float]
"""p, q, v."""

_SAMPLE = 5_000
_STARTS = ((1.1, 1.4, 0.0), (2.0, 1.1, -1.0), (0.0, 2.0, 2.0))
_CENTRE = (1.1, 1.1, -0.4)  # p = 3, q = 3, v = 2/3 of the mean: population mean = the mean
_LIMITS = {
    "p+ v-": "a customer's purchases were all alike",
    "p+": "a customer's purchases were all alike",
    "q+ v+": "all customers spent alike; only their mean is known",
    "q+": "all customers spent alike; only their mean is known",
    "q-": "the spend of customers had no bounds",
}


class GammaGamma(LikelihoodModel):
    """The Gamma-Gamma model of spend per purchase (Fader and Hardie's note 025, 2013).

    A customer's spend varies around their own mean as Gamma(p, nu), and nu among customers as Gamma(q, v);
    the mean is supposed not to depend on how often they buy: see `independence_`.

    After `fit`: `params_` (p, q, v; v in the currency), `standard_errors_`, `covariance_`,
    `log_likelihood_`, `aic_`, `bic_`, `n_customers_`, `search_`, `independence_` (Pearson's and Spearman's
    correlation of repeat purchases with mean spend: effect sizes, 0 is what the model supposes), and
    `population_mean_spend_`, p v / (q - 1), which is None where q <= 1: then there is no mean, and
    `no_mean_because_` says so in words.

    Args:
        penalty: Weight of a weak prior without units, counted in customers: the logarithms of p, q and v / mean
            spend are normal around those of 3, 3 and 2/3 with variance 1 / penalty. In the middle of it the
            population's mean spend is the mean of the customers seen, and both purchases of one customer and
            mean spends of customers vary by 60 to 100 %. 0 is maximum likelihood.

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
        x, spend, weight = self._read_spends(history)
        objective, scale = self._objective(x, spend, weight)
        optimum = find_optimum(
            objective,
            _STARTS,
            words=Words("GammaGamma", self.meanings, _LIMITS),
            rows=float(weight.sum()),
            coarse=objective.sample(),
        )
        self._take(optimum, x, spend, weight, scale)
        return self

    @classmethod
    def from_lifetimes(cls, fitter: Any, *, history: Any = None) -> Self:
        """Take over the parameters of a fitted lifetimes fitter; errors and likelihood are worked out anew.

        Args:
            fitter: A GammaGammaFitter.
            history: What it was fitted on, where the fitter was saved without its data.

        Raises:
            ModelError: it is no GammaGammaFitter, not fitted, or without data.
        """
        params = lifetimes_bridge.params_of(fitter, cls.kind)
        model = cls()
        spends = model._read_spends(lifetimes_bridge.data_of(fitter) if history is None else history)
        objective, scale = model._objective(*spends)
        optimum = optimum_at(objective, np.log([params["p"], params["q"], params["v"] / scale]), model=cls.__name__)
        model._take(optimum, *spends, scale)
        return model

    def to_lifetimes(self) -> Any:
        """Make a GammaGammaFitter of the lifetimes package with these parameters."""
        return lifetimes_bridge.to_fitter(self.kind, self._learned())

    def log_likelihood(self, history: Any) -> float:
        """Work out the log-likelihood of a history, of other customers say."""
        values = np.array(list(self._learned().values()))
        x, spend, weight = self._read_spends(history)
        return log_likelihood(_as_params(values), _Spends.of(encode(x), spend, weight))[0]

    def simulate(self, repeat_purchases: Any, *, seed: int) -> Floats:
        """Draw the mean spend of customers with so many repeat purchases; NaN without any."""
        p, q, v = self._learned().values()
        x = np.asarray(repeat_purchases, dtype=np.float64)
        random = np.random.default_rng(seed)
        nu = random.gamma(q, 1 / v, x.shape)
        spend = random.gamma(p * np.maximum(x, 1)) / np.maximum(x, 1) / nu
        return np.where(x > 0, spend, np.nan)

    def _read_spends(self, history: Any) -> tuple[Floats, Floats, Floats]:
        """Read the customers with repeat purchases and a positive mean spend."""
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
        return x, spend, weight

    def _objective(self, x: Floats, spend: Floats, weight: Floats) -> tuple[_Objective, float]:
        scale = float(weight @ spend / weight.sum())
        prior = prior_of(penalty=self.penalty, centre=_CENTRE, stated=None, quantities={}, scale=scale)
        return _Objective(encode(x), spend / scale, weight, prior), scale

    def _take(self, optimum: Optimum, x: Floats, spend: Floats, weight: Floats, scale: float) -> None:
        values = np.exp(optimum.logs) * [1.0, 1.0, scale]
        total, _ = log_likelihood(_as_params(values), _Spends.of(encode(x), spend, weight))
        self._learn(values, optimum, total, float(weight.sum()))
        self.independence_ = {
            "pearson": _correlation(x, spend, weight),
            "spearman": _correlation(_ranks(x, weight), _ranks(spend, weight), weight),
        }

    @property
    def population_mean_spend_(self) -> float | None:
        """Mean spend over all customers, p v / (q - 1); None where q <= 1, for then it does not exist."""
        params = self._learned()
        return params["p"] * params["v"] / (params["q"] - 1) if params["q"] > 1 else None

    @property
    def no_mean_because_(self) -> str | None:
        """Why there is no mean spend of all customers, in words; None where there is one."""
        q = self._learned()["q"]
        if q > 1:
            return None
        return (
            f"q = {q:.3g} is not above 1: mean spends of customers differ so much that their average is not finite."
            " Customers without a known spend have no expected spend, and no value can be projected for them: look"
            " for amounts that are not of customers, or state a prior with GammaGamma(penalty=...)"
        )

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
            "no_mean_because": self.no_mean_because_,
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

    def __init__(self, x: Column, spend: Floats, weight: Floats, prior: Prior) -> None:
        self.x, self.spend, self.weight, self.prior = x, spend, weight, prior
        self.spends = _Spends.of(x, spend, weight)

    def __call__(self, logs: Floats) -> tuple[float, Floats]:
        values = np.exp(logs)
        total, gradient = log_likelihood(_as_params(values), self.spends)
        penalty, by_penalty = self.prior(logs)
        return penalty - total, by_penalty - gradient * values

    def sample(self) -> _Objective:
        """Take evenly spaced customers in the order of spend, so that starts are compared on few rows."""
        order = np.argsort(self.spend, kind="stable")
        kept = order[:: max(1, len(order) // _SAMPLE)]
        x, weight = Column(self.x.values, self.x.codes[kept]), self.weight[kept]
        # As heavy as all of them: Newton's steps on all customers are taken with the sample's curvature.
        return _Objective(x, self.spend[kept], weight * (self.weight.sum() / weight.sum()), self.prior)


def _ranks(values: Floats, weight: Floats) -> Floats:
    """Rank values as if each were there `weight` times; equal values share their middle rank."""
    column = encode(values)
    per_value = column.weight_per_value(weight)
    return (np.cumsum(per_value) - (per_value - 1) / 2)[column.codes]


def _correlation(first: Floats, second: Floats, weight: Floats) -> float | None:
    share = weight / weight.sum()
    one, two = first - share @ first, second - share @ second
    spread = np.sqrt((share @ one**2) * (share @ two**2))
    return float(share @ (one * two) / spread) if spread > 0 else None
