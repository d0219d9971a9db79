"""What the sender is told of a request that a registered model cannot read: the rule, never the request.

MLflow's scoring server puts what a model was sent into the message of every `MlflowException` that comes out of it. How
such an error becomes an answer is the exception's own affair, so one of our own says only what it was made to say.
A body that is no JSON is refused by the server before any model is asked, and is quoted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

Model = TypeVar("Model", bound=type)
_RULE = "inputs must be a list of JSON objects, each with the fields of the model's signature"


class RefusedInputs(MlflowException):
    """Inputs that a model cannot read.

    >>> RefusedInputs().message = "Failed to predict data '[secret]'"
    >>> "secret" in RefusedInputs().serialize_as_json()
    False
    """

    def __init__(self) -> None:
        super().__init__(_RULE, error_code=INVALID_PARAMETER_VALUE)

    def serialize_as_json(self) -> str:
        """Write what is answered: not `message`, which the server has put the request into by then."""
        return json.dumps({"error_code": self.error_code, "message": _RULE})


def without_echo(model: Model) -> Model:
    """Let a model, whose inputs MLflow holds against its hints, refuse them without repeating them.

    Args:
        model: subclass of `PythonModel`, whose `predict` MLflow has wrapped by now.
    """
    checked: Callable[..., Any] = model.predict  # type: ignore[attr-defined]  # a PythonModel has it

    @wraps(checked)
    def predict(self: Any, model_input: Any) -> Any:
        try:
            return checked(self, model_input)
        except MlflowException:
            raise RefusedInputs from None

    model.predict = predict  # type: ignore[attr-defined]  # see above
    return model
