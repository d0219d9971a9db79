"""Patching the online index: of a base that differs little from an older one, only what differs is written.

What differs is found by the Delta versions that the older base was filled from (see `table_changes`): records whose
columns that the model reads, or whose customer, are other than then, and customers whose golden record or value is.
The statistics of values are those of the older base, so that all other records are seen as they were: the patched base
answers as one that is filled anew does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from c360ml import tables
from c360ml.identity.base_files import (
    ABOUT,
    ADDED,
    CUSTOMERS,
    KEYS,
    POSITIONS,
    RECORDS,
    TERMS,
    Rows,
    share_files,
    share_rows,
    write_gone,
    write_keys,
    write_rows,
)
from c360ml.identity.index_filling import (
    CUSTOMER_COLUMNS,
    CUSTOMERS_SQL,
    GIVEN,
    GOLDEN_COLUMNS,
    STATISTICS_FILE,
    batches,
    describe,
    is_newest,
    keys_sql,
    write_records,
)
from c360ml.lakehouse import Lakehouse, rows_of
from c360ml.linkage import LinkageModel, online
from c360ml.linkage.append import is_compared
from c360ml.linkage.features import build_features
from c360ml.table_changes import changed_keys, lost_and_gained
from c360ml.tables import Table

MOST_PATCHED = 0.1
"""Where a larger share of the records changed, all are written again; so it is with customers."""
MOST_LOOKED_UP = 0.005
"""Of a larger share of the rows, positions are counted, not looked up."""
_LOOKED_AT = (tables.RECORDS, tables.IDENTITIES, tables.GOLDEN_RECORDS, tables.CUSTOMER_360)
_READ_OF_RECORDS = tuple(filter(is_compared, tables.RECORDS.columns))


def patch(lake: Lakehouse, content: Mapping[str, Any], folder: Path, older: Path) -> bool:
    """Fill a base with the files of an older one of the same model and what changed since.

    Args:
        lake: the project's lakehouse.
        content: linkage model as JSON.
        folder: the empty folder of the new base.
        older: the older base.

    Returns:
        False, and the folder is empty as it was, if it cannot be told what changed or that is much.
    """
    about = _about(older)
    if about is None:
        return False
    model = LinkageModel.from_dict(dict(content))
    columns = online.stored_columns(model.comparisons_)
    filled: dict[str, int] = about.get("filled_from") or about["versions"]
    statistics = _statistics(lake, content, older, filled)
    if about["columns"] != list(columns) or statistics is None or not _are_there(lake, filled):
        return False
    for table in GIVEN:
        lake.open(table)
    changed = _keep(lake, "patched_records", _changed_records(lake, filled))
    if lake.one(f"select count(*) from {changed}") > MOST_PATCHED * lake.one("select count(*) from silver.records"):
        return False
    lake.say("patching the index")
    share_rows(older, folder, TERMS)
    _patch_records(lake, model, folder, older, _Patch(changed, statistics, columns, filled))
    customers = _keep(lake, "patched_customers", _changed_customers(lake, filled))
    filled_now = filled | _patch_customers(lake, folder, older, customers, filled)
    if (older / STATISTICS_FILE).is_file():
        share_files(older, folder, STATISTICS_FILE)
    describe(lake, content, folder, columns, filled_from=filled_now)
    for name in ("patched_records", "patched_rows", "patched_customers"):
        lake.rows(f"drop table if exists {name}")
    return True


def _keep(lake: Lakehouse, name: str, query: str) -> str:
    """Keep a query's answer; not as a scratch table, which cannot be dropped while an error holds a reader open."""
    lake.rows(f"create or replace temp table {name} as {query}")
    return name


class _Patch:
    """What is patched: the name of a table of changed records, statistics, stored columns, and versions of then."""

    def __init__(self, changed: str, statistics: str, columns: tuple[str, ...], filled: Mapping[str, int]) -> None:
        self.changed, self.statistics, self.columns, self.filled = changed, statistics, columns, filled


def _about(older: Path) -> dict[str, Any] | None:
    """Read what the older base holds; None if it is gone, or holds other columns than are written today."""
    try:
        about: dict[str, Any] = json.loads((older / ABOUT).read_text("utf-8"))
    except FileNotFoundError:
        return None
    written = about["golden_columns"], about["customer_columns"]
    return about if written == (list(GOLDEN_COLUMNS), list(CUSTOMER_COLUMNS)) else None


