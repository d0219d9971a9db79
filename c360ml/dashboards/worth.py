"""What customers are worth: totals, how value is spread, and who holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c360ml.dashboards.asking import Row, ask, ask_one
from c360ml.dashboards.charts import Colour, Field, bars, histogram, lines
from c360ml.dashboards.forecast import forecast_blocks
from c360ml.dashboards.formats import count, money, plural, ratio, share
from c360ml.dashboards.page import Block, Chart, DataTable, Section, Text
from c360ml.dashboards.segment_charts import segment_blocks
from c360ml.dashboards.segment_movement import movement_blocks

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TOTALS = """
    select
        count(*) as customers,
        count(*) filter (where repeat_purchases > 0) as repeat_buyers,
        sum(historical_value) as historical,
        sum(projected_value) as projected,
        median(historical_value) as median_historical,
        median(projected_value) as median_projected,
        avg(probability_alive) as alive
    from gold.customer_value
"""
_BINS_PER_DECADE = 4
_DECADES = 5
_VALUE_BINS = """
    with amounts as (
        select {value} as amount from gold.customer_value where {value} > 0
    ),
    binned as (
        select floor(round($bins * log10(greatest(amount, greatest_amount / pow(10, $decades))), 9)) as bin
        from amounts
        cross join (select max(amount) as greatest_amount from amounts)
    )
    select pow(10, bin / $bins) as low, pow(10, (bin + 1) / $bins) as high, count(*) as customers
    from binned group by bin order by bin
"""
_PARETO = """
    with customers as (
        select customer_id, greatest(historical_value + coalesce(projected_value, 0), 0) as value
        from gold.customer_value
    ),
    ranked as (
        select value,
               ceil(100 * row_number() over (order by value desc, customer_id) / count(*) over ()) as per_cent
        from customers
    ),
    summed as (
        select per_cent, sum(value) as value from ranked group by per_cent
    )
    select per_cent / 100 as customers, sum(value) over (order by per_cent) / sum(value) over () as value
    from summed order by per_cent
"""
_TIERS = """
    select value_tier, count(*) as customers,
           coalesce(sum(historical_value), 0) as historical, coalesce(sum(projected_value), 0) as projected
    from gold.customer_segments
    left join gold.customer_value on customer_id = master_id
    group by value_tier
    order by historical + projected desc, customers desc, value_tier
