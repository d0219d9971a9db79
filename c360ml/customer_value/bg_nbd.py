"""BG/NBD: how often customers will buy, and whether they are still customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from c360ml.customer_value import bg_nbd_formulas as formulas
from c360ml.customer_value.columns import Floats, as_frame, read_purchases, read_weights, with_columns
from c360ml.customer_value.estimation import LikelihoodModel
from c360ml.customer_value.maximum_likelihood import best_start, find_optimum
from c360ml.errors import DataError

WEEKS_PER_YEAR = 365.25 / 7

_STARTS = ((0.0, 0.0, 0.0, 1.1), (-1.4, -2.0, -0.2, 0.9), (0.0, -1.0, -2.0, 1.5), (1.0, 1.0, 0.5, 0.5))
_PRIOR_CENTRE = np.array([0.0, 0.0, 0.0, 1.1])  # r = 1, alpha = the mean age, a = 1, b = 3
_COARSE_STEPS = 60


class BgNbd(LikelihoodModel):
    """The beta-geometric / negative binomial model of Fader, Hardie and Lee (2005).

    While alive a customer buys at random at a rate drawn from Gamma(r, alpha); after each purchase they leave
    with a probability drawn from Beta(a, b). Times are in weeks. Fitting is by maximum likelihood on the
    distinct rows of the history.

    After `fit`: `params_` (r, alpha, a, b), `standard_errors_`, `covariance_` (in the order of the
    parameters), `log_likelihood_`, `aic_`, `bic_`, `n_customers_`.

    Args:
        penalty: Weight of a prior: the logarithms of r, alpha / mean age, a and b are drawn from normal
            distributions around those of 1, 1, 1 and 3 with variance 1 / penalty. 0 is maximum likelihood.

    >>> import pandas
    >>> history = pandas.DataFrame({
    ...     "repeat_purchases": [0, 1, 2, 6, 0, 3],
    ...     "first_to_last_purchase_weeks": [0.0, 5.0, 30.4, 38.0, 0.0, 12.0],
    ...     "age_weeks": [38.9, 38.9, 38.9, 39.0, 30.0, 36.0],
    ...     "weight": [1411, 439, 214, 64, 300, 90]})
    >>> model = BgNbd(penalty=1).fit(history)
    >>> sorted(model.params_)
    ['a', 'alpha', 'b', 'r']
    >>> model.predict(history, weeks=39)["expected_purchases"].round(1).to_list()
    [0.2, 0.2, 0.9, 3.5, 0.2, 0.4]
    """

    kind = "BG/NBD"
    meanings: ClassVar[Mapping[str, str]] = {
        "r": "how alike customers' purchase rates are",
        "alpha": "how long a purchase takes",
        "a": "how many leave after a purchase",
        "b": "how many stay after a purchase",
    }
    settings = ("penalty",)

    def __init__(self, *, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def fit(self, history: Any) -> Self:
        """Learn the parameters from a history, one row a customer (or `weight` customers).

        Raises:
            ColumnError: a column is missing.
            DataError: rows cannot be true, or nobody bought twice.
            FitError: the data do not tell the parameters; the message names them.
        """
        frame = as_frame(history)
        x, t_x, age = read_purchases(frame)
        weight = read_weights(frame, len(x))
        self._check(x, age)
        scale = float(weight @ age / weight.sum())
        histories = formulas.Histories.of(x, t_x, age, weight)
        scaled = histories.in_units_of(scale)
        customers = float(weight.sum())
        coarse = _Objective(scaled.rounded(_COARSE_STEPS), self.penalty)
        start = best_start(coarse, _STARTS, rows=customers)
        optimum = find_optimum(
            _Objective(scaled, self.penalty),
            start,
            model="BgNbd",
            meanings=self.meanings,
            rows=customers,
        )
        values = np.exp(optimum.logs) * [1.0, scale, 1.0, 1.0]
        total, _ = formulas.log_likelihood(_as_params(values), histories)
        self._learn(values, optimum.covariance, total, customers)
        return self

    def _check(self, x: Floats, age: Floats) -> None:
        if self.penalty < 0:
            raise DataError("penalty must not be negative", got=self.penalty, hint="0 for maximum likelihood")
        if not x.any():
            raise DataError(
                "BG/NBD must see repeat purchases",
                got=f"{len(x):,} rows without any",
                hint="observe the customers for longer",
            )

    def probability_alive(self, history: Any) -> Floats:
        """Work out the probability that each customer is still one."""
        return formulas.probability_alive(self._params(), *read_purchases(as_frame(history)))

    def expected_purchases(self, weeks_ahead: float, history: Any) -> Floats:
        """Work out the purchases expected of each customer within the coming weeks."""
        params = self._params()
        weeks = _weeks(weeks_ahead)
        x, t_x, age = read_purchases(as_frame(history))
        if_alive = formulas.per_distinct(lambda xs, ages: formulas.expected_if_alive(params, xs, ages, weeks), x, age)
        return if_alive * formulas.probability_alive(params, x, t_x, age)

    def discounted_purchases(self, weeks_ahead: float, history: Any, *, discount_rate_per_year: float = 0.10) -> Floats:
        """Work out expected purchases, each discounted to today from the moment it is expected.

        The integral over t, in weeks, of (1 + rate) ** (-t / 52.18) dE[Y(t)].
        """
        params = self._params()
        weeks = _weeks(weeks_ahead)
        if not discount_rate_per_year > -1:
            raise DataError(
                "the yearly discount rate must be above -1", got=discount_rate_per_year, hint="0.10 is 10 %"
            )
        force = float(np.log1p(discount_rate_per_year)) / WEEKS_PER_YEAR
        x, t_x, age = read_purchases(as_frame(history))
        if_alive = formulas.per_distinct(
            lambda xs, ages: formulas.discounted_if_alive(params, xs, ages, weeks, force), x, age
        )
        return if_alive * formulas.probability_alive(params, x, t_x, age)

    def expected_purchases_new(self, weeks: Any) -> Floats:
        """Work out the repeat purchases expected of a new customer within the weeks after the first."""
        span = np.asarray(weeks, dtype=np.float64)
        nothing = np.zeros_like(span)
        return formulas.expected_if_alive(self._params(), nothing, nothing, span)

    def pmf(self, repeat_purchases: Any, weeks: Any) -> Floats:
        """Work out the probability of so many repeat purchases of a new customer within some weeks."""
        count, span = np.asarray(repeat_purchases, dtype=np.float64), np.asarray(weeks, dtype=np.float64)
        return formulas.purchase_count_probability(self._params(), count, span)

    def predict(self, history: Any, *, weeks: float = 52) -> Any:
        """Add `probability_alive` and `expected_purchases` (within the coming weeks) to a history."""
        frame = as_frame(history)
        new = {
            "probability_alive": self.probability_alive(frame),
            "expected_purchases": self.expected_purchases(weeks, frame),
        }
        return with_columns(history, frame, new)

    def _params(self) -> formulas.Params:
        params = self._learned()
        return params["r"], params["alpha"], params["a"], params["b"]


def _as_params(values: Floats) -> formulas.Params:
    r, alpha, a, b = values.tolist()
    return r, alpha, a, b


def _weeks(weeks_ahead: float) -> float:
    if not 0 <= weeks_ahead < np.inf:
        raise DataError("weeks ahead must be a finite number, 0 or more", got=weeks_ahead, hint="52 is a year")
    return float(weeks_ahead)


class _Objective:
    """Negative log-likelihood plus penalty by the logarithms of r, alpha / scale, a and b."""

    def __init__(self, histories: formulas.Histories, penalty: float) -> None:
        self.histories, self.penalty = histories, penalty

    def __call__(self, logs: Floats) -> tuple[float, Floats]:
        values = np.exp(logs)
        total, gradient = formulas.log_likelihood(_as_params(values), self.histories)
        away = logs - _PRIOR_CENTRE
        penalised = self.penalty * away
        return float(-total + penalised @ away / 2), -gradient * values + penalised
