"""What blocking did: each rule measured, what was skipped, hub values, and how many matches were found, estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from c360ml.lakehouse import as_relation
from c360ml.linkage.blocking import BlockedRule
from c360ml.linkage.blocking_parts import BlockingRule, part
from c360ml.linkage.capture_recapture import RecallEstimate, estimate_recall
from c360ml.linkage.evaluation_tables import require_columns
from c360ml.linkage.features import Features
from c360ml.linkage.hubs import hub_list

if TYPE_CHECKING:
    import duckdb

_LEAST_PROBABILITY = 0.02
_NAMES = ("name", "given", "surname")
HUBS_SHOWN = 50


def report_blocking(
    con: duckdb.DuckDBPyConnection, features: Features, blocked: tuple[BlockedRule, ...], truth: Any = None
) -> dict[str, Any]:
    """Report on the blocking of scored pairs: see `LinkageModel.blocking_report`."""
    rules = [{**each.summary(), **found} for each, found in zip(blocked, _found(con, features, blocked), strict=True)]
    candidates, matches = con.execute("""
        select count(*), coalesce(sum(match_probability), 0) from scored_pairs join pattern_weights using (pattern)
        where blocked
    """).fetchall()[0]
    estimate = _estimate(con, features, tuple(each.rule for each in blocked if each.chosen))
    return {
        "records": features.records,
        "all_pairs": features.records * (features.records - 1) // 2,
        "candidate_pairs": int(candidates),
        "expected_matches": round(float(matches), 3),
        "hot_pairs_skipped": sum(each.hot_pairs for each in blocked if each.chosen),
        "rules": rules,
        "hubs": _hubs(con),
        "estimated_recall": estimate.to_dict() if estimate else None,
        "true_recall": None if truth is None else _true_recall(con, features, truth),
    }


def _found(
    con: duckdb.DuckDBPyConnection, features: Features, blocked: tuple[BlockedRule, ...]
) -> list[dict[str, float | None]]:
    """What each chosen rule found in the end: candidate pairs and expected matches, in all and first."""
    chosen = [each.rule for each in blocked if each.chosen]
    holds = [f"l.{rule.column} = r.{rule.column}" for rule in chosen]
    first = " ".join(f"when {condition} then {number}" for number, condition in enumerate(holds))
    answers = con.execute(f"""
        select case {first} end as rule, count(*), sum(match_probability)
        from scored_pairs join pattern_weights using (pattern)
        join {features.name} l on l.rid = rid_l join {features.name} r on r.rid = rid_r
        where blocked group by rule
    """).fetchall()
    by_rule = {number: (int(pairs), round(float(matches), 3)) for number, pairs, matches in answers}
    numbers = iter(range(len(chosen)))
    found: list[dict[str, float | None]] = []
    for each in blocked:
        pairs, matches = by_rule.get(next(numbers), (0, 0.0)) if each.chosen else (None, None)
        found.append({"first_found_pairs": pairs, "first_found_matches": matches})
    return found


def _estimate(
    con: duckdb.DuckDBPyConnection, features: Features, rules: tuple[BlockingRule, ...]
) -> RecallEstimate | None:
    """Capture-recapture on the likely matches, weighted by their probability."""
    names = sorted({name for rule in rules for name in rule.parts})
    agree = ", ".join(f"coalesce(({_sided(name, 'l')}) = ({_sided(name, 'r')}), false) as {name}" for name in names)
    parts = ", ".join(f"hash({part(name).sql}) as {name}, ({part(name).sql}) is null as no_{name}" for name in names)
    con.execute(f"create or replace temp table captured_parts as select rid, {parts} from {features.name}").fetchall()
    patterns = con.execute(f"""
        select {agree}, sum(match_probability) as expected
        from scored_pairs join pattern_weights using (pattern)
        join captured_parts l on l.rid = rid_l join captured_parts r on r.rid = rid_r
        where blocked and match_probability >= {_LEAST_PROBABILITY}
        group by all order by all
    """).fetchnumpy()
    con.execute("drop table captured_parts").fetchall()
    if not len(patterns["expected"]):
        return None
    kinds = ["names" if part(name).kind in _NAMES else part(name).kind for name in names]
    columns = np.stack([np.asarray(patterns[name], dtype=bool) for name in names], axis=1)
    numbered = [tuple(names.index(name) for name in rule.parts) for rule in rules]
    return estimate_recall(columns, np.asarray(patterns["expected"], dtype=np.float64), kinds, numbered)


def _sided(name: str, side: str) -> str:
    return f"case when not {side}.no_{name} then {side}.{name} end"


def _hubs(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    rows = con.execute(hub_list()).fetchall()
    names = ("kind", "record_id", "records", "names", "births", "why")
    kinds: dict[str, int] = {}
    for row in rows:
        kinds[row[0]] = kinds.get(row[0], 0) + 1
    return {"values_by_kind": kinds, "largest": [dict(zip(names, row, strict=True)) for row in rows[:HUBS_SHOWN]]}


def _true_recall(con: duckdb.DuckDBPyConnection, features: Features, truth: Any) -> dict[str, float]:
    """Count the pairs of one true identity, and those that blocking found."""
    given = as_relation(con, truth)
    require_columns(given, "truth", ("record_id", "true_id"))
    given.filter("true_id is not null").create_view("blocking_truth", replace=True)
    con.execute(f"""
        create or replace temp table true_records as
        select rid, true_id from {features.name}
        join blocking_truth on cast(blocking_truth.record_id as varchar) = {features.name}.record_id
    """).fetchall()
    true, found = con.execute("""
        with sizes as (select count(*) as n from true_records group by true_id)
        select (select coalesce(sum(n * (n - 1) // 2), 0) from sizes),
               (select count(*) from scored_pairs join true_records l on l.rid = rid_l
                join true_records r on r.rid = rid_r where blocked and l.true_id = r.true_id)
    """).fetchall()[0]
    con.execute("drop table true_records").fetchall()
    return {"true_pairs": int(true), "found": int(found), "recall": found / true if true else 1.0}