"""


@dataclass(frozen=True)
class Terms:
    """What amounts are in and how far ahead projected value looks."""

    currency: str | None
    horizon_weeks: float

    def money(self, amount: float | None) -> str:
        """Write an amount."""
        return money(amount, self.currency)

    @property
    def unit(self) -> str:
        """Currency for axis titles."""
        return self.currency or "in the table's currency"


def worth_section(
    con: DuckDBPyConnection,
    summary: dict[str, Any],
    terms: Terms,
    *,
    tiers: bool = True,
    clusters: dict[str, Any] | None = None,
) -> Section:
    """Show past and projected value.

    Args:
        con: holds `gold.customer_value` and `gold.customer_segments`.
        summary: what the valuation said of itself.
        terms: currency and horizon.
        tiers: whether customers have value tiers, recommendations and earlier runs.
        clusters: the KMeans model as saved, if there is one.
    """
    totals = ask_one(con, _TOTALS)
    if not totals["customers"]:
        why = f" {summary['reason']}" if summary.get("reason") else ""
        return Section("worth", "What are they worth?", f"There is no purchase, so no customer value to show.{why}")
    answer = (
        f"{plural(totals['customers'], 'buyer')} brought {terms.money(totals['historical'])} so far,"
        f" {count(totals['repeat_buyers'])} of them with repeat purchases."
    )
    if totals["projected"] is not None:
        answer += (
            f" They are expected to bring {terms.money(totals['projected'])} within"
            f" {plural(terms.horizon_weeks, 'week')}, discounted to today."
        )
    blocks: list[Block] = []
    if not summary.get("fitted", True):
        blocks.append(Text(f"No forecast was made: {summary.get('reason', 'too few repeat buyers')}"))
    blocks += _distributions(con, totals, terms)
    blocks += _pareto(con)
    if tiers:
        blocks += _tiers(con, terms)
    blocks += segment_blocks(con, terms.currency, clusters)
    if tiers:
        blocks += movement_blocks(con, terms.currency)
    blocks += forecast_blocks(con, summary)
    return Section("worth", "What are they worth?", answer, blocks)


def _distributions(con: DuckDBPyConnection, totals: Row, terms: Terms) -> list[Block]:
    past = _distribution(
        con,
        "historical_value",
        f"The median buyer spent {terms.money(totals['median_historical'])} so far",
        f"historical value of a customer, {terms.unit} (log scale)",
    )
    future = _distribution(
        con,
        "projected_value",
        f"The median buyer is expected to spend {terms.money(totals['median_projected'])} within"
        f" {plural(terms.horizon_weeks, 'week')}",
        f"projected value of a customer, {terms.unit} (log scale)",
    )
    return past + future


def _distribution(con: DuckDBPyConnection, value: str, title: str, axis: str) -> list[Block]:
    rows = ask(con, _VALUE_BINS.format(value=value), bins=_BINS_PER_DECADE, decades=_DECADES)
    if not rows:
        return []
    table = DataTable(
        title,
        ("from", "to", "customers"),
        [(money(row["low"], None), money(row["high"], None), count(row["customers"])) for row in rows],
    )
    worthless = ask_one(con, f"select count(*) as n from gold.customer_value where {value} <= 0")["n"]
    note = (
        f"{plural(worthless, 'customer')} of no or negative value cannot be shown on a log scale." if worthless else ""
    )
    spec = histogram(
        rows, Field("low", axis, "~s"), Field("high", "to", "~s"), Field("customers", "customers", ","), log=True
    )
    return [Chart(title, spec, note=note, numbers=table, half=True)]


def _pareto(con: DuckDBPyConnection) -> list[Block]:
    rows = ask(con, _PARETO)
    if rows[-1]["value"] is None:
        return []
    at = {round(row["customers"], 2): row["value"] for row in rows}
    marks = [(mark, at[mark]) for mark in (0.01, 0.05, 0.1, 0.2, 0.5) if mark in at]
    table = DataTable(
        "Share of value by share of buyers",
        ("best buyers", "share of value"),
        [(share(a, 0), share(b)) for a, b in marks],
    )
    title = (
        f"The best 20% of buyers hold {share(at[0.2], 0)} of all value" if 0.2 in at else "How unequal are customers?"
    )
    spec = lines(
        [{"customers": 0.0, "value": 0.0}, *rows],
        Field("customers", "share of buyers, best first", ".0%"),
        Field("value", "share of value, past and projected", ".1%"),
        diagonal=True,
    )
    return [Chart(title, spec, note="On the dashed line all buyers would be worth the same.", numbers=table, half=True)]


def _tiers(con: DuckDBPyConnection, terms: Terms) -> list[Block]:
    tiers = ask(con, _TIERS)
    total = sum(tier["historical"] + tier["projected"] for tier in tiers)
    table = DataTable(
        "Value tiers",
        ("tier", "customers", "historical", "projected", "mean value", "share of value"),
        [
            (
                tier["value_tier"],
                count(tier["customers"]),
                terms.money(tier["historical"]),
                terms.money(tier["projected"]),
                terms.money((tier["historical"] + tier["projected"]) / tier["customers"]),
                share(ratio(tier["historical"] + tier["projected"], total)),
            )
            for tier in tiers
        ],
    )
    kinds = ("historical", "projected")
    rows = [{"tier": tier["value_tier"], "kind": kind, "value": tier[kind]} for tier in tiers for kind in kinds]
    best = tiers[0]
    held = share(ratio(best["historical"] + best["projected"], total), 0)
    spec = bars(
        rows,
        Field("tier", "tier"),
        Field("value", f"value, {terms.unit}", ",.0f"),
        colour=Colour("kind", "kind", kinds),
    )
    title = f"{best['value_tier']} customers hold {held} of value"
    return [Chart(title, spec, legend=kinds, half=True), table]
