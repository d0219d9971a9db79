"""Campaigns by channel, by spend before the send, and by segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c360ml.dashboards.asking import Row, ask
from c360ml.dashboards.charts import Field, intervals
from c360ml.dashboards.formats import UNKNOWN, count, measure, money, share
from c360ml.dashboards.page import Block, Chart, DataTable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_PARTS = """
    select coalesce(campaign_name, parts.campaign_id) as campaign, parts.*
    from gold.campaign_breakdown parts
    left join (select distinct campaign_id, campaign_name from gold.campaign_results) named using (campaign_id)
    where kind = $kind
    order by parts.campaign_id, part
"""
_SEGMENTS = """
    select part, sum(sent) as sent, sum(converted) as converted, sum(revenue) as revenue, sum(cost) as cost
    from gold.campaign_breakdown where kind = 'action_segment' group by part
    having sum(sent) > 0 order by sum(converted) / sum(sent) desc, part
"""


def breakdown_blocks(con: DuckDBPyConnection, currency: str) -> list[Block]:
    """Show campaigns by channel, by spend before the send, and by segment.

    Args:
        con: holds `gold.campaign_breakdown` and `gold.campaign_results`.
        currency: code of the amounts.
    """
    return [*_channels(con, currency), *_before(con), *_segments(con, currency)]


def _channels(con: DuckDBPyConnection, currency: str) -> list[Block]:
    rows = ask(con, _PARTS, kind="channel")
    if not rows:
        return []
    cells = [
        (row["part"], count(row["sent"]), count(row["converted"]), share(row["conversion_rate"]),
         money(row["revenue"], currency), money(row["cost"], currency), measure(row["roi"], 2), points(row))
        for row in rows
    ]  # fmt: skip
    columns = ("channel", "sent", "converted", "rate", "revenue", "cost", "ROI", "uplift, points")
    note = "All campaigns of a channel; each is compared with its own control."
    return [DataTable("Campaigns by channel", columns, cells, note=note)]


def _before(con: DuckDBPyConnection) -> list[Block]:
    rows = [row for row in ask(con, _PARTS, kind="spend_before_send") if row["uplift"] is not None]
    if not rows:
        return []
    shown = [{**row, "group": f"{row['campaign']}: {row['part'][2:]}"} for row in rows]
    spec = intervals(
        shown,
        Field("group", "campaign and spend before the send"),
        Field("uplift", "uplift in conversion above those held out", ".1%"),
        Field("uplift_low", "low end (95%)", ".1%"),
        Field("uplift_high", "high end (95%)", ".1%"),
    )
    table = DataTable(
        "Uplift by spend before the send",
        ("campaign, spend before", "sent", "held out", "uplift, points"),
        [(row["group"], count(row["sent"]), count(row["held_out"]), points(row)) for row in shown],
    )
    note = "Thirds of the audience that had bought before the send, by spend: known before, so alike in both groups."
    return [Chart("Whom do campaigns move? By spend before the send", spec, note=note, numbers=table, half=True)]


def _segments(con: DuckDBPyConnection, currency: str) -> list[Block]:
    rows = ask(con, _SEGMENTS)
    if not rows:
        return []
    cells = [
        (row["part"], count(row["sent"]), count(row["converted"]), share(row["converted"] / row["sent"]),
         money(row["revenue"], currency), money(row["cost"], currency))
        for row in rows
    ]  # fmt: skip
    note = "Segments are today's: a purchase moves a customer, so no uplift is told within them."
    columns = ("action segment", "sent", "converted", "rate", "revenue", "cost")
    return [DataTable("Campaigns by action segment", columns, cells, note=note, half=True)]


def points(row: Row) -> str:
    """Write an uplift with its interval in percentage points."""
    if row["uplift"] is None:
        return UNKNOWN
    return f"{100 * row['uplift']:+.1f} ({100 * row['uplift_low']:+.1f} to {100 * row['uplift_high']:+.1f})"
