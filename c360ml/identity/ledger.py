"""The ledger of identities: what happened to whom in which run, and who a record was at any moment.

Ledger and history are only ever added to. They are written before the tables that they tell of, each row with the
Delta version that its table is about to get. So rows of a run that was killed in between name a version that was
never written: they count for nothing, and the next attempt takes their place.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.errors import ConfigError
from c360ml.lakehouse import Lakehouse
from c360ml.tables import Table

if TYPE_CHECKING:
    import duckdb

VALID_EVENTS = "valid_events"
"""Temporary view of the ledger without what killed runs left."""
VALID_HISTORY = "valid_history"
"""Temporary view of the history without what killed runs left."""


def next_version(lake: Lakehouse, table: Table) -> int:
    """Delta version that a table gets when it is next written."""
    version = lake.version(table)
    return 0 if version is None else version + 1


def run_id(lake: Lakehouse) -> str:
    """Name of the run that a lakehouse was opened for: its time."""
    return lake.opened_at.strftime("%Y%m%dT%H%M%S")


def valid_events(lake: Lakehouse) -> str:
    """Show the ledger as the view `valid_events`.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> lake.one(f"select count(*) from {valid_events(lake)}")
    0
    """
    golden, identities = (next_version(lake, table) for table in (tables.GOLDEN_RECORDS, tables.IDENTITIES))
    _show(
        lake,
        VALID_EVENTS,
        tables.IDENTITY_LEDGER,
        f"table_version < case event when 'golden_changed' then {golden} else {identities} end",
    )
    return VALID_EVENTS


def valid_history(lake: Lakehouse) -> str:
    """Show the history of records as the view `valid_history`."""
    next_ = next_version(lake, tables.IDENTITIES)
    _show(lake, VALID_HISTORY, tables.IDENTITY_HISTORY, f"table_version < {next_}")
    return VALID_HISTORY


def _show(lake: Lakehouse, name: str, table: Table, condition: str) -> None:
    if lake.version(table) is None:
        nothing = ", ".join(f"null::{column.type} as {column_name}" for column_name, column in table.columns.items())
        lake.rows(f"create or replace temp view {name} as select {nothing} where false")
    else:
        lake.rows(f"create or replace temp view {name} as select * from {lake.open(table)} where {condition}")


def next_moment(lake: Lakehouse) -> datetime:
    """Time that the run's rows bear: that of the lakehouse, but never before that of an earlier run."""
    last: datetime | None = lake.one(f"select max(valid_from) from {valid_history(lake)}")
    return lake.opened_at if last is None else max(last, lake.opened_at)


def facts_of_run(lake: Lakehouse, table: Table, moment: datetime, model_digest: str | None = None) -> dict[str, Any]:
    """Tell what all rows of a run have in common: the parameters of the queries below.

    Args:
        lake: the lakehouse, before the table is written.
        table: the table that the rows tell of.
        moment: time of the run.
        model_digest: linkage model of the run.
    """
    return {
        "version": next_version(lake, table),
        "run_id": run_id(lake),
        "at": moment,
        "model_digest": model_digest,
    }


EVENT_ROWS = """
    select
        md5(concat_ws('|', $version, event, coalesce(master_id, ''), coalesce(other_master_id, ''),
            coalesce(record_id, ''))) as event_id,
        $run_id as run_id, $at::timestamptz as happened_at, *, $model_digest as model_digest,
        null as field, null as before, null as after, $version as table_version
    from {events}
"""
GOLDEN_CHANGE_ROWS = """
    select
        md5(concat_ws('|', $version, 'golden_changed', master_id, field)) as event_id,
        $run_id as run_id, $at::timestamptz as happened_at, 'golden_changed' as event, master_id,
        null as other_master_id, null as record_id, null as records, null as reason,
        null as edge_record_id_l, null as edge_record_id_r, null as edge_probability,
        $model_digest as model_digest, field, before, after, $version as table_version
    from {changes}
"""
HISTORY_ROWS = """
    select record_id, new_id as master_id, $at::timestamptz as valid_from, $run_id as run_id, $version as table_version
    from {changed_records}
"""
LEFT_OF_EVENTS = "event <> 'golden_changed' and table_version >= {version}"
"""What a killed run left of its events; so of the other rows."""
LEFT_OF_GOLDEN_CHANGES = "event = 'golden_changed' and table_version >= {version}"
LEFT_OF_HISTORY = "table_version >= {version}"


