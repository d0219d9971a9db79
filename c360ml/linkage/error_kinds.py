"""Which errors there are: false merges and missed links by kind, and where recall is lost on the way.

Kinds follow from how the fields of a pair compare (its agreement pattern), by the first rule that fits, so that
kinds are disjoint and every error has one. Examples are record ids, never values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.evaluation_tables import JUDGED, CountedPairs

if TYPE_CHECKING:
    import duckdb

    from c360ml.linkage.error_comparison import ErrorComparison
    from c360ml.linkage.splink_engine import SplinkEngine

MOST_COMPARED = 200_000
"""Error pairs of each side that are looked at; beyond, a sample of left records stands for all."""
MOST_EXAMPLES = 5
FALSE_MERGES, MISSED_LINKS = "false_merges", "missed_links"
MEANINGS = {
    "household merge": "surname or address agrees, the given name differs",
    "namesake merge": "the names agree, birth, contacts or address do not",
    "shared contact": "an e-mail, phone or address agrees, the names do not",
    "other merge": "nothing that stands out agrees",
    "cut by clustering": "the pair was a link, and was put into two clusters",
    "name change": "the surname differs",
    "move": "the address differs",
    "given name otherwise": "the given name is a nickname, an initial, or another",
    "missing value": "fewer than half of the fields are filled in both records",
    "typing error": "a field is spelled otherwise or differs",
    "never compared": "nothing that stands out differs, and blocking did not bring the pair together",
    "weak evidence": "what agrees is too common to tell",
    "linked directly": "the pair was a link",
    "drawn together": "the pair was no link; other links put it into one cluster",
    "scored too low": "the pair was scored, and was no link",
    "not scored": "the pair is not among the scored pairs",
    "wrongly joined": "two people in one cluster; scored pairs would tell why",
    "wrongly apart": "one person in two clusters; scored pairs would tell why",
}
_NOT_IDENTIFYING = {"suffix", "middle_name", "gender"}
_MISSING, _DIFFERENT, _NEAR, _SAME = -1, 0, 1, 2

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


def recall_steps(counted: CountedPairs, *, true_pairs: float, right_pairs: float) -> dict[str, float]:
    """Follow true pairs on their way: brought together, scored as links, kept in one cluster; and those gained.

    `pairwise_recall` is `compared_share * linked_share * kept_share + gained_share`.

    Args:
        counted: scored pairs.
        true_pairs: all true pairs.
        right_pairs: true pairs that ended in one cluster.
    """
    true = counted.only(counted.true)
    compared = true.pairs[true.blocked].sum()
    linked = true.pairs[true.blocked & true.linked].sum()
    kept = true.pairs[true.blocked & true.linked & true.together].sum()
    gained = right_pairs - kept
    shares = {
        "compared_share": _share(compared, true_pairs),
        "linked_share": _share(linked, compared),
        "kept_share": _share(kept, linked),
        "gained_share": _share(gained, true_pairs) if true_pairs else 0.0,
    }
    counts = {"true_pairs": true_pairs, "compared_pairs": compared, "linked_pairs": linked, "kept_pairs": kept}
    return {**{name: int(value) for name, value in counts.items()}, "gained_pairs": int(gained), **shares}


def _share(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 1.0


def find_error_pairs(con: duckdb.DuckDBPyConnection, *, false_pairs: float, missed_pairs: float) -> str:
    """Write `error_pairs(rid_l, rid_r, side)` of `judged_records`, a sample of each side if it is large."""
    every_false, every_missed = (max(1, math.ceil(pairs / MOST_COMPARED)) for pairs in (false_pairs, missed_pairs))
    con.execute(f"""
        create or replace temp table error_pairs as
        select l.rid as rid_l, r.rid as rid_r, '{FALSE_MERGES}' as side
        from {JUDGED} l join {JUDGED} r on l.cluster_no = r.cluster_no and l.rid < r.rid
        where l.true_no <> r.true_no and hash(l.rid) % {every_false} = 0
        union all
        select l.rid, r.rid, '{MISSED_LINKS}'
        from {JUDGED} l join {JUDGED} r on l.true_no = r.true_no and l.rid < r.rid
        where l.cluster_no <> r.cluster_no and hash(l.rid) % {every_missed} = 0
    """).fetchall()
    return "error_pairs"


def label_error_pairs(con: duckdb.DuckDBPyConnection, labels: str, clusters: str, numbered: str) -> str:
    """Write `error_pairs` of labelled pairs `labels(record_id_l, record_id_r, decision)`."""
    con.execute(f"""
        create or replace temp table error_pairs as
        select least(a.rid, b.rid) as rid_l, greatest(a.rid, b.rid) as rid_r,
               if(decision = 'match', '{MISSED_LINKS}', '{FALSE_MERGES}') as side
        from {labels}
        join {clusters} l on l.record_id = record_id_l join {clusters} r on r.record_id = record_id_r
        join {numbered} a on a.record_id = record_id_l join {numbered} b on b.record_id = record_id_r
        where (decision = 'match' and l.cluster_id <> r.cluster_id)
           or (decision = 'non-match' and l.cluster_id = r.cluster_id)
    """).fetchall()
    return "error_pairs"


def error_kinds(
    con: duckdb.DuckDBPyConnection,
    scored: str | None,
    totals: dict[str, float],
    *,
    threshold: float,
    numbered: str = JUDGED,
    engine: SplinkEngine | ErrorComparison | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Count `error_pairs` by kind, most frequent first.

    Args:
        con: connection that holds `error_pairs`.
        scored: `rid_l, rid_r, match_probability, blocked`; without it all pairs count as never compared.
        totals: errors of each side, of which `error_pairs` may hold a sample.
        threshold: pairs more likely than this are links.
        numbered: table with `rid` and `record_id`.
        engine: compares the pairs; without it kinds only say what the matcher did with a pair.

    Returns:
        Per side a list of `kind`, `meaning`, `pairs`, `share`, `never_compared`, `not_linked` (pairs of the kind
        that were compared but were no link themselves) and up to five `examples` (pairs of record ids).
    """
    stage = _staged(con, scored, threshold)
    patterns = "(select rid_l, rid_r, 0 as pattern from error_pairs)"
    if engine is not None:
        patterns = engine.compare("error_pairs", into="error_vectors")
    con.execute(f"""
        create or replace temp table staged_errors as
        select rid_l, rid_r, side, stage, pattern from {stage} join {patterns} using (rid_l, rid_r)
    """).fetchall()
    _register_kinds(con, engine, unscored=scored is None)
    rows = con.execute(f"""
        with kinds as (from staged_errors join kind_of using (side, stage, pattern)),
        ranked as (
            select *, row_number() over (partition by side, kind order by rid_l, rid_r) as rank from kinds
        )
        select side, kind, count(*), count(*) filter (stage = 'never'), count(*) filter (stage = 'low'),
               list([l.record_id, r.record_id] order by rank) filter (rank <= {MOST_EXAMPLES})
        from ranked
        left join {numbered} l on l.rid = rid_l and rank <= {MOST_EXAMPLES}
        left join {numbered} r on r.rid = rid_r and rank <= {MOST_EXAMPLES}
        group by side, kind order by count(*) desc, kind
    """).fetchall()
    for table in ("error_pairs", "staged_errors", "kind_of", "error_vectors"):
        con.execute(f"drop table if exists {table}").fetchall()
    return {side: _kind_rows([row[1:] for row in rows if row[0] == side], totals[side]) for side in totals}


