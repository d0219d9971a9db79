"""Labels as people have them: true identities, labelled pairs, or clerical decisions in three words.

Labels are checked whole before anything is measured: a label that contradicts another is no truth to measure by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from c360ml.errors import DataError
from c360ml.linkage.evaluation_intervals import f1_of, ratio, wilson
from c360ml.linkage.evaluation_tables import require_columns

if TYPE_CHECKING:
    import duckdb

DECISIONS = ("match", "non-match", "possible")
REVIEW_BAND = (0.1, 0.9)
"""Match probabilities between which a pair is taken to be in doubt, if nothing else is said."""
TRUE_IDS, PAIRS = "true_ids", "pairs"
LABELLED = "labelled"
_WHOLE = {"weight": "double", "stratum": "varchar", "stratum_pairs": "double"}
# match, no_match and possible_match are how public health labels are written, yes and no how people do
_ANSWERS = """
    case when answer in ('match', 'true', 't', 'yes', '1', '1.0') then 'match'
         when answer in ('non-match', 'no-match', 'non_match', 'no_match', 'nonmatch', 'false', 'f', 'no', '0', '0.0')
         then 'non-match'
         when answer in ('possible', 'possible-match', 'possible_match') then 'possible' end
"""


@dataclass(frozen=True)
class Labels:
    """Checked labels: their kind, the table that holds them, and which sampling columns came with them."""

    kind: str
    table: str
    sampling: tuple[str, ...]


def read_labels(con: duckdb.DuckDBPyConnection, given: duckdb.DuckDBPyRelation) -> Labels:
    """Take labels of any form into a temporary table, checked.

    Args:
        con: connection of `given`.
        given: `record_id, true_id`; or `record_id_l, record_id_r` with `is_match` (0 or 1) or `decision` (match,
            non-match or possible). Either form may say how it was sampled: see `sampled_evaluation`.

    Returns:
        True identities as `labelled(record_id, true_id)`, records of null truth left out; or labelled pairs as
        `labelled(record_id_l, record_id_r, decision)`, the lesser id left, each pair once.

    Raises:
        ColumnError: the columns are of no form of labels.
        DataError: labels are empty, null, of a record with itself, or contradict each other.
    """
    sampling = tuple(column for column in _WHOLE if column in given.columns)
    if "record_id_l" in given.columns:
        _read_pairs(con, given, sampling)
        return Labels(PAIRS, LABELLED, sampling)
    _read_true_ids(con, given, sampling)
    return Labels(TRUE_IDS, LABELLED, sampling)


def _read_true_ids(con: duckdb.DuckDBPyConnection, given: duckdb.DuckDBPyRelation, sampling: tuple[str, ...]) -> None:
    require_columns(given, "labels", ("record_id", "true_id"))
    given.create_view("given_labels", replace=True)
    kept = "".join(f", max(try_cast({column} as {_WHOLE[column]})) as {column}" for column in sampling)
    con.execute(f"""
        create or replace temp table {LABELLED} as
        select cast(record_id as varchar) as record_id, min(cast(true_id as varchar)) as true_id,
               min(true_id) <> max(true_id) as contradicted{kept}
        from given_labels where true_id is not null group by 1
    """).fetchall()
    nameless, contradicted = con.execute(
        f"select count(*) filter (record_id is null), count(*) filter (contradicted) from {LABELLED}"
    ).fetchall()[0]
    _refuse_faults({"without a record id": nameless, "records with two true ids": contradicted})


def _read_pairs(con: duckdb.DuckDBPyConnection, given: duckdb.DuckDBPyRelation, sampling: tuple[str, ...]) -> None:
    answer = next((column for column in ("decision", "is_match") if column in given.columns), "is_match")
    require_columns(given, "labelled pairs", ("record_id_l", "record_id_r", answer))
    given.create_view("given_labels", replace=True)
    kept = "".join(f", try_cast({column} as {_WHOLE[column]}) as {column}" for column in sampling)
    con.execute(f"""
        create or replace temp table said_labels as
        with said as (
            select cast(record_id_l as varchar) as l, cast(record_id_r as varchar) as r,
                   lower(trim(cast({answer} as varchar))) as answer{kept}
            from given_labels
        )
        select least(l, r) as record_id_l, greatest(l, r) as record_id_r, {_ANSWERS} as decision,
               l is null or r is null or answer is null as is_null, l = r as is_self{_columns(sampling)}
        from said
    """).fetchall()
    _check_pairs(con, answer)
    largest = "".join(f", max({column}) as {column}" for column in sampling)
    con.execute(f"""
        create or replace temp table {LABELLED} as
        select record_id_l, record_id_r, min(decision) as decision{largest}
        from said_labels group by record_id_l, record_id_r
    """).fetchall()
    con.execute("drop table said_labels").fetchall()


def _columns(names: tuple[str, ...]) -> str:
    return "".join(f", {name}" for name in names)


def _check_pairs(con: duckdb.DuckDBPyConnection, answer: str) -> None:
    rows, null, alone, unknown = con.execute("""
        select count(*), count(*) filter (is_null), count(*) filter (is_self),
               count(*) filter (decision is null and not is_null)
        from said_labels
    """).fetchall()[0]
    if not rows:
        raise DataError("labelled pairs must hold at least one pair", got="none", hint="add labels")
    contradicted = con.execute("""
        select count(*) from (
            select 1 from said_labels group by record_id_l, record_id_r having count(distinct decision) > 1
        )
    """).fetchall()[0][0]
    words = "0 or 1" if answer == "is_match" else f"one of {', '.join(DECISIONS)}"
    _refuse_faults(
        {
            "with a null": null,
            "of a record with itself": alone,
            f"whose {answer} is not {words}": unknown,
            "pairs labelled in two ways": contradicted,
        }
    )


def _refuse_faults(faults: dict[str, int]) -> None:
    found = [f"{count} {name}" for name, count in faults.items() if count]
    if found:
        raise DataError(
            "labels must be complete and must not contradict each other",
            got=", ".join(found),
            hint="mend or remove those rows",
        )


def measure_labelled_pairs(con: duckdb.DuckDBPyConnection, clusters: str, labels: str = LABELLED) -> dict[str, Any]:
    """Precision and recall of "same cluster" over labelled pairs, with Wilson intervals; `possible` counts apart.

    Args:
        con: connection that holds the tables.
        clusters: `record_id, cluster_id`.
        labels: what `read_labels` wrote.

    Raises:
        DataError: no labelled pair is of two records of the clusters.
    """
    cells = dict(
        con.execute(f"""
            select decision || if(l.cluster_id = r.cluster_id, ' joined', ' apart'), count(*)
            from {labels}
            join {clusters} as l on l.record_id = record_id_l
            join {clusters} as r on r.record_id = record_id_r
            group by 1
        """).fetchall()
    )
    all_labels = con.execute(f"select count(*) from {labels}").fetchall()[0][0]
    known = sum(cells.values())
    if not known:
        raise DataError(
            "labelled pairs must name records of the file",
            got="no pair in common",
            hint="check that record ids are alike",
        )
    possible = cells.get("possible joined", 0) + cells.get("possible apart", 0)
    measures: dict[str, Any] = {"labelled_pairs": int(known - possible)}
    if all_labels > known:
        measures["unknown_pairs"] = int(all_labels - known)
    if possible:
        measures |= {"possible_pairs": int(possible), "possible_joined": cells.get("possible joined", 0) / possible}
    return measures | (_pair_measures(cells) if known > possible else {})


def _pair_measures(cells: dict[str, int]) -> dict[str, Any]:
    right, false = cells.get("match joined", 0), cells.get("non-match joined", 0)
    missed = cells.get("match apart", 0)
    precision, recall = ratio(np.float64(right), right + false), ratio(np.float64(right), right + missed)
    intervals = {}
    for name, value, trials in (("precision", precision, right + false), ("recall", recall, right + missed)):
        if trials:
            low, high = wilson(value, trials)
            intervals[f"labelled_{name}"] = [float(low), float(high)]
    return {
        "labelled_precision": float(precision),
        "labelled_recall": float(recall),
        "labelled_f1": float(f1_of(precision, recall)),
        "intervals": intervals,
    }


def possible_in_band(
    con: duckdb.DuckDBPyConnection, scored: str, band: tuple[float, float], labels: str = LABELLED
) -> dict[str, float]:
    """Share of pairs labelled `possible` whose probability is in the review band; empty without such labels.

    Args:
        con: connection that holds the tables.
        scored: `record_id_l, record_id_r, match_probability`, lesser id left; a pair not there is taken for unlikely.
        band: lowest and highest probability that a person should look at.
        labels: what `read_labels` wrote.
    """
    possible, inside, above = con.execute(
        f"""
        select count(*), count(*) filter (match_probability between $low and $high),
               count(*) filter (match_probability > $high)
        from {labels} left join {scored} using (record_id_l, record_id_r)
        where decision = 'possible'
        """,
        {"low": band[0], "high": band[1]},
    ).fetchall()[0]
    if not possible:
        return {}
    return {
        "possible_in_review_band": inside / possible,
        "possible_above_review_band": above / possible,
        "possible_below_review_band": (possible - inside - above) / possible,
    }
