"""Segments of buyers: the grid of recency and frequency scores, the named segments, the clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from c360ml.dashboards.asking import Row, ask
from c360ml.dashboards.charts import Field, bars, heatmap
from c360ml.dashboards.formats import count, money, ratio, share
from c360ml.dashboards.page import Block, Chart, DataTable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_GRID = """
    with scored as (
        select rfm_score[1]::int as r, rfm_score[2]::int as f, historical_value
        from gold.customer_segments
        left join gold.customer_value on customer_id = master_id
        where rfm_score is not null
    ),
    bands as (
        select unnest(range(1, greatest(5, max(greatest(r, f))) + 1)) as band from scored
    ),
    counted as (
        select r, f, count(*) as customers, avg(historical_value) as mean_value from scored group by r, f
    )
    select recency.band::varchar as r, frequency.band::varchar as f,
           coalesce(customers, 0) as customers, mean_value
    from bands recency
    cross join bands frequency
    left join counted on counted.r = recency.band and counted.f = frequency.band
    order by frequency.band desc, recency.band
"""
_SEGMENTS = """
    select {segment} as segment, count(*) as customers,
           coalesce(sum(historical_value), 0) as historical, sum(projected_value) as projected,
           avg(probability_alive) as alive
    from gold.customer_segments
    join gold.customer_value on customer_id = master_id
    where {segment} is not null
    group by segment
    order by coalesce(historical, 0) + coalesce(projected, 0) desc, segment
"""


def segment_blocks(con: DuckDBPyConnection, currency: str | None) -> list[Block]:
    """Show how buyers fall into segments and what each segment is worth.

    Args:
        con: holds `gold.customer_value` and `gold.customer_segments`.
        currency: code of the amounts, if known.
    """
    rfm = _segments(con, currency, "rfm_segment", "RFM segment")
    clusters = _segments(con, currency, "kmeans_segment", "Cluster")
    shown: list[Block] = [replace(rfm, numbers=None), rfm.numbers] if rfm and rfm.numbers else []
    return [*_grid(con, currency), *shown, *([clusters] if clusters else [])]


def _grid(con: DuckDBPyConnection, currency: str | None) -> list[Block]:
    rows = ask(con, _GRID)
    if not rows:
        return []
    total = sum(row["customers"] for row in rows)
    lapsed = sum(row["customers"] for row in rows if int(row["r"]) <= 2 and int(row["f"]) >= 4)
    spec = heatmap(
        rows,
        Field("r", "recency score: 5 bought most recently"),
        Field("f", "frequency score"),
        Field("customers", "customers", ","),
        text=Field("customers", "customers", ","),
        more=(Field("mean_value", f"mean historical value{f', {currency}' if currency else ''}", ",.0f"),),
    )
    table = DataTable(
        "Recency and frequency scores",
        ("recency, frequency", "customers", "mean historical value"),
        [
            (f"{row['r']}, {row['f']}", count(row["customers"]), money(row["mean_value"], currency))
            for row in rows
            if row["customers"]
        ],
    )
    title = f"{share(ratio(lapsed, total), 0)} of buyers were frequent but have not bought for long (top left)"
    return [Chart(title, spec, note="Frequency score upwards: 5 bought most often.", numbers=table, half=True)]


def _segments(con: DuckDBPyConnection, currency: str | None, column: str, what: str) -> Chart | None:
    rows: list[Row] = [
        {**row, "value": row["historical"] + (row["projected"] or 0)}
        for row in ask(con, _SEGMENTS.format(segment=column))
    ]
    if not rows:
        return None
    total = sum(row["value"] for row in rows)
    buyers = sum(row["customers"] for row in rows)
    first = rows[0]
    table = DataTable(
        f"Buyers by {what}",
        (what, "customers", "historical", "projected", "mean value", "share of value", "probability alive"),
        [
            (
                row["segment"],
                count(row["customers"]),
                money(row["historical"], currency),
                money(row["projected"], currency),
                money(row["value"] / row["customers"], currency),
                share(ratio(row["value"], total)),
                share(row["alive"]),
            )
            for row in rows
        ],
    )
    unit = currency or "in the table's currency"
    spec = bars(
        rows,
        Field("segment", what),
        Field("value", f"value, past and projected, {unit}", ".3s"),
        more=(Field("customers", "customers", ","), Field("alive", "probability alive", ".0%")),
    )
    title = (
        f"{what} “{first['segment']}”: {share(first['customers'] / buyers, 0)} of buyers,"
        f" {share(ratio(first['value'], total), 0)} of value"
    )
    return Chart(title, spec, numbers=table, half=True)