def _statistics(lake: Lakehouse, content: Mapping[str, Any], older: Path, filled: Mapping[str, int]) -> str | None:
    """Give SQL of the statistics that the older base was filled by; None if they are gone."""
    kept = older / STATISTICS_FILE
    if kept.is_file():
        return f"read_parquet('{kept}')"
    table = tables.TERM_STATISTICS
    if is_newest(lake, content) and lake.version(table) == filled[table.path]:
        return table.path
    return None


def _are_there(lake: Lakehouse, filled: Mapping[str, int]) -> bool:
    """Whether the files of the versions of then are there, so that it can be told what changed."""
    versions = [(table, filled.get(table.path)) for table in _LOOKED_AT]
    return all(version is not None and lost_and_gained(lake, table, version) for table, version in versions)


def _changed(lake: Lakehouse, table: Table, columns: Iterable[str], filled: Mapping[str, int]) -> str:
    return changed_keys(lake, table, filled[table.path], columns)


def _changed_records(lake: Lakehouse, filled: Mapping[str, int]) -> str:
    # Features are made of two records or more: with any others the first two are written again.
    return f"""
        with changed as materialized (
            {_changed(lake, tables.RECORDS, _READ_OF_RECORDS, filled)}
            union {_changed(lake, tables.IDENTITIES, ["master_id"], filled)}
        )
        from changed
        union (select record_id from {tables.RECORDS.path} where exists (from changed) order by record_id limit 2)
    """


def _changed_customers(lake: Lakehouse, filled: Mapping[str, int]) -> str:
    return f"""
        {_changed(lake, tables.GOLDEN_RECORDS, GOLDEN_COLUMNS, filled)}
        union {_changed(lake, tables.CUSTOMER_360, CUSTOMER_COLUMNS, filled)}
    """


def _patch_records(lake: Lakehouse, model: LinkageModel, folder: Path, older: Path, what: _Patch) -> None:
    """Write changed records and their keys beside those of the older base."""
    share_rows(older, folder, RECORDS, patched=False)
    share_files(older, folder, KEYS, POSITIONS)
    if not lake.one(f"select count(*) from {what.changed}"):
        return
    rows = Rows(older, RECORDS)
    write_gone(folder, RECORDS, _positions(lake, rows, tables.RECORDS, what.changed, what.filled))
    of_changed = f"from {tables.RECORDS.path} semi join {what.changed} using (record_id)"
    build_features(lake.con, _keep(lake, "patched_rows", of_changed), what.statistics)
    write_records(lake, folder, what.columns, prefix=ADDED)
    write_keys(folder, batches(lake, keys_sql(model, told=True, after=len(rows))), prefix=ADDED)
    lake.rows("drop table linkage_features")


def _patch_customers(
    lake: Lakehouse, folder: Path, older: Path, changed: str, filled: Mapping[str, int]
) -> dict[str, int]:
    """Write changed customers beside those of the older base, or all; returns the versions all were written from."""
    number = lake.one(f"select count(*) from {changed}")
    if number > MOST_PATCHED * lake.one(f"select count(*) from {tables.GOLDEN_RECORDS.path}"):
        write_rows(folder, CUSTOMERS, batches(lake, CUSTOMERS_SQL.format(which="")))
        return {table.path: lake.version(table) or 0 for table in (tables.GOLDEN_RECORDS, tables.CUSTOMER_360)}
    share_rows(older, folder, CUSTOMERS, patched=False)
    if not number:
        return {}
    positions = _positions(lake, Rows(older, CUSTOMERS), tables.GOLDEN_RECORDS, changed, filled)
    write_gone(folder, CUSTOMERS, positions)
    theirs = f"semi join {changed} as changed using (master_id)"
    write_rows(folder, f"{ADDED}{CUSTOMERS}", batches(lake, CUSTOMERS_SQL.format(which=theirs)))
    return {}


def _positions(lake: Lakehouse, rows: Rows, table: Table, changed: str, filled: Mapping[str, int]) -> list[int]:
    """Positions in the older base of the rows that changed: of all keys those that were there then."""
    then = rows_of(table, lake.files(table, version=filled[table.path]) or [])
    (key,) = table.key
    known = f"select {key} from ({then}) semi join {changed} using ({key})"
    if lake.one(f"select count(*) from ({known})") > MOST_LOOKED_UP * len(rows):
        # Lines are in the order of their keys. To count them reads one column, to look them up pages all over a file.
        places = f"select {key}, row_number() over (order by {key}) - 1 as position from ({then})"
        ranked = lake.rows(f"select position from ({places}) semi join {changed} using ({key})")
        return [position for (position,) in ranked]
    found = (rows.find(name) for (name,) in lake.rows(known))
    return [position for position in found if position is not None]
