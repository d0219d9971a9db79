"""What came in: rows read, accepted and refused by source, and how complete the customer records are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from c360ml.dashboards.asking import Row, ask
from c360ml.dashboards.charts import Colour, Field, bars, heatmap
from c360ml.dashboards.formats import count, plural, ratio, share
from c360ml.dashboards.page import Block, Chart, DataTable, Section, Text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ROWS_BY_SOURCE = """
    with refused as (
        select source, count(*) as rejected from bronze.dead_letters group by source
    )
    select source, any_value(kind) as kind, count(distinct file) as files, count(*) as read,
           coalesce(any_value(rejected), 0) as rejected
    from bronze.source_rows
    left join refused using (source)
    group by source
    order by read desc, source
"""
_REJECTED_BY_REASON = """
    select source, reason, count(*) as rows from bronze.dead_letters group by all order by rows desc, source, reason
"""
_QUALITY = "select * from silver.source_quality order by records desc, source"

_QUALITY_SHARES = {
    "name_share": "name",
    "email_share": "e-mail",
    "phone_share": "phone",
    "address_share": "address",
    "date_of_birth_share": "date of birth",
    "quality_score": "quality score",
}
_MOST_REASONS = 5  # as many as the palette has colours
_OTHER = "other reasons"


def incoming_section(con: DuckDBPyConnection) -> Section:
    """Show what the sources gave."""
    rows = ask(con, _ROWS_BY_SOURCE)
    quality = ask(con, _QUALITY)
    read, rejected = sum(row["read"] for row in rows), sum(row["rejected"] for row in rows)
    answer = (
        f"{plural(read, 'row')} from {plural(len(rows), 'source')}: {count(read - rejected)} accepted,"
        f" {count(rejected)} refused ({share(ratio(rejected, read))}) and kept in bronze.dead_letters."
    )
    if not rows:
        answer = "No source gave any row."
    blocks = [*_volumes(rows), *_rejects(con, rejected), *_quality(quality)] if rows else []
    return Section("incoming", "What came in?", answer, blocks)


def _volumes(rows: list[Row]) -> list[Block]:
    table = DataTable(
        "Rows read by source",
        ("source", "kind", "files", "read", "accepted", "refused", "share refused"),
        [
            (
                row["source"],
                row["kind"],
                count(row["files"]),
                count(row["read"]),
                count(row["read"] - row["rejected"]),
                count(row["rejected"]),
                share(ratio(row["rejected"], row["read"]), 2),
            )
            for row in rows
        ],
        texts=frozenset({1}),
    )
    most = rows[0]
    title = f"{most['source']} gave the most rows: {count(most['read'])}"
    return [
        Chart(title, bars(rows, Field("source", "source"), Field("read", "rows read", ",")), half=True, numbers=table)
    ]


def _rejects(con: DuckDBPyConnection, rejected: int) -> list[Block]:
    if not rejected:
        return [Text("No row was refused.")]
    rows = ask(con, _REJECTED_BY_REASON)
    table = DataTable(
        "Refused rows by source and reason",
        ("source", "reason", "rows"),
        [(row["source"], row["reason"].replace("_", " "), count(row["rows"])) for row in rows],
        texts=frozenset({1}),
    )
    shown, reasons = _merge_rare_reasons(rows)
    by_reason = {reason: sum(row["rows"] for row in shown if row["reason"] == reason) for reason in reasons}
    first = max(by_reason, key=lambda reason: by_reason[reason])
    title = f"Most refused rows ({count(by_reason[first])} of {count(rejected)}): {first}"
    spec = bars(
        shown, Field("source", "source"), Field("rows", "rows refused", ","), colour=Colour("reason", "reason", reasons)
    )
    return [Chart(title, spec, legend=reasons, half=True, numbers=table)]


def _merge_rare_reasons(rows: list[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """Keep as many reasons as there are colours, the most frequent; sources with the most rows come first."""
    by_reason, by_source = Counter[str](), Counter[str]()
    for row in rows:
        by_reason[row["reason"]] += row["rows"]
        by_source[row["source"]] += row["rows"]
    frequent = sorted(by_reason, key=lambda reason: (-by_reason[reason], reason))
    kept = frequent if len(frequent) <= _MOST_REASONS else frequent[: _MOST_REASONS - 1]
    words = {reason: reason.replace("_", " ") if reason in kept else _OTHER for reason in frequent}
    merged = Counter[tuple[str, str]]()
    for row in rows:
        merged[row["source"], words[row["reason"]]] += row["rows"]
    shown = [{"source": source, "reason": reason, "rows": number} for (source, reason), number in merged.items()]
    shown.sort(key=lambda row: (-by_source[str(row["source"])], row["source"]))
    return shown, tuple(dict.fromkeys(words.values()))


def _quality(quality: list[Row]) -> list[Block]:
    if not quality:
        return [Text("No customer record was accepted, so there is no data quality to show.")]
    cells = [
        {"source": row["source"], "measure": title, "share": row[name], "records": row["records"]}
        for row in quality
        for name, title in _QUALITY_SHARES.items()
    ]
    best = max(quality, key=lambda row: (row["quality_score"] or 0, row["source"]))
    table = DataTable(
        "Data quality by source",
        ("source", "records", "refused", *_QUALITY_SHARES.values()),
        [
            (
                row["source"],
                count(row["records"]),
                count(row["rejected_rows"]),
                *(share(row[name]) for name in _QUALITY_SHARES),
            )
            for row in quality
        ],
    )
    spec = heatmap(
        cells,
        Field("measure", ""),
        Field("source", ""),
        Field("share", "share of records", ".1%"),
        text=Field("share", "share", ".0%"),
        more=(Field("records", "records", ","),),
    )
    score = share(best["quality_score"], 0)
    title = f"How complete are customer records? {best['source']} is best, with a quality score of {score}"
    note = "Share of a source's records with a usable value; the quality score weighs them, see silver.source_quality."
    return [Chart(title, spec, note=note, numbers=table)]
