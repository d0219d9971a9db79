"""Model from code: `c360-linkage`, two raw records in, the probability that they are one person out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from c360ml.tracking.exports import verify_if_exported
from c360ml.tracking.pair_scorer import PairScorer
from c360ml.tracking.refusals import without_echo
from c360ml.tracking.schemas import PairScore, PairStep, RecordPair, known_fields, told


@without_echo
class LinkageModel(PythonModel):
    """The linkage model of one run, read from JSON."""

    def load_context(self, context: Any) -> None:
        """Read the model."""
        verify_if_exported(context.artifacts["linkage"])
        content = json.loads(Path(context.artifacts["linkage"]).read_text("utf-8"))
        self._scorer = PairScorer(content, country=context.model_config["country"])

    def predict(self, model_input: list[RecordPair]) -> list[PairScore]:  # type: ignore[override]  # MLflow reads the hints
        """Score each pair."""
        return [self._one(pair) for pair in model_input]

    def _one(self, pair: RecordPair) -> PairScore:
        try:
            weight, probability, steps = self._scorer.score(known_fields(pair.left), known_fields(pair.right))
            explanation = [PairStep.model_validate(step) for step in steps]
            return PairScore(match_weight=weight, match_probability=probability, explanation=explanation)
        except Exception as error:
            return PairScore(error=told(error))


set_model(LinkageModel())
