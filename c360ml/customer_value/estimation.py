"""What the two likelihood models share: what they learned, and how it is kept as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from c360ml.customer_value.columns import Floats
from c360ml.errors import ModelError, NotFittedError

FORMAT = 1


class LikelihoodModel:
    """A model with a few positive parameters, fitted by maximum likelihood."""

    kind: ClassVar[str]
    meanings: ClassVar[Mapping[str, str]]
    settings: ClassVar[tuple[str, ...]]

    params_: dict[str, float]
    covariance_: list[list[float]]
    log_likelihood_: float
    n_customers_: float

    def _learn(self, values: Floats, covariance_of_logs: Floats, log_likelihood: float, customers: float) -> None:
        self.params_ = {name: float(value) for name, value in zip(self.meanings, values, strict=True)}
        # d p = p d log p, on both sides
        self.covariance_ = (np.outer(values, values) * covariance_of_logs).tolist()
        self.log_likelihood_ = log_likelihood
        self.n_customers_ = int(customers) if customers == int(customers) else customers

    def _learned(self) -> dict[str, float]:
        if not hasattr(self, "params_"):
            raise NotFittedError(type(self).__name__)
        return self.params_

    @property
    def standard_errors_(self) -> dict[str, float]:
        """Standard errors of the parameters."""
        params = self._learned()
        deviations = np.sqrt(np.diag(np.array(self.covariance_))).tolist()
        return dict(zip(params, deviations, strict=True))

    @property
    def aic_(self) -> float:
        """Akaike's information criterion."""
        return 2 * len(self._learned()) - 2 * self.log_likelihood_

    @property
    def bic_(self) -> float:
        """Bayesian information criterion."""
        return float(len(self._learned()) * np.log(self.n_customers_)) - 2 * self.log_likelihood_

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
        try:
            model = cls(**content["settings"])
            model.params_ = {name: float(content["params"][name]) for name in cls.meanings}
            model.covariance_ = [[float(value) for value in row] for row in content["covariance"]]
            model.log_likelihood_ = float(content["log_likelihood"])
            model.n_customers_ = content["customers"]
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
