"""The step that collects what customers did, from every channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.customer360.activity import activity_sql, facts_sql
from c360ml.customer360.interactions import OBSERVATION_SQL, interactions_sql
from c360ml.lakehouse import Lakehouse, day_of
from c360ml.table_changes import digest_of, note_inputs, versions_of

READS = (tables.IDENTITIES, tables.RECORDS, tables.PURCHASES, tables.SERVICES, tables.DIGITAL_EVENTS)
"""Tables that say who did what."""
WRITES = (tables.INTERACTIONS, tables.OBSERVATION, tables.CUSTOMER_ACTIVITY, tables.TOUCHED_CUSTOMERS)
"""Tables that say what each customer did."""
RULES_DIGEST = digest_of(interactions_sql(), OBSERVATION_SQL, facts_sql())
"""Digest of all that decides them, but for the tables that are read and the day of observation."""
_NOBODY = "select " + ", ".join(f"null as {name}" for name in tables.TOUCHED_CUSTOMERS.columns) + " where false"


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
    read = versions_of(lake, READS)
    lake.say("bringing interactions to their customers")
    lake.write(tables.INTERACTIONS, interactions_sql())
    lake.write(tables.OBSERVATION, OBSERVATION_SQL, {"observation_end": config.project.observation_end})
    lake.say("counting what each customer did")
    lake.write(tables.CUSTOMER_ACTIVITY, activity_sql(facts_sql()))
    note_collected(lake, read)
    return interaction_counts(lake)


def note_collected(lake: Lakehouse, read: Mapping[str, int]) -> None:
    """Note what all interactions and activity were made of, when both are written: whom that touched nobody knows."""
    lake.write(tables.TOUCHED_CUSTOMERS, _NOBODY)
    note_inputs(lake, tables.ACTIVITY_INPUTS, rules=RULES_DIGEST, read=read, wrote=WRITES)


def interaction_counts(lake: Lakehouse) -> dict[str, Any]:
    """Count interactions, those of nobody, and active customers."""
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
    values = lake.rows(f"""
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
            count(*) filter (where {day_of("occurred_at")} > (select observation_end from gold.observation)),
            (select count(*) from gold.customer_activity where last_activity_on is not null),
            (select observation_start::varchar from gold.observation),
            (select observation_end::varchar from gold.observation)
        from gold.interactions
    """)[0]
    return dict(zip(names, values, strict=True))
