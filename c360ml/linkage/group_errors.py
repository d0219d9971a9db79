"""Whom errors hit: accuracy per pair of sources, and false merges and missed links per group of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from c360ml.linkage.evaluation_intervals import (
    CountedRows,
    Floats,
    bootstrap,
    counted_rows,
    f1_of,
    percentile_interval,
    ratio,
)
from c360ml.linkage.evaluation_tables import JUDGED

if TYPE_CHECKING:
    import duckdb

NO_GROUP = "(none)"
FEWEST_ENTITIES = 30
"""Groups with fewer true entities are shown but not compared: their rates are mostly chance."""
MOST_GROUPS = 100
_END_SUMS = ("found_ends", "right_ends", "true_ends")
_RATES = ("false_merge_rate", "missed_link_rate")
_DIGITS = 9


def source_pair_measures(con: duckdb.DuckDBPyConnection, sources: str) -> list[dict[str, Any]]:
    """Precision, recall and F1 of pairs of records, per pair of their sources, from `sources(record_id, source)`.

    Sources beyond the largest hundred are taken together.
    """
    con.execute(f"""
        create or replace temp table judged_sources as
        with named as (
            select cluster_no, true_no, coalesce(cast(source as varchar), '{NO_GROUP}') as source
            from {JUDGED} left join {sources} s on cast(s.record_id as varchar) = {JUDGED}.record_id
        ),
        kept as (
            select source from named group by source order by count(*) desc, source limit {MOST_GROUPS}
        )
        select cluster_no, true_no, coalesce(kept.source, '(other)') as source, count(*) as n
        from named left join kept using (source) group by all
    """).fetchall()
    rows = con.execute(f"""
        with met as (
            {_pairs_by("true_no", "true_pairs")} union all by name {_pairs_by("cluster_no", "found_pairs")}
            union all by name {_pairs_by("cluster_no, true_no", "right_pairs")}
        )
        select source_l, source_r, coalesce(sum(true_pairs), 0), coalesce(sum(found_pairs), 0),
               coalesce(sum(right_pairs), 0)
        from met group by source_l, source_r order by source_l, source_r
    """).fetchall()
    con.execute("drop table judged_sources").fetchall()
    return [_source_pair(*row) for row in rows if row[2] or row[3]]


def _pairs_by(key: str, name: str) -> str:
    joined = " and ".join(f"l.{column} = r.{column}" for column in key.split(", "))
    counted = f"(select {key}, source, sum(n) as n from judged_sources group by all)"
    return f"""
        select l.source as source_l, r.source as source_r,
               cast(sum(if(l.source = r.source, l.n * (l.n - 1) / 2, l.n * r.n)) as double) as {name}
        from {counted} l join {counted} r on {joined} and l.source <= r.source
        group by all
    """


def _source_pair(left: str, right: str, true: float, found: float, both: float) -> dict[str, Any]:
    precision, recall = (ratio(np.float64(both), np.float64(whole)) for whole in (found, true))
    return {
        "source_l": left,
        "source_r": right,
        "true_pairs": int(true),
        "found_pairs": int(found),
        "precision": float(precision) if found else None,
        "recall": float(recall) if true else None,
        "f1": float(f1_of(precision, recall)),
    }


def group_measures(con: duckdb.DuckDBPyConnection, groups: str, *, seed: int) -> dict[str, Any]:
    """False-merge and missed-link rates per group of `groups(record_id, group)`, with the largest gaps.

    A rate counts the ends of pairs: of all links that end in a record of the group, the share that is false; of
    all true links that do, the share that is missed. Intervals resample true entities; groups beyond the largest
    hundred are taken together.

    Returns:
        `groups`, one row a group, and `gaps`, one per rate: the two groups furthest apart, and by how much.
    """
    con.execute(f"""
        create or replace temp table judged_groups as
        with named as (
            select {JUDGED}.*, coalesce(cast(g."group" as varchar), '{NO_GROUP}') as "group"
            from {JUDGED} left join {groups} g on cast(g.record_id as varchar) = {JUDGED}.record_id
        ),
        kept as (select "group" from named group by "group" order by count(*) desc, "group" limit {MOST_GROUPS}),
        sized as (
            select coalesce(kept."group", '(other)') as "group", true_no,
                   count(*) over (partition by cluster_no) - 1 as found_ends,
                   count(*) over (partition by cluster_no, true_no) - 1 as right_ends,
                   count(*) over (partition by true_no) - 1 as true_ends
            from named left join kept using ("group")
        )
        select "group", true_no, count(*) as records, cast(sum(found_ends) as double) as found_ends,
               cast(sum(right_ends) as double) as right_ends, cast(sum(true_ends) as double) as true_ends
        from sized group by all
    """).fetchall()
    names = con.execute(
        'select "group", sum(records)::bigint from judged_groups group by "group" order by "group"'
    ).fetchall()
    rows, draws = [], {}
    for name, records in names:
        quoted = name.replace("'", "''")
        counted = counted_rows(con, f"from judged_groups where \"group\" = '{quoted}'", _END_SUMS)
        draws[name] = bootstrap(counted, _error_rates, seed=seed)
        rows.append(_group_row(name, records, counted, draws[name]))
    con.execute("drop table judged_groups").fetchall()
    return {"groups": rows, "gaps": [gap for rate in _RATES if (gap := _largest_gap(rows, draws, rate))]}


def _error_rates(totals: Floats) -> Floats:
    found, right, true = np.moveaxis(totals, -1, 0)
    return np.stack([1 - ratio(right, found), 1 - ratio(right, true)], axis=-1)


def _group_row(name: str, records: int, counted: CountedRows, draws: Floats) -> dict[str, Any]:
    found, right, true = counted.totals
    rates = _error_rates(counted.totals)
    row: dict[str, Any] = {
        "group": name,
        "records": int(records),
        "entities": int(counted.units.sum()),
        "found_ends": int(found),
        "false_ends": int(found - right),
        "true_ends": int(true),
        "missed_ends": int(true - right),
    }
    for rate, value, interval, whole in zip(_RATES, rates, percentile_interval(draws), (found, true), strict=True):
        row[rate] = round(float(value), _DIGITS) if whole else None
        row[f"{rate}_interval"] = interval if whole else None
    return row


def _largest_gap(rows: list[dict[str, Any]], draws: dict[str, Floats], rate: str) -> dict[str, Any] | None:
    """Compare the worst with the best group; their entities are resampled each for itself."""
    compared = [row for row in rows if row[rate] is not None and row["entities"] >= FEWEST_ENTITIES]
    if len(compared) < 2:
        return None
    worst = max(compared, key=lambda row: (row[rate], row["group"]))
    best = min(compared, key=lambda row: (row[rate], row["group"]))
    column = _RATES.index(rate)
    # one group's draws are reversed: with one seed both start from the same random numbers
    apart = draws[worst["group"]][:, [column]] - draws[best["group"]][::-1, [column]]
    return {
        "rate": rate,
        "worst": worst["group"],
        "best": best["group"],
        "gap": round(worst[rate] - best[rate], _DIGITS),
        "interval": percentile_interval(apart)[0],
    }
