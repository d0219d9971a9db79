"""Campaign results by segment, by spend before the send, and by channel: `gold.campaign_breakdown`.

Segments are today's, and a purchase moves a customer between them, so that within one those sent and those held out
are not alike and no uplift is told. What a customer had spent before the send is the same for both groups: by it the
uplift is told too. So is that of a channel, each of its campaigns compared with its own control.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from c360ml import tables
from c360ml.campaigns.uplift import pooled_uplift, uplift_interval
from c360ml.lakehouse import day_of

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse

_SUMS = """
        count(*) filter (where is_treated) as sent,
        count(*) filter (where has_opened) as opened,
        count(*) filter (where has_clicked) as clicked,
        count(*) filter (where has_converted) as converted,
        coalesce(sum(revenue), 0)::double as revenue,
        coalesce(sum(cost) filter (where is_treated), 0) as cost,
        count(*) filter (where not is_treated) as held_out,
        count(*) filter (where not is_treated and has_bought) as control_converted,
        count(*) filter (where is_treated and not is_contaminated) as comparable,
        count(*) filter (where is_treated and not is_contaminated and has_bought) as comparable_converted
"""
# Thirds of the campaign's audience that had bought before the send; equal spends are in one third.
_CUSTOMERS = f"""
    with before as (
        select campaign_customers.campaign_id, campaign_customers.master_id,
            sum(coalesce(amount, 0)::decimal(38, 4)) as spent
        from campaign_customers
        join gold.interactions on interactions.master_id = campaign_customers.master_id
            and interaction_type = 'PURCHASE' and {day_of("occurred_at")} < sent_on
        group by all
    ),
    ranked as (
        select *, percent_rank() over (partition by campaign_id order by spent) as place from before
    ),
    shared as (
        select campaign_id, campaigns.cost / nullif(count(*) filter (where is_treated), 0) as cost
        from campaign_customers join silver.campaigns using (campaign_id) group by campaign_id, campaigns.cost
    )
    select campaign_customers.*, shared.cost, coalesce(channel, '(unknown)') as channel,
        case when place is null then '0 nothing' when place < 1 / 3 then '1 low'
             when place < 2 / 3 then '2 middle' else '3 high' end as spend_before_send
    from campaign_customers
    join silver.campaigns using (campaign_id)
    left join shared using (campaign_id)
    left join ranked using (campaign_id, master_id)
"""
_COUNTS = f"""
    select campaign_id, 'action_segment' as kind, action_segment as part, {_SUMS} from broken_down group by all
    union all
    select campaign_id, 'rfm_segment', rfm_segment, {_SUMS} from broken_down group by all
    union all
    select campaign_id, 'spend_before_send', spend_before_send, {_SUMS} from broken_down group by all
    union all
    select campaign_id, 'channel', channel, {_SUMS} from broken_down group by all
"""
_COMPARED = """
    select campaign_id, kind, part, comparable_converted, comparable, control_converted, held_out
    from breakdown_counts
    where kind in ('spend_before_send', 'channel') and comparable > 0 and held_out > 0
    order by kind, part, campaign_id
"""
_WRITE = """
    with channels as (
        select 'ALL' as campaign_id, kind, part, sum(sent) as sent, sum(opened) as opened, sum(clicked) as clicked,
               sum(converted) as converted, round(sum(revenue), 4) as revenue, round(sum(cost), 4) as cost,
               sum(held_out) as held_out
        from breakdown_counts where kind = 'channel' group by kind, part
    ),
    parts as (
        select campaign_id, kind, part, sent, opened, clicked, converted, revenue, round(cost, 4) as cost, held_out
        from breakdown_counts where kind <> 'channel'
        union all
        from channels
    )
    select parts.*, converted / nullif(sent, 0) as conversion_rate, (revenue - cost) / nullif(cost, 0) as roi,
           uplift, uplift_low, uplift_high
    from parts left join part_uplifts using (campaign_id, kind, part)
    order by campaign_id, kind, part
"""
_UPLIFTS = pa.schema(
    [(name, pa.string()) for name in ("campaign_id", "kind", "part")]
    + [(name, pa.float64()) for name in ("uplift", "uplift_low", "uplift_high")]
)


def write_breakdown(lake: Lakehouse) -> int:
    """Write `gold.campaign_breakdown` from the temporary table `campaign_customers`; returns its rows."""
    with lake.scratch("broken_down", _CUSTOMERS), lake.scratch("breakdown_counts", _COUNTS):
        compared = lake.rows(_COMPARED)
        found = [
            (campaign, kind, part, *uplift_interval(*counts))
            for campaign, kind, part, *counts in compared
            if kind != "channel"
        ]
        for channel in sorted({row[2] for row in compared if row[1] == "channel"}):
            strata = [tuple(row[3:]) for row in compared if row[1:3] == ("channel", channel)]
            found.append(("ALL", "channel", channel, *pooled_uplift(strata)))
        rows = [dict(zip(_UPLIFTS.names, row, strict=True)) for row in found]
        lake.con.register("part_uplifts", pa.Table.from_pylist(rows, schema=_UPLIFTS))
        written = lake.write(tables.CAMPAIGN_BREAKDOWN, _WRITE)
        lake.con.unregister("part_uplifts")
        return written
