"""Activity: what each customer did until the end of observation, counted.

- `purchases` are sales of a positive amount; a negative amount is a refund; `purchase_revenue` is the sum
  of both.
- A vehicle counts as owned while more than half of what the customer paid for it was kept: a rebate does
  not return the car, a refund less a fee does.
- `service_visits` are service, warranty and parts rows alike.
- Tenure runs from the customer's first record or interaction to the end of observation. For
  `purchases_per_year` a tenure of less than a year counts as one year.
- `engagement_score` gives each of the four kinds of digital interaction (WEB, APP, EMAIL, SOCIAL) up to
  25 points, halved with every 90 days since the last interaction of that kind: 100 is a customer who used
  all four today, 25 one who used one of them today or all four half a year ago.

Interactions after the end of observation are left out. Amounts are summed as decimals: a sum of floating
point numbers would depend on the order in which threads deliver them.
"""

from c360ml.lakehouse import day_of

ENGAGEMENT_HALF_LIFE_DAYS = 90
DIGITAL_KINDS = ("WEB", "APP", "EMAIL", "SOCIAL")
DAYS_PER_YEAR = 365.25

AS_OF = ("days_since_last_activity", "purchases_per_year", "engagement_score")
"""Columns of gold.customer_activity that depend on the end of observation; the others are facts, whatever day it is."""
_MONEY = "decimal(38, 4)"
_LAST_DAYS = ", ".join(f"last_{kind.lower()}_on" for kind in DIGITAL_KINDS)


def _points(kind: str) -> str:
    days = f"date_diff('day', last_{kind.lower()}_on, observation_end)"
    return f"coalesce({100 / len(DIGITAL_KINDS)} * 0.5 ** ({days} / {ENGAGEMENT_HALF_LIFE_DAYS}), 0)"


_FACTS = f"""
    with observed as (
        select interactions.*, {day_of("occurred_at")} as day
        from (from gold.interactions {{asked}}) as interactions, gold.observation
        where master_id is not null and {day_of("occurred_at")} <= observation_end
    ),
    owners as (select record_id, master_id from silver.identities {{asked}}),
    customers as (
        select master_id, min(created_at)::date as first_record_on
        from owners
        join silver.records using (record_id)
        group by master_id
    ),
    bought as (
        select
            master_id,
            count(*) filter (where amount > 0) as purchases,
            sum(amount::{_MONEY}) as purchase_revenue,
            sum(amount::{_MONEY}) filter (where amount > 0) as gross_revenue,
            min(day) filter (where amount > 0) as first_purchase_on,
            max(day) filter (where amount > 0) as last_purchase_on,
            count(*) filter (where amount < 0) as refunds,
            min(day) as first_sale_on,
            max(day) as last_sale_on
        from observed
        where channel = 'DEALER'
        group by master_id
    ),
    vehicles as (
        select
            master_id,
            vin,
            sum(amount::{_MONEY}) as kept,
            sum(amount::{_MONEY}) filter (where amount > 0) as paid
        from silver.purchases
        join owners using (record_id), gold.observation
        where vin is not null and purchased_on <= observation_end
        group by master_id, vin
    ),
    owned as (
        select master_id, count(*) as vehicles_owned
        from vehicles
        where paid > 0 and kept > paid / 2
        group by master_id
    ),
    serviced as (
        select
            master_id,
            count(*) as service_visits,
            sum(amount::{_MONEY}) as service_revenue,
            sum(amount::{_MONEY}) / count(amount) as mean_service,
            min(day) as first_service_on,
            max(day) as last_service_on,
            list_sort(list(distinct interaction_type)) as service_types
        from observed
        where channel = 'SERVICE'
        group by master_id
    ),
    digital as (
        select
            master_id,
            count(*) as digital_interactions,
            count(*) filter (where interaction_type = 'EMAIL' and event_type like '%open%') as email_opens,
            count(*) filter (where interaction_type = 'EMAIL' and event_type like '%click%') as email_clicks,
            count(*) filter (where interaction_type = 'WEB') as site_visits,
            count(*) filter (where interaction_type = 'APP') as app_events,
            count(*) filter (where interaction_type = 'SOCIAL') as social_events,
            {
    ", ".join(
        f"max(day) filter (where interaction_type = '{kind}') as last_{kind.lower()}_on" for kind in DIGITAL_KINDS
    )
},
            max(occurred_at) as last_digital_at,
            min(day) as first_digital_on,
            max(day) as last_digital_on
        from observed
        where channel = 'DIGITAL'
        group by master_id
    )
    select
        master_id,
        coalesce(purchases, 0) as purchases,
        coalesce(purchase_revenue, 0) as purchase_revenue,
        gross_revenue::double / purchases as mean_purchase,
        first_purchase_on,
        last_purchase_on,
        coalesce(refunds, 0) as refunds,
        coalesce(vehicles_owned, 0) as vehicles_owned,
        coalesce(service_visits, 0) as service_visits,
        coalesce(service_revenue, 0) as service_revenue,
        mean_service,
        first_service_on,
        last_service_on,
        coalesce(service_types, []) as service_types,
        coalesce(digital_interactions, 0) as digital_interactions,
        coalesce(email_opens, 0) as email_opens,
        coalesce(email_clicks, 0) as email_clicks,
        coalesce(site_visits, 0) as site_visits,
        coalesce(app_events, 0) as app_events,
        coalesce(social_events, 0) as social_events,
        last_digital_at,
        least(first_sale_on, first_service_on, first_digital_on) as first_activity_on,
        greatest(last_sale_on, last_service_on, last_digital_on) as last_activity_on,
        {_LAST_DAYS},
        first_record_on
    from customers
    left join bought using (master_id)
    left join owned using (master_id)
    left join serviced using (master_id)
    left join digital using (master_id)
"""


def facts_sql(customers: str | None = None) -> str:
    """Give SQL of the facts of customers: a row for each, also for those who did nothing.

    Args:
        customers: name of a table of `master_id`; without it all customers.

    >>> "semi join asked" in facts_sql("asked")
    True
    """
    return _FACTS.format(asked=f"semi join {customers} using (master_id)" if customers else "")


def activity_sql(facts: str) -> str:
    """Give SQL of gold.customer_activity: facts, and beside them what the end of observation makes of them.

    Args:
        facts: SQL as `facts_sql` gives it.

    >>> "observation_end" in activity_sql(facts_sql())
    True
    """
    return f"""
    with facts as ({facts}),
    tenured as (
        select
            facts.*,
            greatest(
                1, date_diff('day', least(first_record_on, first_activity_on), observation_end) / {DAYS_PER_YEAR}
            ) as years,
            observation_end
        from facts, gold.observation
    )
    select
        * exclude (years, observation_end),
        date_diff('day', last_activity_on, observation_end) as days_since_last_activity,
        purchases / coalesce(years, 1) as purchases_per_year,
        round({" + ".join(_points(kind) for kind in DIGITAL_KINDS)}, 4) as engagement_score
    from tenured
    """
