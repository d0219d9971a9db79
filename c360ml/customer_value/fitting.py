"""Fit both models to a history, with an honest way out where the data alone do not decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from c360ml.customer_value.bg_nbd import BgNbd
from c360ml.customer_value.columns import Floats, as_frame, read_numbers
from c360ml.customer_value.gamma_gamma import GammaGamma
from c360ml.errors import DataError, FitError

MIN_REPEAT_BUYERS = 20
WEAK_PRIOR = 1.0  # counts as little as one customer: a standard deviation of 1 in each logarithm


@dataclass(frozen=True)
class Models:
    """A fitted pair and what had to be done beyond maximum likelihood.

    `observed_mean_spend` stands in where Gamma-Gamma was not fitted or has no mean; None without amounts.
    """

    bgnbd: BgNbd
    gamma_gamma: GammaGamma | None
    observed_mean_spend: float | None
    notes: tuple[str, ...]

    def expected_spend(self, history: Any) -> Floats:
        """Work out the expected spend on a purchase of each customer; NaN only if no amount is known."""
        frame = as_frame(history)
        if self.gamma_gamma is None:
            spend = np.full(len(read_numbers(frame, ["repeat_purchases"])[0]), np.nan)
        else:
            spend = self.gamma_gamma.expected_spend(frame)
        if self.observed_mean_spend is not None:
            spend[np.isnan(spend)] = self.observed_mean_spend
        return spend


def fit_models(history: Any) -> Models:
    """Fit BG/NBD and Gamma-Gamma by maximum likelihood, with a weak prior where that has no one answer.

    Raises:
        DataError: there are fewer than 20 customers with repeat purchases.
        FitError: even with the prior BG/NBD has no one answer.
    """
    frame = as_frame(history)
    x, spend = read_numbers(frame, ["repeat_purchases", "mean_spend"])
    repeat_buyers = int((x > 0).sum())
    if repeat_buyers < MIN_REPEAT_BUYERS:
        raise DataError(
            f"a forecast must rest on at least {MIN_REPEAT_BUYERS} customers with repeat purchases",
            got=repeat_buyers,
            hint="observe more customers, or for longer",
        )
    notes: list[str] = []
    bgnbd = _fit(BgNbd, frame, notes)
    return Models(bgnbd, _fit_spend(frame, notes), _observed_mean(spend), tuple(notes))


def _fit(model: Any, frame: Any, notes: list[str]) -> Any:
    try:
        return model().fit(frame)
    except FitError as error:
        notes.append(f"{model.kind}: a weak prior was used, for maximum likelihood met {error.got}")
        return model(penalty=WEAK_PRIOR).fit(frame)


def _fit_spend(frame: Any, notes: list[str]) -> GammaGamma | None:
    try:
        gamma_gamma: GammaGamma = _fit(GammaGamma, frame, notes)
    except (DataError, FitError) as error:
        notes.append(f"Gamma-Gamma: the observed mean spend stands in, for the model met {error.got}")
        return None
    if gamma_gamma.population_mean_spend_ is None:
        notes.append("Gamma-Gamma: q <= 1, so no mean spend exists; the observed one stands in")
    return gamma_gamma


def _observed_mean(spend: Floats) -> float | None:
    paid = spend[np.isfinite(spend) & (spend > 0)]
    return float(paid.mean()) if len(paid) else None
