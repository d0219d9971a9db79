"""Reviewers' decisions come back: checked, then merged into the project's file of reviewed pairs.

Of two decisions on one pair the later wins: the one with the later `decided_at`, or else the one read last. A
decision that lost is kept beside the file, in one whose name ends in `_history`. Both keep `sampled`, `reviewer` and
`decided_at` where they are given.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import ColumnError, ConfigError, DataError, ProjectError, SourceError
from c360ml.lakehouse import EngineError, Lakehouse
from c360ml.linkage.decisions import COLUMNS, DECISIONS
from c360ml.linkage.reviewed_groups import group_matches, parted_groups

_KEPT = ("sampled", "reviewer", "decided_at")
_WRITTEN = ", ".join((*COLUMNS, *_KEPT))
_SHOWN = 5

_JUDGED = f"""
    select answers.*,
           case when decision is null then 'empty'
                when l.record_id is null or r.record_id is null or record_id_l = record_id_r then 'unknown'
                else 'usable' end as fate
    from answers
    left join {tables.RECORDS.path} l on l.record_id = record_id_l
    left join {tables.RECORDS.path} r on r.record_id = record_id_r
"""

# Of a pair that the file decides twice, the later row; two that cannot be told apart contradict each other.
_USABLE = """
    with latest as (
        select * from judged_answers where fate = 'usable'
        qualify rank() over (partition by record_id_l, record_id_r order by moment desc nulls last) = 1
    )
    select record_id_l, record_id_r, min(decision) as decision, max(sampled) as sampled, max(reviewer) as reviewer,
           max(decided_at) as decided_at, max(moment) as moment, count(distinct decision) > 1 as contradictory
    from latest
    group by record_id_l, record_id_r
"""

_MERGED = """
    with told as (
        select *, false as is_new from known_answers where decision is not null
        union all by name
        select * exclude (contradictory), true as is_new from usable_answers where not contradictory
    )
    select * exclude (moment),
           row_number() over (
               partition by record_id_l, record_id_r
               order by coalesce(moment, case when is_new then 'infinity' else '-infinity' end::timestamptz) desc,
                        is_new desc, decision
           ) = 1 as latest
    from told
"""


@dataclass(frozen=True)
class ReviewAnswers:
    """What a file of decisions said, what was left out of it, and what the next run will change.

    `rows` are those of the file; `empty`, `unknown_ids` and `contradictory` were left out. `replaced` earlier
    decisions lost against this file's; `decided` pairs are decided now in all. `will_merge` pairs of customers become
    one, `will_split` customers come apart.
    """

    file: Path
    rows: int
    empty: int
    unknown_ids: int
    contradictory: int
    matches: int
    non_matches: int
    possible: int
    replaced: int
    will_merge: int
    will_split: int
    decided: int


def read_answers(lake: Lakehouse, config: Config, file: Path) -> ReviewAnswers:
    """Merge a file of decisions into the project's reviewed pairs; the next run obeys them and learns from them.

    Args:
        lake: the project's lakehouse.
        config: its settings, which name the file of reviewed pairs.
        file: CSV with `record_id_l, record_id_r, decision`, and `sampled, reviewer, decided_at` if known. Rows
            without a decision, of unknown records, or with two decisions on one pair of which none is the later are
            left out and counted.

    Raises:
        SourceError: the file is missing, or no CSV in UTF-8.
        ColumnError: a column is missing, or a decision is none of match, non-match, possible.
        DataError: matches and non-matches contradict each other through other pairs.
        TableError: the project was never run.
    """
    for table in (tables.RECORDS, tables.IDENTITIES):
        lake.open(table)
    target = _open_both(lake, config, file)
    for name, query in (("judged_answers", _JUDGED), ("usable_answers", _USABLE), ("merged_answers", _MERGED)):
        lake.rows(f"create or replace temp table {name} as {query}")
    _check_agreement(lake)
    answers = ReviewAnswers(target, *_counts(lake), *_changes(lake))
    _write(lake, target, f"select {_WRITTEN} from merged_answers where latest")
    if answers.replaced:
        _write_history(lake, target.with_name(f"{target.stem}_history.csv"))
    return answers


def check_nothing_is_lost(lake: Lakehouse, config: Config, file: Path) -> None:
    """Refuse to write over a file with decisions that were not read back.

    Raises:
        ProjectError: it holds such decisions.
    """
    if not file.is_file():
        return
    _open_both(lake, config, file)
    unread = lake.one("""
        select count(*) from answers anti join known_answers using (record_id_l, record_id_r)
        where decision is not null
    """)
    if unread:
        raise ProjectError(
            f"{file.name} must be read back before it is written again",
            got=f"{unread} decisions that were not read",
            hint=f"c360ml review --read {file}, or name another file with --out",
        )


def _open_both(lake: Lakehouse, config: Config, file: Path) -> Path:
    """Show a file of decisions as `answers` and those known before as `known_answers`; gives the latter's path."""
    target = lake.folder / config.linkage.reviewed_pairs
    if target.suffix == ".parquet":
        raise ConfigError("reviewed_pairs must be a CSV to take decisions in", got=target.name, hint="name a .csv")
    _open(lake, file, "answers")
    if target.is_file():
        _open(lake, target, "known_answers")
    else:
        lake.rows("create or replace temp table known_answers as from answers limit 0")
    return target


