"""Decided pairs as a recalibration learns from them: their match weight, the decision, the pairs each stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from c360ml.lakehouse import as_relation
from c360ml.linkage.decisions import read_decisions
from c360ml.linkage.features import Features
from c360ml.linkage.recalibration import Recalibration, importance_of_strata

if TYPE_CHECKING:
    import duckdb

SAMPLED = "sampled"
"""Column that says 1 where a pair was drawn at random among those of its stratum, 0 where it was chosen."""
_BITS_PER_STRATUM = 3
_OUTERMOST_STRATUM = 5

_DECIDED = """
    with strata as (
        select {stratum} as stratum, sum(pairs) as pairs
        from {counts} join class_weights using (pattern) group by all
    ),
    decided as (
        select class_weight, {stratum} as stratum, decision = 'match' as is_match
        from decisions
        join {features} l on l.record_id = record_id_l
        join {features} r on r.record_id = record_id_r
        join scored_pairs on rid_l = least(l.rid, r.rid) and rid_r = greatest(l.rid, r.rid)
        join class_weights using (pattern)
        where decision <> 'possible'
    )
    select class_weight, is_match, pairs::double as pairs, (count(*) over (partition by stratum))::double as decisions
    from decided join strata using (stratum)
    order by class_weight, is_match
"""


def stratum(weight: str) -> str:
    """SQL of the stratum of a match weight: ranges of three bits, the outermost open.

    >>> stratum("match_weight")
    'greatest(-5, least(5, floor(match_weight / 3)))'
    """
    return f"greatest(-{_OUTERMOST_STRATUM}, least({_OUTERMOST_STRATUM}, floor({weight} / {_BITS_PER_STRATUM})))"


PATTERN_COUNTS = "(select pattern, count(*) as pairs from scored_pairs group by pattern)"
"""SQL of how many of the scored pairs have each agreement pattern."""


def recalibrate(
    con: duckdb.DuckDBPyConnection, features: Features, decisions: Any, *, counts: str = PATTERN_COUNTS
) -> Recalibration:
    """Learn a recalibration from decided pairs; reads `scored_pairs` and `class_weights(pattern, class_weight)`.

    Pairs that were never scored are left out, as they have no weight.

    Args:
        con: connection that holds those tables.
        features: the compared records.
        decisions: file or table as `read_decisions` takes it, or labelled pairs with `is_match`. If it has a column
            `sampled`, only rows are used where that is true.
        counts: how many pairs have each pattern, if `scored_pairs` are not all of them.
    """
    read_decisions(con, _fair(_worded(_opened(con, decisions)))).create_view("decisions", replace=True)
    query = _DECIDED.format(features=features.name, counts=counts, stratum=stratum("class_weight"))
    found = con.execute(query).fetchnumpy()
    importance = importance_of_strata(np.asarray(found["pairs"]), np.asarray(found["decisions"]))
    return Recalibration().fit(np.asarray(found["class_weight"]), np.asarray(found["is_match"]), importance)


def is_sampled(con: duckdb.DuckDBPyConnection, decisions: Any) -> bool:
    """Whether decisions, if there are any, tell which of them were drawn at random.

    >>> import pandas as pd; from c360ml.lakehouse import connect
    >>> is_sampled(connect(), pd.DataFrame({"record_id_l": ["a"], "sampled": [1]})), is_sampled(connect(), None)
    (True, False)
    """
    return decisions is not None and SAMPLED in _opened(con, decisions).columns


def _opened(con: duckdb.DuckDBPyConnection, decisions: Any) -> duckdb.DuckDBPyRelation:
    if not isinstance(decisions, (str, Path)):
        return as_relation(con, decisions)
    path = Path(decisions)
    return con.read_parquet(str(path)) if path.suffix == ".parquet" else con.read_csv(str(path), all_varchar=True)


def _fair(given: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    return given.filter(f"try_cast({SAMPLED} as boolean)") if SAMPLED in given.columns else given


def _worded(given: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Say match and non-match where labels say 1 and 0."""
    if "decision" in given.columns or "is_match" not in given.columns:
        return given
    words = "case when is_match::integer = 1 then 'match' else 'non-match' end as decision"
    return given.project(f"* exclude (is_match), {words}")
