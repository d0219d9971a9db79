"""The formulas of BG/NBD, in forms that stay finite.

Source: Fader, Hardie, Lee, "Counting your customers the easy way", Marketing Science 24 (2005), and Hardie's
notes 004, 019 and 027. x, t_x and T are repeat purchases, time of the last one, and age.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaln, digamma, expit, gammaln, hyp2f1

from c360ml.customer_value.columns import Floats
from c360ml.customer_value.compression import Column, distinct_pairs, distinct_rows

Params = tuple[float, float, float, float]
"""r, alpha, a, b."""

# Around a = 1 a difference is divided by a - 1: read the smooth function off four points beside it.
_SINGULAR = 0.01
_NODES = (0.97, 0.98, 0.99, 1.01, 1.02, 1.03)
_QUADRATURE = np.polynomial.legendre.leggauss(20)


@dataclass(frozen=True)
class Histories:
    """Distinct (x, t_x, T), and how many customers have each."""

    x: Column
    t_x: Column
    age: Column
    weight: Floats

    @classmethod
    def of(cls, x: Floats, t_x: Floats, age: Floats, weight: Floats) -> Histories:
        """Keep each distinct history once."""
        (xs, t_xs, ages), weights = distinct_rows([x, t_x, age], weight)
        return cls(xs, t_xs, ages, weights)

    def in_units_of(self, scale: float) -> Histories:
        """Measure time in another unit."""
        t_x = Column(self.t_x.values / scale, self.t_x.codes)
        return Histories(self.x, t_x, Column(self.age.values / scale, self.age.codes), self.weight)

    def rounded(self, steps: int) -> Histories:
        """Round times up to so many steps of the greatest age: far fewer distinct histories."""
        step = self.age.values[-1] / steps
        t_x, age = (np.ceil(column.per_row() / step) * step for column in (self.t_x, self.age))
        return Histories.of(self.x.per_row(), t_x, age, self.weight)


def log_likelihood(params: Params, histories: Histories) -> tuple[float, Floats]:
    """Sum the weighted log-likelihood and its gradient by r, alpha, a and b.

    Special functions are taken once per distinct x, logarithms once per distinct time.
    """
    r, alpha, a, b = params
    x, t_x, age, weight = histories.x, histories.t_x, histories.age, histories.weight
    x_weight = x.weight_per_value(weight)
    customers = weight.sum()
    counts = x.values
    log_age = np.log(alpha + age.values)[age.codes]
    log_last = np.log(alpha + t_x.values)[t_x.codes]
    rx = (r + counts)[x.codes]
    dead_odds = _log_dead_factor(a, b, counts)[x.codes] + rx * (log_age - log_last)

    per_count = gammaln(r + counts) - gammaln(r) + betaln(a, b + counts) - betaln(a, b)
    softplus = np.logaddexp(0.0, dead_odds)
    dead = np.exp(dead_odds - softplus)
    total = x_weight @ per_count + weight @ (softplus - rx * log_age) + customers * r * np.log(alpha)

    dead_per_count = np.bincount(x.codes, weight * dead, minlength=len(counts))
    gap = digamma(a + b) - digamma(a + b + counts)
    bought = counts > 0
    by_r = x_weight @ (digamma(r + counts) - digamma(r)) + customers * np.log(alpha)
    by_r += weight @ (dead * (log_age - log_last) - log_age)
    by_alpha = customers * r / alpha
    by_age, by_last = (1 / (alpha + age.values))[age.codes], (1 / (alpha + t_x.values))[t_x.codes]
    by_alpha -= weight @ (rx * (by_age + dead * (by_last - by_age)))
    by_a = x_weight @ gap + dead_per_count.sum() / a
    by_b = x_weight @ (gap + digamma(b + counts) - digamma(b))
    by_b -= (dead_per_count[bought] / (b + counts[bought] - 1)).sum()
    return float(total), np.array([by_r, by_alpha, by_a, by_b])


def _log_dead_factor(a: float, b: float, x: Floats) -> Floats:
    """Log of a / (b + x - 1); minus infinity at x = 0, where nobody can have left."""
    factor = np.full(x.shape, -np.inf)
    np.log(a / (b + x - 1), out=factor, where=x > 0)
    return factor


def probability_alive(params: Params, x: Floats, t_x: Floats, age: Floats) -> Floats:
    """Probability of still being a customer; one without repeat purchase, by this model."""
    r, alpha, a, b = params
    dead_odds = np.full(x.shape, -np.inf)
    bought = x > 0
    dead_odds[bought] = np.log(a / (b + x[bought] - 1))
    dead_odds[bought] += (r + x[bought]) * np.log1p((age - t_x)[bought] / (alpha + t_x[bought]))
    return np.asarray(expit(-dead_odds), dtype=np.float64)


def expected_if_alive(params: Params, x: Floats, age: Floats, weeks: Floats | float) -> Floats:
    """Purchases expected within the coming weeks of customers who are alive.

    This is Euler's transformation of the papers' form: x is in no power, so nothing overflows.
    """
    a = params[2]
    if abs(a - 1) >= _SINGULAR:
        return _expected_off_one(params, x, age, weeks)
    r, alpha, _, b = params
    at_nodes = [_expected_off_one((r, alpha, node, b), x, age, weeks) for node in _NODES]
    answer = np.zeros(np.broadcast_shapes(x.shape, age.shape, np.shape(weeks)))
    for node, value in zip(_NODES, at_nodes, strict=True):
        others = [other for other in _NODES if other != node]
        answer += value * np.prod([(a - other) / (node - other) for other in others])
    return answer


def _expected_off_one(params: Params, x: Floats, age: Floats, weeks: Floats | float) -> Floats:
    r, alpha, a, b = params
    z = weeks / (alpha + age + weeks)
    c = a + b + x - 1
    c = np.where(c == 0, 1e-12, c)  # x = 0, a + b = 1: a removable pole
    tail = np.exp((a - 1) * np.log1p(-z)) * hyp2f1(a - 1, a + b - 1 - r, c, z)
    return np.asarray(c / (a - 1) * (1 - tail), dtype=np.float64)


def discounted_if_alive(params: Params, x: Floats, age: Floats, weeks: float, force: float) -> Floats:
    """Discounted purchases of customers who are alive: the integral of e**(-force t) dE[Y(t)].

    By parts it is e**(-force weeks) E[Y(weeks)] + force * integral of e**(-force t) E[Y(t)] dt, and that
    integrand is smooth: 20 Gauss-Legendre points give ten digits.
    """
    answer = np.exp(-force * weeks) * expected_if_alive(params, x, age, weeks)
    if force == 0:
        return np.asarray(answer)
    for node, node_weight in zip(*_QUADRATURE, strict=True):
        t = weeks * (node + 1) / 2
        answer += force * weeks / 2 * node_weight * np.exp(-force * t) * expected_if_alive(params, x, age, t)
    return np.asarray(answer)


def per_distinct(formula: Callable[[Floats, Floats], Floats], x: Floats, age: Floats) -> Floats:
    """Work out a formula of x and T once per distinct pair."""
    xs, ages, codes = distinct_pairs(x, age)
    return formula(xs, ages)[codes]


def purchase_count_probability(params: Params, count: Floats, weeks: Floats) -> Floats:
    """Probability of so many repeat purchases within so many weeks of a new customer (note 004, eq. 8)."""
    r, alpha, a, b = params
    log_beta = betaln(a, b)
    share = weeks / (alpha + weeks)
    stayed = betaln(a, b + count) - log_beta + gammaln(r + count) - gammaln(r) - gammaln(count + 1)
    stayed = stayed - r * np.log1p(weeks / alpha) + np.where(count > 0, count * np.log(share), 0.0)
    # The sum of the papers is a negative binomial tail: the incomplete beta function has no cancellation.
    left = np.exp(betaln(a + 1, b + np.maximum(count, 1) - 1) - log_beta)
    left = left * betainc(np.maximum(count, 1), r, share)
    return np.asarray(np.exp(stayed) + np.where(count > 0, left, 0.0), dtype=np.float64)
