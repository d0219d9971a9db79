"""Customer 360 machine learning: resolve customers, value them, segment them.

Importing this package loads no heavy library; each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c360ml.config import Config
    from c360ml.customer_value import BgNbd, GammaGamma, customer_lifetime_value, purchase_history
    from c360ml.errors import C360Error
    from c360ml.lakehouse import Lakehouse
    from c360ml.linkage import LinkageModel, evaluate_clusters
    from c360ml.pipeline import run_pipeline
    from c360ml.segments import KMeansSegmenter, RfmScorer
    from c360ml.standardize import standardize_records
    from c360ml.synthetic import write_world

_HOME_OF = {
    "BgNbd": "c360ml.customer_value",
    "C360Error": "c360ml.errors",
    "Config": "c360ml.config",
    "GammaGamma": "c360ml.customer_value",
    "KMeansSegmenter": "c360ml.segments",
    "Lakehouse": "c360ml.lakehouse",
    "LinkageModel": "c360ml.linkage",
    "RfmScorer": "c360ml.segments",
    "customer_lifetime_value": "c360ml.customer_value",
    "evaluate_clusters": "c360ml.linkage",
    "purchase_history": "c360ml.customer_value",
    "run_pipeline": "c360ml.pipeline",
    "standardize_records": "c360ml.standardize",
    "write_world": "c360ml.synthetic",
}

__version__ = "0.1.0"
__all__ = [
    "BgNbd",
    "C360Error",
    "Config",
    "GammaGamma",
    "KMeansSegmenter",
    "Lakehouse",
    "LinkageModel",
    "RfmScorer",
    "customer_lifetime_value",
    "evaluate_clusters",
    "purchase_history",
    "run_pipeline",
    "standardize_records",
    "write_world",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'c360ml' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
