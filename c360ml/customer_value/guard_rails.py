"""What the models suppose, held against the data, as effect sizes and in words; never a test of significance.

With a million customers everything is significant. What matters is how large a departure is, and how sure that is.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from scipy.special import ndtri

from c360ml.customer_value.columns import Floats, read_numbers
from c360ml.customer_value.fitting import Models
from c360ml.customer_value.gamma_gamma import GammaGamma
from c360ml.customer_value.purchase_model import PurchaseModel
from c360ml.customer_value.transactions import PurchaseDays

_EFFECTS = ((0.1, "negligible"), (0.3, "small"), (0.5, "medium"))  # Cohen, 1988, for r and for w
_LARGE = "large"
_MONTHS_OF_TREND = 6
_MONTHS_OF_SEASONS = 24
_WIDE = float(ndtri(0.975))

_PURCHASES_BY_DAY = "select day, count(*) as purchases from {days} where purchases > 0 group by day order by day"


def guard_rails(days: PurchaseDays, history: Any, models: Models) -> dict[str, Any]:
    """Check a fitted valuation: who is counted, spend against frequency, and months against the model."""
    return {
        "one_time_buyers": _one_time_buyers(history),
        "independence": None if models.gamma_gamma is None else independence(models.gamma_gamma),
        "months": _months(days, history, models.purchases),
    }


def effect_word(size: float) -> str:
    """Name an effect size by Cohen's bounds.

    >>> effect_word(-0.2)
    'small'
    """
    return next((word for bound, word in _EFFECTS if abs(size) < bound), _LARGE)


def _one_time_buyers(history: Any) -> dict[str, Any]:
    (x,) = read_numbers(history, ["repeat_purchases"])
    once = int((x == 0).sum())
    words = f"{once:,} of {len(x):,} customers bought once; they are part of every fit and forecast"
    if not once:
        words = (
            f"None of {len(x):,} customers bought only once: if such customers were left out before, put them back,"
            " for without them all forecasts are too high"
        )
    return {"customers": once, "share": once / len(x), "words": words}


def independence(gamma_gamma: GammaGamma) -> dict[str, Any]:
    """Say how much mean spend depends on how often customers buy; Gamma-Gamma supposes: not at all.

    Spearman's correlation over customers with repeat purchases, with the 95 % interval of Bonett and Wright
    (Psychometrika 65, 2000).
    """
    rho, customers = gamma_gamma.independence_["spearman"], gamma_gamma.n_customers_
    if rho is None or customers < 10:
        return {"spearman": rho, "low": None, "high": None, "effect": None, "words": "Too few customers to tell."}
    wide = _WIDE * np.sqrt((1 + rho**2 / 2) / (customers - 3))
    low, high = (float(np.tanh(np.arctanh(np.clip(rho, -0.9999, 0.9999)) + side * wide)) for side in (-1, 1))
    effect = effect_word(rho)
    words = (
        f"Frequent buyers spend {'more' if rho > 0 else 'less'} on a purchase: Spearman's correlation {rho:.2f}"
        f" (95 % interval {low:.2f} to {high:.2f}), a {effect} effect. Gamma-Gamma supposes none"
    )
    if effect in ("medium", _LARGE):
        wrong = "low" if rho > 0 else "high"
        words += f": the value of frequent buyers is likely too {wrong}. Value groups of frequency apart"
    return {"spearman": rho, "low": low, "high": high, "effect": effect, "words": words + "."}


def _months(days: PurchaseDays, history: Any, model: PurchaseModel) -> dict[str, Any]:
    """Hold the repeat purchases of each month against those the model expects of the same customers."""
    by_month = purchases_by_month(days, history, model)
    actual, expected = (
        np.array([row[key] for row in by_month], dtype=np.float64) for key in ("repeat_purchases", "expected")
    )
    return {"by_month": by_month, **stationarity(actual, expected, [row["month"] for row in by_month])}


def purchases_by_month(days: PurchaseDays, history: Any, model: PurchaseModel) -> list[dict[str, Any]]:
    """Count purchases by calendar month: all, repeat ones, and the repeat ones that the model expects.

    On a day that is D days after the first of all, a customer of day d has been one for (D + 1 - d) / 7 weeks.
    """
    rows = days.con.execute(_PURCHASES_BY_DAY.format(days=days.name)).fetchall()
    start, length = rows[0][0], (days.observation_end - rows[0][0]).days + 1
    purchases, newcomers = np.zeros(length), np.zeros(length)
    for day, count in rows:
        purchases[(day - start).days] = count
    firsts = history.column("first_purchase_on").cast("int32").to_numpy() - (start - dt.date(1970, 1, 1)).days
    newcomers += np.bincount(firsts, minlength=length)
    expected = np.convolve(newcomers, model.expected_purchases_new(np.arange(1, length + 1) / 7))[:length]
    expected = np.diff(expected, prepend=0.0)
    months = np.datetime64(start) + np.arange(length)
    names, codes = np.unique(months.astype("datetime64[M]"), return_inverse=True)
    every, first, hoped = (np.bincount(codes, part) for part in (purchases, newcomers, expected))
    return [
        {
            "month": str(name),
            "purchases": int(every[place]),
            "repeat_purchases": int(every[place] - first[place]),
            "expected": float(hoped[place]),
        }
        for place, name in enumerate(names)
    ]


def stationarity(actual: Floats, expected: Floats, months: list[str]) -> dict[str, Any]:
    """Say how far months are from what the model expects, as effect sizes.

    - `effect`: Cohen's w, the root mean square of a month's relative departure, weighted by the purchases expected
      and less what chance makes of it; both sums are made equal first;
    - `trend_per_year`, `trend_low`, `trend_high`: change of actual by expected purchases in a year, with a 95 %
      interval that allows for the scatter of months; None under 6 months;
    - `seasonality`: share of the departures' variance that calendar months explain, less what chance would;
      None under 24 months, for then season and trend cannot be told apart.

    >>> import numpy
    >>> found = stationarity(numpy.array([80.0, 120.0] * 6), numpy.full(12, 100.0), ["2024-01"] * 12)
    >>> round(found["effect"], 2), found["seasonality"]
    (0.18, None)
    """
    known = expected > 0
    actual, expected, names = actual[known], expected[known], np.array(months)[known]
    if len(actual) < 2 or actual.sum() <= 0:
        return {"effect": None, "words": "Too few months with repeat purchases to tell."}
    expected = expected * (actual.sum() / expected.sum())
    chi_square = float(np.sum((actual - expected) ** 2 / expected))
    effect = float(np.sqrt(max(0.0, chi_square - (len(actual) - 1)) / actual.sum()))
    departures = actual / expected
    found: dict[str, Any] = {"effect": effect, **_trend(departures, expected)}
    found["seasonality"] = _seasonality(departures, expected, names)
    return found | {"words": _words(found, len(actual))}


def _trend(departures: Floats, weight: Floats) -> dict[str, float | None]:
    if len(departures) < _MONTHS_OF_TREND:
        return {"trend_per_year": None, "trend_low": None, "trend_high": None}
    years = np.arange(len(departures)) / 12
    years = years - np.average(years, weights=weight)
    spread = float(weight @ years**2)
    slope = float(weight @ (years * (departures - 1)) / spread)
    left = departures - np.average(departures, weights=weight) - slope * years
    wide = _WIDE * float(np.sqrt(weight @ left**2 / (len(departures) - 2) / spread))
    return {"trend_per_year": slope, "trend_low": slope - wide, "trend_high": slope + wide}


def _seasonality(departures: Floats, weight: Floats, months: Any) -> float | None:
    """Omega squared of calendar months: explained variance, less what as many groups explain by chance."""
    if len(departures) < _MONTHS_OF_SEASONS:
        return None
    calendar = np.array([int(month[5:7]) - 1 for month in months])
    mean = np.average(departures, weights=weight)
    sums = np.bincount(calendar, weight, minlength=12)
    means = np.bincount(calendar, weight * departures, minlength=12) / np.maximum(sums, 1e-300)
    within = float(weight @ (departures - means[calendar]) ** 2)
    between = float(sums @ (np.where(sums > 0, means, mean) - mean) ** 2)
    groups = int((sums > 0).sum())
    noise = within / max(1, len(departures) - groups)
    below = between + within + noise
    return max(0.0, (between - (groups - 1) * noise) / below) if below > 0 else 0.0


def _words(found: dict[str, Any], months: int) -> str:
    words = [
        f"Months are {100 * found['effect']:.0f} % off what the model expects, chance apart"
        f" ({effect_word(found['effect'])} effect)."
    ]
    if found["trend_per_year"] is not None:
        low, high = 100 * found["trend_low"], 100 * found["trend_high"]
        words.append(
            f"Against the model, purchases change by {100 * found['trend_per_year']:+.0f} % in a year"
            f" (95 % interval {low:+.0f} to {high:+.0f} %)."
        )
        if low > 0 or high < 0:
            words.append(
                "The model supposes no such trend: forecasts are likely too "
                + ("low" if low > 0 else "high")
                + "; see the recalibration factor."
            )
    if found["seasonality"] is None:
        words.append(f"{months} months do not tell seasons from a trend; 24 are needed.")
    else:
        words.append(
            f"Calendar months explain {100 * found['seasonality']:.0f} % of the departures; the model knows no seasons,"
            " so read forecasts of parts of a year with care."
        )
    return " ".join(words)
