"""What all likelihood models share: what they learned, how sure that is, and how it is kept as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import ndtri

from c360ml.customer_value.columns import Floats
from c360ml.customer_value.maximum_likelihood import Optimum
from c360ml.customer_value.model_display import LikelihoodDisplay
from c360ml.errors import DataError, ModelError, NotFittedError

FORMAT = 1


class LikelihoodModel(LikelihoodDisplay):
    """A model with a few positive parameters, fitted by maximum likelihood."""

    kind: ClassVar[str]
    meanings: ClassVar[Mapping[str, str]]
    settings: ClassVar[tuple[str, ...]]

    params_: dict[str, float]
    covariance_: list[list[float]]
    log_likelihood_: float
    n_customers_: float
    search_: dict[str, float]

    def _learn(self, values: Floats, optimum: Optimum, log_likelihood: float, customers: float) -> None:
        self.params_ = {name: float(value) for name, value in zip(self.meanings, values, strict=False)}
        # d p = p d log p, on both sides; effects of covariates are no logarithms
        by_logs = np.ones(len(optimum.logs))
        by_logs[: len(self.params_)] = values
        self.covariance_ = (np.outer(by_logs, by_logs) * optimum.covariance).tolist()
        self.log_likelihood_ = log_likelihood
        self.n_customers_ = int(customers) if customers == int(customers) else customers
        self.search_ = {
            "slope_in_standard_errors": optimum.slope,
            "starts": optimum.starts,
            "agreeing_starts": optimum.agreeing,
        }

    def _learned(self) -> dict[str, float]:
        if not hasattr(self, "params_"):
            raise NotFittedError(type(self).__name__)
        return self.params_

    def _estimates(self) -> dict[str, float]:
        """List all that was estimated, in the order of the covariance."""
        return self._learned()

    @property
    def standard_errors_(self) -> dict[str, float]:
        """Standard errors of all that was estimated."""
        names = self._estimates()
        deviations = np.sqrt(np.diag(np.array(self.covariance_))).tolist()
        return dict(zip(names, deviations, strict=True))

    def confidence_intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Work out intervals of all that was estimated.

        Those of parameters are symmetric in the logarithm, for they are positive and their likelihood is closer
        to normal there; those of effects of covariates are symmetric.

        Raises:
            DataError: the level is not between 0 and 1.
        """
        estimates, errors = self._estimates(), self.standard_errors_
        if not 0 < level < 1:
            raise DataError("the level of an interval must lie between 0 and 1", got=level, hint="0.95 is usual")
        wide = float(ndtri((1 + level) / 2))
        intervals = {}
        for name, value in estimates.items():
            if name in self.params_:
                factor = float(np.exp(wide * errors[name] / value))
                intervals[name] = (value / factor, value * factor)
            else:
                intervals[name] = (value - wide * errors[name], value + wide * errors[name])
        return intervals

    @property
    def aic_(self) -> float:
        """Akaike's information criterion."""
        return 2 * len(self._estimates()) - 2 * self.log_likelihood_

    @property
    def bic_(self) -> float:
        """Bayesian information criterion."""
        return float(len(self._estimates()) * np.log(self.n_customers_)) - 2 * self.log_likelihood_

    def to_dict(self) -> dict[str, Any]:
        """Write the fitted model as plain JSON: parameters and measures, no customer data."""
        return {
            "model": self.kind,
            "format": FORMAT,
            "time_unit": "week",
            "settings": {name: getattr(self, name) for name in self.settings},
            "params": dict(self._learned()),
            "standard_errors": self.standard_errors_,
            "covariance": self.covariance_,
            "log_likelihood": self.log_likelihood_,
            "aic": self.aic_,
            "bic": self.bic_,
            "customers": self.n_customers_,
            "search": self.search_,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read a fitted model from what `to_dict` wrote.

        Raises:
            ModelError: it is another model, another format or damaged.
        """
        if (content.get("model"), content.get("format")) != (cls.kind, FORMAT):
            raise ModelError(
                f"a model file must hold {cls.kind}, format {FORMAT}",
                got=f"{content.get('model')}, format {content.get('format')}",
                hint="fit the model again with this version",
            )
        if content.get("time_unit", "week") != "week":
            raise ModelError("a model's time unit must be the week", got=content["time_unit"], hint="fit it again")
        try:
            model = cls(**content["settings"])
            model.params_ = {name: float(content["params"][name]) for name in cls.meanings}
            model.covariance_ = [[float(value) for value in row] for row in content["covariance"]]
            model.log_likelihood_ = float(content["log_likelihood"])
            model.n_customers_ = content["customers"]
            model.search_ = dict(content.get("search", {}))
            model._read(content)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"a {cls.kind} model must be whole",
                got=f"{type(error).__name__}: {error}",
                hint="fit it again",
            ) from error
        return model

    def _read(self, content: Mapping[str, Any]) -> None:
        """Read what a model keeps besides the common part."""
