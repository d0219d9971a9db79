"""What campaigns brought: response, return, and uplift against those held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c360ml.dashboards.asking import Row, ask
from c360ml.dashboards.campaign_parts import breakdown_blocks
from c360ml.dashboards.charts import Colour, Field, bars, grouped_bars, intervals
from c360ml.dashboards.formats import UNKNOWN, count, measure, money, plural, share
from c360ml.dashboards.page import Block, Chart, DataTable, Section, Spec, Text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CAMPAIGNS = "select * from gold.campaign_results where value_tier = 'ALL' order by sent desc, campaign_id"
_TIERS = """
    select campaign_name, campaign_id, value_tier, sent, converted, conversion_rate, revenue
    from gold.campaign_results where value_tier <> 'ALL' and sent > 0
    order by campaign_id, revenue desc, value_tier
"""
_STEPS = ("sent", "opened", "clicked", "converted")
_MOST = 12
_CREDITED = {"last_touch": "latest", "first_touch": "earliest"}


def campaigns_section(
    con: DuckDBPyConnection, currency: str, window_days: int, attribution: str = "last_touch"
) -> Section:
    """Show the results of each campaign.

    Args:
        con: holds `gold.campaign_results`.
        currency: code of the amounts.
        window_days: days after a send within which a purchase counts.
        attribution: rule by which purchases are credited.
    """
    rows = [{**row, "campaign": row["campaign_name"] or row["campaign_id"]} for row in ask(con, _CAMPAIGNS)]
    if not rows:
        return Section("campaigns", "What did campaigns bring?", "There are no campaigns in this project.")
    sent, converted = sum(row["sent"] for row in rows), sum(row["converted"] for row in rows)
    revenue, cost = sum(row["revenue"] or 0 for row in rows), sum(row["cost"] or 0 for row in rows)
    answer = (
        f"{plural(len(rows), 'campaign')} reached {plural(sent, 'customer')}; {count(converted)} bought within"
        f" {plural(window_days, 'day')}, for {money(revenue, currency)} at a cost of {money(cost, currency)}."
    )
    blocks = [_table(rows, currency, attribution), *_funnel(rows), *_uplift(rows), *_returns(rows), *_tiers(con)]
    blocks += breakdown_blocks(con, currency)
    return Section("campaigns", "What did campaigns bring?", answer, blocks)


def _table(rows: list[Row], currency: str, attribution: str) -> DataTable:
    return DataTable(
        "Results by campaign",
        (
            "campaign",
            "channel",
            "sent",
            "opened",
            "clicked",
            "converted",
            "revenue",
            "cost",
            "ROI",
            "held out",
            "uplift, points",
        ),
        [
            (
                row["campaign"],
                row["channel"] or "",
                count(row["sent"]),
                f"{count(row['opened'])} ({share(row['open_rate'])})",
                f"{count(row['clicked'])} ({share(row['click_rate'])})",
                f"{count(row['converted'])} ({share(row['conversion_rate'])})",
                money(row["revenue"], currency),
                money(row["cost"], currency),
                UNKNOWN if row["roi"] is None else measure(row["roi"], 2),
                count(row["held_out"]),
                _points(row),
            )
            for row in rows
        ],
        texts=frozenset({1}),
        note=f"ROI is (revenue - cost) / cost. Attribution: {attribution.replace('_', ' ')}. Revenue is credited to the"
        f" {_CREDITED[attribution]} campaign sent before the purchase; it is not what the campaign caused."
        " Uplift is: the conversion above that of customers who were held out.",
    )


def _points(row: Row) -> str:
    if row["uplift"] is None:
        return UNKNOWN
    return f"{100 * row['uplift']:+.1f} ({100 * row['uplift_low']:+.1f} to {100 * row['uplift_high']:+.1f})"


def _funnel(rows: list[Row]) -> list[Block]:
    reached = [row for row in rows[:_MOST] if row["sent"]]
    if not reached:
        return [Text("No campaign was sent to anybody yet.")]
    best = max(reached, key=lambda row: row["conversion_rate"] or 0)
    spec = funnel_spec(reached)
    title = f"{best['campaign']} converts best: {share(best['conversion_rate'])} of customers"
    return [Chart(title, spec, legend=_STEPS[1:], half=True)]


def funnel_spec(rows: list[Row]) -> Spec:
    """Draw the shares of customers sent a campaign who opened, clicked and bought; `campaign` is its name."""
    steps = [
        {"campaign": row["campaign"], "step": step, "share": row[step] / row["sent"]}
        for row in rows
        for step in _STEPS[1:]
    ]
    return grouped_bars(
        steps,
        Field("campaign", "campaign"),
        Field("share", "share of customers sent", ".1%"),
        Colour("step", "step", _STEPS[1:]),
    )


def _uplift(rows: list[Row]) -> list[Block]:
    known = [row for row in rows if row["uplift"] is not None][:_MOST]
    if not known:
        return [Text("No campaign held customers out, so what it caused (uplift) is not known.")]
    sure = [row for row in known if row["uplift_low"] > 0]
    spec = intervals(
        known,
        Field("campaign", "campaign"),
        Field("uplift", "uplift in conversion above those held out", ".1%"),
        Field("uplift_low", "low end (95%)", ".1%"),
        Field("uplift_high", "high end (95%)", ".1%"),
    )
    title = f"{count(len(sure))} of {plural(len(known), 'campaign')} raised conversion by more than chance"
    return [Chart(title, spec, note="Bars are 95% intervals; one that touches zero may be chance.", half=True)]


def _returns(rows: list[Row]) -> list[Block]:
    known = sorted((row for row in rows if row["roi"] is not None), key=lambda row: -row["roi"])[:_MOST]
    if not known:
        return [Text("No campaign has a cost, so no return on investment is shown.")]
    spec = bars(known, Field("campaign", "campaign"), Field("roi", "(revenue - cost) / cost", ",.1f"))
    return [Chart(f"{known[0]['campaign']} has the highest ROI: {measure(known[0]['roi'], 2)}", spec, half=True)]


def _tiers(con: DuckDBPyConnection) -> list[Block]:
    rows = ask(con, _TIERS)
    if not rows:
        return []
    tiers = list(dict.fromkeys(row["value_tier"] for row in sorted(rows, key=lambda row: -row["sent"])))
    totals = [
        {
            "tier": tier,
            "sent": sum(row["sent"] for row in rows if row["value_tier"] == tier),
            "converted": sum(row["converted"] for row in rows if row["value_tier"] == tier),
        }
        for tier in tiers
    ]
    shown = [{**row, "rate": row["converted"] / row["sent"]} for row in totals]
    shown.sort(key=lambda row: (-row["rate"], row["tier"]))
    table = DataTable(
        "Conversion by value tier",
        ("tier", "sent", "converted", "rate"),
        [(row["tier"], count(row["sent"]), count(row["converted"]), share(row["rate"])) for row in shown],
    )
    spec = bars(
        shown,
        Field("tier", "tier"),
        Field("rate", "converted by sent, all campaigns", ".1%"),
        more=(Field("sent", "sent", ","), Field("converted", "converted", ",")),
    )
    note = "Tiers are today's: a purchase lifts a customer's tier."
    return [Chart(f"Which tiers buy? {shown[0]['tier']} most often", spec, note=note, numbers=table, half=True)]
