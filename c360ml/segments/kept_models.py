"""The segment models of a project: those of the last run stay, so that a segment means the same from run to run.

With frozen cut points and centres a customer who moves has changed, not the yardstick; learned anew they
tell rank among today's customers. A model of fewer than 10 buyers is not worth keeping, nor are clusters
of another seed. Value tiers are ranks by definition and are not part of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c360ml.errors import ModelError
from c360ml.segments.buyers import FEATURES
from c360ml.segments.kmeans import LEAST_CUSTOMERS, KMeansSegmenter
from c360ml.segments.rfm import RfmScorer

if TYPE_CHECKING:
    from c360ml.config import Segments
    from c360ml.lakehouse import Lakehouse

MODEL_FILE = "models/segments.json"


@dataclass(frozen=True)
class BuyerModels:
    """What scores and clusters buyers, and the last observed day of what each learned from."""

    rfm: RfmScorer
    kmeans: KMeansSegmenter
    rfm_learned_on: str
    kmeans_learned_on: str

    def to_dict(self) -> dict[str, Any]:
        """Give the models and days as plain JSON."""
        return {
            "rfm": self.rfm.to_dict(),
            "kmeans": self.kmeans.to_dict(),
            "rfm_learned_on": self.rfm_learned_on,
            "kmeans_learned_on": self.kmeans_learned_on,
        }


def models_for(lake: Lakehouse, settings: Segments, today: str) -> BuyerModels:
    """Take the models of the last run, or learn from the scratch table `buyers`.

    Args:
        lake: holds `buyers` and perhaps the last run's model file.
        settings: whether to refit, and the seed of clusters.
        today: last observed day.

    Raises:
        ModelError: the model file is damaged and was not to be replaced.
    """
    last = _last(lake, settings.refit)
    if last is not None and last.kmeans.seed == settings.kmeans_seed and not settings.refit:
        return last
    columns = ", ".join(("customer_id", *FEATURES))
    table = lake.sql(f"select {columns} from buyers").to_arrow_table()
    keeps_cuts = last is not None and not settings.refit
    return BuyerModels(
        rfm=last.rfm if last and keeps_cuts else RfmScorer().fit(table),
        kmeans=KMeansSegmenter(seed=settings.kmeans_seed).fit(table, previous=last.kmeans if last else None),
        rfm_learned_on=last.rfm_learned_on if last and keeps_cuts else today,
        kmeans_learned_on=today,
    )


def _last(lake: Lakehouse, refit: bool) -> BuyerModels | None:
    try:
        content = lake.read_json(MODEL_FILE) or {}
        if not content.get("rfm") or not content.get("kmeans"):
            return None
        last = BuyerModels(
            RfmScorer.from_dict(content["rfm"]),
            KMeansSegmenter.from_dict(content["kmeans"]),
            str(content.get("rfm_learned_on", "unknown")),
            str(content.get("kmeans_learned_on", "unknown")),
        )
        return last if last.rfm.customers_ >= LEAST_CUSTOMERS else None
    except ModelError as error:
        if refit:
            return None
        raise ModelError(
            f"{MODEL_FILE} must hold the last run's models",
            got=str(error),
            hint="run once with segments.refit = true, or delete it",
        ) from error
