"""Model from code: `c360-scorer`, a raw customer record in, who it is and what they are worth out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from c360ml.identity.store import IdentityStore
from c360ml.serving.schemas import Answer, answer
from c360ml.serving.scorer import PROJECT_VARIABLE
from c360ml.tracking.schemas import RawRecord, known_fields, told


class Scorer(PythonModel):
    """The linkage model of one run, and the online index of a project that was built with it.

    The project's folder comes from the variable `C360ML_PROJECT`, else from the model's config, which
    `SERVING_MODEL_CONFIG` overrides.
    """

    def load_context(self, context: Any) -> None:
        """Read the model, open the index, and answer once, so that the first request finds everything warm."""
        folder = os.environ.get(PROJECT_VARIABLE) or context.model_config["project"]
        model = json.loads(Path(context.artifacts["linkage"]).read_text("utf-8"))
        self._store = IdentityStore(folder, model=model)
        self._one(RawRecord())

    def predict(self, model_input: list[RawRecord]) -> list[Answer]:  # type: ignore[override]  # MLflow reads the hints
        """Answer for each record; one that cannot be read gets an `error`, and the others their answers."""
        return [self._one(record) for record in model_input]

    def _one(self, record: RawRecord) -> Answer:
        try:
            return answer(self._store.resolve(known_fields(record)))
        except Exception as error:
            return Answer(error=told(error))


set_model(Scorer())