def append_events(lake: Lakehouse, events: str, moment: datetime, model_digest: str | None) -> None:
    """Add events of customers to the ledger, in one commit.

    Args:
        lake: the lakehouse, before `silver.identities` is written.
        events: name of a table with the ledger's columns from `event` to `edge_probability`.
        moment: time of the run.
        model_digest: linkage model of the run.
    """
    facts = facts_of_run(lake, tables.IDENTITIES, moment, model_digest)
    rows, left = EVENT_ROWS.format(events=events), LEFT_OF_EVENTS.format(**facts)
    lake.append(tables.IDENTITY_LEDGER, rows, facts, replacing=left)


def append_golden_changes(lake: Lakehouse, changes: str, moment: datetime, model_digest: str | None) -> None:
    """Add changes of golden records to the ledger, in one commit.

    Args:
        lake: the lakehouse, before `silver.golden_records` is written.
        changes: name of a table `master_id, field, before, after`.
        moment: time of the run.
        model_digest: linkage model of the run.
    """
    facts = facts_of_run(lake, tables.GOLDEN_RECORDS, moment, model_digest)
    rows, left = GOLDEN_CHANGE_ROWS.format(changes=changes), LEFT_OF_GOLDEN_CHANGES.format(**facts)
    lake.append(tables.IDENTITY_LEDGER, rows, facts, replacing=left)


def append_history(lake: Lakehouse, changed_records: str, moment: datetime) -> None:
    """Add records that changed their customer to the history, in one commit.

    Args:
        lake: the lakehouse, before `silver.identities` is written.
        changed_records: name of a table `record_id, new_id`; a null `new_id` says that the record is gone.
        moment: time of the run.
    """
    facts = facts_of_run(lake, tables.IDENTITIES, moment)
    del facts["model_digest"]
    rows, left = HISTORY_ROWS.format(changed_records=changed_records), LEFT_OF_HISTORY.format(**facts)
    lake.append(tables.IDENTITY_HISTORY, rows, facts, replacing=left)


def identity_history(lake: Lakehouse) -> duckdb.DuckDBPyRelation:
    """Tell who each record was from when to when: `record_id, master_id, valid_from, valid_to, run_id`.

    `valid_to` is the first moment of the next customer, null while it lasts.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> identity_history(lake).fetchall()
    []
    """
    return lake.sql(history_sql(lake))


def history_sql(lake: Lakehouse) -> str:
    """SQL of `identity_history`."""
    return f"""
        with spans as (
            select record_id, master_id, valid_from,
                lead(valid_from) over (partition by record_id order by table_version) as valid_to, run_id
            from {valid_history(lake)}
        )
        select * from spans where master_id is not null and valid_to is distinct from valid_from
    """


def identities_as_of(lake: Lakehouse, moment: str | datetime) -> duckdb.DuckDBPyRelation:
    """Tell who each record was at a moment: `record_id, master_id`, so that training never sees the future.

    Args:
        lake: the project's lakehouse, after a run.
        moment: a time, or text as `2026-06-01` (its first instant, UTC) or `2026-06-01 12:00+02`.

    Raises:
        ConfigError: the text is no time.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> identities_as_of(lake, "2026-06-01").fetchall()
    []
    """
    return lake.sql(as_of_sql(lake), {"at": as_moment(lake, moment)})


def as_of_sql(lake: Lakehouse) -> str:
    """SQL of `identities_as_of`; `$at` is the moment."""
    return f"""
        with latest as (
            select record_id, arg_max_null(master_id, table_version) as master_id
            from {valid_history(lake)}
            where valid_from <= $at::timestamptz
            group by record_id
        )
        select record_id, master_id from latest where master_id is not null
    """


def as_moment(lake: Lakehouse, moment: str | datetime) -> datetime:
    """Read a moment from text; a time stays what it is.

    Raises:
        ConfigError: the text is no time.
    """
    if isinstance(moment, datetime):
        return moment
    at: datetime | None = lake.one("select try_cast($moment as timestamptz)", {"moment": moment})
    if at is None:
        raise ConfigError("a moment must be a date or a time", got=repr(moment), hint="write it as 2026-06-01")
    return at
