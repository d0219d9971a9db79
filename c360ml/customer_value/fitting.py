"""Fit a model of purchases and one of spend to a history, with an honest way out where the data do not decide."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from c360ml.customer_value.bg_nbd import BgNbd
from c360ml.customer_value.columns import Floats, as_frame, read_numbers
from c360ml.customer_value.gamma_gamma import GammaGamma
from c360ml.customer_value.mbg_nbd import MbgNbd
from c360ml.customer_value.pareto_nbd import ParetoNbd
from c360ml.customer_value.purchase_model import PurchaseModel
from c360ml.errors import DataError, FitError, ModelError

ModelName = Literal["bg_nbd", "mbg_nbd", "pareto_nbd"]
ModelChoice = Literal["auto", "bg_nbd", "mbg_nbd", "pareto_nbd"]

PURCHASE_MODELS: Mapping[ModelName, type[PurchaseModel]] = {
    "bg_nbd": BgNbd,
    "mbg_nbd": MbgNbd,
    "pareto_nbd": ParetoNbd,
}
MIN_REPEAT_BUYERS = 20
WEAK_PRIOR = 1.0  # counts as little as one customer: a standard deviation of 1 in each logarithm


@dataclass(frozen=True)
class Models:
    """A fitted pair and what had to be done beyond maximum likelihood.

    `observed_mean_spend` stands in where Gamma-Gamma was not fitted or has no mean; None without amounts.
    """

    purchases: PurchaseModel
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


def fit_models(history: Any, model: ModelName = "bg_nbd") -> Models:
    """Fit a model of purchases and Gamma-Gamma by maximum likelihood, with a weak prior where that has no one answer.

    Raises:
        DataError: there are fewer than 20 customers with repeat purchases, or the model is unknown.
        FitError: even with the prior the model of purchases has no one answer.
    """
    frame = as_frame(history)
    purchases, notes = fit_purchases(frame, model)
    (spend,) = read_numbers(frame, ["mean_spend"])
    gamma_gamma, more = _fit_spend(frame)
    return Models(purchases, gamma_gamma, _observed_mean(spend), (*notes, *more))


def fit_purchases(history: Any, model: ModelName, near: PurchaseModel | None = None) -> tuple[PurchaseModel, list[str]]:
    """Fit one model of purchases; the notes say in words what had to be done beyond maximum likelihood.

    Args:
        history: purchase histories.
        model: which model.
        near: one of its kind, fitted to customers much like these: the search begins there, which saves most of it.

    Raises:
        DataError: there are fewer than 20 customers with repeat purchases, or the model is unknown.
        FitError: even with the prior there is no one answer.
    """
    if model not in PURCHASE_MODELS:
        raise DataError(f"the model must be one of {list(PURCHASE_MODELS)}", got=repr(model), hint="bg_nbd is usual")
    frame = as_frame(history)
    (x,) = read_numbers(frame, ["repeat_purchases"])
    repeat_buyers = int((x > 0).sum())
    if repeat_buyers < MIN_REPEAT_BUYERS:
        raise DataError(
            f"a forecast must rest on at least {MIN_REPEAT_BUYERS} customers with repeat purchases",
            got=repeat_buyers,
            hint="observe more customers, or for longer",
        )
    if near is not None:
        with suppress(FitError):
            return PURCHASE_MODELS[model]().fit(frame, near=near), []
    notes: list[str] = []
    fitted: PurchaseModel = _fit(PURCHASE_MODELS[model], frame, notes)
    return fitted, notes


def read_purchase_model(content: Mapping[str, Any]) -> PurchaseModel:
    """Read the model of purchases that was saved, whichever it is.

    Raises:
        ModelError: it is none of them, or damaged.
    """
    by_kind = {model.kind: model for model in PURCHASE_MODELS.values()}
    if content.get("model") not in by_kind:
        raise ModelError(
            f"a model of purchases must be one of {list(by_kind)}", got=content.get("model"), hint="fit it"
        )
    return by_kind[content["model"]].from_dict(content)


def _fit(model: Any, frame: Any, notes: list[str]) -> Any:
    try:
        return model().fit(frame)
    except FitError as error:
        notes.append(f"{model.kind}: a weak prior was used, for maximum likelihood met {error.got}")
        return model(penalty=WEAK_PRIOR).fit(frame)


def _fit_spend(frame: Any) -> tuple[GammaGamma | None, list[str]]:
    notes: list[str] = []
    try:
        gamma_gamma: GammaGamma = _fit(GammaGamma, frame, notes)
    except (DataError, FitError) as error:
        notes.append(f"Gamma-Gamma: the observed mean spend stands in, for the model met {error.got}")
        return None, notes
    if gamma_gamma.no_mean_because_ is not None:
        notes.append(
            "Gamma-Gamma: q <= 1, so the mean spend of all customers is infinite. The observed mean spend stands in"
            " for customers without a repeat purchase. Look for amounts that are no customer's (a dealer among"
            " persons, a typing error), or fit GammaGamma(penalty=1)"
        )
    return gamma_gamma, notes


def _observed_mean(spend: Floats) -> float | None:
    paid = spend[np.isfinite(spend) & (spend > 0)]
    return float(paid.mean()) if len(paid) else None
