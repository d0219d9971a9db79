"""The tables that every measure is taken from: judged records, and scored pairs counted by what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from c360ml.errors import ColumnError, DataError

if TYPE_CHECKING:
    import duckdb

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

JUDGED = "judged_records"
"""`rid, record_id, cluster_no, true_no` of the records that clusters and truth both name."""
CALIBRATION_BINS = 20
WEIGHT_STEPS = 100
_LARGEST_WEIGHT = 40


def require_columns(relation: duckdb.DuckDBPyRelation, name: str, columns: tuple[str, ...]) -> None:
    """Check that a table has columns.

    Raises:
        ColumnError: one is missing.
    """
    missing = [column for column in columns if column not in relation.columns]
    if missing:
        raise ColumnError(
            f"{name} must have the columns {list(columns)}",
            got=f"{relation.columns}",
            hint=f"add or rename {missing}",
        )


def number_records(con: duckdb.DuckDBPyConnection, clusters: str) -> str:
    """Write `numbered_records(rid, record_id)` of `clusters(record_id, cluster_id)`; returns its name.

    Raises:
        DataError: a record is there twice, or without a cluster.
    """
    con.execute(f"""
        create or replace temp table numbered_records as
        select row_number() over (order by record_id) as rid, record_id
        from {clusters}
    """).fetchall()
    total, distinct, clustered = con.execute(
        f"select count(*), count(distinct record_id), count(cluster_id) from {clusters}"
    ).fetchall()[0]
    if distinct < total or clustered < total:
        raise DataError(
            "clusters must name each record once, with its cluster",
            got=f"{total - distinct} records repeated or null, {total - clustered} without a cluster",
            hint="keep one row for each record",
        )
    return "numbered_records"


def join_truth(con: duckdb.DuckDBPyConnection, clusters: str, truth: str, numbered: str) -> None:
    """Write `judged_records`: records of `clusters(record_id, cluster_id)` and `truth(record_id, true_id)`.

    Args:
        con: connection that holds the tables.
        clusters: clusters to judge.
        truth: true identities, one row a record.
        numbered: table with `rid` and `record_id`.

    Raises:
        DataError: no record is in both.
    """
    con.execute(f"""
        create or replace temp table {JUDGED} as
        with named as materialized (
            select rid, c.record_id as record_id, c.cluster_id, t.true_id
            from {clusters} c join {truth} t on c.record_id = t.record_id
            join {numbered} numbered on numbered.record_id = c.record_id
        ),
        clusters as (select cluster_id, min(rid) as cluster_no from named group by cluster_id),
        people as (select true_id, min(rid) as true_no from named group by true_id)
        select rid, record_id, cluster_no, true_no
        from named join clusters using (cluster_id) join people using (true_id)
    """).fetchall()
    if not con.execute(f"select count(*) from {JUDGED}").fetchall()[0][0]:
        raise DataError(
            "truth must name records of the clusters", got="no record in common", hint="check that record ids are alike"
        )


def number_pairs(con: duckdb.DuckDBPyConnection, pairs: str, numbered: str) -> str:
    """Write `numbered_pairs` from `pairs(record_id_l, record_id_r, match_probability)`; returns its name.

    Raises:
        ColumnError: a probability is not between 0 and 1.
    """
    con.execute(f"""
        create or replace temp table numbered_pairs as
        select least(l.rid, r.rid) as rid_l, greatest(l.rid, r.rid) as rid_r,
               max(cast(match_probability as double)) as match_probability, true as blocked
        from {pairs}
        join {numbered} l on l.record_id = cast(record_id_l as varchar)
        join {numbered} r on r.record_id = cast(record_id_r as varchar)
        where l.rid <> r.rid and match_probability is not null
        group by 1, 2
    """).fetchall()
    low, high = con.execute("select min(match_probability), max(match_probability) from numbered_pairs").fetchall()[0]
    if low is not None and not 0 <= low <= high <= 1:
        raise ColumnError(
            "match_probability of the pairs must be between 0 and 1", got=f"{low} to {high}", hint="mend the pairs"
        )
    return "numbered_pairs"


@dataclass(frozen=True)
class CountedPairs:
    """Scored pairs of judged records, counted by probability and by what became of them.

    One entry per distinct combination: `bin` (of equal width), `weight` (log2 odds to a hundredth), `linked` (more
    likely than the threshold), `blocked` (brought together by blocking), `true`, `together` (in one cluster).
    """

    bin: NDArray[np.int64]
    weight: NDArray[np.int64]
    linked: Flags
    blocked: Flags
    true: Flags
    together: Flags
    pairs: Floats
    probability: Floats
    squared: Floats
    logs: Floats

    def only(self, chosen: Flags) -> CountedPairs:
        """Keep some of the entries."""
        return CountedPairs(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def count_pairs(con: duckdb.DuckDBPyConnection, pairs: str, *, threshold: float) -> CountedPairs:
    """Count scored pairs of `judged_records` in one pass.

    Args:
        con: connection that holds the tables.
        pairs: `rid_l, rid_r, match_probability, blocked`, each pair once.
        threshold: pairs more likely than this are links.
    """
    answer = con.execute(
        f"""
        with met as (
            select match_probability as p, blocked,
                   l.true_no = r.true_no as same, l.cluster_no = r.cluster_no as joined,
                   least(greatest(match_probability, 1e-12), 1 - 1e-12) as q
            from {pairs} join {JUDGED} l on l.rid = rid_l join {JUDGED} r on r.rid = rid_r
        )
        select cast(least(floor(p * {CALIBRATION_BINS}), {CALIBRATION_BINS - 1}) as bigint) as bin,
               cast(floor(least(greatest(log2(q / (1 - q)), -{_LARGEST_WEIGHT}), {_LARGEST_WEIGHT})
                    * {WEIGHT_STEPS} + 1e-6) as bigint) as weight,
               p > $threshold as linked, blocked, same as "true", joined as together, cast(count(*) as double) as pairs,
               round(sum(p), 6) as probability, round(sum(p * p), 6) as squared,
               round(sum(-ln(if(same, q, 1 - q))), 6) as logs
        from met group by all order by all
        """,
        {"threshold": threshold},
    ).fetchnumpy()
    return CountedPairs(*(np.asarray(answer[name]) for name in CountedPairs.__dataclass_fields__))
