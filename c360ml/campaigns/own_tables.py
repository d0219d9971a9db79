"""Campaign results of a user's own tables, in one call and without a project."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import Any, Literal

from c360ml import tables
from c360ml.campaigns.measure import measure_campaigns
from c360ml.config import Campaigns, Config
from c360ml.errors import ColumnError
from c360ml.lakehouse import Lakehouse, as_relation, same_kind

_NEEDED = {
    "campaigns": ("campaign_id",),
    "sends": ("campaign_id", "customer_id", "sent_on"),
    "purchases": ("customer_id", "purchased_on", "amount"),
    "responses": ("campaign_id", "customer_id", "responded_on", "response"),
    "segments": ("customer_id", "segment"),
}
_OPTIONAL = {"campaigns": ("campaign_name", "channel", "cost"), "sends": ("audience",)}


@dataclass(frozen=True)
class CampaignResults:
    """What campaigns brought: `results` and `breakdown` have the columns of the gold tables of these names.

    `summary` tells the rule of attribution, and what was left out and why.
    """

    results: Any = field(repr=False)
    breakdown: Any = field(repr=False)
    summary: dict[str, Any]


def campaign_results(
    campaigns: Any,
    sends: Any,
    purchases: Any,
    *,
    responses: Any = None,
    segments: Any = None,
    window_days: int = 30,
    attribution: Literal["last_touch", "first_touch"] = "last_touch",
) -> CampaignResults:
    """Measure the campaigns of a user's own tables: pandas, Arrow or DuckDB.

    Args:
        campaigns: `campaign_id`, and if known `campaign_name`, `channel`, `cost`.
        sends: `campaign_id`, `customer_id`, `sent_on`, and `audience` (TREATED or CONTROL) where customers were held
            out; without it all were sent it.
        purchases: `customer_id`, `purchased_on`, `amount`; negative amounts are refunds.
        responses: `campaign_id`, `customer_id`, `responded_on`, `response` (open or click).
        segments: `customer_id`, `segment`: told as `action_segment` of the breakdown.
        window_days: days after a send within which a purchase counts.
        attribution: campaign that a purchase is credited to, the latest or the earliest sent before it.

    Returns:
        Tables of the kind that `campaigns` is.

    Raises:
        ColumnError: a column is missing.

    >>> import pandas
    >>> campaigns = pandas.DataFrame({"campaign_id": ["spring"], "cost": [10.0]})
    >>> sends = pandas.DataFrame({"campaign_id": "spring", "customer_id": ["ann", "bob", "cy"],
    ...     "sent_on": "2024-03-01", "audience": ["TREATED", "TREATED", "CONTROL"]})
    >>> sales = pandas.DataFrame({"customer_id": ["ann"], "purchased_on": ["2024-03-09"], "amount": [25.0]})
    >>> found = campaign_results(campaigns, sends, sales)
    >>> found.results.loc[0, ["sent", "converted", "roi", "held_out", "uplift"]].to_list()
    [2.0, 1.0, 1.5, 1.0, 0.5]
    """
    given = {"campaigns": campaigns, "sends": sends, "purchases": purchases}
    given |= {name: table for name, table in (("responses", responses), ("segments", segments)) if table is not None}
    settings = Config(campaigns=Campaigns(conversion_window_days=window_days, attribution=attribution))
    with tempfile.TemporaryDirectory(prefix="c360ml-campaigns-") as folder, Lakehouse(folder) as lake:
        for name, table in given.items():
            _open(lake, name, table)
        _fill(lake, given)
        summary = measure_campaigns(lake, settings)
        results, breakdown = (
            same_kind(lake.sql(f"from {table.path} order by all").to_arrow_table(), campaigns)
            if not type(campaigns).__module__.startswith("pandas")
            else lake.sql(f"from {table.path} order by all").df()
            for table in (tables.CAMPAIGN_RESULTS, tables.CAMPAIGN_BREAKDOWN)
        )
    return CampaignResults(results, breakdown, summary)


def _open(lake: Lakehouse, name: str, table: Any) -> None:
    """Show a table of the user's as `own_<name>`, with null for what it may lack."""
    relation = as_relation(lake.con, table)
    missing = [column for column in _NEEDED[name] if column not in relation.columns]
    if missing:
        raise ColumnError(
            f"{name} must have the columns {', '.join(_NEEDED[name])}", got=f"no {missing}", hint="add or rename them"
        )
    absent = [f"null as {column}" for column in _OPTIONAL.get(name, ()) if column not in relation.columns]
    relation.project(", ".join(["*", *absent])).create_view(f"own_{name}", replace=True)


def _fill(lake: Lakehouse, given: dict[str, Any]) -> None:
    """Write the tables that campaigns are measured from: every customer is one record."""
    people = " union ".join(
        f"select customer_id::varchar as id from own_{name}" for name in given if name != "campaigns"
    )
    queries = (
        (
            tables.CAMPAIGNS,
            """select campaign_id::varchar as campaign_id, campaign_name, channel, cost,
            null as starts_on, null as ends_on from own_campaigns""",
        ),
        (
            tables.CAMPAIGN_SENDS,
            """select row_number() over () as send_id, campaign_id::varchar as campaign_id,
            customer_id::varchar as record_id, sent_on, coalesce(audience, 'TREATED') as audience from own_sends""",
        ),
        (
            tables.IDENTITIES,
            f"""select id as record_id, id as master_id, id as household_id, 1 as cohesion
            from ({people}) where id is not null""",
        ),
        (tables.INTERACTIONS, _interactions("responses" in given)),
        (tables.CUSTOMER_SEGMENTS, _segments("segments" in given)),
        (
            tables.OBSERVATION,
            """select min(purchased_on::date) as observation_start,
            max(purchased_on::date) as observation_end from own_purchases""",
        ),
    )
    for table, query in queries:
        nothing = [f"null as {name}" for name in table.columns]
        empty = f"select {', '.join(nothing)} where false"
        lake.write(table, f"select * from ({empty}) union all by name select * from ({query})")


def _interactions(responded: bool) -> str:
    query = """
        select concat('purchase ', row_number() over ()) as interaction_id, customer_id::varchar as master_id,
               'PURCHASE' as interaction_type, purchased_on::timestamptz as occurred_at, amount,
               null::varchar as event_type, null::varchar as campaign_id
        from own_purchases
    """
    if not responded:
        return query
    return f"""{query}
        union all
        select concat('response ', row_number() over ()), customer_id::varchar, 'EMAIL',
               responded_on::timestamptz, null, concat('email_', lower(response)), campaign_id::varchar
        from own_responses
    """


def _segments(known: bool) -> str:
    if not known:
        return "select null::varchar as master_id where false"
    return "select customer_id::varchar as master_id, segment as action_segment from own_segments"
