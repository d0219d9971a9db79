"""Append: interactions and activity brought up to date where interactions, or the customers of records, changed.

An interaction may have another customer if it, or the customer of its record, is not what it was; a digital event that
is known by its e-mail address also if any record with that address is not. What a customer did is counted again if an
interaction of theirs came, went or changed, if their records did, or if the end of observation moved past some of
theirs. Of all others only what depends on that day is reckoned anew, from the facts that stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.customer360.activity import AS_OF, activity_sql, facts_sql
from c360ml.customer360.collect import READS, RULES_DIGEST, WRITES, collect_interactions, interaction_counts
from c360ml.customer360.interactions import OBSERVATION_SQL, interactions_sql
from c360ml.lakehouse import Lakehouse, day_of
from c360ml.table_changes import (
    changed_keys,
    known_inputs,
    lost_and_gained,
    note_inputs,
    note_touched,
    versions_of,
)
from c360ml.tables import Table

MOST_CHANGED = 0.5
"""Where a larger share of the interactions is new or changed, collecting all of them costs less."""


def append_interactions(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Collect new and changed interactions; row for row what `collect_interactions` would have written.

    Where it cannot be told what changed, most did, or the end of observation moved back, all are collected.
    """
    read = versions_of(lake, READS)
    versions = known_inputs(lake, tables.ACTIVITY_INPUTS, rules=RULES_DIGEST, read=READS, wrote=WRITES)
    if versions is None:
        return collect_interactions(lake, config)
    for table in WRITES:
        lake.open(table)
    lake.say("finding the interactions that changed")
    with _changed_interactions(lake, versions):
        changed, known, stand = lake.rows("""
            select (select count(*) from new_interactions), (select count(*) from old_interactions),
                (select count(*) from gold.interactions)
        """)[0]
        ended = _observation_end(lake)
        if max(changed, known) > MOST_CHANGED * stand:
            return collect_interactions(lake, config)
        if changed or known:
            with lake.scratch("old_ids", "select channel, interaction_id from old_interactions"):
                lake.amend(tables.INTERACTIONS, "from new_interactions", lost="old_ids" if known else None)
        _observe(lake, config, ended)
        if _observation_end(lake) < ended:
            return collect_interactions(lake, config)
        lake.say("counting what touched customers did")
        aged = _observation_end(lake) > ended
        with lake.scratch("touched_customers", *((_TOUCHED_OR_PASSED, {"ended": ended}) if aged else (_TOUCHED,))):
            touched = lake.one("select count(*) from touched_customers")
            _write_activity(lake, aged=aged, touched=touched)
    note_inputs(lake, tables.ACTIVITY_INPUTS, rules=RULES_DIGEST, read=read, wrote=WRITES)
    return interaction_counts(lake) | {"touched_customers": touched}


def _observation_end(lake: Lakehouse) -> date:
    day: date = lake.one("select observation_end from gold.observation")
    return day


def _observe(lake: Lakehouse, config: Config, ended: date) -> None:
    """Write gold.observation if it is not what it was: whoever reads it then knows that nothing changed.

    Where its end is set and stays, and nothing of its first day went, only new interactions may have begun it earlier.
    """
    end = config.project.observation_end
    known = end == ended and not lake.one(_FIRST_DAY_LOST)
    with lake.scratch("observed_now", _OBSERVED_EARLIER if known else OBSERVATION_SQL, {"observation_end": end}):
        if lake.one("select count(*) from (from observed_now except from gold.observation)"):
            lake.write(tables.OBSERVATION, "from observed_now")


def _write_activity(lake: Lakehouse, *, aged: bool, touched: int) -> None:
    """Bring the activity of touched customers up to date, and of all what depends on the day if that has moved."""
    before = lake.version(tables.CUSTOMER_ACTIVITY)
    if aged:
        lake.write(tables.CUSTOMER_ACTIVITY, activity_sql(_FACTS_THAT_STAND))
    elif touched:
        lake.amend(tables.CUSTOMER_ACTIVITY, activity_sql(facts_sql("touched_customers")), lost="touched_customers")
    note_touched(lake, "touched_customers", before=before)


