"""The one face of all models of purchases: how often customers will buy, and whether they are still customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from c360ml.customer_value import lifetimes_bridge
from c360ml.customer_value.columns import Codes, Floats, as_frame, read_covariates, read_purchases, with_columns
from c360ml.customer_value.compression import distinct_codes
from c360ml.customer_value.origin import check_origin, origin_of
from c360ml.customer_value.purchase_estimator import PurchaseEstimator
from c360ml.errors import DataError, ModelError

WEEKS_PER_YEAR = 365.25 / 7

_Pairs = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class DistinctHistories:
    """The distinct rows of a history, and which of them each customer has: forecasts are worked out once for each.

    `pairs` are the distinct combinations of x, T and covariates, `pair_codes` which of them each distinct row has.
    """

    x: Floats
    t_x: Floats
    age: Floats
    covariates: tuple[Floats, ...]
    codes: Codes
    pairs: list[Floats]
    pair_codes: Codes


class PurchaseModel(PurchaseEstimator):
    """A model of purchases with two parameters of buying and two of leaving.

    Times are in weeks. Fitting is by maximum likelihood on the distinct rows of the history (`counts_`).

    After `fit`: `params_`, `coefficients_` (effects of covariates, by unit of the covariate), `standard_errors_`,
    `covariance_` (in the order of these), `log_likelihood_`, `aic_`, `bic_`, `n_customers_`, `search_` (how many
    standard errors the optimum is still away, and how many starts agree on it), `counts_`, and
    `covariates_` (their means and standard deviations: `params_` are those of a customer with mean covariates).

    Args:
        penalty: Weight of a weak prior without units, counted in customers: the logarithm of each parameter,
            times in units of the mean age, is normal around a middling value with variance 1 / penalty. 0 is
            maximum likelihood.
        prior: What is believed in natural units, {"weeks_between_purchases": (6, 2)}: 6 weeks, and a factor of
            2 more or less is one standard deviation of the logarithm (of the odds, for a probability).
        purchase_covariates: Columns of the history that make customers buy more or less often. An effect e adds
            e * covariate to the logarithm of the purchase rate.
        dropout_covariates: Columns that make customers leave sooner or later.
        covariate_penalty: Effects of one standard deviation of a covariate are normal around 0 with variance
            1 / covariate_penalty.
    """

    def probability_alive(self, history: Any, *, weeks_from_now: float = 0.0) -> Floats:
        """Work out the probability that each customer is still one, now or in some weeks."""
        self._learned()
        weeks = _weeks(weeks_from_now)
        distinct = self.distinct(history)
        alive = self._alive(distinct)
        if weeks > 0:
            alive = alive * self.formulas.stays(*self._pairs(distinct), weeks)[distinct.pair_codes]
        return np.asarray(alive[distinct.codes])

    def expected_purchases(self, weeks_ahead: float, history: Any) -> Floats:
        """Work out the purchases expected of each customer within the coming weeks."""
        self._learned()
        weeks = _weeks(weeks_ahead)
        distinct = self.distinct(history)
        if_alive = self.formulas.expected_if_alive(*self._pairs(distinct), weeks)
        return np.asarray((if_alive[distinct.pair_codes] * self._alive(distinct))[distinct.codes])

    def discounted_purchases(self, weeks_ahead: float, history: Any, *, discount_rate_per_year: float = 0.10) -> Floats:
        """Work out expected purchases, each discounted to today from the moment it is expected.

        The integral over t, in weeks, of (1 + rate) ** (-t / 52.18) dE[Y(t)]. With infinitely many weeks ahead
        it is what the papers call discounted expected residual transactions.

        Raises:
            DataError: the weeks or the rate are impossible, or the sum over an infinite time is.
        """
        self._learned()
        force = _force(discount_rate_per_year)
        weeks = weeks_ahead if weeks_ahead == np.inf else _weeks(weeks_ahead)
        distinct = self.distinct(history)
        if_alive = self._discounted_on(self._pairs(distinct), weeks, force)
        if np.isinf(if_alive).any():
            raise DataError(
                "purchases of an infinite time must be discounted, for they have no finite sum",
                got=f"a discount rate of {discount_rate_per_year}",
                hint="a rate above 0, or finitely many weeks",
            )
        return np.asarray((if_alive[distinct.pair_codes] * self._alive(distinct))[distinct.codes])

    def outlook(
        self, history: Any, *, horizon_weeks: float = 52, years: int = 3, discount_rate_per_year: float = 0.10
    ) -> dict[str, Floats]:
        """Work out all that a customer's value needs, once per distinct history, and spread it to the customers.

        `probability_alive`, `expected_purchases` and `discounted_purchases` (within the horizon),
        `discounted_year_1` and so on (within that year alone, of 365.25 days) and `discounted_all_years`: without
        end, by the same integral, for of these models only Pareto/NBD has it in closed form (Fader, Hardie, Lee
        2005, with Tricomi's function); infinite where nothing is discounted and purchases have no finite sum.
        """
        self._learned()
        force, horizon = _force(discount_rate_per_year), _weeks(horizon_weeks)
        distinct = self.distinct(history)
        pairs = self._pairs(distinct)
        ends = [self._discounted_on(pairs, year * WEEKS_PER_YEAR, force) for year in range(1, years + 1)]
        starts = [np.zeros(len(pairs[1])), *ends[:-1]]
        if_alive = {
            "expected_purchases": self.formulas.expected_if_alive(*pairs, horizon),
            "discounted_purchases": self._discounted_on(pairs, horizon, force),
            **{f"discounted_year_{year + 1}": ends[year] - starts[year] for year in range(years)},
            "discounted_all_years": self._discounted_on(pairs, np.inf, force),
        }
        alive = self._alive(distinct)
        with np.errstate(invalid="ignore"):  # who is surely gone, times infinity
            answers = {name: values[distinct.pair_codes] * alive for name, values in if_alive.items()}
        return {name: values[distinct.codes] for name, values in {"probability_alive": alive, **answers}.items()}

    def expected_purchases_new(self, weeks: Any, *, covariates: Any = None) -> Floats:
        """Work out the repeat purchases expected of a new customer within the weeks after the first.

        Args:
            weeks: A number, or an array of them.
            covariates: A table with the covariates of each customer; without it, those of the mean.
        """
        self._learned()
        params, nothing = self._params_of_new(covariates), np.zeros(1)
        span = np.asarray(weeks, dtype=np.float64)
        expected = self.formulas.expected_if_alive(params, nothing, nothing, np.atleast_1d(span))
        return (expected * self.formulas.alive_at_first(params)).reshape(span.shape if covariates is None else -1)

    def pmf(self, repeat_purchases: Any, weeks: Any, *, covariates: Any = None) -> Floats:
        """Work out the probability of so many repeat purchases of a new customer within some weeks."""
        self._learned()
        count, span = np.broadcast_arrays(
            np.asarray(repeat_purchases, dtype=np.float64), np.asarray(weeks, dtype=np.float64)
        )
        params = self._params_of_new(covariates)
        answer = self.formulas.purchase_count_probability(params, np.atleast_1d(count), np.atleast_1d(span))
        return answer.reshape(count.shape if covariates is None else -1)

    def predict(self, history: Any, *, weeks: float = 52) -> Any:
        """Add `probability_alive` and `expected_purchases` (within the coming weeks) to a history."""
        frame = as_frame(history)
        new = {
            "probability_alive": self.probability_alive(frame),
            "expected_purchases": self.expected_purchases(weeks, frame),
        }
        return with_columns(history, frame, new)

    def simulate(self, customers: int, *, age_weeks: Any, seed: int) -> pa.Table:
        """Draw customers from the model, with mean covariates: a history, and `alive`, which nobody can see.

        Args:
            customers: How many.
            age_weeks: Weeks since the first purchase: one number, or one for each customer.
            seed: The same seed draws the same customers.
        """
        self._learned()
        age = np.broadcast_to(np.asarray(age_weeks, dtype=np.float64), customers)
        x, t_x, alive = self.formulas.draw(self._params_of_new(None)[:, 0], age, np.random.default_rng(seed))
        return pa.table(
            {
                "customer_id": np.arange(customers),
                "repeat_purchases": x.astype(np.int64),
                "first_to_last_purchase_weeks": t_x,
                "age_weeks": age,
                "alive": alive,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Write the fitted model as plain JSON: parameters and measures, no customer data."""
        prior = None if self.prior is None else {name: list(belief) for name, belief in self.prior.items()}
        content = super().to_dict() | {"coefficients": self.coefficients_, "covariates": self.covariates_}
        content["origin"] = self.origin_
        plain = {name: list(content["settings"][name]) for name in ("purchase_covariates", "dropout_covariates")}
        content["settings"] |= plain | {"prior": prior}
        return content

    def to_lifetimes(self) -> Any:
        """Make the fitter of the lifetimes package with these parameters, times in weeks.

        Raises:
            ModelError: the model has covariates, which lifetimes has not.
        """
        if self._learned() and self.coefficients_:
            raise ModelError("a lifetimes fitter must be without covariates", got=self.coefficients_, hint="none")
        return lifetimes_bridge.to_fitter(self.kind, self.params_)

    def _params_of(self, frame: Any) -> Floats:
        """Work out the parameters of each customer: a column each, or one for all."""
        values = read_covariates(frame, self._covariate_names())
        return self._params_of_cells(np.array(values))

    def _params_of_new(self, covariates: Any) -> Floats:
        if covariates is not None:
            return self._params_of(as_frame(covariates))
        return np.array(list(self._learned().values()))[:, None]

    def distinct(self, history: Any) -> DistinctHistories:
        """Find the distinct rows of a history; all that reads a history takes them too, and is then quicker.

        They serve any model with the same covariates, such as this one with other parameters.
        """
        if isinstance(history, DistinctHistories):
            return history
        frame = as_frame(history)
        check_origin(self.origin_, origin_of(frame))
        columns, codes = distinct_codes([*read_purchases(frame), *read_covariates(frame, self._covariate_names())])
        x, t_x, age, *values = (column.per_row() for column in columns)
        pairs, pair_codes = distinct_codes([x, age, *values])
        return DistinctHistories(x, t_x, age, tuple(values), codes, [pair.per_row() for pair in pairs], pair_codes)

    def _alive(self, distinct: DistinctHistories) -> Floats:
        params = self._params_of_cells(np.array(distinct.covariates))
        odds = self.formulas.log_dead_odds(params, distinct.x, distinct.t_x, distinct.age)
        return np.asarray(np.exp(-np.logaddexp(0.0, odds)), dtype=np.float64)

    def _pairs(self, distinct: DistinctHistories) -> _Pairs:
        """Parameters, x and T of the distinct combinations of x, T and covariates: all that who is alive differs by."""
        x, age, *values = distinct.pairs
        return self._params_of_cells(np.array(values)), x, age

    def _discounted_on(self, pairs: _Pairs, weeks: float, force: float) -> Floats:
        if weeks == np.inf and force <= 0:
            for_ever = self.formulas.expected_for_ever_if_alive(*pairs)
            return for_ever if force == 0 else np.full(len(pairs[1]), np.inf)
        return self.formulas.discounted_if_alive(*pairs, weeks, force)


def _weeks(weeks_ahead: float) -> float:
    if not 0 <= weeks_ahead < np.inf:
        raise DataError("weeks ahead must be a finite number, 0 or more", got=weeks_ahead, hint="52 is a year")
    return float(weeks_ahead)


def _force(discount_rate_per_year: float) -> float:
    if not discount_rate_per_year > -1:
        raise DataError("the yearly discount rate must be above -1", got=discount_rate_per_year, hint="0.10 is 10 %")
    return float(np.log1p(discount_rate_per_year)) / WEEKS_PER_YEAR
