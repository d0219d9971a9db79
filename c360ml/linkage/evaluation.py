"""How right the clusters and links are, against true identities or labelled pairs. Truth is never a model input.

Pairwise measures count pairs of records; B-cubed (Bagga and Baldwin 1998) averages over records, so that one huge
wrong cluster does not hide a thousand small right ones, nor the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml.errors import ColumnError, DataError
from c360ml.lakehouse import as_relation, connect

if TYPE_CHECKING:
    import duckdb

CALIBRATION_BINS = 20


def evaluate_clusters(clusters: Any, truth: Any) -> dict[str, float]:
    """Compare clusters with true identities.

    Args:
        clusters: table with `record_id` and `cluster_id` (or `master_id`).
        truth: table with `record_id` and `true_id`; records it does not name, or with null, are left out.

    Returns:
        Pairwise and B-cubed precision, recall and F1, and the numbers of clusters and true identities.

    Raises:
        ColumnError: a column is missing.
        DataError: no record is in both tables.

    >>> import pandas as pd
    >>> clusters = pd.DataFrame({"record_id": ["a", "b", "c"], "cluster_id": [1, 1, 2]})
    >>> truth = pd.DataFrame({"record_id": ["a", "b", "c"], "true_id": ["x", "x", "x"]})
    >>> evaluate_clusters(clusters, truth)["pairwise_recall"]
    0.3333333333333333
    """
    with connect() as con:
        clusters, truth = as_relation(con, clusters), as_relation(con, truth)
        cluster_column = "master_id" if "master_id" in clusters.columns else "cluster_id"
        require_columns(clusters, "clusters", ("record_id", cluster_column))
        require_columns(truth, "truth", ("record_id", "true_id"))
        clusters.project(f"record_id, {cluster_column} as cluster_id").create_view("clusters")
        truth.filter("true_id is not null").create_view("truth")
        return cluster_measures(con, "clusters", "truth")


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


def cluster_measures(con: duckdb.DuckDBPyConnection, clusters: str, truth: str) -> dict[str, float]:
    """Pairwise and B-cubed measures of `clusters(record_id, cluster_id)` against `truth(record_id, true_id)`."""
    records, found, true, both, precision, recall, found_clusters, true_ids = con.execute(f"""
        with joined as (
            select cluster_id, true_id
            from {clusters} join {truth} on cast({clusters}.record_id as varchar) = cast({truth}.record_id as varchar)
        ),
        shared as (
            select cluster_id, true_id, count(*) as n from joined group by all
        ),
        sized as (
            select *, sum(n) over (partition by cluster_id) as in_cluster,
                   sum(n) over (partition by true_id) as in_truth
            from shared
        )
        select sum(n),
               (select sum(n * (n - 1) / 2) from (select count(*) as n from joined group by cluster_id)),
               (select sum(n * (n - 1) / 2) from (select count(*) as n from joined group by true_id)),
               sum(n * (n - 1) / 2),
               sum(n * n / in_cluster) / sum(n),
               sum(n * n / in_truth) / sum(n),
               count(distinct cluster_id), count(distinct true_id)
        from sized
    """).fetchall()[0]
    if not records:
        raise DataError(
            "truth must name records of the clusters", got="no record in common", hint="check that record ids are alike"
        )
    return {
        "records": int(records),
        "clusters": int(found_clusters),
        "true_ids": int(true_ids),
        **_measures("pairwise", _ratio(both, found), _ratio(both, true)),
        **_measures("b3", float(precision), float(recall)),
    }


def labelled_pair_measures(con: duckdb.DuckDBPyConnection, clusters: str, labels: str) -> dict[str, float]:
    """Precision and recall of "same cluster" over labelled pairs `labels(record_id_l, record_id_r, is_match)`."""
    labelled, tp, fp, fn = con.execute(f"""
        with judged as (
            select cast(is_match as integer) = 1 as same, l.cluster_id = r.cluster_id as joined
            from {labels}
            join {clusters} as l on l.record_id = record_id_l
            join {clusters} as r on r.record_id = record_id_r
        )
        select count(*), count(*) filter (same and joined), count(*) filter (not same and joined),
               count(*) filter (same and not joined)
        from judged
    """).fetchall()[0]
    if not labelled:
        raise DataError(
            "labelled pairs must name records of the file",
            got="no pair in common",
            hint="check that record ids are alike",
        )
    return {"labelled_pairs": int(labelled), **_measures("labelled", _ratio(tp, tp + fp), _ratio(tp, tp + fn))}


def blocking_recall(con: duckdb.DuckDBPyConnection, candidates: str, truth: str) -> float:
    """Share of true pairs that blocking brought together: `candidates(record_id_l, record_id_r)`."""
    found, true = con.execute(f"""
        select (
            select count(*) from {candidates}
            join {truth} as l on l.record_id = record_id_l join {truth} as r on r.record_id = record_id_r
            where l.true_id = r.true_id
        ), (
            select sum(n * (n - 1) / 2) from (select count(*) as n from {truth} group by true_id)
        )
    """).fetchall()[0]
    return _ratio(found, true)


def calibration(con: duckdb.DuckDBPyConnection, scored: str, truth: str) -> list[dict[str, float]]:
    """Mean probability and true share per probability bin of `scored(record_id_l, record_id_r, match_probability)`."""
    rows = con.execute(f"""
        select least(floor(match_probability * {CALIBRATION_BINS}), {CALIBRATION_BINS - 1}) as bin,
               count(*) as pairs, avg(match_probability), avg(cast(l.true_id = r.true_id as integer))
        from {scored} join {truth} as l on l.record_id = record_id_l join {truth} as r on r.record_id = record_id_r
        group by bin order by bin
    """).fetchall()
    return [
        {"pairs": int(pairs), "mean_probability": float(mean), "true_share": float(share)}
        for _, pairs, mean, share in rows
    ]


def expected_calibration_error(bins: list[dict[str, float]]) -> float:
    """Mean distance of probability from true share over scored pairs (Naeini, Cooper and Hauskrecht 2015)."""
    pairs = sum(each["pairs"] for each in bins)
    return sum(each["pairs"] * abs(each["mean_probability"] - each["true_share"]) for each in bins) / max(pairs, 1)


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 1.0


def _measures(name: str, precision: float, recall: float) -> dict[str, float]:
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}