def _open(lake: Lakehouse, file: Path, name: str) -> None:
    """Show a CSV of decisions as a temporary table: trimmed text, the lesser id first, other columns left out."""
    rule = "decisions must be a CSV in UTF-8"
    if not file.is_file():
        raise SourceError(rule, got=f"no file {file}", hint="mend the path")
    try:
        given = lake.con.read_csv(str(file), all_varchar=True, header=True)
        missing = [column for column in COLUMNS if column not in given.columns]
        given.create_view("given_answers", replace=True)
        told = [f"trim({each})" if each in given.columns else "null::varchar" for each in (*COLUMNS, *_KEPT)]
        if not missing:
            lake.rows(f"create or replace temp table {name} as {_trimmed(*told)}")
    except EngineError:
        raise SourceError(rule, got=f"{file.name}, which cannot be read", hint="export it again") from None
    if missing:
        raise ColumnError(
            f"decisions must have the columns {', '.join(COLUMNS)}", got=f"no {missing}", hint="add or rename them"
        )
    wrong = lake.one(f"select count(*) from {name} where not list_contains($words, decision)", {"words": [*DECISIONS]})
    if wrong:
        raise ColumnError(
            f"decision must be empty or one of {', '.join(DECISIONS)}",
            got=f"{wrong} rows of {file.name} where it is not",
            hint="mend those rows",
        )


def _trimmed(left: str, right: str, decision: str, sampled: str, reviewer: str, decided_at: str) -> str:
    return f"""
        with trimmed as (
            select nullif({left}, '') as l, nullif({right}, '') as r, nullif(lower({decision}), '') as decision,
                   nullif({sampled}, '') as sampled, nullif({reviewer}, '') as reviewer,
                   nullif({decided_at}, '') as decided_at
            from given_answers
        )
        select case when l <= r then l else r end as record_id_l, case when l <= r then r else l end as record_id_r,
               decision, sampled, reviewer, decided_at, try_cast(decided_at as timestamptz) as moment
        from trimmed
    """


def _check_agreement(lake: Lakehouse) -> None:
    """Find pairs decided as non-match that decided matches join through other records."""
    lake.rows("create or replace temp table agreed_answers as from merged_answers where latest")
    group_matches(lake, "agreed_answers")
    at_odds = lake.rows(f"select one from ({parted_groups('agreed_answers')}) where one = other order by one")
    if at_odds:
        shown = ", ".join(row[0] for row in at_odds[:_SHOWN])
        raise DataError(
            "matches must not join records that a non-match keeps apart",
            got=f"{len(at_odds)} groups of matches with a non-match inside, e.g. around {shown}",
            hint="decide those pairs again; nothing was merged",
        )


def _counts(lake: Lakehouse) -> tuple[int, int, int, int, int, int, int]:
    """Count rows, then those left out as empty, unknown and contradictory, then the decisions taken."""
    rows, empty, unknown = lake.rows("""
        select count(*), count(*) filter (fate = 'empty'), count(*) filter (fate = 'unknown') from judged_answers
    """)[0]
    contradictory, matches, non_matches, possible = lake.rows("""
        select count(*) filter (contradictory), count(*) filter (not contradictory and decision = 'match'),
               count(*) filter (not contradictory and decision = 'non-match'),
               count(*) filter (not contradictory and decision = 'possible')
        from usable_answers
    """)[0]
    return rows, empty, unknown, contradictory, matches, non_matches, possible


def _changes(lake: Lakehouse) -> tuple[int, int, int, int]:
    """Count decisions replaced, customers to merge, customers to split, and all decided pairs."""
    replaced, decided = lake.rows(f"""
        select (select count(*) from ({_REPLACED})), count(*) filter (latest) from merged_answers
    """)[0]
    merges, splits = lake.rows(f"""
        select count(distinct [least(l.master_id, r.master_id), greatest(l.master_id, r.master_id)])
                   filter (decision = 'match' and l.master_id <> r.master_id),
               count(distinct l.master_id) filter (decision = 'non-match' and l.master_id = r.master_id)
        from merged_answers
        join {tables.IDENTITIES.path} l on l.record_id = record_id_l
        join {tables.IDENTITIES.path} r on r.record_id = record_id_r
        where latest and is_new
    """)[0]
    return replaced, merges, splits, decided


_REPLACED = f"""
    select distinct {", ".join(f"lost.{name}" for name in (*COLUMNS, *_KEPT))}
    from merged_answers lost join merged_answers won using (record_id_l, record_id_r)
    where won.latest and not lost.latest and lost.decision <> won.decision
"""


def _write_history(lake: Lakehouse, file: Path) -> None:
    query = _REPLACED
    if file.is_file():
        _open(lake, file, "lost_answers")
        query = f"select {_WRITTEN} from lost_answers union {_REPLACED}"
    _write(lake, file, query)


def _write(lake: Lakehouse, file: Path, query: str) -> None:
    """Write a CSV, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    lake.sql(f"select * from ({query}) order by all").write_csv(str(partial), header=True)
    partial.replace(file)
