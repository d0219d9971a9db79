"""The counting of campaigns in SQL: one thought a query, from sends to counts by campaign and tier."""

from __future__ import annotations

from c360ml.lakehouse import day_of

# One row a campaign and customer, whatever the number of records and sends: the first send counts.
# Groups: a customer who was both sent and held out was sent it, but tells nothing of uplift.
TOUCHES = """
    with known as (
        select campaign_id, master_id, sent_on, audience
        from silver.campaign_sends
        join silver.campaigns using (campaign_id)
        join silver.identities using (record_id)
        where sent_on <= $last_day
    ),
    grouped as (
        select
            campaign_id,
            master_id,
            bool_or(audience = 'TREATED') as is_treated,
            bool_or(audience = 'CONTROL') as is_control,
            min(sent_on) filter (where audience = 'TREATED') as treated_on,
            min(sent_on) as first_on
        from known
        group by all
    )
    select
        campaign_id,
        master_id,
        coalesce(value_tier, 'PROSPECT') as value_tier,
        coalesce(action_segment, '(none)') as action_segment,
        coalesce(rfm_segment, '(no purchase)') as rfm_segment,
        is_treated,
        is_treated and is_control as is_contaminated,
        coalesce(treated_on, first_on) as sent_on,
        coalesce(treated_on, first_on) + $window_days::int > $last_day as is_window_open
    from grouped
    left join gold.customer_segments using (master_id)
    where is_treated or is_control
"""

# Every purchase and refund of a touched customer that falls into the window of a touch. Amounts are
# decimals: sums of them do not depend on the order of adding, as those of doubles do.
SPENDING = f"""
    with purchases as (
        select
            interaction_id,
            master_id,
            {day_of("occurred_at")} as bought_on,
            coalesce(amount, 0)::decimal(38, 4) as amount
        from gold.interactions
        where interaction_type = 'PURCHASE' and {day_of("occurred_at")} <= $last_day
    )
    select
        purchases.*,
        touches.campaign_id,
        touches.is_treated,
        touches.sent_on,
        amount < 0 as is_refund
    from purchases
    join touches
        on touches.master_id = purchases.master_id
        and bought_on between sent_on and sent_on + $window_days::int
"""

# Which of the campaigns sent before a purchase is credited with it.
ATTRIBUTION = {
    "last_touch": "arg_max(campaign_id, (sent_on, campaign_id))",
    "first_touch": "arg_min(campaign_id, (sent_on, campaign_id))",
}

# A purchase is credited to one campaign, by the rule of attribution. A refund takes from the campaign
# that was credited with the customer's last purchase before it, while that window lasts.
CREDITS = """
    with purchases as (
        select
            interaction_id,
            master_id,
            bought_on,
            amount,
            {attribution} as campaign_id
        from spending
        where is_treated and not is_refund
        group by all
    ),
    refunds as (
        select
            spending.interaction_id,
            spending.master_id,
            spending.campaign_id,
            spending.amount,
            arg_max(purchases.campaign_id, (purchases.bought_on, purchases.interaction_id)) as credited_id
        from spending
        join purchases
            on purchases.master_id = spending.master_id and purchases.bought_on <= spending.bought_on
        where spending.is_treated and spending.is_refund
        group by all
    )
    select campaign_id, master_id, amount, false as is_refund from purchases
    union all
    select campaign_id, master_id, amount, true as is_refund from refunds where campaign_id = credited_id
"""

# One row a campaign and customer, with all that they did.
CUSTOMERS = f"""
    with responses as (
        select
            touches.campaign_id,
            touches.master_id,
            bool_or(event_type = 'email_open') as has_opened,
            bool_or(event_type = 'email_click') as has_clicked
        from gold.interactions
        join touches
            on touches.campaign_id = interactions.campaign_id
            and touches.master_id = interactions.master_id
            and {day_of("occurred_at")} between sent_on and $last_day
        where interaction_type = 'EMAIL' and is_treated
        group by all
    ),
    credited as (
        select campaign_id, master_id, sum(amount) as revenue, bool_or(not is_refund) as has_converted
        from credits
        group by all
    ),
    buyers as (
        select distinct campaign_id, master_id, true as has_bought from spending where not is_refund
    )
    select
        touches.*,
        coalesce(has_opened, false) as has_opened,
        coalesce(has_clicked, false) as has_clicked,
        coalesce(has_converted, false) as has_converted,
        coalesce(has_bought, false) as has_bought,
        revenue
    from touches
    left join responses using (campaign_id, master_id)
    left join credited using (campaign_id, master_id)
    left join buyers using (campaign_id, master_id)
"""

COUNTS = """
    select
        campaign_id,
        coalesce(value_tier, 'ALL') as value_tier,
        count(*) filter (where is_treated) as sent,
        count(*) filter (where has_opened) as opened,
        count(*) filter (where has_clicked) as clicked,
        count(*) filter (where has_converted) as converted,
        coalesce(sum(revenue), 0)::double as revenue,
        count(*) filter (where not is_treated) as held_out,
        count(*) filter (where not is_treated and has_bought) as control_converted,
        count(*) filter (where is_treated and not is_contaminated) as comparable,
        count(*) filter (where is_treated and not is_contaminated and has_bought) as comparable_converted,
        count(*) filter (where is_contaminated) as contaminated,
        count(*) filter (where is_window_open) as window_open
    from campaign_customers
    group by grouping sets ((campaign_id), (campaign_id, value_tier))
"""

# `uplifts` holds the interval of each whole campaign. Tiers get no comparison: they are today's, and a
# purchase lifts a customer's tier, so within a tier those sent and those held out are not alike.
RESULTS = """
    with rows as (
        select campaign_id, 'ALL' as value_tier from silver.campaigns
        union
        select campaign_id, value_tier from campaign_counts
    ),
    totals as (
        select campaign_id, sent as total_sent from campaign_counts where value_tier = 'ALL'
    ),
    counted as (
        select
            rows.*,
            campaign_name,
            channel,
            coalesce(sent, 0) as sent,
            coalesce(opened, 0) as opened,
            coalesce(clicked, 0) as clicked,
            coalesce(converted, 0) as converted,
            coalesce(revenue, 0) as revenue,
            coalesce(held_out, 0) as held_out,
            case when value_tier = 'ALL' then control_converted end as control_converted,
            case
                when value_tier = 'ALL' then campaigns.cost
                else campaigns.cost * sent / nullif(total_sent, 0)
            end as cost,
            uplift,
            uplift_low,
            uplift_high
        from rows
        join silver.campaigns using (campaign_id)
        left join campaign_counts as counts using (campaign_id, value_tier)
        left join totals using (campaign_id)
        left join uplifts using (campaign_id, value_tier)
    )
    select
        campaign_id,
        campaign_name,
        channel,
        value_tier,
        sent,
        opened,
        clicked,
        converted,
        opened / nullif(sent, 0) as open_rate,
        clicked / nullif(sent, 0) as click_rate,
        converted / nullif(sent, 0) as conversion_rate,
        revenue,
        cost,
        (revenue - cost) / nullif(cost, 0) as roi,
        held_out,
        control_converted / nullif(held_out, 0) as control_conversion_rate,
        uplift,
        uplift_low,
        uplift_high
    from counted
    order by campaign_id, value_tier
"""
