"""How people buy: purchases drawn from BG/NBD, their amounts from Gamma-Gamma, all customers at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from c360ml.synthetic.planted import BUYER_SHARE, WINDOW_WEEKS, Planted

Numbers = np.ndarray[Any, Any]


def draw_buying(people: int, seed: int, planted: Planted) -> tuple[pa.Table, pa.Table]:
    """Draw how each person buys, and when: a row per person, and a row per purchase of a buyer.

    In BG/NBD a customer buys at rate lambda ~ Gamma(r, alpha) and drops out after each repeat purchase
    with probability p ~ Beta(a, b). Arrivals until the end are Poisson; dropping out cuts them at a
    geometric number.

    >>> people, purchases = draw_buying(200, 1, Planted())
    >>> people.column_names, purchases.column_names
    (['person', 'is_buyer', 'first_week', 'spend_rate'], ['person', 'nth', 'week', 'spend_rate'])
    """
    rng = np.random.default_rng([seed, 10])
    is_buyer = rng.random(people) < BUYER_SHARE
    first_week = rng.uniform(0, WINDOW_WEEKS, people)
    rate = rng.gamma(planted.r, 1 / planted.alpha, people)
    dropout = rng.beta(planted.a, planted.b, people)
    spend_rate = rng.gamma(planted.q, 1 / planted.v, people)
    arrivals = rng.poisson(rate * (WINDOW_WEEKS - first_week))
    # Near a dropout chance of 0 the geometric number overflows; 2**31 repeats are never reached.
    until_dropout = np.minimum(rng.geometric(np.maximum(dropout, 1e-9)), 2**31)
    repeats = np.where(is_buyer, np.minimum(arrivals, until_dropout), 0)
    persons = pa.table(
        {
            "person": pa.array(np.arange(people), pa.int64()),
            "is_buyer": pa.array(is_buyer),
            "first_week": pa.array(first_week),
            "spend_rate": pa.array(spend_rate),
        }
    )
    buyer, nth, week = _weeks(rng, np.flatnonzero(is_buyer), first_week, arrivals, repeats)
    purchases = pa.table(
        {
            "person": pa.array(buyer, pa.int64()),
            "nth": pa.array(nth, pa.int64()),
            "week": pa.array(week),
            "spend_rate": pa.array(spend_rate[buyer]),
        }
    )
    return persons, purchases


def _weeks(
    rng: np.random.Generator, buyers: Numbers, first_week: Numbers, arrivals: Numbers, repeats: Numbers
) -> tuple[Numbers, Numbers, Numbers]:
    """Give person, number and week of each purchase, the first of a buyer being number 0.

    Arrivals of a Poisson process are uniform over time. The first k of n ordered uniforms are sums of
    exponential gaps, divided by those gaps and the Gamma(n + 1 - k) rest together.
    """
    purchases = repeats[buyers] + 1
    buyer = np.repeat(buyers, purchases)
    starts = np.cumsum(purchases) - purchases
    nth = np.arange(len(buyer)) - np.repeat(starts, purchases)
    gaps = np.where(nth == 0, 0.0, rng.exponential(size=len(buyer)))
    passed = np.cumsum(gaps)
    passed -= np.repeat(passed[starts], purchases)
    rest = rng.gamma(arrivals[buyers] + 1.0 - repeats[buyers])
    whole = passed[starts + purchases - 1] + rest
    week = first_week[buyer] + (WINDOW_WEEKS - first_week[buyer]) * passed / np.repeat(whole, purchases)
    return buyer, nth, week


def draw_spend(rates: Numbers, seed: int, planted: Planted) -> Numbers:
    """Draw the amount of each purchase: Gamma(p, rate of its customer), the rate Gamma(q, v).

    >>> float(draw_spend(np.full(100_000, 0.001), 1, Planted()).mean().round(-2))
    6000.0
    """
    shape: Numbers = np.random.default_rng([seed, 11]).gamma(planted.p, 1.0, len(rates))
    return shape / rates
