"""What reviewers have decided of pairs of records: a CSV with `record_id_l, record_id_r, decision`.

`match` joins two records, `non-match` keeps them apart, `possible` says nothing. A pair decided twice alike counts
once. Order of the two ids and case of the decision do not matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml.errors import ColumnError, DataError, SourceError
from c360ml.lakehouse import EngineError, as_relation

if TYPE_CHECKING:
    import duckdb

DECISIONS = ("match", "non-match", "possible")
COLUMNS = ("record_id_l", "record_id_r", "decision")
_SHOWN = 5


def read_decisions(con: duckdb.DuckDBPyConnection, decisions: Any) -> duckdb.DuckDBPyRelation:
    """Read and check reviewers' decisions.

    Args:
        con: connection to read in.
        decisions: path of a CSV or Parquet file, or a table.

    Returns:
        `record_id_l, record_id_r, decision`: each pair once, the lesser id first.

    Raises:
        SourceError: the file is missing or no table.
        ColumnError: a column is missing.
        DataError: an id or decision is missing or unknown, a record is paired with itself, or one pair is decided
            both as match and as non-match.

    >>> import pandas as pd; from c360ml.lakehouse import connect
    >>> given = pd.DataFrame({"record_id_l": ["b"], "record_id_r": ["a"], "decision": ["Match"]})
    >>> read_decisions(connect(), given).fetchall()
    [('a', 'b', 'match')]
    """
    given = _open_file(con, Path(decisions)) if isinstance(decisions, (str, Path)) else as_relation(con, decisions)
    missing = [column for column in COLUMNS if column not in given.columns]
    if missing:
        raise ColumnError(
            f"reviewed pairs must have the columns {', '.join(COLUMNS)}", got=f"no {missing}", hint="add or rename them"
        )
    _keep(con, given)
    _check_rows(con)
    _check_twice(con)
    return con.sql("select distinct * from reviewed_pairs order by all")


def _open_file(con: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyRelation:
    rule = "reviewed pairs must be a CSV or Parquet file"
    if not path.is_file():
        raise SourceError(rule, got=f"no file {path.name}", hint="mend the path")
    try:
        if path.suffix == ".parquet":
            return con.read_parquet(str(path))
        return con.read_csv(str(path), all_varchar=True)
    except EngineError:
        raise SourceError(rule, got=f"{path.name}, which cannot be read", hint="export it again") from None


def _keep(con: duckdb.DuckDBPyConnection, given: duckdb.DuckDBPyRelation) -> None:
    given.create_view("given_decisions", replace=True)
    con.execute("""
        create or replace temp table reviewed_pairs as
        with trimmed as (
            select nullif(trim(record_id_l::varchar), '') as l, nullif(trim(record_id_r::varchar), '') as r,
                   lower(trim(decision::varchar)) as decision
            from given_decisions
        )
        select case when l <= r then l else r end as record_id_l, case when l <= r then r else l end as record_id_r,
               decision
        from trimmed
    """).fetchall()
    con.execute("drop view given_decisions").fetchall()


def _check_rows(con: duckdb.DuckDBPyConnection) -> None:
    nameless, same, unknown = con.execute(
        """
        select count(*) filter (record_id_l is null or record_id_r is null),
               count(*) filter (record_id_l = record_id_r),
               count(*) filter (decision is null or not list_contains($decisions, decision))
        from reviewed_pairs
        """,
        {"decisions": list(DECISIONS)},
    ).fetchall()[0]
    if nameless or same:
        raise DataError(
            "each reviewed pair must name two different records",
            got=f"{nameless} rows without an id, {same} with one id twice",
            hint="mend or delete those rows",
        )
    if unknown:
        raise DataError(
            f"decision must be one of {', '.join(DECISIONS)}",
            got=f"{unknown} rows where it is not",
            hint="mend or delete those rows",
        )


def _check_twice(con: duckdb.DuckDBPyConnection) -> None:
    both = con.execute("""
        select record_id_l, record_id_r from reviewed_pairs where decision <> 'possible'
        group by all having count(distinct decision) > 1 order by all
    """).fetchall()
    if both:
        raise DataError(
            "a reviewed pair must not be both match and non-match",
            got=f"{len(both)} such pairs, e.g. {', '.join(f'{left} and {right}' for left, right in both[:_SHOWN])}",
            hint="keep one of the two decisions",
        )