def _staged(con: duckdb.DuckDBPyConnection, scored: str | None, threshold: float) -> str:
    if scored is None:
        return "(select *, 'never' as stage from error_pairs)"
    return f"""(
        select error_pairs.*,
               case when p.rid_l is null then 'never' when p.match_probability > {threshold!r} then 'linked'
                    when p.blocked then 'low' else 'never' end as stage
        from error_pairs left join {scored} p on p.rid_l = error_pairs.rid_l and p.rid_r = error_pairs.rid_r
    )"""


def _kind_rows(rows: list[tuple[Any, ...]], total: float) -> list[dict[str, Any]]:
    examined = sum(row[1] for row in rows)
    scale = total / examined if examined else 1.0
    return [
        {
            "kind": kind,
            "meaning": MEANINGS[kind],
            "pairs": round(pairs * scale),
            "share": pairs / examined,
            "never_compared": round(never * scale),
            "not_linked": round(low * scale),
            "examples": [list(pair) for pair in examples],
        }
        for kind, pairs, never, low, examples in rows
    ]


def _register_kinds(
    con: duckdb.DuckDBPyConnection, engine: SplinkEngine | ErrorComparison | None, *, unscored: bool
) -> None:
    """Write `kind_of(side, stage, pattern, kind)` for the distinct combinations of `staged_errors`."""
    found = con.execute("select distinct side, stage, pattern from staged_errors order by all").fetchnumpy()
    side, stage = (np.asarray(found[name], dtype=object) for name in ("side", "stage"))
    patterns = np.asarray(found["pattern"], dtype=np.int64)
    linked, never, merged = stage == "linked", stage == "never", side == FALSE_MERGES
    if engine is None:
        kinds = np.where(merged, "wrongly joined", "wrongly apart") if unscored else _fates(merged, linked, never)
    else:
        agreement = Agreement(engine.comparisons, engine.digits(patterns))
        kinds = np.where(merged, merge_kinds(agreement), miss_kinds(agreement, linked=linked, never=never))
    table = pa.table({"side": side, "stage": stage, "pattern": patterns, "kind": kinds.astype(object)})
    con.register("kinds_arrow", table)
    con.execute("create or replace temp table kind_of as from kinds_arrow").fetchall()
    con.unregister("kinds_arrow")


