"""Model from code: `c360-scorer`, a raw customer record in, who it is and what they are worth out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from c360ml.serving.record_scorer import RecordScorer
from c360ml.serving.schemas import Answer
from c360ml.serving.scorer import PROJECT_VARIABLE
from c360ml.tracking.exports import verify_if_exported
from c360ml.tracking.refusals import without_echo
from c360ml.tracking.schemas import RawRecord, known_fields


@without_echo
class Scorer(PythonModel):
    """The linkage model of one run, and the online index of a project that was built with it.

    The project's folder comes from the variable `C360ML_PROJECT`, else from the model's config, which
    `SERVING_MODEL_CONFIG` overrides.
    """

    def load_context(self, context: Any) -> None:
        """Check the exported files, read the model and open the index."""
        verify_if_exported(context.artifacts["linkage"])
        folder = os.environ.get(PROJECT_VARIABLE) or context.model_config["project"]
        self._scorer = RecordScorer(folder, json.loads(Path(context.artifacts["linkage"]).read_text("utf-8")))

    def predict(self, model_input: list[RawRecord]) -> list[Answer]:  # type: ignore[override]  # MLflow reads the hints
        """Answer for each record; one that cannot be read gets an `error`, and the others their answers."""
        return self._scorer.answer_all([known_fields(record) for record in model_input])


set_model(Scorer())
