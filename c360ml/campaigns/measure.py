"""The step that measures campaigns: response, conversion, revenue, ROI and uplift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from c360ml import tables
from c360ml.campaigns.breakdown import write_breakdown
from c360ml.campaigns.counting_sql import ATTRIBUTION, COUNTS, CREDITS, CUSTOMERS, RESULTS, SPENDING, TOUCHES
from c360ml.campaigns.uplift import uplift_interval

if TYPE_CHECKING:
    from c360ml.config import Config
    from c360ml.lakehouse import Lakehouse

_UPLIFTS_SCHEMA = pa.schema(
    [("campaign_id", pa.string()), ("value_tier", pa.string())]
    + [(name, pa.float64()) for name in ("uplift", "uplift_low", "uplift_high")]
)
_LAST_DAY = """
    select coalesce(
        (select max(observation_end) from gold.observation),
        (select max(sent_on) from silver.campaign_sends),
        '1970-01-01'::date
    )
"""
_COMPARED = """
    select campaign_id, value_tier, comparable_converted, comparable, control_converted, held_out
    from campaign_counts
    where value_tier = 'ALL' and comparable > 0 and held_out > 0
    order by campaign_id
"""
_SENDS = """
    select
        count(*) as total,
        count(*) filter (where campaigns.campaign_id is null) as unknown_campaign,
        count(*) filter (where identities.master_id is null) as unknown_customer,
        count(*) filter (where sent_on is null or sent_on > $last_day) as not_yet_sent
    from silver.campaign_sends as sends
    left join silver.campaigns as campaigns using (campaign_id)
    left join silver.identities as identities using (record_id)
"""
_TOTALS = """
    select
        results.* exclude (value_tier),
        coalesce(comparable, 0) as comparable,
        coalesce(comparable_converted, 0) as comparable_converted,
        coalesce(control_converted, 0) as control_converted,
        coalesce(contaminated, 0) as contaminated,
        coalesce(window_open, 0) as window_open
    from gold.campaign_results as results
    left join campaign_counts as counts
        on counts.campaign_id = results.campaign_id and counts.value_tier = 'ALL'
    where results.value_tier = 'ALL'
    order by results.campaign_id
"""


def measure_campaigns(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Write `gold.campaign_results`, by campaign and value tier, and `gold.campaign_breakdown`, by segment and channel.

    A customer counts once in a campaign, however many records and sends. Days count from the customer's
    first send (for the held out: the day they were held out) and include it.

    - opened, clicked: an `email_open`, `email_click` of that campaign since the send.
    - converted, revenue: purchases within the window, each credited to one campaign sent before it: the
      latest (last_touch), or the earliest whose window lasts (first_touch). A refund takes from the campaign
      that was credited with the purchase before it. Cost is shared evenly by those who were sent the campaign.
    - uplift: customers with any purchase within the window, whoever gets the credit, among those sent
      less among those held out; both groups by the same rule, with a 95 % interval. Customers who were
      both sent and held out count as sent, but not here.

    The conversion of those held out, the uplift and its interval are told for `ALL` only and null by tier:
    value tiers are today's, and a purchase lifts a customer's tier, so within a tier the groups are not
    alike.

    Returns:
        The rule of attribution; totals by campaign; sends left out and why; customers whose window was not over,
        by campaign.
    """
    days = {
        "last_day": lake.one(_LAST_DAY),
        "window_days": config.campaigns.conversion_window_days,
    }
    last_day = {"last_day": days["last_day"]}
    with lake.scratch("touches", TOUCHES, days):
        lake.say(f"measuring campaigns of {lake.one('select count(*) from touches'):,} customers reached")
        with (
            lake.scratch("spending", SPENDING, days),
            lake.scratch("credits", CREDITS.format(attribution=ATTRIBUTION[config.campaigns.attribution])),
            lake.scratch("campaign_customers", CUSTOMERS, last_day),
            lake.scratch("campaign_counts", COUNTS),
        ):
            _write_results(lake)
            write_breakdown(lake)
            return {"attribution": config.campaigns.attribution, **_summary(lake, last_day)}


def _write_results(lake: Lakehouse) -> None:
    intervals = [(campaign, tier, *uplift_interval(*counts)) for campaign, tier, *counts in lake.rows(_COMPARED)]
    uplifts = pa.Table.from_pylist(
        [dict(zip(_UPLIFTS_SCHEMA.names, row, strict=True)) for row in intervals], schema=_UPLIFTS_SCHEMA
    )
    lake.con.register("uplifts", uplifts)
    lake.write(tables.CAMPAIGN_RESULTS, RESULTS)
    lake.con.unregister("uplifts")


def _summary(lake: Lakehouse, last_day: dict[str, Any]) -> dict[str, Any]:
    totals = _records(lake, _TOTALS)
    return {
        "campaigns": {
            row["campaign_id"]: {name: cell for name, cell in row.items() if name != "campaign_id"} for row in totals
        },
        "sends": _records(lake, _SENDS, last_day)[0],
        "contaminated": sum(row["contaminated"] for row in totals),
        "incomplete_windows": {row["campaign_id"]: row["window_open"] for row in totals if row["window_open"]},
    }


def _records(lake: Lakehouse, query: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lake.sql(query, parameters).to_arrow_table().to_pylist()
    return rows