def _fates(merged: Flags, linked: Flags, never: Flags) -> NDArray[np.str_]:
    """Say what the matcher did with a pair, where nobody can tell how its fields compare."""
    missed = np.select([linked, never], ["cut by clustering", "not scored"], "scored too low")
    return np.where(merged, np.where(linked, "linked directly", "drawn together"), missed)


class Agreement:
    """How each field of some patterns compares: missing, different, near (some agreement) or same (full)."""

    def __init__(self, comparisons: tuple[Comparison, ...], digits: Ints) -> None:
        self.patterns = len(digits)
        self._states = {
            comparison.name: _states(comparison, digits[:, position]) for position, comparison in enumerate(comparisons)
        }

    def same(self, *names: str) -> Flags:
        """Whether any of the fields agrees fully."""
        return self._any(names, {_SAME})

    def alike(self, *names: str) -> Flags:
        """Whether any of the fields agrees, fully or nearly."""
        return self._any(names, {_SAME, _NEAR})

    def differs(self, *names: str) -> Flags:
        """Whether any of the fields is different."""
        return self._any(names, {_DIFFERENT})

    def unlike(self, *names: str) -> Flags:
        """Whether any of the fields is filled and does not agree fully."""
        return self._any(names, {_DIFFERENT, _NEAR})

    @property
    def names(self) -> tuple[str, ...]:
        """The fields compared."""
        return tuple(self._states)

    def mostly_missing(self) -> Flags:
        """Whether fewer than half of the identifying fields are filled in both records."""
        fields = [state for name, state in self._states.items() if name not in _NOT_IDENTIFYING]
        filled = sum(((state != _MISSING).astype(int) for state in fields), np.zeros(self.patterns, dtype=int))
        few: Flags = 2 * filled < len(fields)
        return few

    def _any(self, names: tuple[str, ...], wanted: set[int]) -> Flags:
        found = np.zeros(self.patterns, dtype=bool)
        for name in names:
            if name in self._states:
                found |= np.isin(self._states[name], list(wanted))
        return found


def _states(comparison: Comparison, digits: Ints) -> Ints:
    full = np.array(comparison.full)[np.maximum(digits, 0)]
    states: Ints = np.where(digits < 0, _MISSING, np.where(full, _SAME, np.where(digits == 0, _DIFFERENT, _NEAR)))
    return states


def merge_kinds(fields: Agreement) -> NDArray[np.str_]:
    """Name the kind of false merges, by the first rule that fits."""
    names_agree = (fields.alike("given_name") & fields.alike("surname")) | fields.alike("full_name")
    elsewhere = fields.unlike("date_of_birth", "national_id", "email", "phone", "street", "place")
    rules = {
        "household merge": (fields.differs("given_name") & fields.same("surname"))
        | (fields.unlike("given_name") & fields.same("street")),
        "namesake merge": names_agree & elsewhere,
        "shared contact": fields.same("email", "phone", "street"),
    }
    return np.select(list(rules.values()), list(rules), "other merge")


def miss_kinds(fields: Agreement, *, linked: Flags, never: Flags) -> NDArray[np.str_]:
    """Name the kind of missed links, by the first rule that fits."""
    has_street = fields.alike("street") | fields.differs("street")
    rules = {
        "cut by clustering": linked,
        "name change": fields.differs("surname", "full_name"),
        "move": fields.differs("street") | (fields.differs("place") & ~has_street),
        "given name otherwise": fields.unlike("given_name"),
        "missing value": fields.mostly_missing(),
        "typing error": fields.unlike(*fields.names),
        "never compared": never,
    }
    return np.select(list(rules.values()), list(rules), "weak evidence")
