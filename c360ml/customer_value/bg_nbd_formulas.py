"""The formulas of BG/NBD and MBG/NBD, in forms that stay finite.

Sources: Fader, Hardie, Lee, "Counting your customers the easy way", Marketing Science 24 (2005); Hardie's notes
004, 019, 021, 027; Batislam, Denizel, Filiztekin, "Empirical validation and comparison of models for customer base
analysis", IJRM 24 (2007). x, t_x and T are repeat purchases, time of the last one, and age.

Both models are one: a customer leaves after a purchase with a probability of their own. In BG/NBD the repeat
purchases are the chances to leave, in MBG/NBD the first purchase is one too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaln, digamma, gammaln

from c360ml.customer_value.ages import read_between_ages
from c360ml.customer_value.columns import Floats
from c360ml.customer_value.compression import Histories, add_up
from c360ml.customer_value.hypergeometric import gauss_2f1, integrate_over_time

_CANCELLED = 0.01  # a difference from 1 as small as this has lost digits: integrate instead


@dataclass(frozen=True)
class BetaGeometric:
    """BG/NBD (`first_is_a_chance` = 0) or MBG/NBD (1).

    `params` are r, alpha, a and b: one array, whose rows fit the customers or have one value for all.
    """

    first_is_a_chance: int

    def log_likelihood(self, params: Floats, histories: Histories) -> tuple[float, Floats]:
        """Sum the weighted log-likelihood and its gradient by r, alpha, a and b of each cell.

        Special functions are taken once per distinct x, logarithms once per distinct time.
        """
        x, t_x, age, weight = histories.x, histories.t_x, histories.age, histories.weight
        r, alpha, a, b = params[:, x.cells]
        counts, chances = x.values, x.values + self.first_is_a_chance
        older, sooner = params[1, age.cells] + age.values, params[1, t_x.cells] + t_x.values
        log_age = np.log(older)[age.codes]
        silence = log_age - np.log(sooner)[t_x.codes]
        rx = (r + counts)[x.codes]
        dead_odds = _log_dead_factor(a, b, chances)[x.codes] + rx * silence
        softplus = np.logaddexp(0.0, dead_odds)
        dead = np.exp(dead_odds - softplus)
        customers = x.weight_per_value(weight)
        per_count = gammaln(r + counts) - gammaln(r) + betaln(a, b + chances) - betaln(a, b) + r * np.log(alpha)
        total = np.sum(customers * per_count) + np.sum(weight * (softplus - rx * log_age))

        gone = add_up(x.codes, weight * dead, len(counts))
        gap = digamma(a + b) - digamma(a + b + chances)
        by_time = add_up(x.codes, weight * (dead * silence - log_age), len(counts))
        by_age, by_last = (1 / older)[age.codes], (1 / sooner)[t_x.codes]
        by_place = add_up(x.codes, weight * rx * (by_age + dead * (by_last - by_age)), len(counts))
        slopes = (
            customers * (digamma(r + counts) - digamma(r) + np.log(alpha)) + by_time,
            customers * r / alpha - by_place,
            customers * gap + gone / a,
            customers * (gap + digamma(b + chances) - digamma(b)) - gone / np.where(chances > 0, b + chances - 1, 1.0),
        )
        return float(total), np.array([add_up(x.cells, slope, params.shape[1]) for slope in slopes])

    def log_dead_odds(self, params: Floats, x: Floats, t_x: Floats, age: Floats) -> Floats:
        """Log odds of having left; minus infinity for who had no chance to."""
        r, alpha, a, b = params
        return np.asarray(
            _log_dead_factor(a, b, x + self.first_is_a_chance) + (r + x) * np.log1p((age - t_x) / (alpha + t_x)),
            dtype=np.float64,
        )

    def stays(self, params: Floats, x: Floats, age: Floats, weeks: Floats | float) -> Floats:
        """Probability that a customer who is alive still is after so many more weeks.

        E[(1 + p t / (alpha + T)) ** -(r + x)] over p of Beta(a, b + chances), after Pfaff's transformation.
        """
        r, alpha, a, b = params
        z = weeks / (alpha + age + weeks)
        series = gauss_2f1(a, a + b - r + self.first_is_a_chance, a + b + x + self.first_is_a_chance, z)
        return np.asarray(np.exp(a * np.log1p(-z)) * series, dtype=np.float64)

    def expected_if_alive(self, params: Floats, x: Floats, age: Floats, weeks: Floats | float) -> Floats:
        """Purchases expected within the coming weeks of customers who are alive.

        This is Euler's transformation of the papers' form: x is in no power, so nothing overflows. Where it
        cancels (a near 1, a moment ahead) or has a pole (x = 0, a + b = 1), the rate of purchases is integrated.
        """
        shaped = np.broadcast_arrays(*params, x, age, weeks)
        r, alpha, a, b, counts, ages, t = shaped
        z = t / (alpha + ages + t)
        c = a + b + counts - 1 + self.first_is_a_chance
        inner = np.maximum(c, _CANCELLED)
        with np.errstate(over="ignore"):
            tail = np.exp((a - 1) * np.log1p(-z)) * gauss_2f1(a - 1, a + b - 1 - r + self.first_is_a_chance, inner, z)
        lost = ~(np.abs(1 - tail) > _CANCELLED) | (c < _CANCELLED) | ~np.isfinite(tail)
        answer = np.asarray(c / np.where(lost, 1.0, a - 1) * np.where(lost, 0.0, 1 - tail))
        if lost.any():
            part = [np.atleast_1d(column)[np.atleast_1d(lost)] for column in shaped]
            answer[lost] = self.discounted_if_alive(np.array(part[:4]), part[4], part[5], part[6], 0.0)
        return answer

    def discounted_if_alive(
        self, params: Floats, x: Floats, age: Floats, weeks: Floats | float, force: float
    ) -> Floats:
        """Discounted purchases of customers who are alive: the integral of e**(-force t) dE[Y(t)]."""
        if params.ndim == 2 and params.shape[1] == 1 and np.ndim(weeks) == 0:
            return read_between_ages(
                lambda some_x, some_age: self._discounted(params, some_x, some_age, weeks, force),
                x,
                age,
                float(params[1, 0]),
            )
        return self._discounted(params, x, age, weeks, force)

    def _discounted(self, params: Floats, x: Floats, age: Floats, weeks: Floats | float, force: float) -> Floats:
        r, alpha, a, b = params
        place = alpha + age
        excess, c = a + b - 1 - r + self.first_is_a_chance, a + b + x + self.first_is_a_chance

        def rate(t: Floats) -> Floats:
            z = t / (place + t)
            return np.asarray((r + x) / place * np.exp(a * np.log1p(-z)) * gauss_2f1(a, excess, c, z))

        return integrate_over_time(rate, place / np.maximum(1, (r + x + 1) * a / c), weeks, force)

    def expected_for_ever_if_alive(self, params: Floats, x: Floats, age: Floats) -> Floats:
        """Purchases expected ever of customers who are alive: finite where a > 1."""
        _, _, a, b = params
        below = np.where(a > 1, a - 1, 1.0)
        return np.where(a > 1, (a + b + x + self.first_is_a_chance - 1) / below + 0 * age, np.inf)

    def alive_at_first(self, params: Floats) -> Floats:
        """Probability of being a customer right after the first purchase."""
        _, _, a, b = params
        return b / (a + b) if self.first_is_a_chance else np.ones_like(a)

    def purchase_count_probability(self, params: Floats, count: Floats, weeks: Floats) -> Floats:
        """Probability of so many repeat purchases within so many weeks of a new customer (note 004, eq. 8)."""
        r, alpha, a, b = params
        chances = count + self.first_is_a_chance
        log_beta = betaln(a, b)
        share = weeks / (alpha + weeks)
        some, left = np.maximum(count, 1), np.maximum(chances, 1)
        stayed = betaln(a, b + chances) - log_beta + gammaln(r + count) - gammaln(r) - gammaln(count + 1)
        stayed = stayed - r * np.log1p(weeks / alpha)
        with np.errstate(divide="ignore"):
            stayed = stayed + np.where(count > 0, count * np.log(share), 0.0)
        # The sum of the papers is a negative binomial tail: the incomplete beta function has no cancellation.
        reached = np.where(count > 0, betainc(some, r, share), 1.0)
        gone = np.exp(betaln(a + 1, b + left - 1) - log_beta) * reached
        return np.asarray(np.exp(stayed) + np.where(chances > 0, gone, 0.0), dtype=np.float64)

    def draw(
        self, params: Floats, age: Floats, random: np.random.Generator
    ) -> tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        """Draw x, t_x and whether alive of a customer of each age.

        Purchases of a steady rate lie in a span as that many uniform numbers, of which the k-th is beta.
        """
        r, alpha, a, b = params
        customers = len(age)
        rate = random.gamma(r, 1 / alpha, customers)
        leaving = np.maximum(random.beta(a, b, customers), 1e-15)
        last = random.geometric(leaving).astype(np.float64) - self.first_is_a_chance
        would = random.poisson(rate * age).astype(np.float64)
        x = np.minimum(last, would)
        t_x = np.zeros(customers)
        bought = x > 0
        t_x[bought] = age[bought] * random.beta(x[bought], (would - x)[bought] + 1)
        return x, t_x, would < last


def _log_dead_factor(a: Floats, b: Floats, chances: Floats) -> Floats:
    """Log of a / (b + chances - 1); minus infinity without chances, where nobody can have left."""
    open_to_leave = chances > 0
    odds = a / np.where(open_to_leave, b + chances - 1, 1.0)
    return np.where(open_to_leave, np.log(odds), -np.inf)


BG_NBD = BetaGeometric(first_is_a_chance=0)
MBG_NBD = BetaGeometric(first_is_a_chance=1)
