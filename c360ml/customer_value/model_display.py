"""What a notebook shows of models of purchases and spend, of backtests, and of value intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from c360ml.display import Displayed, DisplayedEstimator, Part, facts, heading, note, table


class LikelihoodDisplay(DisplayedEstimator):
    """Shows a model fitted by maximum likelihood: parameters, errors and fit."""

    kind: ClassVar[str]
    meanings: ClassVar[Mapping[str, str]]
    params_: dict[str, float]
    log_likelihood_: float
    n_customers_: float

    def _learned_parts(self) -> list[Part]:
        if not hasattr(self, "params_"):
            return []
        model: Any = self
        intervals, errors = model.confidence_intervals(), model.standard_errors_
        values = {**self.params_, **getattr(self, "coefficients_", {})}
        rows = [
            (name, self.meanings.get(name, "effect"), value, errors[name], f"{low:,.4g} to {high:,.4g}")
            for name, value in values.items()
            for low, high in [intervals[name]]
        ]
        fit = {
            "customers": self.n_customers_,
            "log-likelihood": f"{self.log_likelihood_:,.2f}",
            "AIC": f"{model.aic_:,.2f}",
            "BIC": f"{model.bic_:,.2f}",
            "mean spend of the population": getattr(self, "population_mean_spend_", None),
        }
        return [
            note(f"{self.kind}, times in weeks" if self.kind != "Gamma-Gamma" else self.kind),
            table(["parameter", "says", "value", "standard error", "95 % interval"], rows),
            facts(fit),
        ]


class BacktestDisplay(Displayed):
    """Shows how a forecast met what came."""

    metrics: dict[str, Any]

    def _parts(self) -> list[Part]:
        told = self.metrics
        rows = [
            (title, *(told.get(f"{prefix}{name}") for name in ("bias", "mae", "rmse")))
            for prefix, title in {"": "the model", "naive_": "no model: the past rate goes on"}.items()
        ]
        return [
            heading(f"Held out from {told['holdout_start']}"),
            table(["forecast", "bias of the sum", "MAE a customer", "RMSE a customer"], rows),
        ]


class IntervalsDisplay(Displayed):
    """Shows the total's intervals and how many customers have one; no customer."""

    customers: list[str]
    totals: Any
    totals_by_parameters: Any
    totals_by_identity: Any
    value: Any

    def _parts(self) -> list[Part]:
        from c360ml.customer_value.value_intervals import LEVEL, total_interval

        drawn = {
            "both": self.totals,
            "of parameters alone": self.totals_by_parameters,
            "of who is who alone": self.totals_by_identity,
        }
        rows = [(name, *total_interval(totals).values()) for name, totals in drawn.items() if len(totals)]
        return [
            heading(f"Projected value of {len(self.customers):,} customers: {float(self.value.sum()):,.0f}"),
            table(["doubt", "mean", "from", "to"], rows, caption=f"{LEVEL:.0%} intervals of the total"),
        ]
