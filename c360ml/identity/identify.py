"""The step that turns clusters into customers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import MappingProxyType
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import TableError
from c360ml.identity.change_events import CHANGED_RECORDS, EVENTS, Circumstances, identity_events
from c360ml.identity.golden import (
    alone_sql,
    choices_sql,
    golden_changes_sql,
    golden_choices,
    golden_sql,
    picked_sql,
    provenance_sql,
    ranks_sql,
    runners_up_sql,
)
from c360ml.identity.golden_rules import Survivorship, chosen_rules
from c360ml.identity.households import HOUSEHOLD_RULES, households
from c360ml.identity.ledger import (
    append_events,
    append_golden_changes,
    append_history,
    next_moment,
    valid_events,
)
from c360ml.identity.master_ids import MASTER_RECORDS, lasting_master_ids
from c360ml.identity.redirects import write_redirects
from c360ml.lakehouse import Lakehouse
from c360ml.linkage import online
from c360ml.linkage.step import MODEL_FILE
from c360ml.table_changes import digest_of, note_inputs, versions_of

READS = (tables.RECORDS, tables.LINKS, tables.CLUSTERS)
"""Tables that decide who is who."""
WRITES = (tables.GOLDEN_RECORDS, tables.GOLDEN_PROVENANCE, tables.IDENTITIES)
"""Tables that say who is who, in the order in which they are written."""


def identify(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Give every record its customer and household, every customer a golden record, and note what changed.

    The ledger is written first and silver.identities last: a run that was killed in between is done again and adds
    nothing twice. Redirects follow from the ledger.

    Raises:
        TableError: silver.clusters does not hold each record of silver.records once.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> nothing = ", ".join(f"null as {name}" for name in tables.RECORDS.columns)
    >>> ann = "'crm:1' as record_id, 'crm' as source, 'ann' as given_name, 'o''neil' as surname"
    >>> _ = lake.write(tables.RECORDS, f"select * replace ({ann}) from (select {nothing})")
    >>> _ = lake.write(tables.CLUSTERS, "select 'crm:1' as record_id, 'crm:1' as cluster_id, 1 as cohesion")
    >>> nothing = ", ".join(f"null as {name}" for name in tables.LINKS.columns)
    >>> _ = lake.write(tables.LINKS, f"select {nothing} where false")
    >>> identify(lake, Config())["customers"]
    1
    >>> lake.rows("select full_name, records from silver.golden_records")
    [("Ann O'Neil", 1)]
    >>> lake.rows("select event, records, reason from silver.identity_ledger")
    [('created', 1, 'first run')]
    """
    check_clusters(lake)
    rules, read = chosen_rules(config.golden.model_dump()), versions_of(lake, READS)
    lake.say("finding the master IDs of the previous run")
    with lasting_master_ids(lake) as became_of_ids:
        lake.say("choosing golden values")
        with golden_choices(lake, config.sources, rules):
            lake.say("finding households")
            with households(lake):
                changes = write_customers(lake, config, rules)
    write_redirects(lake)
    note_inputs(lake, tables.IDENTITY_INPUTS, rules=rules_digest(config, rules), read=read, wrote=WRITES)
    return customer_counts(lake) | became_of_ids | {"changes": changes}


def rules_digest(config: Config, rules: tuple[Survivorship, ...]) -> str:
    """Digest of all that decides identities and golden records, but for the tables that are read."""
    trusts = [(source.name, source.trust) for source in config.sources]
    choosing = (alone_sql(rules), ranks_sql(rules), picked_sql(rules), choices_sql(rules), runners_up_sql(rules))
    queries = (*choosing, golden_sql(rules), provenance_sql(rules))
    return digest_of(rules, trusts, queries, HOUSEHOLD_RULES)


