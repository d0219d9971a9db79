"""Master IDs that last from run to run; the previous version of silver.identities is the memory.

How an old ID finds its cluster, in this order:

1. It follows the cluster that holds most of its records; ties: the part with the least record_id.
   So when a customer is split, the largest part keeps the ID and the others get new ones.
2. Where several old IDs follow into one cluster (a merge), the oldest survives. IDs sort by age, so the
   oldest is the lexicographically least.
3. A cluster that no old ID followed into gets a new ID.

A new ID is the text of a UUID version 7 (RFC 9562), made from the data instead of a clock and dice, so
that the same records give the same IDs: 48 bits of milliseconds are the earliest `created_at` of the
cluster's records, the other 74 bits are the MD5 of its least record_id. If the previous run already used
that ID for somebody (a part that was split off holds the record that once gave the ID), the hash is
taken again with the number of the attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from c360ml import tables
from c360ml.lakehouse import Lakehouse

MASTER_RECORDS = "master_records"
"""Temporary table of this run: record_id, master_id, cohesion."""


@contextmanager
def lasting_master_ids(lake: Lakehouse) -> Iterator[dict[str, int]]:
    """Keep `master_records` for the length of a `with` block, and tell what became of the old IDs.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> _ = lake.write(tables.CLUSTERS, "select 'a:1' as record_id, 'a:1' as cluster_id, 1 as cohesion")
    >>> _ = lake.rows("create view silver.records as select 'a:1' as record_id, "
    ...               "timestamptz '2024-01-05 10:00Z' as created_at, null::timestamptz as updated_at")
    >>> with lasting_master_ids(lake) as became:
    ...     lake.rows("select master_id from master_records")
    [('018cd910-b500-71b9-9ffd-ac6ffadf9a8e',)]
    >>> became
    {'new_ids': 1, 'kept_ids': 0, 'merged': 0, 'split': 0, 'vanished': 0}
    """
    with (
        lake.scratch("previous_masters", _previous(lake)),
        lake.scratch("shared_by_old_id", _SHARED),
        lake.scratch("heirs", _HEIRS),
        lake.scratch("kept_masters", _KEPT),
        lake.scratch("new_masters", _NEW, {"attempt": 0}),
    ):
        _avoid_ids_in_use(lake)
        with lake.scratch(MASTER_RECORDS, _MASTER_RECORDS):
            yield _what_became_of_ids(lake)


def uuid7(moment: str, seed: str) -> str:
    """SQL of a UUID version 7 whose time is a TIMESTAMPTZ and whose other bits hash a text.

    >>> from c360ml.lakehouse import connect
    >>> connect().sql("select " + uuid7("timestamptz '2024-01-05 10:00Z'", "'a:1 0'")).fetchall()
    [('018cd910-b500-71b9-9ffd-ac6ffadf9a8e',)]
    """
    milliseconds = f"greatest(0, least(281474976710655, coalesce(epoch_ms({moment}), 0)))"
    time = f"lpad(lower(to_hex({milliseconds}::bigint)), 12, '0')"
    digest = f"md5({seed})"
    # The variant takes the two highest bits of its hex digit: 10xx is 8, 9, a or b.
    variant = f"translate({digest}[4], '0123456789abcdef', '89ab89ab89ab89ab')"
    return (
        f"concat({time}[1:8], '-', {time}[9:12], '-7', {digest}[1:3], '-', "
        f"{variant}, {digest}[5:7], '-', {digest}[8:19])"
    )


def _previous(lake: Lakehouse) -> str:
    if lake.version(tables.IDENTITIES) is None:
        return "select null::varchar as record_id, null::varchar as master_id where false"
    return f"select record_id, master_id from {lake.open(tables.IDENTITIES)}"


_SHARED = """
    select
        previous.master_id,
        clusters.cluster_id,
        count(*) as shared_records,
        min(record_id) as least_record_id
    from previous_masters as previous
    join silver.clusters as clusters using (record_id)
    group by all
"""

_HEIRS = """
    select master_id, cluster_id
    from shared_by_old_id
    qualify 1 = row_number() over (partition by master_id order by shared_records desc, least_record_id)
"""

_KEPT = "select cluster_id, min(master_id) as master_id from heirs group by cluster_id"

_NEW = f"""
    with seeds as (
        select
            clusters.cluster_id,
            min(record_id) as least_record_id,
            min(coalesce(records.created_at, records.updated_at)) as earliest
        from silver.clusters as clusters
        join silver.records as records using (record_id)
        anti join kept_masters using (cluster_id)
        group by clusters.cluster_id
    )
    select *, {uuid7("earliest", "concat_ws(' ', least_record_id, $attempt)")} as master_id
    from seeds
"""

_TAKEN = "master_id in (select master_id from previous_masters)"


def _avoid_ids_in_use(lake: Lakehouse) -> None:
    attempt = 0
    while lake.one(f"select count(*) from new_masters where {_TAKEN}"):
        attempt += 1
        again = uuid7("earliest", "concat_ws(' ', least_record_id, $attempt)")
        lake.rows(f"update new_masters set master_id = {again} where {_TAKEN}", {"attempt": attempt})


_MASTER_RECORDS = """
    with masters as (
        select cluster_id, master_id from kept_masters
        union all
        select cluster_id, master_id from new_masters
    )
    select record_id, masters.master_id, clusters.cohesion
    from silver.clusters as clusters
    join masters using (cluster_id)
"""


def _what_became_of_ids(lake: Lakehouse) -> dict[str, int]:
    questions = {
        "new_ids": "select count(*) from new_masters",
        "kept_ids": "select count(*) from kept_masters",
        "merged": "select count(*) from heirs anti join kept_masters using (master_id)",
        "split": "select count(*) from (from shared_by_old_id select master_id group by all having count(*) > 1)",
        "vanished": """
            select count(distinct master_id) from previous_masters anti join shared_by_old_id using (master_id)
        """,
    }
    return {name: int(lake.one(question)) for name, question in questions.items()}
