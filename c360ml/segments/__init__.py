"""Segments: who the customers are, by RFM scores, clusters, behaviour and value tier, and what to do with each.

`segment_customers` is the step of the pipeline; the models answer for any table of buyers. What a
segment is called and when is data: `rfm_map`, `behaviour`, `value_tiers`, `actions`, `recommendations`.
How customers move between them from run to run is `movement`.
"""

from c360ml.segments.actions import ACTION_SEGMENTS
from c360ml.segments.append import append_segments
from c360ml.segments.behaviour import BEHAVIOURS
from c360ml.segments.kmeans import KMeansSegmenter
from c360ml.segments.rfm import RfmScorer
from c360ml.segments.rfm_map import RFM_SEGMENTS
from c360ml.segments.step import segment_customers
from c360ml.segments.value_tiers import VALUE_TIERS, ValueTiers

__all__ = [
    "ACTION_SEGMENTS",
    "BEHAVIOURS",
    "RFM_SEGMENTS",
    "VALUE_TIERS",
    "KMeansSegmenter",
    "RfmScorer",
    "ValueTiers",
    "append_segments",
    "segment_customers",
]
