"""Model from code: `c360-value`, a purchase history in, its value out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from c360ml.customer_value import GammaGamma
from c360ml.customer_value.fitting import Models, read_purchase_model
from c360ml.customer_value.lifetime_value import add_value
from c360ml.tracking.exports import verify_if_exported
from c360ml.tracking.refusals import without_echo
from c360ml.tracking.schemas import PurchaseHistory, Value, finite, told

_SCHEMA = pa.schema([(name, pa.float64()) for name in PurchaseHistory.model_fields])
_ANSWERED = [name for name in Value.model_fields if name != "error"]


@without_echo
class ValueModel(PythonModel):
    """The models of purchases and spend of one run, read from JSON."""

    def load_context(self, context: Any) -> None:
        """Read the models."""
        verify_if_exported(context.artifacts["customer_value"])
        content = json.loads(Path(context.artifacts["customer_value"]).read_text("utf-8"))
        gamma_gamma = content["gamma_gamma"]
        self._models = Models(
            read_purchase_model(content["purchase_model"]),
            GammaGamma.from_dict(gamma_gamma) if gamma_gamma else None,
            content["observed_mean_spend"],
            (),
        )
        terms = ("horizon_weeks", "discount_rate_per_year", "margin", "recalibration")
        self._terms = {name: content[name] for name in terms}

    def predict(self, model_input: list[PurchaseHistory]) -> list[Value]:  # type: ignore[override]  # MLflow reads the hints
        """Value histories, all at once; one that cannot be read gets an `error`, and the others their values."""
        try:
            return self._values(model_input)
        except Exception:
            return [self._one(history) for history in model_input]

    def _one(self, history: PurchaseHistory) -> Value:
        try:
            return self._values([history])[0]
        except Exception as error:
            return Value(error=told(error))

    def _values(self, histories: list[PurchaseHistory]) -> list[Value]:
        rows = [history.model_dump(include=set(_SCHEMA.names)) for history in histories]
        table = pa.Table.from_pylist(rows, schema=_SCHEMA)
        valued = add_value(self._models.purchases, self._models.expected_spend(table), table, **self._terms)
        return [
            Value(**{name: finite(number) for name, number in row.items()})
            for row in valued.select(_ANSWERED).to_pylist()
        ]


set_model(ValueModel())
