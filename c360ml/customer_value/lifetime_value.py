"""Customer lifetime value: what customers were worth, and what they will be, in money of today."""

from __future__ import annotations

from typing import Any

import numpy as np

from c360ml.customer_value.columns import Floats, as_frame, names_of, read_numbers, with_columns
from c360ml.customer_value.gamma_gamma import GammaGamma
from c360ml.customer_value.purchase_model import PurchaseModel
from c360ml.errors import DataError

YEARS = 3


def customer_lifetime_value(
    purchases: PurchaseModel,
    gamma_gamma: GammaGamma,
    history: Any,
    *,
    horizon_weeks: float = 52,
    discount_rate_per_year: float = 0.10,
    margin: float = 1.0,
) -> Any:
    """Add past and expected value to a history, one row a customer.

    New columns:

    - `probability_alive`: of still being a customer at the end of observation;
    - `expected_purchases`: within the horizon, not discounted;
    - `expected_spend`: on one purchase; null where Gamma-Gamma has no mean;
    - `historical_value`: `total_spend` of the history times the margin, if it has that column;
    - `projected_value`: `expected_spend` times the margin and the expected purchases, each discounted to the end
      of observation: the integral over t from 0 to the horizon of (1 + rate) ** (-t / 52.18) dE[Y(t)], t in
      weeks of 1/52.18 year, worked out in continuous time;
    - `value_year_1`, `value_year_2`, `value_year_3`: the same of each year alone, so that they add up;
    - `value_all_years`: the same without end, the papers' DERT times spend; null where the sum is infinite (a
      discount rate of 0 and customers who stay too long).

    Past and expected value are never added up here.

    Args:
        purchases: Fitted model of purchases: `BgNbd`, `MbgNbd` or `ParetoNbd`.
        gamma_gamma: Fitted model of spend.
        history: Table of `purchase_history`.
        horizon_weeks: Weeks ahead that count.
        discount_rate_per_year: 0.10: a purchase in a year is worth 1 / 1.10 of one today.
        margin: Share of revenue that is value, above 0 and at most 1; 1 is revenue, without any costs.

    Returns:
        A table of the kind that came in.

    Raises:
        ColumnError: a column is missing.
        DataError: the horizon, the rate or the margin is impossible, or the history is counted in another way
            than the one that the model was fitted on.
        NotFittedError: a model was not fitted.

    >>> import pandas
    >>> from c360ml.customer_value import BgNbd
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
        purchases,
        gamma_gamma.expected_spend(frame),
        history,
        horizon_weeks=horizon_weeks,
        discount_rate_per_year=discount_rate_per_year,
        margin=margin,
    )


def add_value(
    purchases: PurchaseModel,
    expected_spend: Floats,
    history: Any,
    *,
    horizon_weeks: float,
    discount_rate_per_year: float,
    margin: float = 1.0,
    recalibration: float = 1.0,
) -> Any:
    """Add past and expected value to a history, for expected spends that are known already.

    `recalibration` multiplies all expected purchases: actual by predicted ones of a holdout.
    """
    if not 0 < margin <= 1:
        raise DataError("the margin must be a share of revenue, above 0 and at most 1", got=margin, hint="0.3 is 30 %")
    frame = as_frame(history)
    outlook = purchases.outlook(
        frame, horizon_weeks=horizon_weeks, years=YEARS, discount_rate_per_year=discount_rate_per_year
    )
    worth = expected_spend * (margin * recalibration)
    years = {f"value_year_{year}": outlook[f"discounted_year_{year}"] * worth for year in range(1, YEARS + 1)}
    ever = outlook["discounted_all_years"] * worth
    new = {
        "probability_alive": outlook["probability_alive"],
        "expected_purchases": outlook["expected_purchases"] * recalibration,
        "expected_spend": expected_spend,
        "projected_value": outlook["discounted_purchases"] * worth,
        **years,
        "value_all_years": np.where(np.isfinite(ever), ever, np.nan),
    }
    if "total_spend" in names_of(frame):
        new["historical_value"] = read_numbers(frame, ["total_spend"])[0] * margin
    return with_columns(history, frame, new)
