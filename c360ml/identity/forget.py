"""Who a person is that asked to be forgotten, and which rows of which tables are theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from c360ml import tables
from c360ml.errors import DataError
from c360ml.identity.ledger import next_version, valid_history
from c360ml.identity.tombstones import is_forgotten
from c360ml.lakehouse import Lakehouse
from c360ml.tables import Table

SHORTEST_VALUE = 6
"""Shorter values than this are too common to be searched for."""


@dataclass(frozen=True)
class Person:
    """A person to be forgotten: record ids, master IDs (retired ones too), e-mails and values of nobody else."""

    records: tuple[str, ...]
    master_ids: tuple[str, ...]
    emails: tuple[str, ...]
    values: tuple[str, ...]

    @cached_property
    def pattern(self) -> str:
        """Regular expression of all that must be nowhere, each as a whole: `crm:1` is not `crm:12`.

        >>> re.findall(Person(("crm:1",), (), (), ()).pattern, "crm:12 crm:1", re.ASCII)
        [(' ', 'crm:1')]
        """
        every = sorted(
            {*self.records, *self.master_ids, *self.emails, *self.values}, key=lambda value: (-len(value), value)
        )
        return rf"(?i)(^|[^\w.+@:-])({'|'.join(map(_escaped, every))})(?:$|[^\w@-])"

    def to_dict(self) -> dict[str, list[str]]:
        """Plain lists, for the note that a killed command leaves."""
        return {name: list(getattr(self, name)) for name in ("records", "master_ids", "emails", "values")}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Person:
        """Read what `to_dict` wrote."""
        return cls(*(tuple(content[name]) for name in ("records", "master_ids", "emails", "values")))


def _escaped(text: str) -> str:
    # RE2, which DuckDB uses, knows fewer escapes than Python, and every escaped punctuation.
    return re.sub(r"([^\w ])", r"\\\1", text, flags=re.ASCII)


def find_person(lake: Lakehouse, *, record: str | None = None, master_id: str | None = None) -> Person:
    """Find all records, IDs and values of a person named by one of their records or by a master ID.

    Raises:
        DataError: the project knows no such record or ID, or has forgotten it.
        TableError: the project was never run.
    """
    kind, name = ("record", record) if record is not None else ("master_id", master_id)
    for table in (tables.IDENTITIES, tables.MASTER_REDIRECTS, tables.RECORDS, tables.EVENTS, tables.DIGITAL_EVENTS):
        lake.open(table)
    masters = _column(lake, _MASTERS_OF[kind], {"name": name})
    records = _column(lake, _RECORDS.format(history=valid_history(lake)), {"masters": masters})
    if kind == "record" and name not in records:
        records += _column(
            lake, f"select distinct record_id from {valid_history(lake)} where record_id = $name", {"name": name}
        )
    if not (masters or records):
        forgotten = is_forgotten(lake, kind, str(name))
        raise DataError(
            "a person to forget must be named by a record or master ID of the project",
            got="one that is forgotten already" if forgotten else repr(name),
            hint="nothing is left to do" if forgotten else "write a record as SOURCE:KEY",
        )
    found = {"records": records, "masters": masters, "shortest": SHORTEST_VALUE}
    return Person(
        tuple(records),
        tuple(masters),
        tuple(_column(lake, _EMAILS, {"records": records, "masters": masters})),
        tuple(_column(lake, _VALUES, {"records": records, "shortest": found["shortest"]})),
    )


def _column(lake: Lakehouse, query: str, parameters: dict[str, Any]) -> list[str]:
    return [str(row[0]) for row in lake.rows(query, parameters)]


_ALL_IDS = """
    with living as ({living})
    select master_id from living
    union
    select retired_master_id from silver.master_redirects semi join living using (master_id)
    order by 1
"""
_MASTERS_OF = {
    "record": _ALL_IDS.format(living="select master_id from silver.identities where record_id = $name"),
    "master_id": _ALL_IDS.format(
        living="""
            select master_id from silver.identities where master_id = $name
            union
            select master_id from silver.master_redirects where retired_master_id = $name and master_id is not null
        """
    ),
}
_RECORDS = """
    select record_id from silver.identities where list_contains($masters::varchar[], master_id)
    union
    select record_id from {history} as history
    anti join silver.identities using (record_id)
    where list_contains($masters::varchar[], history.master_id)
    order by 1
