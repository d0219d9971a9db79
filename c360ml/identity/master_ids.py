"""Master IDs that last from run to run; the previous version of silver.identities is the memory.

How an old ID finds its cluster, in this order:

1. It follows the cluster that holds most of its records; ties: the part with the oldest record (created_at, then
   record_id). So when a customer is split, the largest part keeps the ID and the others get new ones.
2. Where several old IDs follow into one cluster (a merge), the oldest survives. IDs sort by age, so the oldest is
   the lexicographically least.
3. A cluster that no old ID followed into gets a new ID.

The ID that an upsert answered is an old ID, too, and follows its record. An ID whose records were all gone (a source
was missing) comes back with them, unless a living ID claims the cluster.

A new ID is the text of a UUID version 7 (RFC 9562), made from the data instead of a clock and dice, so that the same
records give the same IDs: 48 bits of milliseconds are the earliest `created_at` of the cluster's records, the other
74 bits are the MD5 of its least record_id. If that ID names or ever named somebody (a part that was split off holds
the record that once gave the ID), the hash is taken again with the number of the attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from c360ml import tables
from c360ml.identity.inbox import inbox_records
from c360ml.identity.ledger import valid_history
from c360ml.identity.redirects import RETIRED_IDS, retired_ids
from c360ml.lakehouse import Lakehouse

MASTER_RECORDS = "master_records"
"""Temporary table of this run: record_id, master_id, cohesion."""
PREVIOUS_MASTERS = "previous_masters"
"""Temporary table: record_id, master_id of the run before, and whether that ID was living."""
MINTED_IDS = "minted_ids"
"""Temporary table: record_id, master_id that upserts answered of records that no run has seen."""
HEIRS = "heirs"
"""Temporary table: old master_id, the cluster_id that it followed, and whether it was living."""
KEPT_MASTERS = "kept_masters"
"""Temporary table: cluster_id, the old master_id that it keeps."""


@contextmanager
def lasting_master_ids(
    lake: Lakehouse, *, previous: str | None = None, clusters: str = "silver.clusters"
) -> Iterator[dict[str, int]]:
    """Keep `master_records` for the length of a `with` block, and tell what became of the old IDs.

    Args:
        lake: the lakehouse; `silver.records` must be open.
        previous: name of a table `record_id, master_id` with all records of the touched customers; without it those
            of `silver.identities`.
        clusters: name of a table `record_id, cluster_id, cohesion` of the same records and new ones.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> _ = lake.write(tables.CLUSTERS, "select 'a:1' as record_id, 'a:1' as cluster_id, 1 as cohesion")
    >>> _ = lake.rows("create view silver.records as select 'a:1' as record_id, "
    ...               "timestamptz '2024-01-05 10:00Z' as created_at, null::timestamptz as updated_at")
    >>> with lasting_master_ids(lake) as became:
    ...     lake.rows("select master_id from master_records")
    [('018cd910-b500-71b9-9ffd-ac6ffadf9a8e',)]
    >>> became
    {'new_ids': 1, 'kept_ids': 0, 'merged': 0, 'split': 0, 'vanished': 0, 'returned': 0}
    """
    living = _living(lake)
    with (
        retired_ids(lake),
        lake.scratch(PREVIOUS_MASTERS, _previous(lake, previous or living, living, clusters)),
        lake.scratch(MINTED_IDS, MINTED_SQL.format(upserted=_UPSERTED, living=living), _upserted(lake)),
        inherited_ids(lake, clusters) as became_of_ids,
    ):
        _avoid_ids_in_use(lake, living)
        with lake.scratch(MASTER_RECORDS, _MASTER_RECORDS.format(clusters=clusters)):
            yield became_of_ids


@contextmanager
def inherited_ids(lake: Lakehouse, clusters: str) -> Iterator[dict[str, int]]:
    """Keep `heirs`, `kept_masters` and `new_masters` for the length of a `with` block; tell what became of old IDs.

    Args:
        lake: the lakehouse; `silver.records`, `previous_masters` and `minted_ids` must be there, of all records of the
            clusters and of the old IDs at hand.
        clusters: name of a table `record_id, cluster_id`.
    """
    with (
        lake.scratch("shared_by_old_id", _SHARED.format(clusters=clusters)),
        lake.scratch(HEIRS, _HEIRS.format(clusters=clusters)),
        lake.scratch(KEPT_MASTERS, _KEPT),
        lake.scratch("new_masters", _NEW.format(clusters=clusters), {"attempt": 0}),
    ):
        yield _what_became_of_ids(lake)


def uuid7(moment: str, seed: str) -> str:
    """SQL of a UUID version 7 whose time is a TIMESTAMPTZ and whose other bits hash a text.

    >>> from c360ml.lakehouse import connect
    >>> connect().sql("select " + uuid7("timestamptz '2024-01-05 10:00Z'", "'a:1 0'")).fetchall()
    [('018cd910-b500-71b9-9ffd-ac6ffadf9a8e',)]
    """
    milliseconds = f"greatest(0, least(281474976710655, coalesce(epoch_ms({moment}), 0)))"
    return uuid7_of_hex(f"lpad(lower(to_hex({milliseconds}::bigint)), 12, '0')", seed)


def uuid7_of_hex(time: str, seed: str) -> str:
    """SQL of a UUID version 7 from the SQL of its 12 hex digits of time and of a text to hash."""
    digest = f"md5({seed})"
    # The variant takes the two highest bits of its hex digit: 10xx is 8, 9, a or b.
    variant = f"translate({digest}[4], '0123456789abcdef', '89ab89ab89ab89ab')"
    return (
        f"concat({time}[1:8], '-', {time}[9:12], '-7', {digest}[1:3], '-', "
        f"{variant}, {digest}[5:7], '-', {digest}[8:19])"
    )


def _living(lake: Lakehouse) -> str:
    if lake.version(tables.IDENTITIES) is None:
        return "(select null::varchar as record_id, null::varchar as master_id where false)"
    return lake.open(tables.IDENTITIES)


def _upserted(lake: Lakehouse) -> dict[str, list[str]]:
    rows = inbox_records(lake.folder)
    return {name: [str(row[name]) for row in rows] for name in ("record_id", "master_id")}


# Who was answered with an ID that has merged since is told the living one by its redirect.
MINTED_SQL = f"""
    select record_id, master_id
    from {{upserted}} anti join {{living}} using (record_id)
    where master_id not in (select retired_master_id from {RETIRED_IDS})
