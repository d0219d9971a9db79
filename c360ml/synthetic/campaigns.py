"""Campaigns whose effect is known: who is sent what, who is held out, who opens, clicks and buys more."""

from __future__ import annotations

from typing import Any

import pandas as pd

from c360ml.synthetic.planted import CAMPAIGNS
from c360ml.synthetic.workbench import Workbench

FIXED_COST = 500.0
CODED_SHARE = 0.6

# The audience are buyers with an e-mail in Salesforce who did not opt out. Treatment is drawn by person.
_SENDS = """
create table send as
with reachable as (
    select person, min_by({'source_key': source_key, 'email_written': email_written}, serial) as contact
    from customer_row
    where system = 'contact' and real_email(email_written) is not null and not has_opted_out(record)
    group by person
),
asked as (
    select campaign.*, person, contact.source_key as customer_key, contact.email_written as email,
        person * 64 + campaign.number as draw
    from reachable join buying using (person) cross join campaign
    where first_bought_on < sent_on and u(person * 64 + campaign.number, 'audience') < audience_share
),
assigned as (
    select *, case when u(draw, 'control') < control_share then 'CONTROL' else 'TREATED' end as audience,
        u(draw, 'converts') < uplift as would_convert
    from asked
)
select row_number() over (order by sent_on, hash(draw), draw) as send, *,
    audience = 'TREATED' and would_convert as buys_more,
    audience = 'TREATED' and (would_convert or u(draw, 'opens') < open_rate) as opens,
    audience = 'TREATED' and (would_convert and u(draw, 'clicks') < 0.8
        or u(draw, 'opens') < open_rate * click_rate_of_openers) as clicks
from assigned
"""

# Ordinary purchases go on as they would; the campaign adds some. Those of people who clicked name it.
_ALL_PURCHASES = """
create table all_purchase as
with caused as (
    select (select count(*) from purchase) + row_number() over (order by send) - 1 as purchase, person,
        days_after(sent_on, 1 + pick(draw, 'buys on', window_days - 1)) as bought_on, campaign_id
    from send where buys_more
),
coded as (
    select purchase, min(campaign_id) as campaign_id
    from purchase join send using (person)
    where audience = 'TREATED' and opens and u(draw, 'coded') < $coded_share
        and bought_on between sent_on + 1 and days_after(sent_on, window_days)
    group by purchase
)
select purchase, person, bought_on, spend_rate, campaign_id from purchase left join coded using (purchase)
union all
select purchase, person, bought_on, spend_rate, campaign_id from caused join buying using (person)
"""

_EFFECTS = """
with bought as (
    select campaign_id, audience, buys_more, opens, clicks,
        exists (from purchase where purchase.person = send.person
                and bought_on between sent_on + 1 and days_after(sent_on, window_days)) as buys_anyway
    from send
)
select campaign_id,
    count(*) filter (audience = 'TREATED'), count(*) filter (audience = 'CONTROL'),
    avg(cast(buys_anyway as integer)),
    avg(cast(buys_more and not buys_anyway as integer)) filter (audience = 'TREATED'),
    count(*) filter (opens), count(*) filter (clicks), count(*) filter (buys_more)
from bought group by campaign_id order by campaign_id
"""

_ROWS = """
create table campaign_row as
select campaign_id, name, channel, starts_on, ends_on,
    round($fixed_cost + cost_per_send * (select count(*) from send
        where send.campaign_id = campaign.campaign_id and audience = 'TREATED'), 2) as cost
from campaign
"""


def make_campaigns(bench: Workbench) -> dict[str, dict[str, Any]]:
    """Make the tables `send`, `all_purchase` and `campaign_row`; give the planted effect of each campaign.

    `lift_of_conversion_rate` is the truth that treated against held-out should find: the share of treated
    people who bought within the window only because of the campaign.
    """
    campaigns = pd.DataFrame([vars(campaign) for campaign in CAMPAIGNS])
    for column in ("starts_on", "ends_on", "sent_on"):
        campaigns[column] = pd.to_datetime(campaigns[column]).dt.date
    bench.take("campaign", campaigns.assign(number=range(len(campaigns))))
    bench.run("create macro has_opted_out(record) as u(record, 'opted out') < 0.12")
    bench.run(_SENDS)
    bench.run(_ALL_PURCHASES, {"coded_share": CODED_SHARE})
    bench.run(_ROWS, {"fixed_cost": FIXED_COST})
    planted = {campaign.campaign_id: campaign for campaign in CAMPAIGNS}
    return {
        campaign_id: {
            "uplift": planted[campaign_id].uplift,
            "window_days": planted[campaign_id].window_days,
            "treated": treated,
            "held_out": held_out,
            "base_rate": base_rate,
            "lift_of_conversion_rate": lift or 0.0,
            "opened": opened,
            "clicked": clicked,
            "purchases_caused": caused,
        }
        for campaign_id, treated, held_out, base_rate, lift, opened, clicked, caused in bench.run(_EFFECTS)
    }
