"""Model from code: `c360-segments`, a customer's counts in, their segments out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from c360ml.errors import DataError
from c360ml.segments import KMeansSegmenter, RfmScorer, ValueTiers
from c360ml.tracking.exports import verify_if_exported
from c360ml.tracking.refusals import without_echo
from c360ml.tracking.schemas import CustomerCounts, Segments, told


@without_echo
class SegmentsModel(PythonModel):
    """RFM scores, KMeans clusters and value tiers of one run, read from JSON."""

    def load_context(self, context: Any) -> None:
        """Read the models."""
        verify_if_exported(context.artifacts["segments"])
        content = json.loads(Path(context.artifacts["segments"]).read_text("utf-8"))
        self._rfm = RfmScorer.from_dict(content["rfm"]) if content["rfm"] else None
        self._kmeans = KMeansSegmenter.from_dict(content["kmeans"]) if content["kmeans"] else None
        self._tiers = ValueTiers.from_dict(content["value_tiers"])

    def predict(self, model_input: list[CustomerCounts]) -> list[Segments]:  # type: ignore[override]  # MLflow reads the hints
        """Segment each customer."""
        return [self._one(counts) for counts in model_input]

    def _one(self, counts: CustomerCounts) -> Segments:
        try:
            return self._segments(counts)
        except Exception as error:
            return Segments(error=told(error))

    def _segments(self, counts: CustomerCounts) -> Segments:
        tier = self._tiers.assign(
            purchases=int(counts.purchases),
            customer_value=counts.total_spend + counts.projected_value,
            service_visits=int(counts.service_visits),
            digital_interactions=int(counts.digital_interactions),
        )
        if counts.purchases == 0 or self._rfm is None or self._kmeans is None:
            return Segments(rfm_segment="PROSPECT", kmeans_segment="PROSPECT", value_tier=tier)
        if counts.days_since_last_purchase is None:
            raise DataError("a buyer must have days_since_last_purchase", got="none", hint="count them")
        bought = (counts.days_since_last_purchase, counts.purchases, counts.total_spend)
        scored = self._rfm.score_one(*bought)
        return Segments(
            rfm_score=scored["rfm_score"],
            rfm_segment=scored["rfm_segment"],
            kmeans_segment=self._kmeans.assign(*bought),
            value_tier=tier,
        )


set_model(SegmentsModel())
