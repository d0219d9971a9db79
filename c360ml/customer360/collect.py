"""The step that collects what customers did, from every channel."""

from __future__ import annotations

from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.customer360.activity import ACTIVITY_SQL
from c360ml.customer360.interactions import INTERACTIONS_SQL, OBSERVATION_SQL
from c360ml.lakehouse import Lakehouse


def collect_interactions(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Bring purchases, services and events to their customers, and count what each customer did.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> reads = (tables.IDENTITIES, tables.RECORDS, tables.PURCHASES, tables.SERVICES, tables.DIGITAL_EVENTS)
    >>> for table in reads:
    ...     columns = ", ".join(f"null as {name}" for name in table.columns)
    ...     _ = lake.write(table, f"select {columns} where false")
    >>> collect_interactions(lake, Config())["interactions"]
    0
    """
    lake.say("bringing interactions to their customers")
    lake.write(tables.INTERACTIONS, INTERACTIONS_SQL)
    lake.write(tables.OBSERVATION, OBSERVATION_SQL, {"observation_end": config.project.observation_end})
    lake.say("counting what each customer did")
    lake.write(tables.CUSTOMER_ACTIVITY, ACTIVITY_SQL)
    return _counts(lake)


def _counts(lake: Lakehouse) -> dict[str, Any]:
    names = (
        "interactions",
        "purchases",
        "services",
        "digital_events",
        "orphan_purchases",
        "orphan_services",
        "unresolved_events",
        "events_resolved_by_email",
        "after_observation",
        "active_customers",
        "observation_start",
        "observation_end",
    )
    values = lake.rows("""
        select
            count(*),
            count(*) filter (where channel = 'DEALER'),
            count(*) filter (where channel = 'SERVICE'),
            count(*) filter (where channel = 'DIGITAL'),
            count(*) filter (where channel = 'DEALER' and master_id is null),
            count(*) filter (where channel = 'SERVICE' and master_id is null),
            count(*) filter (where channel = 'DIGITAL' and master_id is null),
            count(*) filter (where channel = 'DIGITAL' and master_id is not null
                and (record_id is null or record_id not in (select record_id from silver.identities))),
            count(*) filter (where occurred_at::date > (select observation_end from gold.observation)),
            (select count(*) from gold.customer_activity where last_activity_on is not null),
            (select observation_start::varchar from gold.observation),
            (select observation_end::varchar from gold.observation)
        from gold.interactions
    """)[0]
    return dict(zip(names, values, strict=True))
