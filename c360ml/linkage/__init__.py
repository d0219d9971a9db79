"""Which records are one person: blocking, comparison, latent classes, scoring, clusters, evaluation."""

from c360ml.linkage.append_doubt import append_doubt, draw_identities
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.decisions import read_decisions
from c360ml.linkage.doubt import doubt_identities
from c360ml.linkage.evaluation import evaluate_clusters
from c360ml.linkage.model import LinkageModel
from c360ml.linkage.recalibration import Recalibration
from c360ml.linkage.review_answers import read_answers
from c360ml.linkage.sampled_evaluation import draw_review_sample
from c360ml.linkage.step import append_links, link, link_records
from c360ml.linkage.thresholds import (
    choose_threshold,
    review_band,
    review_band_by_cost,
    threshold_by_cost,
    threshold_by_labels,
)
from c360ml.linkage.value_threshold import threshold_by_value

__all__ = [
    "Constraints",
    "LinkageModel",
    "Recalibration",
    "append_doubt",
    "append_links",
    "choose_threshold",
    "doubt_identities",
    "draw_identities",
    "draw_review_sample",
    "evaluate_clusters",
    "link",
    "link_records",
    "read_answers",
    "read_decisions",
    "review_band",
    "review_band_by_cost",
    "threshold_by_cost",
    "threshold_by_labels",
    "threshold_by_value",
]
