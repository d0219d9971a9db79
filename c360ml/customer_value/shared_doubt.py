"""Whose doubts hang together: all records in doubt that some are linked with by draws or by customers.

Two records hang together if a draw takes them for one person, or if they have one customer now. A person of a draw is
named by the least of its records, so that the pairs of a record and its person's name tell all that draws join, of
whichever draw they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse

DOUBTED_RECORDS = "doubted_records"
"""Temporary table: record_id of the records in doubt that hang together with touched ones."""

_NUMBERED = """
    with drawn as (
        select record_id from silver.doubtful_partitions
        where draw = (select min(draw) from silver.doubtful_partitions)
    )
    select record_id, master_id, row_number() over () - 1 as record
    from drawn left join silver.identities using (record_id)
"""
_TOUCHED = """
    select record from numbered_doubts semi join ({touched}) using (master_id)
    union
    select record from numbered_doubts semi join {redrawn} using (record_id)
"""
_JOINED = """
    with drawn as (select distinct record_id, part from silver.doubtful_partitions where record_id <> part),
    owners as (select master_id, min(record) as least from numbered_doubts group by master_id having count(*) > 1)
    select own.record as l, least.record as r
    from drawn
    join numbered_doubts as own using (record_id)
    join numbered_doubts as least on least.record_id = drawn.part
    union all
    select record, least from numbered_doubts join owners using (master_id) where record <> least
"""


@contextmanager
def doubted_records(lake: Lakehouse, touched: str, redrawn: str) -> Iterator[str]:
    """Keep `doubted_records` for the length of a `with` block.

    Args:
        lake: the lakehouse; silver.doubtful_partitions and silver.identities must be open.
        touched: SQL of `master_id` of the customers that were touched.
        redrawn: name of a table of `record_id` of records that are drawn otherwise than they were.
    """
    with lake.scratch("numbered_doubts", _NUMBERED):
        start = lake.sql(_TOUCHED.format(touched=touched, redrawn=redrawn)).fetchnumpy()["record"]
        edges = lake.sql(_JOINED).fetchnumpy()
        records = int(lake.one("select count(*) from numbered_doubts"))
        found = _hanging_together(records, *(np.asarray(part, dtype=np.int64) for part in (*edges.values(), start)))
        lake.con.register("found_doubts", pa.table({"record": found}))
        try:
            with lake.scratch(
                DOUBTED_RECORDS, "select record_id from numbered_doubts semi join found_doubts using (record)"
            ):
                yield DOUBTED_RECORDS
        finally:
            lake.con.unregister("found_doubts")


def _hanging_together(
    records: int,
    left: np.ndarray[tuple[int], np.dtype[np.int64]],
    right: np.ndarray[tuple[int], np.dtype[np.int64]],
    start: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    if not records:
        return np.empty(0, np.int64)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(records, records))
    groups, group = connected_components(graph, directed=False)
    reached = np.zeros(groups, dtype=bool)
    reached[group[start]] = True
    return np.flatnonzero(reached[group])
