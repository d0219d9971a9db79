"""Validate what was landed since: rows of files that are new or changed, and rows whose fate hangs on them.

A row's fate hangs on others in two ways: of rows with one key the latest counts, and what lies in the future today lies
in the past tomorrow. So beside the rows of changed files these are judged again: dead letters of the future; deleted
rows, which outlast later ones; and repeated rows, which may be the latest now, or the first that says what the latest
does. Of accepted rows only those are looked at whose key comes again.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.sources.field_maps import ENTITIES, Entity
from c360ml.sources.files import sql_text
from c360ml.sources.validation import (
    NO_REFUSED,
    REFUSE,
    WRITES,
    check_columns,
    judged_sql,
    note_valid,
    prepare,
    repeated_sql,
    rules_digest,
    sources_of,
    validate,
)
from c360ml.table_changes import known_inputs, lost_and_gained, versions_of


def append_valid(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Bring the bronze tables and dead letters up to date with `bronze.source_rows`.

    Raises:
        ColumnError: a file lacks a column without which none of its rows can be used.
        ConfigError: a source maps a column that is none, or names a customer source that is none.
    """
    known = prepare(lake, config)
    reads = (tables.SOURCE_ROWS,)
    versions = known_inputs(lake, tables.VALIDATION_INPUTS, rules=rules_digest(known), read=reads, wrote=WRITES)
    found = None if versions is None else lost_and_gained(lake, tables.SOURCE_ROWS, versions[tables.SOURCE_ROWS.path])
    if found is None:
        return validate(lake, config)
    lost, gained = found
    read = versions_of(lake, reads)
    with ExitStack() as stack:
        stack.enter_context(lake.scratch("changed_files", _CHANGED_FILES.format(lost=lost, gained=gained)))
        if lake.one(_ALL_CHANGED.format(gained=gained)):
            return validate(lake, config)
        for table in WRITES:
            lake.open(table)
        stack.enter_context(lake.scratch("letters_again", _LETTERS_AGAIN))
        kinds = " ".join(f"when {sql_text(source.name)} then {sql_text(source.kind)}" for source in known.sources)
        stack.enter_context(lake.scratch("rows_again", _ROWS_AGAIN.format(gained=gained, kinds=kinds)))
        lake.say(f"{lake.one('select count(*) from rows_again'):,} rows to judge")
        stack.enter_context(lake.scratch("refused", NO_REFUSED))
        for entity in ENTITIES:
            if sources_of(known, entity):
                _append_entity(lake, known, entity)
        _amend_dead_letters(lake, gained)
    return note_valid(lake, known, read)


# A file that was landed again has another time of landing. `now` and `before`: whether it is, and was, there.
_CHANGED_FILES = """
    with before as (select distinct source, file, loaded_at from ({lost})),
    now as (select distinct source, file, loaded_at from ({gained}))
    select source, file, max(loaded_at) filter (there) as landed_at, bool_or(there) as now, bool_or(not there) as before
    from (
        select *, false as there from before anti join now using (source, file, loaded_at)
        union all
        select *, true as there from now anti join before using (source, file, loaded_at)
    )
    group by source, file
"""
_ALL_CHANGED = f"""
    select (select count(*) from ({{gained}}) semi join (from changed_files where now) using (source, file))
        = (select count(*) from {tables.SOURCE_ROWS.path})
"""
_LETTERS_AGAIN = f"""
    select letters.*
    from {tables.DEAD_LETTERS.path} as letters anti join changed_files using (source, file)
    where reason in ('date_in_future', 'deleted_in_source', 'duplicate_key')
"""
# All are judged at one moment, as if they had been landed together.
_ROWS_AGAIN = """
    select landed.* replace ((select max(landed_at) from changed_files) as loaded_at)
    from ({gained}) as landed semi join (from changed_files where now) using (source, file)
    union all by name
    select source, case source {kinds} end as kind, file, row_number, md5(raw) as row_hash,
        coalesce((select max(landed_at) from changed_files), loaded_at) as loaded_at, raw
    from letters_again
"""


