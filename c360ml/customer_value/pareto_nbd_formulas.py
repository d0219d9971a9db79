"""The formulas of Pareto/NBD, as integrals of positive numbers instead of differences of 2F1.

Source: Schmittlein, Morrison, Colombo, "Counting your customers", Management Science 33 (1987); Fader and Hardie's
notes 009 (derivation) and 019 (covariates). x, t_x and T are repeat purchases, time of the last one, and age.

The papers' A0 is a difference of two hypergeometric functions that overflow and cancel. It is also the integral,
over the moment y at which the customer may have left, of what is seen then:

    L = Gamma(r + x) / Gamma(r) alpha**r beta**s (alpha + T)**-(r + x) (beta + T)**-s (1 + D)
    D = s * integral from t_x to T of ((alpha + T) / (alpha + y))**(r + x) ((beta + T) / (beta + y))**s / (beta + y) dy

D is the odds of having left. The integrand is positive and smooth in log(m + y), m the smaller of alpha and beta,
and Gauss-Legendre points give it, and its derivatives by the four parameters, to twelve digits: nothing overflows,
alpha = beta and t_x = T are no special cases, and the gradient is exact.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.special import digamma, exprel, gammaln

from c360ml.customer_value.columns import Codes, Floats
from c360ml.customer_value.compression import Histories, add_up, encode
from c360ml.customer_value.hypergeometric import integrate_over_time

_FEW, _MANY = (np.polynomial.legendre.leggauss(count) for count in (16, 36))
_PMF_NODES = np.polynomial.legendre.leggauss(64)
_FORGOTTEN = 45.0  # e**-45 of an integrand is nothing
_GENTLE_DROP, _GENTLE_SPAN = 8.0, 3.0  # within these 16 points do
_THREADS = os.cpu_count() or 1
_CHUNK = 8_192  # rows at a time: rows x points fit a processor's cache


class ParetoNbdFormulas:
    """Pareto/NBD.

    `params` are r, alpha, s and beta: one array, whose rows fit the customers or have one value for all.
    """

    def log_likelihood(self, params: Floats, histories: Histories) -> tuple[float, Floats]:
        """Sum the weighted log-likelihood and its gradient by r, alpha, s and beta of each cell."""
        counts, weight, cells = histories.x, histories.weight, histories.cells
        x, t_x, age = (part.per_row() for part in (counts, histories.t_x, histories.age))
        r, alpha, s, beta = params[:, cells]
        dead_odds, slopes = _log_dead_odds(params[:, cells], x, t_x, age, with_slopes=True)
        softplus = np.logaddexp(0.0, dead_odds)
        dead = np.exp(dead_odds - softplus)
        log_alpha, log_beta = np.log(alpha / (alpha + age)), np.log(beta / (beta + age))
        r_of_count = params[0, counts.cells]
        gamma = (gammaln(r_of_count + counts.values) - gammaln(r_of_count))[counts.codes]
        rise = (digamma(r_of_count + counts.values) - digamma(r_of_count))[counts.codes]
        total = np.sum(weight * (gamma + r * log_alpha - x * np.log(alpha + age) + s * log_beta + softplus))
        by_row = np.array(
            [
                rise + log_alpha,
                r / alpha - (r + x) / (alpha + age),
                log_beta,
                s / beta - s / (beta + age),
            ]
        )
        by_row = weight * (by_row + dead * slopes)
        return float(total), np.array([add_up(cells, part, params.shape[1]) for part in by_row])

    def log_dead_odds(self, params: Floats, x: Floats, t_x: Floats, age: Floats) -> Floats:
        """Log odds of having left; minus infinity for who bought today."""
        r, alpha, s, beta, counts, lasts, ages = np.broadcast_arrays(*params, x, t_x, age)
        return _log_dead_odds(np.array([r, alpha, s, beta]), counts, lasts, ages, with_slopes=False)[0]

    def stays(self, params: Floats, x: Floats, age: Floats, weeks: Floats | float) -> Floats:
        """Probability that a customer who is alive still is after so many more weeks."""
        _, _, s, beta = params
        return np.asarray(np.exp(-s * np.log1p(weeks / (beta + age))) + 0 * x, dtype=np.float64)

    def expected_if_alive(self, params: Floats, x: Floats, age: Floats, weeks: Floats | float) -> Floats:
        """Purchases expected within the coming weeks of customers who are alive.

        (r + x) (beta + T) / (alpha + T) / (s - 1) * (1 - (1 + t / (beta + T)) ** (1 - s)), without its hole at s = 1.
        """
        r, alpha, s, beta = params
        span = np.log1p(weeks / (beta + age))
        return np.asarray((r + x) / (alpha + age) * (beta + age) * span * exprel((1 - s) * span), dtype=np.float64)

    def discounted_if_alive(
        self, params: Floats, x: Floats, age: Floats, weeks: Floats | float, force: float
    ) -> Floats:
        """Discounted purchases of customers who are alive; the papers' DERT where weeks are infinite."""
        r, alpha, s, beta = params
        rate = (r + x) / (alpha + age)
        if params.ndim == 2 and params.shape[1] == 1 and np.ndim(weeks) == 0:
            ages = encode(age)
            return np.asarray(rate * _weeks_alive(s, beta + ages.values, weeks, force)[ages.codes], dtype=np.float64)
        return np.asarray(rate * _weeks_alive(s, beta + age, weeks, force), dtype=np.float64)

    def expected_for_ever_if_alive(self, params: Floats, x: Floats, age: Floats) -> Floats:
        """Purchases expected ever of customers who are alive: finite where s > 1."""
        r, alpha, s, beta = params
        below = np.where(s > 1, s - 1, 1.0)
        return np.where(s > 1, (r + x) * (beta + age) / (alpha + age) / below, np.inf)

    def alive_at_first(self, params: Floats) -> Floats:
        """Probability of being a customer right after the first purchase."""
        return np.ones_like(params[0])

    def purchase_count_probability(self, params: Floats, count: Floats, weeks: Floats) -> Floats:
        """Probability of so many repeat purchases within so many weeks of a new customer.

        Alive all the time and so many purchases, or so many by the moment at which they leave: an integral.
        """
        r, alpha, s, beta, counts, span = np.broadcast_arrays(*params, count, weeks)
        ways = gammaln(r + counts) - gammaln(r) - gammaln(counts + 1)
        stayed = ways + _log_count(r, alpha, counts, span) - s * np.log1p(span / beta)
        scale = np.minimum(alpha, beta)
        # earlier than this, so many purchases are e**-60 times as likely
        share = span / (alpha + span) * np.exp(-60 / np.maximum(counts, 1e-9))
        start = np.where(counts > 0, np.log1p(alpha * share / (1 - share) / scale), 0.0)
        width = np.log1p(span / scale) - start
        left = np.zeros(span.shape)
        for node, node_weight in zip(*_PMF_NODES, strict=True):
            y = scale * np.expm1(start + width * (node + 1) / 2)
            density = s / (beta + y) * np.exp(-s * np.log1p(y / beta)) * (scale + y)
            left += node_weight * np.exp(ways + _log_count(r, alpha, counts, y)) * density
        return np.asarray(np.exp(stayed) + left * width / 2, dtype=np.float64)

    def draw(
        self, params: Floats, age: Floats, random: np.random.Generator
    ) -> tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        """Draw x, t_x and whether alive of a customer of each age."""
        r, alpha, s, beta = params
        customers = len(age)
        rate, leaving = random.gamma(r, 1 / alpha, customers), random.gamma(s, 1 / beta, customers)
        life = random.exponential(1, customers) / np.maximum(leaving, 1e-300)
        span = np.minimum(life, age)
        x = random.poisson(rate * span).astype(np.float64)
        t_x = np.zeros(customers)
        bought = x > 0
        t_x[bought] = span[bought] * random.beta(x[bought], 1.0)
        return x, t_x, life > age


