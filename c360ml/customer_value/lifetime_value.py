"""Customer lifetime value: what customers were worth, and what they will be, in money of today."""

from __future__ import annotations

from typing import Any

from c360ml.customer_value.bg_nbd import BgNbd
from c360ml.customer_value.columns import Floats, as_frame, names_of, read_numbers, with_columns
from c360ml.customer_value.gamma_gamma import GammaGamma


def customer_lifetime_value(
    bgnbd: BgNbd,
    gamma_gamma: GammaGamma,
    history: Any,
    *,
    horizon_weeks: float = 52,
    discount_rate_per_year: float = 0.10,
) -> Any:
    """Add past and expected value to a history, one row a customer.

    New columns:

    - `probability_alive`: of still being a customer at the end of observation;
    - `expected_purchases`: within the horizon, not discounted;
    - `expected_spend`: on one purchase; null where Gamma-Gamma has no mean;
    - `historical_value`: `total_spend` of the history, if it has that column;
    - `projected_value`: `expected_spend` times the expected purchases, each discounted to the end of
      observation: the integral over t from 0 to the horizon of (1 + rate) ** (-t / 52.18) dE[Y(t)], t in
      weeks of 1/52.18 year, worked out in continuous time. Amounts are revenue: no margin, no costs.

    Past and expected value are never added up here.

    Args:
        bgnbd: Fitted model of purchases.
        gamma_gamma: Fitted model of spend.
        history: Table of `purchase_history`.
        horizon_weeks: Weeks ahead that count.
        discount_rate_per_year: 0.10: a purchase in a year is worth 1 / 1.10 of one today.

    Returns:
        A table of the kind that came in.

    Raises:
        ColumnError: a column is missing.
        DataError: the horizon or the rate is impossible.
        NotFittedError: a model was not fitted.

    >>> import pandas
    >>> history = pandas.DataFrame({
    ...     "repeat_purchases": [0, 1, 2, 6, 0, 3], "mean_spend": [None, 22.5, 70.0, 31.0, None, 35.0],
    ...     "first_to_last_purchase_weeks": [0.0, 5.0, 30.4, 38.0, 0.0, 12.0],
    ...     "age_weeks": [38.9, 38.9, 38.9, 39.0, 30.0, 36.0], "weight": [1411, 439, 214, 64, 300, 90]})
    >>> bgnbd, gamma_gamma = BgNbd(penalty=1).fit(history), GammaGamma(penalty=1).fit(history)
    >>> valued = customer_lifetime_value(bgnbd, gamma_gamma, history)
    >>> bool((valued.projected_value < valued.expected_spend * valued.expected_purchases).all())
    True
    """
    frame = as_frame(history)
    return add_value(
        bgnbd,
        gamma_gamma.expected_spend(frame),
        history,
        horizon_weeks=horizon_weeks,
        discount_rate_per_year=discount_rate_per_year,
    )


def add_value(
    bgnbd: BgNbd, expected_spend: Floats, history: Any, *, horizon_weeks: float, discount_rate_per_year: float
) -> Any:
    """Add past and expected value to a history, for expected spends that are known already."""
    frame = as_frame(history)
    discounted = bgnbd.discounted_purchases(horizon_weeks, frame, discount_rate_per_year=discount_rate_per_year)
    new = {
        "probability_alive": bgnbd.probability_alive(frame),
        "expected_purchases": bgnbd.expected_purchases(horizon_weeks, frame),
        "expected_spend": expected_spend,
        "projected_value": expected_spend * discounted,
    }
    if "total_spend" in names_of(frame):
        new["historical_value"] = read_numbers(frame, ["total_spend"])[0]
    return with_columns(history, frame, new)
