"""What changed in tables since another table was made of them: found by their Delta versions, files and rows.

A step that can append keeps a table of its inputs, `input, state`: the Delta version of each table that it read, and
of each that it wrote, and a digest of its rules. If what it wrote is as it left it, and the rules are the same, then
only rows of the inputs that are new, changed or gone since have to be looked at. Files that are in both versions of an
input are not even read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version as version_of
from pathlib import Path

from c360ml.errors import TableError
from c360ml.lakehouse import Lakehouse, rows_of
from c360ml.tables import CUSTOMER_ACTIVITY, TOUCHED_CUSTOMERS, Table

RULES = "rules"
_BATCHES_KEPT = 10
"""Of so many appends it is known whom they touched: who asks has asked after each of them, but for killed runs."""


def digest_of(*rules: object) -> str:
    """Digest of what decides an answer beside its inputs, given as texts or plain values, and of this version.

    >>> digest_of("select 1", 5) == digest_of("select 1", 6)
    False
    """
    return hashlib.blake2b(repr((version_of("c360ml"), *rules)).encode(), digest_size=16).hexdigest()


def code_of(module: str) -> str:
    """Digest of the code and data files of a room, of which `module` is the path of one."""
    return digest_of(*(path.read_bytes() for path in sorted(Path(module).parent.iterdir()) if path.is_file()))


def note_inputs(lake: Lakehouse, table: Table, *, rules: str, read: Mapping[str, int], wrote: Sequence[Table]) -> None:
    """Write a table of inputs, when all others of the step are written.

    Args:
        lake: the lakehouse.
        table: the table of inputs.
        rules: digest of the rules.
        read: versions of the tables that were read, by path.
        wrote: tables that were written.
    """
    versions = {**read, **{each.path: lake.version(each) for each in wrote}}
    states = {RULES: rules, **{path: str(version) for path, version in versions.items()}}
    lake.write(
        table,
        "select unnest($inputs::varchar[]) as input, unnest($states::varchar[]) as state",
        {"inputs": list(states), "states": list(states.values())},
    )


def versions_of(lake: Lakehouse, read: Sequence[Table]) -> dict[str, int]:
    """Give the versions of tables that are about to be read, by path; those that were never written are left out."""
    found = {table.path: lake.version(table) for table in read}
    return {path: version for path, version in found.items() if version is not None}


def known_inputs(
    lake: Lakehouse, table: Table, *, rules: str, read: Sequence[Table], wrote: Sequence[Table]
) -> dict[str, int] | None:
    """Tell by path at which versions the tables were read that the step's tables, as they are, were made of.

    Returns:
        None if the rules were others, or a table that was written is not as the step left it, or an input of then is
        gone: then there is nothing to append to.
    """
    if lake.version(table) is None:
        return None
    states: dict[str, str] = dict(lake.rows(f"select input, state from {lake.open(table)}"))
    as_left = all(states.get(each.path) == str(lake.version(each)) for each in wrote)
    known = all(each.path in states for each in read)
    if states.pop(RULES, None) != rules or not as_left or not known:
        return None
    versions = {each.path: int(states[each.path]) for each in read}
    there = all(lost_and_gained(lake, each, versions[each.path]) is not None for each in read)
    return versions if there else None


def lost_and_gained(lake: Lakehouse, table: Table, version: int) -> tuple[str, str] | None:
    """Give SQL of the rows that a table lost and gained since a version, by whole files: a row may be in both.

    Returns:
        None if files of that version are gone.
    """
    before, now = lake.files(table, version=version), lake.files(table)
    if before is None or now is None:
        return None
    lost, gained = sorted(set(before) - set(now)), sorted(set(now) - set(before))
    if not all(Path(file).is_file() for file in lost):
        return None
    return rows_of(table, lost), rows_of(table, gained)


def changed_keys(
    lake: Lakehouse, table: Table, version: int, columns: Iterable[str], *, condition: str = "true"
) -> str:
    """Give SQL of the keys of a table whose row is new, gone, or has another value in one of some columns.

    Args:
        lake: the lakehouse.
        table: the table.
        version: Delta version to compare with, of which `known_inputs` says that it is still there.
        columns: columns to compare.
        condition: SQL condition of the rows that count.

    >>> import tempfile; from c360ml import tables
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> _ = lake.write(tables.CLUSTERS, "select 'a:' || i as record_id, 'a:1' as cluster_id, 1 as cohesion "
    ...                                 "from range(3) t(i)")
    >>> _ = lake.write(tables.CLUSTERS, "select 'a:' || i as record_id, 'a:1' as cluster_id, i as cohesion "
    ...                                 "from range(1, 3) t(i)")
    >>> sorted(lake.rows(changed_keys(lake, tables.CLUSTERS, 0, ["cluster_id", "cohesion"])))
    [('a:0',), ('a:2',)]
    """
    found = lost_and_gained(lake, table, version)
    if found is None:
        raise TableError(
            f"{table.path} must still have version {version}", got="files that are gone", hint="run `c360ml run`"
        )
    key = ", ".join(f'"{name}"' for name in table.key)
    compared = ", ".join(f'"{name}"' for name in columns)
    before, now = (f"select {key}, hash({compared}) as digest from ({rows}) where {condition}" for rows in found)
    return f"""
        select {key} from ({before}) before full join ({now}) now using ({key})
        where before.digest is distinct from now.digest
    """


def write_changes(lake: Lakehouse, table: Table, query: str) -> int:
    """Make a table hold what a query answers, writing only what changed.

    Returns:
        How many rows are new, other or gone.

    >>> import tempfile; from c360ml import tables
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> rows = "select 'a:' || i as record_id, 'a:0' as cluster_id, i // {} as cohesion from range({}) t(i)"
    >>> [write_changes(lake, tables.CLUSTERS, rows.format(part, 9)) for part in (9, 9, 8)]
    [9, 0, 1]
    """
    if lake.version(table) is None:
        return lake.write(table, query)
    key, compared = (", ".join(f'"{name}"' for name in names) for names in (table.key, table.columns))
    columns = ", ".join(f'"{name}"::{column.type} as "{name}"' for name, column in table.columns.items())
    with lake.scratch(
        "changed_rows",
        f"""
        select {compared}, digest_now, digest_before
        from (select *, hash({compared}) as digest_now from (select {columns} from ({query}))) as now
        full join (select {key}, hash({compared}) as digest_before from {lake.open(table)}) as before using ({key})
        where digest_now is distinct from digest_before
        """,
    ) as changed_rows:
        changed = int(lake.one(f"select count(*) from {changed_rows}"))
        if changed:
            gone = f"select {key} from {changed_rows} where digest_before is not null"
            with lake.scratch("lost_rows", gone) as lost_rows:
                now = f"select {compared} from {changed_rows} where digest_now is not null"
                lake.amend(table, now, lost=lost_rows)
    return changed


def note_touched(lake: Lakehouse, customers: str, *, before: int | None) -> None:
    """Note whom an append touched: customers whose interactions, records or identity are not what they were.

    Args:
        lake: the lakehouse, after gold.customer_activity was written.
        customers: name of a table of `master_id`.
        before: version of gold.customer_activity before the append.
    """
    now = lake.version(CUSTOMER_ACTIVITY)
    if now != before:
        lake.write(
            TOUCHED_CUSTOMERS,
            f"""
            select master_id, $before as activity_before, $now as activity_version from {customers}
            union all by name
            from {lake.open(TOUCHED_CUSTOMERS)} where activity_before > $before - {_BATCHES_KEPT}
            """,
            {"before": before, "now": now},
        )


def touched_since(lake: Lakehouse, version: int) -> str | None:
    """Give SQL of `master_id` of the customers that were touched since a version of gold.customer_activity.

    All others have the same interactions, though days may have gone by.

    Returns:
        None if all customers were looked at since, so that nobody knows.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> nobody = ", ".join(f"null as {name}" for name in CUSTOMER_ACTIVITY.columns)
    >>> for number in range(3):
    ...     _ = lake.write(CUSTOMER_ACTIVITY, f"select {nobody} where false")
    >>> _ = lake.write(TOUCHED_CUSTOMERS, "select 'ann' as master_id, 1 as activity_before, 2 as activity_version")
    >>> lake.rows(touched_since(lake, 1)), touched_since(lake, 0)
    ([('ann',)], None)
    """
    now = lake.version(CUSTOMER_ACTIVITY)
    steps: dict[int, int] = dict(
        lake.rows(f"select distinct activity_before, activity_version from {lake.open(TOUCHED_CUSTOMERS)}")
    )
    at = version
    while at != now and at in steps:
        at = steps[at]
    if at != now:
        return None
    return f"select distinct master_id from {TOUCHED_CUSTOMERS.path} where activity_before >= {version}"