def write_customers(
    lake: Lakehouse,
    config: Config,
    rules: tuple[Survivorship, ...],
    amended: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Write ledger, history, golden records, provenance and identities; returns what changed.

    Args:
        lake: the lakehouse, in `with` blocks of `lasting_master_ids`, `golden_choices` and `households`.
        config: the config.
        rules: rules of golden records.
        amended: by a table's path, name of a table that tells which of its rows make room for those of the customers
            at hand, and SQL of rows to add to these; the rows of other tables all make room.
    """
    changes = note_changes(lake, config, rules)
    lake.say("writing identities and golden records")
    queries = (golden_sql(rules), provenance_sql(rules), IDENTITIES_SQL)
    for table, query in zip(WRITES, queries, strict=True):
        if table.path in amended:
            lost, others = amended[table.path]
            lake.amend(table, f"({query}) union all by name ({others})", lost=lost)
        else:
            lake.write(table, query)
    return changes


def note_changes(lake: Lakehouse, config: Config, rules: tuple[Survivorship, ...]) -> dict[str, Any]:
    """Write ledger and history, in `with` blocks as `write_customers`; returns what changed."""
    moment, model = next_moment(lake), lake.read_json(MODEL_FILE)
    digest = online.model_digest(model) if model else None
    with identity_events(lake, circumstances_of(lake, config, digest)):
        lake.say("writing what changed to the ledger")
        changes = _changes(lake)
        append_events(lake, EVENTS, moment, digest)
        append_history(lake, history_rows(lake), moment)
        changes["golden_values"] = _append_golden_changes(lake, rules, moment, digest)
    return changes


def circumstances_of(lake: Lakehouse, config: Config, model_digest: str | None) -> Circumstances:
    """Tell what may be the reason of a change: the model, the rules on sources, the reviewers' decisions."""
    reviewed = lake.folder / config.linkage.reviewed_pairs
    last = lake.rows(
        f"select arg_max(model_digest, table_version) from {valid_events(lake)} where event <> 'golden_changed'"
    )[0][0]
    return Circumstances(
        first_run=lake.version(tables.IDENTITIES) is None,
        model_changed=last is not None and last != model_digest,
        forbidden=(
            *((source, source) for source in config.linkage.duplicate_free_sources),
            *config.linkage.never_link,
        ),
        reviewed_pairs=reviewed if reviewed.is_file() else None,
    )


def history_rows(lake: Lakehouse) -> str:
    """Records whose customer changed; all of them in a project that is older than its history."""
    if lake.version(tables.IDENTITY_HISTORY) is None:
        return f"(select record_id, master_id as new_id from {MASTER_RECORDS})"
    return CHANGED_RECORDS


def _append_golden_changes(
    lake: Lakehouse, rules: tuple[Survivorship, ...], moment: datetime, digest: str | None
) -> int:
    with _golden_changes(lake, rules) as changes:
        append_golden_changes(lake, changes, moment, digest)
        return int(lake.one(f"select count(*) from {changes}"))


@contextmanager
def _golden_changes(lake: Lakehouse, rules: tuple[Survivorship, ...]) -> Iterator[str]:
    stand = [lake.version(table) is not None for table in (tables.GOLDEN_RECORDS, tables.GOLDEN_PROVENANCE)]
    query = "select null as master_id, null as field, null as before, null as after where false"
    if all(stand):
        lake.open(tables.GOLDEN_RECORDS)
        lake.open(tables.GOLDEN_PROVENANCE)
        query = golden_changes_sql(rules)
    with lake.scratch("golden_changes", query):
        yield "golden_changes"


def _changes(lake: Lakehouse) -> dict[str, Any]:
    """How many records that were known before are with another customer now, and the reasons."""
    moved = lake.one(f"select count(*) filter (where {MOVED}) from {CHANGED_RECORDS}")
    counted = lake.rows(f"select event, reason, count(*) from {EVENTS} group by all order by all")
    return change_counts(lake, moved, counted)


MOVED = "living and new_id is not null"
"""Of `changed_records`: whether the record was known before and is with another customer now."""


def change_counts(lake: Lakehouse, moved: int, counted: Iterable[tuple[str, str, int]]) -> dict[str, Any]:
    """Say how much changed since the run before, before its tables are overwritten.

    Args:
        lake: the lakehouse.
        moved: number of records with another customer.
        counted: event, reason and number, in order.
    """
    stood = lake.version(tables.IDENTITIES) is not None
    known = lake.one(f"select count(*) from {lake.open(tables.IDENTITIES)}") if stood else 0
    events: dict[str, dict[str, int]] = {}
    for event, reason, number in counted:
        events.setdefault(event, {})[reason] = number
    return {
        "known_records": known,
        "records_with_another_customer": moved,
        "share_of_records": moved / known if known else 0.0,
        "events": events,
    }


def check_clusters(lake: Lakehouse) -> None:
    """Check that silver.clusters holds each record of silver.records once.

    Raises:
        TableError: it does not.
    """
    repeated, unclustered, unknown = lake.rows("""
        select
            (select count(*) - count(distinct record_id) from silver.clusters),
            (select count(*) from silver.records anti join silver.clusters using (record_id)),
            (select count(*) from silver.clusters anti join silver.records using (record_id))
    """)[0]
    if repeated or unclustered or unknown:
        raise TableError(
            "silver.clusters must hold each record of silver.records once",
            got=f"{unclustered} records without cluster, {repeated} repeated, {unknown} unknown",
            hint="run the step `link` again",
        )


IDENTITIES_SQL = """
    select record_id, master_id, household_id, cohesion
    from master_records
    join household_members using (master_id)
"""


def customer_counts(lake: Lakehouse) -> dict[str, Any]:
    """Count customers, their records and their households."""
    customers, records, largest_cluster, households_, largest_household = lake.rows("""
        with customers as (
            select household_id, count(*) as members, sum(records) as records, max(records) as largest
            from silver.golden_records
            group by household_id
        )
        select
            coalesce(sum(members), 0)::bigint,
            coalesce(sum(records), 0)::bigint,
            coalesce(max(largest), 0),
            count(*),
            coalesce(max(members), 0)
        from customers
    """)[0]
    return {
        "customers": customers,
        "households": households_,
        "records_per_customer": records / customers if customers else 0.0,
        "largest_cluster": largest_cluster,
        "largest_household": largest_household,
    }
