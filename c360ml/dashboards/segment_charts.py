"""Segments of buyers: the grid of recency and frequency scores, the named segments, the clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from c360ml.dashboards.asking import Row, ask
from c360ml.dashboards.charts import Colour, Field, bars, heatmap, lines
from c360ml.dashboards.formats import count, measure, money, ratio, share
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


_FEATURES = {
    "days_since_last_purchase": "days since last purchase",
    "purchases": "purchases",
    "total_spend": "total spend",
}
_MEASURES = {"silhouette": "silhouette", "ari_mean": "mean agreement", "ari_least": "least agreement"}


def segment_blocks(
    con: DuckDBPyConnection, currency: str | None, clusters: dict[str, Any] | None = None
) -> list[Block]:
    """Show how buyers fall into segments and what each segment is worth.

    Args:
        con: holds `gold.customer_value` and `gold.customer_segments`.
        currency: code of the amounts, if known.
        clusters: the KMeans model as saved, if there is one.
    """
    rfm = _segments(con, currency, "rfm_segment", "RFM segment")
    shown: list[Block] = [replace(rfm, numbers=None), rfm.numbers] if rfm and rfm.numbers else []
    worth = _segments(con, currency, "kmeans_segment", "Cluster")
    return [*_grid(con, currency), *shown, *([worth] if worth else []), *cluster_blocks(clusters or {}, currency)]


def cluster_blocks(clusters: dict[str, Any], currency: str | None) -> list[Block]:
    """Show what is typical of each cluster, and why there are so many.

    Args:
        clusters: the KMeans model as saved.
        currency: code of the amounts, if known.
    """
    profiles, tried = clusters.get("profiles", []), clusters.get("diagnostics", [])
    return [*(_profiles(profiles, currency) if len(profiles) > 1 else []), *(_choice(tried, len(profiles)))]


def _profiles(profiles: list[Row], currency: str | None) -> list[Block]:
    greatest = {name: max(profile[name] for profile in profiles) or 1 for name in _FEATURES}
    cells: list[Row] = [
        {
            "cluster": profile["kmeans_segment"],
            "trait": title,
            "part": max(profile[name], 0) / greatest[name],
            "typical": profile[name],
        }
        for profile in profiles
        for name, title in _FEATURES.items()
    ]
    spec = heatmap(
        cells,
        Field("trait", ""),
        Field("cluster", "cluster"),
        Field("part", "of the greatest cluster", ".0%"),
        text=Field("typical", "typical", ",.4~r"),
    )
    table = DataTable(
        "Typical buyers of each cluster",
        ("cluster", "share of buyers", *_FEATURES.values()),
        [
            (
                profile["kmeans_segment"],
                share(profile["share"]),
                count(profile["days_since_last_purchase"]),
                measure(profile["purchases"], 1),
                money(profile["total_spend"], currency),
            )
            for profile in profiles
        ],
    )
    note = "Geometric means; the stronger a cell, the nearer to the greatest of its column."
    return [Chart("What is typical of each cluster", spec, note=note, numbers=table, half=True)]


def _choice(tried: list[Row], chosen: int) -> list[Block]:
    measured = [one for one in tried if one.get("gap") is not None]
    if len(measured) < 2:
        return []
    rows: list[Row] = [
        {"k": one["k"], "measure": title, "value": one[name]} for one in measured for name, title in _MEASURES.items()
    ]
    names = tuple(_MEASURES.values())
    k = Field("k", "number of clusters", "d")
    agreement = lines(
        rows,
        k,
        Field("value", "silhouette and agreement", ".2f"),
        colour=Colour("measure", "measure", names),
        mark_x=(chosen, f"chosen: {chosen}"),
        points=True,
    )
    gap = lines(measured, k, Field("gap", "gap statistic", ".3f"), mark_x=(chosen, f"chosen: {chosen}"), points=True)
    table = DataTable(
        "Numbers of clusters tried",
        ("clusters", *names, "gap", "smallest cluster", "stable", "supported"),
        [
            (
                count(one["k"]),
                *(measure(one[name]) for name in _MEASURES),
                measure(one["gap"]),
                share(one["smallest_share"]),
                "yes" if one["is_stable"] else "no",
                "yes" if one["is_supported"] else "no",
            )
            for one in measured
        ],
    )
    note = (
        "Agreement: adjusted Rand index of refits on resampled buyers. Stable: mean at least 0.85, least at least"
        " 0.75, no cluster below 2%. Among the stable and supported, the fewest within one standard error of the best"
        " silhouette, or the number of the run before."
    )
    return [
        Chart(f"Why {chosen} clusters", agreement, note=note, numbers=table, half=True, legend=names),
        Chart(
            "Clusters against chance",
            gap,
            note="Supported: the gap is not below that of fewer clusters by more than its standard error.",
            half=True,
        ),
    ]


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
