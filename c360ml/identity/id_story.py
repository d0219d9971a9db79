"""The story of a master ID, or of a record: what happened, in which run, and why; record keys and counts, no values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from c360ml import tables
from c360ml.errors import DataError
from c360ml.identity.ledger import as_moment, as_of_sql, history_sql, valid_events
from c360ml.identity.story_display import StoryDisplay
from c360ml.identity.tombstones import is_forgotten
from c360ml.lakehouse import Lakehouse

_ASKED = "a master ID must be one that the project gave"


@dataclass(frozen=True)
class StoryEvent:
    """One event of a story: when, in which run, what happened and why."""

    when: datetime
    run_id: str
    told: str
    reason: str


@dataclass(frozen=True)
class IdStory(StoryDisplay):
    """The story of an ID or a record: `state` says in a sentence what it is now.

    `living_id` is the living master ID it leads to, `records` are that customer's records.
    """

    name: str
    state: str
    living_id: str | None
    records: tuple[str, ...]
    events: tuple[StoryEvent, ...]


def explain_id(lake: Lakehouse, master_id: str) -> IdStory:
    """Tell the story of a master ID, living or retired.

    Raises:
        DataError: the project never gave that ID.
        TableError: the project was never run.
    """
    known = set(lake.rows(f"select distinct master_id from {lake.open(tables.IDENTITIES)} where master_id = $id",
                          {"id": master_id}))  # fmt: skip
    lake.open(tables.MASTER_REDIRECTS)
    redirect = lake.rows(
        "select master_id, reason, run_id from silver.master_redirects where retired_master_id = $id", {"id": master_id}
    )
    events = _events(lake, "$id in (master_id, other_master_id)", {"id": master_id})
    if not (known or redirect or events):
        raise _unknown(lake, "master_id", master_id, DataError(
            _ASKED, got=repr(master_id), hint="look it up in silver.identities or silver.master_redirects"
        ))  # fmt: skip
    living = redirect[0][0] if redirect else master_id
    records = _records_of(lake, living)
    return IdStory(master_id, _state(redirect, living, len(records)), living, records, events)


def explain_record(lake: Lakehouse, record_id: str, *, as_of: str | None = None) -> IdStory:
    """Tell the story of a record: who it was since when; with `as_of` who it was at that moment.

    Raises:
        ConfigError: `as_of` is no time.
        DataError: the project never had that record.
        TableError: the project was never run.
    """
    lake.open(tables.IDENTITIES)
    past = lake.rows(
        f"select master_id from ({history_sql(lake)}) where record_id = $id order by valid_from", {"id": record_id}
    )
    if not past:
        raise _unknown(lake, "record", record_id, DataError(
            "a record must be one of silver.identities or of its history", got=repr(record_id),
            hint="write it as SOURCE:KEY",
        ))  # fmt: skip
    if as_of is None:
        now = lake.rows("select master_id from silver.identities where record_id = $id", {"id": record_id})
        said = "it belongs to customer {}" if now else "it is no longer there"
    else:
        then = {"at": as_moment(lake, as_of), "id": record_id}
        now = lake.rows(f"select master_id from ({as_of_sql(lake)}) where record_id = $id", then)
        said = f"as of {as_of} it belonged to customer {{}}" if now else f"as of {as_of} it was not there"
    living = now[0][0] if now else None
    ids = {"id": record_id, "ids": [row[0] for row in past]}
    events = _events(lake, "record_id = $id or (record_id is null and event <> 'golden_changed' and "
                           "list_contains($ids, coalesce(other_master_id, master_id)))", ids)  # fmt: skip
    return IdStory(record_id, said.format(living) + ".", living, _records_of(lake, living) if living else (), events)


def _unknown(lake: Lakehouse, kind: str, name: str, otherwise: DataError) -> DataError:
    if is_forgotten(lake, kind, name):
        return DataError("this one asked to be forgotten", got="a tombstone", hint="ask for another")
    return otherwise


def _records_of(lake: Lakehouse, master_id: str | None) -> tuple[str, ...]:
    rows = lake.rows("select record_id from silver.identities where master_id = $id order by 1", {"id": master_id})
    return tuple(row[0] for row in rows)


def _state(redirect: list[tuple[Any, ...]], living: str | None, records: int) -> str:
    if not redirect:
        return f"it is living, with {_counted(records)}."
    _, reason, run_id = redirect[0]
    if living is None:
        return f"it was retired in run {run_id} because its records are gone ({reason})."
    return f"it was retired in run {run_id} and leads to customer {living}, who has {_counted(records)}."


_WORDS = {
    "created": "created with {records}",
    "joined": "record {record_id} joined {master_id}",
    "merged": "{other_master_id} was merged into {master_id}, bringing {records}",
    "split": "{master_id} was split off {other_master_id}, taking {records}",
    "moved": "record {record_id} moved from {other_master_id} to {master_id}",
    "left": "record {record_id} left {master_id}",
    "retired": "{master_id} was retired with its last {records}",
    "returned": "{master_id} came back with {records}",
    "golden_changed": "golden {field} changed: given by {before}, now by {after}",
    "erased": "a person was erased",
}
_COLUMNS = (
    "event", "master_id", "other_master_id", "record_id", "records", "reason", "edge_record_id_l", "edge_record_id_r",
    "edge_probability", "field", "before", "after", "happened_at", "run_id",
)  # fmt: skip


def _events(lake: Lakehouse, condition: str, parameters: dict[str, Any]) -> tuple[StoryEvent, ...]:
    rows = lake.rows(
        f"""
        select {", ".join(_COLUMNS)}
        from {valid_events(lake)}
        where {condition}
        order by happened_at, event = 'golden_changed', table_version, event_id
        """,
        parameters,
    )
    return tuple(_told(dict(zip(_COLUMNS, row, strict=True))) for row in rows)


def _told(event: dict[str, Any]) -> StoryEvent:
    words = {name: "nothing" if value is None else value for name, value in event.items()}
    told = _WORDS[event["event"]].format(**{**words, "records": _counted(event["records"] or 0)})
    return StoryEvent(event["happened_at"], event["run_id"], told, _reason(event))


def _reason(event: dict[str, Any]) -> str:
    if event["edge_probability"] is None:
        return event["reason"] or ""
    edge = f"{event['edge_record_id_l']} and {event['edge_record_id_r']} match with {event['edge_probability']:.4f}"
    return f"{event['reason']}; strongest link: {edge}"


def _counted(records: int) -> str:
    return f"{records} record" if records == 1 else f"{records} records"