@contextmanager
def _changed_interactions(lake: Lakehouse, versions: Mapping[str, int]) -> Iterator[None]:
    """Keep `new_interactions` as they are now, `old_interactions` as they were, and `touched_owners`."""

    def changed(table: Table, *columns: str) -> str:
        return changed_keys(lake, table, versions[table.path], columns or list(table.columns))

    with ExitStack() as stack:

        def keep(name: str, query: str) -> None:
            stack.enter_context(lake.scratch(name, query))

        identities, records = (
            lost_and_gained(lake, table, versions[table.path]) or ("", "")
            for table in (tables.IDENTITIES, tables.RECORDS)
        )
        keep("changed_owners", changed(tables.IDENTITIES, "master_id"))
        keep("changed_records", changed(tables.RECORDS, "email", "email_kind", "created_at", "updated_at"))
        keep("changed_emails", _CHANGED_EMAILS.format(lost=records[0]))
        keep(
            "changed_purchases",
            _WITH_OWNERS.format(key="purchase_id", table=tables.PURCHASES.name, changed=changed(tables.PURCHASES)),
        )
        keep(
            "changed_services",
            _WITH_OWNERS.format(key="service_id", table=tables.SERVICES.name, changed=changed(tables.SERVICES)),
        )
        keep("changed_events", _CHANGED_EVENTS.format(changed=changed(tables.DIGITAL_EVENTS)))
        keep("new_interactions", f"select {_COLUMNS} from ({interactions_sql(changed=True)})")
        keep("changed_ids", _CHANGED_IDS)
        keep("old_interactions", _OLD_INTERACTIONS)
        keep("same_events", _SAME_EVENTS)
        for name in ("new_interactions", "old_interactions"):
            lake.rows(f"delete from {name} where channel = 'DIGITAL' and interaction_id in (from same_events)")
        keep("touched_owners", _TOUCHED_OWNERS.format(lost=identities[0]))
        yield


_CHANGED_EMAILS = """
    with changed as (from changed_owners union from changed_records)
    select email from silver.records semi join changed using (record_id) where email is not null
    union
    select email from ({lost}) semi join changed using (record_id) where email is not null
"""
_WITH_OWNERS = """
    select {key} from ({changed})
    union
    select {key} from silver.{table} semi join changed_owners using (record_id)
"""
_CHANGED_EVENTS = (
    _WITH_OWNERS.replace("{key}", "event_id").replace("{table}", "digital_events")
    + """
    union
    select event_id from silver.digital_events semi join changed_emails using (email)
"""
)
_CHANGED_IDS = """
    select 'DEALER' as channel, purchase_id as interaction_id from changed_purchases
    union all
    select 'SERVICE', service_id from changed_services
    union all
    select 'DIGITAL', event_id from changed_events
"""
_COLUMNS = ", ".join(f'"{name}"::{column.type} as "{name}"' for name, column in tables.INTERACTIONS.columns.items())
_OLD_INTERACTIONS = f"select {_COLUMNS} from gold.interactions semi join changed_ids using (channel, interaction_id)"
# Most events of a changed e-mail address stay with their customer. Of a purchase more is counted than its interaction
# tells, so that one that changed in anything counts as changed.
_SAME_EVENTS = """
    select interaction_id
    from (
        select * from new_interactions where channel = 'DIGITAL'
        intersect
        select * from old_interactions where channel = 'DIGITAL'
    )
"""
_FIRST_DAY_LOST = f"""
    select count(*) from old_interactions, gold.observation where {day_of("occurred_at")} <= observation_start
"""
_OBSERVED_EARLIER = f"""
    with earliest as (
        select min({day_of("occurred_at")}) as day
        from new_interactions
        where {day_of("occurred_at")} <= $observation_end
    )
    select least(observation_start, day) as observation_start, observation_end from gold.observation, earliest
"""
_TOUCHED_OWNERS = """
    select master_id from silver.identities semi join changed_owners using (record_id)
    union
    select master_id from ({lost}) semi join changed_owners using (record_id)
    union
    select master_id from silver.identities semi join changed_records using (record_id)
"""
_TOUCHED = """
    select master_id from touched_owners
    union
    select master_id from old_interactions where master_id is not null
    union
    select master_id from new_interactions where master_id is not null
"""
_TOUCHED_OR_PASSED = f"""
    {_TOUCHED}
    union
    select master_id
    from gold.interactions, gold.observation
    where master_id is not null
        and {day_of("occurred_at")} > $ended and {day_of("occurred_at")} <= observation_end
"""
_FACTS_THAT_STAND = f"""
    select * exclude ({", ".join(AS_OF)}) from gold.customer_activity anti join touched_customers using (master_id)
    union all by name
    ({facts_sql("touched_customers")})
"""
