"""What merges, splits and moves of customers did to their purchases, value and segment.

The customers as gold.customer_360 still has them stand beside the same customers as it is about to be written. Each
event is told once; rows of a run that was killed before it wrote gold.customer_360 make room for the next attempt.
"""

from __future__ import annotations

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.tables import Table

TOLD_CUSTOMERS = "told_customers"
"""Temporary table: master_id of the customers of events that are not told yet."""
MEASURES = ("purchases", "historical_value", "customer_value", "rfm_segment", "value_tier")


def record_impact(lake: Lakehouse, profile: str) -> int:
    """Add the events that are not told yet to gold.identity_impact; returns their number.

    Args:
        lake: the lakehouse, before gold.customer_360 is written.
        profile: the query of gold.customer_360 as it will be, at least for the customers in `told_customers`.
    """
    written = lake.version(tables.CUSTOMER_360)
    version = 0 if written is None else written + 1
    with lake.scratch("untold_events", _untold(lake, version)):
        events = int(lake.one("select count(*) from untold_events"))
        with (
            lake.scratch(TOLD_CUSTOMERS, _TOLD),
            lake.scratch("customers_before", _measures(lake, tables.CUSTOMER_360)),
            lake.scratch("customers_after", _of_told(f"({profile})") if events else _NOBODY),
        ):
            lake.append(tables.IDENTITY_IMPACT, _IMPACT, {"version": version}, replacing=f"table_version >= {version}")
    return events


_COLUMNS = ", ".join(("master_id", *MEASURES))
_NOBODY = f"""
    select {", ".join(f"null::{tables.CUSTOMER_360.columns[name].type} as {name}" for name in ("master_id", *MEASURES))}
    where false
"""


_TOLD = "select distinct unnest([master_id, other_master_id]) as master_id from untold_events"


def _measures(lake: Lakehouse, table: Table) -> str:
    return _NOBODY if lake.version(table) is None else _of_told(lake.open(table))


def _of_told(customers: str) -> str:
    return f"select {_COLUMNS} from {customers} semi join {TOLD_CUSTOMERS} using (master_id)"


def _untold(lake: Lakehouse, version: int) -> str:
    if lake.version(tables.IDENTITY_LEDGER) is None:
        names = ("event_id", "event", "master_id", "other_master_id")
        return f"select {', '.join(f'null::varchar as {name}' for name in names)} where false"
    told = "select null::varchar as event_id where false"
    if lake.version(tables.IDENTITY_IMPACT) is not None:
        told = f"select event_id from {lake.open(tables.IDENTITY_IMPACT)} where table_version < {version}"
    return f"""
        select event_id, event, master_id, other_master_id
        from {lake.open(tables.IDENTITY_LEDGER)}
        anti join ({told}) using (event_id)
        where event in ('merged', 'split', 'moved')
    """


_IMPACT = f"""
    select
        event_id, event, events.master_id, other_master_id,
        {
    ", ".join(
        f"before.{name} as {name}_before, after.{name} as {name}_after, "
        f"other_before.{name} as other_{name}_before, other_after.{name} as other_{name}_after"
        for name in MEASURES
    )
},
        $version as table_version
    from untold_events as events
    left join customers_before as before on before.master_id = events.master_id
    left join customers_after as after on after.master_id = events.master_id
    left join customers_before as other_before on other_before.master_id = events.other_master_id
    left join customers_after as other_after on other_after.master_id = events.other_master_id
"""