def _weeks_alive(s: Floats, place: Floats, weeks: Floats | float, force: float) -> Floats:
    """Discounted time that a customer is alive within the coming weeks; `place` is beta + T."""

    def alive(t: Floats) -> Floats:
        return np.asarray(np.exp(-s * np.log1p(t / place)))

    return integrate_over_time(alive, place / np.maximum(1, s), weeks, force)


def _log_count(r: Floats, alpha: Floats, count: Floats, weeks: Floats) -> Floats:
    """Log of (alpha / (alpha + t)) ** r * (t / (alpha + t)) ** x."""
    with np.errstate(divide="ignore"):
        bought = np.where(count > 0, count * np.log(weeks / (alpha + weeks)), 0.0)
    return np.asarray(bought - r * np.log1p(weeks / alpha), dtype=np.float64)


def _log_dead_odds(params: Floats, x: Floats, t_x: Floats, age: Floats, *, with_slopes: bool) -> tuple[Floats, Floats]:
    """Work out the log odds of having left, row by row, and their derivatives by r, alpha, s and beta."""
    odds, slopes = np.full(len(x), -np.inf), np.zeros((4, len(x)))
    r, alpha, s, beta = params
    scale = np.minimum(alpha, beta)
    with np.errstate(over="ignore"):  # infinity is all right for a time after which nothing counts
        gone = np.minimum(
            (alpha + t_x) * np.expm1(np.minimum(_FORGOTTEN / (r + x), 700)),
            (beta + t_x) * np.expm1(np.minimum(_FORGOTTEN / s, 700)),
        )
    end = np.log1p(np.minimum(age - t_x, gone) / (scale + t_x))
    drop = (r + x) * np.log1p((age - t_x) / (alpha + t_x)) + s * np.log1p((age - t_x) / (beta + t_x))
    gentle = (drop < _GENTLE_DROP) & (end < _GENTLE_SPAN)
    for rows, nodes in ((np.flatnonzero(gentle & (age > t_x)), _FEW), (np.flatnonzero(~gentle), _MANY)):

        def integrate(chunk: Codes, nodes: tuple[Floats, Floats] = nodes) -> None:
            found = _integrate(params[:, chunk], x[chunk], t_x[chunk], age[chunk], end[chunk], nodes, with_slopes)
            odds[chunk], slopes[:, chunk] = drop[chunk] + found[0], found[1]

        _each(integrate, np.array_split(rows, max(1, -(-len(rows) // _CHUNK))))
    return odds, slopes


def _each(work: Callable[[Codes], None], chunks: Sequence[Codes]) -> None:
    """Do the chunks side by side; each writes its own rows, so that the number of threads does not matter."""
    if len(chunks) == 1:
        work(chunks[0])
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(work, chunks):
            pass


def _integrate(
    params: Floats, x: Floats, t_x: Floats, age: Floats, end: Floats, nodes: tuple[Floats, Floats], with_slopes: bool
) -> tuple[Floats, Floats]:
    """Integrate over the moment of leaving, relative to its value at t_x."""
    r, alpha, s, beta = (part[:, None] for part in params)
    n, start, scale = r + x[:, None], t_x[:, None], np.minimum(alpha, beta)
    growth = end[:, None] * (nodes[0] + 1) / 2
    later = (scale + start) * np.expm1(growth)
    to_alpha, to_beta = alpha + start + later, beta + start + later
    log_alpha = growth if (alpha <= beta).all() else np.log1p(later / (alpha + start))
    log_beta = growth if (beta <= alpha).all() else np.log1p(later / (beta + start))
    mass = np.exp(-n * log_alpha - s * log_beta) / to_beta * (scale + start + later) * nodes[1]
    total = mass.sum(axis=1)
    value = np.log(params[2] * total * end / 2)
    if not with_slopes:
        return value, np.zeros((4, len(x)))
    share = mass / total[:, None]
    since_alpha, since_beta = (age - t_x) / (params[1] + t_x), (age - t_x) / (params[3] + t_x)
    slopes = (
        np.log1p(since_alpha) - (share * log_alpha).sum(axis=1),
        (params[0] + x) * (1 / (params[1] + age) - (share / to_alpha).sum(axis=1)),
        np.log1p(since_beta) + 1 / params[2] - (share * log_beta).sum(axis=1),
        params[2] / (params[3] + age) - (params[2] + 1) * (share / to_beta).sum(axis=1),
    )
    return value, np.array(slopes)


PARETO_NBD = ParetoNbdFormulas()