"""
_THEIRS = "list_contains($records::varchar[], record_id)"
# What another record holds too is not this person's alone: a family's number stays with the family.
_EMAILS = f"""
    with theirs as (
        select unnest([lower(email), lower(email_raw)]) as email from silver.records where {_THEIRS}
    ),
    others as (
        select unnest([lower(email), lower(email_raw)]) as email from silver.records where not {_THEIRS}
    ),
    named as (
        select lower(raw.email) as email
        from silver.digital_events as events
        join bronze.events as raw on concat(raw.source, ':', raw.source_key) = events.event_id
        where lower(events.email) in (select email from theirs)
    )
    select distinct email from (from theirs union all from named) anti join others using (email)
    where email is not null and len($masters::varchar[]) >= 0
    order by 1
"""
_COLUMNS = "[phone, phone_raw, national_id]"
_VALUES = f"""
    with theirs as (select unnest({_COLUMNS}) as value from silver.records where {_THEIRS}),
    others as (select unnest({_COLUMNS}) as value from silver.records where not {_THEIRS})
    select distinct value from theirs anti join others using (value) where length(value) >= $shortest order by 1
"""

_ID_COLUMN = re.compile(r"record_id|master_id|customer_id|^before$|^after$|doubtful_records")


def condition_of(table: Table, person: Person) -> str | None:
    """SQL condition of a silver or gold table's rows that name a person; None if it names nobody."""
    ids = ", ".join(_text(value) for value in (*person.records, *person.master_ids))
    conditions = []
    for name, column in table.columns.items():
        if _ID_COLUMN.search(name) and column.type == "VARCHAR":
            conditions.append(f"{name} in ({ids})")
        if _ID_COLUMN.search(name) and column.type == "VARCHAR[]":
            conditions += [f"array_has({name}, {_text(value)})" for value in (*person.records, *person.master_ids)]
    values = ", ".join(_text(value) for value in (*person.emails, *person.values))
    if table is tables.DIGITAL_EVENTS and person.emails:
        conditions.append(f"(record_id is null and lower(email) in ({values}))")
    if table.name == "term_statistics" and values:
        conditions += [
            f"lower({name}) in ({values})" for name, column in table.columns.items() if column.type == "VARCHAR"
        ]
    return " or ".join(conditions) or None


def rows_condition(rows: list[tuple[str, str, int]]) -> str:
    """SQL condition of bronze rows, given as source, file and row number.

    >>> rows_condition([("crm", "a.csv", 2), ("crm", "a.csv", 1)])
    "(source = 'crm' and file = 'a.csv' and row_number in (1, 2))"
    """
    files: dict[tuple[str, str], list[int]] = {}
    for source, file, number in sorted(rows):
        files.setdefault((source, file), []).append(number)
    return " or ".join(
        f"(source = {_text(source)} and file = {_text(file)} and row_number in ({', '.join(map(str, numbers))}))"
        for (source, file), numbers in files.items()
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def drop_unfinished(lake: Lakehouse) -> None:
    """Drop what killed runs left in ledger and history, which later versions would make valid."""
    golden, identities = (next_version(lake, table) for table in (tables.GOLDEN_RECORDS, tables.IDENTITIES))
    if lake.version(tables.IDENTITY_LEDGER) is not None:
        lake.delete(
            tables.IDENTITY_LEDGER,
            f"table_version >= case when event = 'golden_changed' then {golden} else {identities} end",
        )
    if lake.version(tables.IDENTITY_HISTORY) is not None:
        lake.delete(tables.IDENTITY_HISTORY, f"table_version >= {identities}")


def note_erasure(lake: Lakehouse, event_id: str, records: int) -> None:
    """Note in the ledger that a person was erased, and nothing about whom; doing it again changes nothing."""
    lake.append(
        tables.IDENTITY_LEDGER,
        f"""
        select * replace (
            $event_id as event_id, $run_id as run_id, $at::timestamptz as happened_at, 'erased' as event,
            $records as records, 'asked to be forgotten' as reason, 0 as table_version)
        from (select {", ".join(f"null as {name}" for name in tables.IDENTITY_LEDGER.columns)})
        """,
        {
            "event_id": event_id,
            "run_id": lake.opened_at.strftime("%Y%m%dT%H%M%S"),
            "at": lake.opened_at,
            "records": records,
        },
        replacing=f"event_id = {_text(event_id)}",
    )
