"""Append: segments of all customers by the models as they are, counting only who was touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.segments.preferences import preferences_sql
from c360ml.segments.segment_inputs import to_count_again
from c360ml.segments.step import segment_customers, segment_with

if TYPE_CHECKING:
    from c360ml.config import Config
    from c360ml.lakehouse import Lakehouse


def append_segments(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Segment customers where some were touched; row for row what `segment_customers` would have written.

    Value tiers are ranks among all, so that everybody is put into segments anew, from what stands of each. Only what
    touched customers prefer is counted from their interactions.
    """
    touched = to_count_again(lake)
    if touched is None:
        return segment_customers(lake, config)
    lake.open(tables.CUSTOMER_SEGMENTS)
    with lake.scratch("touched_customers", touched):
        return segment_with(lake, config, preferences_sql("touched_customers"))
