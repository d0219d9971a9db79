"""Interactions: purchases, services and digital events under the customer they belong to.

Nothing is lost: a row whose customer cannot be found keeps a null master_id and is counted. A purchase or
service belongs to the customer of its record. So does a digital event; without a known record it belongs
to the customer who uses its e-mail address. If several customers share a personal address, that is the
one with most records using it, then the one whose record using it changed last, then the least master_id.
"""

from c360ml.lakehouse import day_of, moment_of

_INTERACTIONS = """
    with email_users as (
        select
            records.email,
            identities.master_id,
            count(*) as records,
            max(coalesce(records.updated_at, records.created_at, '-infinity')) as changed_at
        from silver.records as records
        join silver.identities as identities using (record_id)
        where records.email is not null and records.email_kind = 'personal' {emails}
        group by all
    ),
    email_owners as (
        select email, master_id
        from email_users
        qualify 1 = row_number() over (partition by email order by records desc, changed_at desc, master_id)
    ),
    purchases as (
        select
            purchase_id as interaction_id,
            identities.master_id,
            record_id,
            'PURCHASE' as interaction_type,
            'DEALER' as channel,
            product as event_type,
            {purchased_at} as occurred_at,
            amount,
            campaign_id
        from (from silver.purchases {purchases}) as purchases
        left join silver.identities as identities using (record_id)
    ),
    services as (
        select
            service_id as interaction_id,
            identities.master_id,
            record_id,
            coalesce(service_type, 'SERVICE') as interaction_type,
            'SERVICE' as channel,
            service_type as event_type,
            {serviced_at} as occurred_at,
            amount,
            null as campaign_id
        from (from silver.services {services}) as services
        left join silver.identities as identities using (record_id)
    ),
    events as (
        select
            event_id as interaction_id,
            coalesce(identities.master_id, email_owners.master_id) as master_id,
            record_id,
            interaction_type,
            'DIGITAL' as channel,
            event_type,
            occurred_at,
            null as amount,
            campaign_id
        from (from silver.digital_events {events}) as digital_events
        left join silver.identities as identities using (record_id)
        left join email_owners on identities.master_id is null and email_owners.email = digital_events.email
    )
    select * from purchases
    union all
    select * from services
    union all
    select * from events
"""

_EMAILS_OF_CHANGED = """
    and records.email in (select email from silver.digital_events semi join changed_events using (event_id))
"""


def interactions_sql(*, changed: bool = False) -> str:
    """Give SQL of gold.interactions.

    Args:
        changed: only those whose keys are in the tables `changed_purchases, changed_services, changed_events`.

    >>> "changed_events" in interactions_sql(changed=True)
    True
    """
    only = {
        "purchases": "semi join changed_purchases using (purchase_id)",
        "services": "semi join changed_services using (service_id)",
        "events": "semi join changed_events using (event_id)",
        "emails": _EMAILS_OF_CHANGED,
    }
    times = {"purchased_at": moment_of("purchased_on"), "serviced_at": moment_of("serviced_on")}
    return _INTERACTIONS.format(**(only if changed else dict.fromkeys(only, "")), **times)


OBSERVATION_SQL = f"""
    with days as (
        select {day_of("occurred_at")} as day from gold.interactions
    ),
    seen as (
        select
            coalesce(
                $observation_end,
                (select max(day) from days where day <= current_date),
                (select max(coalesce(updated_at, created_at))::date from silver.records
                    where coalesce(updated_at, created_at) <= current_timestamp),
                current_date
            ) as observation_end
    )
    select
        coalesce((select min(day) from days where day <= observation_end), observation_end)
            as observation_start,
        observation_end
    from seen
"""
"""Without any interaction the observation is the day of the last change of a record."""