"""
_UPSERTED = "(select unnest($record_id::varchar[]) as record_id, unnest($master_id::varchar[]) as master_id)"


def _previous(lake: Lakehouse, previous: str, living: str, clusters: str) -> str:
    """Records with their old IDs; records that were gone with all of their customer's bring its ID back."""
    known = f"select record_id, master_id, true as living from {previous}"
    if not lake.one(f"select count(*) from {RETIRED_IDS} where event = 'retired'"):
        return known
    returned = RETURNED_SQL.format(history=valid_history(lake), clusters=clusters, living=living)
    return f"{known} union all {returned}"


RETURNED_SQL = f"""
    select record_id, arg_max(history.master_id, history.table_version) as master_id, false as living
    from {{history}} as history
    semi join (select retired_master_id as master_id from {RETIRED_IDS} where event = 'retired') using (master_id)
    semi join {{clusters}} using (record_id)
    anti join {{living}} using (record_id)
    group by record_id
"""


_SHARED = f"""
    select previous.master_id, living, clusters.cluster_id, count(*) as shared_records
    from (from {PREVIOUS_MASTERS} union all select *, true from {MINTED_IDS}) as previous
    join {{clusters}} as clusters using (record_id)
    group by all
"""

_HEIRS = f"""
    with parted as (select master_id from shared_by_old_id group by master_id having count(*) > 1),
    parts as (
        select shared.*, records.created_at, record_id
        from shared_by_old_id as shared
        semi join parted using (master_id)
        join (from {PREVIOUS_MASTERS} union all select *, true from {MINTED_IDS}) as previous using (master_id)
        join {{clusters}} as clusters using (record_id, cluster_id)
        join silver.records as records using (record_id)
    ),
    largest as (
        select master_id, living, cluster_id
        from parts
        qualify 1 = row_number() over (
            partition by master_id order by shared_records desc, created_at nulls last, record_id
        )
    )
    select master_id, living, cluster_id from shared_by_old_id anti join parted using (master_id)
    union all
    from largest
"""

_KEPT = f"""
    select cluster_id, coalesce(min(master_id) filter (living), min(master_id)) as master_id
    from {HEIRS}
    group by cluster_id
"""

NEW_MASTER_ID = uuid7("earliest", "concat_ws(' ', least_record_id, $attempt)")
"""SQL of the ID that a cluster of `new_masters` gets at `$attempt`."""
_NEW = f"""
    with seeds as (
        select
            clusters.cluster_id,
            min(record_id) as least_record_id,
            min(coalesce(records.created_at, records.updated_at)) as earliest
        from {{clusters}} as clusters
        join silver.records as records using (record_id)
        anti join {KEPT_MASTERS} using (cluster_id)
        group by clusters.cluster_id
    )
    select *, {NEW_MASTER_ID} as master_id
    from seeds
"""


def _avoid_ids_in_use(lake: Lakehouse, living: str) -> None:
    taken = f"""
        master_id in (select master_id from {living} union all select master_id from {PREVIOUS_MASTERS}
            union all select retired_master_id from {RETIRED_IDS})
    """
    attempt = 0
    while lake.one(f"select count(*) from new_masters where {taken}"):
        attempt += 1
        lake.rows(f"update new_masters set master_id = {NEW_MASTER_ID} where {taken}", {"attempt": attempt})


_MASTER_RECORDS = f"""
    with masters as (
        select cluster_id, master_id from {KEPT_MASTERS}
        union all
        select cluster_id, master_id from new_masters
    )
    select record_id, masters.master_id, clusters.cohesion
    from {{clusters}} as clusters
    join masters using (cluster_id)
"""


def _what_became_of_ids(lake: Lakehouse) -> dict[str, int]:
    questions = {
        "new_ids": "select count(*) from new_masters",
        "kept_ids": f"select count(*) from {KEPT_MASTERS} semi join (from {HEIRS} where living) using (master_id)",
        "merged": f"select count(*) from {HEIRS} anti join {KEPT_MASTERS} using (master_id) where living",
        "split": """
            select count(*)
            from (select master_id from shared_by_old_id where living group by master_id having count(*) > 1)
        """,
        "vanished": f"""
            select count(distinct master_id) from {PREVIOUS_MASTERS} anti join shared_by_old_id using (master_id)
        """,
        "returned": f"select count(*) from {KEPT_MASTERS} semi join (from {HEIRS} where not living) using (master_id)",
    }
    return {name: int(lake.one(question)) for name, question in questions.items()}
