"""Which records are one person: blocking, comparison, latent classes, scoring, clusters, evaluation."""

from c360ml.linkage.evaluation import evaluate_clusters
from c360ml.linkage.model import LinkageModel
from c360ml.linkage.step import link, link_records

__all__ = ["LinkageModel", "evaluate_clusters", "link", "link_records"]
