"""What gold.customer_segments was made of, and so whose preferences an append has to count again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c360ml import tables
from c360ml.table_changes import code_of, known_inputs, note_inputs, touched_since, versions_of

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse

_READS = (tables.CUSTOMER_ACTIVITY,)
_WROTE = (tables.CUSTOMER_SEGMENTS,)


def note_segmented(lake: Lakehouse) -> None:
    """Note the inputs, when gold.customer_segments is written."""
    rules, read = code_of(__file__), versions_of(lake, _READS)
    note_inputs(lake, tables.SEGMENT_INPUTS, rules=rules, read=read, wrote=_WROTE)


def to_count_again(lake: Lakehouse) -> str | None:
    """Give SQL of `master_id` of the customers whose preferences may have changed since; None for all."""
    versions = known_inputs(lake, tables.SEGMENT_INPUTS, rules=code_of(__file__), read=_READS, wrote=_WROTE)
    return None if versions is None else touched_since(lake, versions[tables.CUSTOMER_ACTIVITY.path])
