"""Records that reviewers' matches join, directly or through each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from c360ml.linkage.clusters import components

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse


def group_matches(lake: Lakehouse, decisions: str) -> str:
    """Write the temporary table `settled_records`: each record of a decided match, and the least of its group.

    Args:
        lake: lakehouse to work in.
        decisions: table of `record_id_l, record_id_r, decision`.

    Returns:
        The name of the table.

    >>> import tempfile; from c360ml import Lakehouse
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> decided = "(values ('b', 'c', 'match'), ('a', 'b', 'match'), ('d', 'e', 'non-match'))"
    >>> _ = lake.rows(f"create table decided as from {decided} t(record_id_l, record_id_r, decision)")
    >>> lake.rows(f"from {group_matches(lake, 'decided')} order by all")
    [('a', 'a'), ('b', 'a'), ('c', 'a')]
    """
    matches = lake.sql(f"select record_id_l, record_id_r from {decisions} where decision = 'match'").fetchnumpy()
    left, right = (np.asarray(matches[name], dtype=object) for name in ("record_id_l", "record_id_r"))
    ids, places = np.unique(np.concatenate([left, right]).astype(str), return_inverse=True)
    groups = components(len(ids), places[: len(left)], places[len(left) :])
    _, first = np.unique(groups, return_index=True)
    least = ids[first[groups]] if len(ids) else ids
    lake.con.register(
        "settled_given",
        pa.table({"record_id": pa.array(ids.tolist(), pa.string()), "settled": pa.array(least.tolist(), pa.string())}),
    )
    lake.rows("create or replace temp table settled_records as from settled_given")
    lake.con.unregister("settled_given")
    return "settled_records"


def parted_groups(decisions: str) -> str:
    """SQL of the groups that decided non-matches part, as `one, other`; reads what `group_matches` wrote.

    A group that is parted from itself has `one = other`: its decisions contradict each other.
    """
    return f"""
        select distinct least(one, other) as one, greatest(one, other) as other
        from (
            select coalesce(l.settled, record_id_l) as one, coalesce(r.settled, record_id_r) as other
            from {decisions}
            left join settled_records l on l.record_id = record_id_l
            left join settled_records r on r.record_id = record_id_r
            where decision = 'non-match'
        )
    """
