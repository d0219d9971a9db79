"""What to do with each segment, and how customers moved between segments since the run before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c360ml.dashboards.asking import Row, ask
from c360ml.dashboards.charts import Field, heatmap
from c360ml.dashboards.formats import count, money, ratio, share
from c360ml.dashboards.page import Block, Chart, DataTable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_RECOMMENDATIONS = """
    select * from gold.recommendations
    where kind = 'action_segment' and customers > 0
    order by historical_value + projected_value desc, customers desc, segment
"""
_TRANSITIONS = """
    with last as (
        select from_segment, to_segment, customers
        from gold.segment_transitions
        where kind = $kind and run = (select max(run) from gold.segment_trends)
    )
    select
        starts.segment as from_segment,
        ends.segment as to_segment,
        coalesce(customers, 0) as customers,
        coalesce(customers / sum(customers) over (partition by starts.segment), 0) as part
    from (select distinct from_segment as segment from last) as starts
    cross join (select distinct to_segment as segment from last) as ends
    left join last on from_segment = starts.segment and to_segment = ends.segment
    order by starts.segment, ends.segment
"""
_TRENDS = """
    select run, observed_on::varchar as observed_on, segment, customers
    from gold.segment_trends
    where kind = $kind and run > (select max(run) - $runs from gold.segment_trends)
    order by run, segment
"""
_SHOWN = (("action_segment", "action segment"), ("rfm_segment", "RFM segment"))
_MOST_RUNS = 6


def movement_blocks(con: DuckDBPyConnection, currency: str | None) -> list[Block]:
    """Show recommendations, transitions since the run before, and sizes run by run.

    Args:
        con: holds `gold.recommendations`, `gold.segment_transitions` and `gold.segment_trends`.
        currency: code of the amounts, if known.
    """
    moves = [_transitions(con, kind, what) for kind, what in _SHOWN]
    trends = [_trends(con, kind, what) for kind, what in _SHOWN]
    return [*_recommendations(con, currency), *(block for block in (*moves, *trends) if block)]


def _recommendations(con: DuckDBPyConnection, currency: str | None) -> list[Block]:
    rows = ask(con, _RECOMMENDATIONS)
    if not rows:
        return []
    columns = ("segment", "customers", "contactable", "past", "projected", "alive", "what to do", "because")
    return [
        DataTable(
            "What to do with whom",
            columns,
            [
                (
                    row["segment"],
                    count(row["customers"]),
                    count(row["contactable"]),
                    money(row["historical_value"], currency),
                    money(row["projected_value"], currency),
                    share(row["mean_probability_alive"]),
                    row["recommendation"],
                    row["rule"],
                )
                for row in rows
            ],
            texts=frozenset({6, 7}),
            note="The first rule that holds decides, in the order of the documentation; alive is the mean probability.",
        )
    ]


def _transitions(con: DuckDBPyConnection, kind: str, what: str) -> Block | None:
    rows = ask(con, _TRANSITIONS, kind=kind)
    if not rows:
        return None
    total = sum(row["customers"] for row in rows)
    moved = sum(row["customers"] for row in rows if row["from_segment"] != row["to_segment"])
    spec = heatmap(
        rows,
        Field("to_segment", f"{what} now"),
        Field("from_segment", f"{what} before"),
        Field("part", "share of those who were there", ".1%"),
        text=Field("customers", "customers", ","),
        more=(Field("customers", "customers", ","),),
    )
    table = DataTable(
        f"Moves between {what}s",
        ("from, to", "customers", "share"),
        [
            (f"{row['from_segment']}, {row['to_segment']}", count(row["customers"]), share(row["part"]))
            for row in rows
            if row["customers"]
        ],
    )
    title = f"{share(ratio(moved, total))} of customers changed {what} since the run before"
    note = "Each row is a segment of the run before; (new) and (gone) are customers of one run only."
    return Chart(title, spec, note=note, numbers=table)


def _trends(con: DuckDBPyConnection, kind: str, what: str) -> Block | None:
    rows = ask(con, _TRENDS, kind=kind, runs=_MOST_RUNS)
    runs = list(dict.fromkeys((row["run"], row["observed_on"]) for row in rows))
    if len(runs) < 2:
        return None
    sizes = {(row["segment"], row["run"]): row["customers"] for row in rows}
    cells: list[Row] = [
        {"segment": segment, "run": f"{run}: {day}", "customers": sizes.get((segment, run), 0)}
        for segment in sorted({row["segment"] for row in rows})
        for run, day in runs
    ]
    customers = Field("customers", "customers", ",")
    spec = heatmap(cells, Field("run", "run and last observed day"), Field("segment", what), customers, text=customers)
    table = DataTable(
        f"Customers by {what} and run",
        ("segment, run", "customers"),
        [(f"{cell['segment']}, {cell['run']}", count(cell["customers"])) for cell in cells],
    )
    return Chart(f"Customers by {what}, the last {len(runs)} runs", spec, numbers=table, half=True)
