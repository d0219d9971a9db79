"""Redirects: from every retired master ID to the living one, over any number of merges.

They follow from the ledger alone: an ID leads to the one that it last merged with, and to nobody if its records are
gone. A pointer is doubled until it no longer moves, so that a chain of n merges takes log2(n) rounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from c360ml import tables
from c360ml.identity.ledger import valid_events
from c360ml.lakehouse import Lakehouse

RETIRED_IDS = "retired_ids"
"""Temporary table of IDs that name nobody: retired_master_id, heir (null if its records are gone), run_id,
retired_at, reason, event."""


@contextmanager
def retired_ids(lake: Lakehouse) -> Iterator[str]:
    """Keep `retired_ids`, each with the ID that it merged with, which may be retired itself."""
    with lake.scratch(RETIRED_IDS, RETIRED_SQL.format(events=valid_events(lake))):
        yield RETIRED_IDS


RETIRED_SQL = """
    with fates as (
        select
            case event when 'merged' then other_master_id else master_id end as retired_master_id,
            case event when 'merged' then master_id end as heir,
            run_id, happened_at as retired_at, reason, event, table_version
        from {events}
        where event in ('merged', 'retired', 'returned')
    )
    select * exclude (table_version)
    from fates
    qualify 1 = row_number() over (
        partition by retired_master_id order by table_version desc, event = 'returned' desc, event
    ) and event <> 'returned'
"""
"""SQL of `retired_ids` from events of the ledger, of which those of one ID must be together."""


def write_redirects(lake: Lakehouse) -> int:
    """Write `silver.master_redirects` from the ledger; returns the number of retired IDs.

    >>> import tempfile
    >>> write_redirects(Lakehouse(tempfile.mkdtemp()))
    0
    """
    with (
        retired_ids(lake),
        lake.scratch("led_to", f"select retired_master_id, heir as master_id from {RETIRED_IDS}"),
    ):
        while lake.one(
            "select count(*) from led_to semi join (select retired_master_id as id from led_to) on id = master_id"
        ):
            lake.rows("create or replace temp table led_to as " + _DOUBLED)
        return lake.write(tables.MASTER_REDIRECTS, _REDIRECTS)


_DOUBLED = """
    select
        led_to.retired_master_id,
        case when further.retired_master_id is null then led_to.master_id else further.master_id end as master_id
    from led_to
    left join led_to as further on further.retired_master_id = led_to.master_id
"""
_REDIRECTS = f"""
    select retired_master_id, led_to.master_id, run_id, retired_at, reason
    from led_to
    join {RETIRED_IDS} using (retired_master_id)
"""