def _append_entity(lake: Lakehouse, config: Config, entity: Entity) -> None:
    """Amend the table of one entity, and add what is refused now to `refused`."""
    columns = ", ".join(entity.table.columns)
    judged = " union all ".join(judged_sql(source, "rows_again") for source in sources_of(config, entity))
    with lake.scratch("judged", judged):
        with lake.scratch("judged_before", "from judged"):
            lake.rows("delete from judged where (source, file) not in (select (source, file) from changed_files)")
            for source in sources_of(config, entity):
                check_columns(lake, source)
            lake.rows("create or replace temp table judged as from judged_before")
        with (
            lake.scratch("rivals", _RIVALS.format(columns=columns, table=entity.table.path)),
            lake.scratch("gone_rows", _OF_CHANGED_FILES.format(table=entity.table.path)),
        ):
            lake.rows("insert into judged by name select *, null as reason from rivals")
            with lake.scratch("repeated", repeated_sql(entity)):
                lake.rows(REFUSE, {"entity": entity.name})
                lake.rows(_ADD_BEATEN)
                gained = f"""
                    select {columns}
                    from judged
                    anti join repeated using (source, file, row_number)
                    anti join rivals using (source, file, row_number)
                    where reason is null
                """
                _amend(lake, entity, gained)


def _amend(lake: Lakehouse, entity: Entity, gained: str) -> None:
    lost, more = lake.one("select count(*) from gone_rows"), lake.one(f"select count(*) from ({gained})")
    if lost or more:
        lake.amend(entity.table, gained, lost="gone_rows" if lost else None)
        lake.say(f"{entity.name}: {more:,} accepted, {lost:,} replaced")


_RIVALS = """
    select {columns}
    from {table}
    semi join (select source, source_key from judged) using (source, source_key)
    anti join changed_files using (source, file)
"""
_OF_CHANGED_FILES = """
    select source, file, row_number from {table} semi join (from changed_files where before) using (source, file)
"""
_ADD_BEATEN = """
    insert into gone_rows
    select source, file, row_number from rivals semi join repeated using (source, file, row_number)
"""


def _amend_dead_letters(lake: Lakehouse, gained: str) -> None:
    """Take letters out whose file changed or whose fate did, and put in what is refused now and was not before."""
    with (
        lake.scratch("gone_letters", _GONE_LETTERS),
        lake.scratch("more_refused", _MORE_REFUSED),
        lake.scratch("newly_refused", _NEWLY_REFUSED),
        lake.scratch("more_letters", _MORE_LETTERS.format(gained=gained, files=_files_accepted_before(lake))),
    ):
        lost, more = lake.one("select count(*) from gone_letters"), lake.one("select count(*) from more_letters")
        if lost or more:
            lake.amend(tables.DEAD_LETTERS, "from more_letters", lost="gone_letters" if lost else None)


_GONE_LETTERS = f"""
    select source, file, row_number
    from {tables.DEAD_LETTERS.path} semi join (from changed_files where before) using (source, file)
    union all
    select source, file, row_number
    from letters_again anti join refused using (source, file, row_number, reason)
"""
_MORE_REFUSED = """
    select refused.* from refused anti join letters_again using (source, file, row_number, reason)
"""
_NEWLY_REFUSED = """
    select more_refused.*, changed_files.now is true as landed_now
    from more_refused anti join letters_again using (source, file, row_number)
    left join changed_files using (source, file)
"""
# Rows that were accepted before have to be looked up among all landed rows: those of a few files.
_MORE_LETTERS = f"""
    select source, file, row_number, entity, more_refused.reason, raw, loaded_at
    from more_refused join letters_again using (source, file, row_number, entity)
    union all by name
    select source, file, row_number, entity, reason, raw, loaded_at
    from (from newly_refused where landed_now) join ({{gained}}) using (source, file, row_number)
    union all by name
    select source, file, row_number, entity, reason, raw, loaded_at
    from (from newly_refused where not landed_now)
    join (from {tables.SOURCE_ROWS.path} where file in ({{files}})) using (source, file, row_number)
"""


def _files_accepted_before(lake: Lakehouse) -> str:
    """List, as SQL, the files of the rows that are refused now and were accepted before."""
    found = lake.rows("select distinct file from newly_refused where not landed_now order by file")
    return ", ".join(sql_text(file) for (file,) in found) or "null"
