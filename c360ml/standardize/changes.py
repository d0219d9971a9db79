"""What changed in bronze since it was standardized, and how silver is brought up to date with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from c360ml.lakehouse import Lakehouse
from c360ml.standardize.moments import key
from c360ml.table_changes import changed_keys, lost_and_gained
from c360ml.tables import Table

_PLACE = ("file", "row_number")


@dataclass(frozen=True)
class Changes:
    """Names of two tables: rows of a bronze table that are new or changed, and the keys of those and of rows gone.

    `keys` is None if rows were only added.
    """

    rows: str
    keys: str | None


@contextmanager
def changed_rows(lake: Lakehouse, bronze: Table, version: int) -> Iterator[Changes | None]:
    """Keep what changed in a bronze table since a version for the length of a `with` block; None if nothing did.

    Args:
        lake: the lakehouse.
        bronze: a table with the key `source, source_key`; where in its file a row stands is no change of it.
        version: Delta version to compare with, of which `known_inputs` says that it is still there.
    """
    found = lost_and_gained(lake, bronze, version) if lake.version(bronze) != version else None
    if found is None:
        yield None
        return
    lost, gained = found
    columns = [name for name in bronze.columns if name not in _PLACE]
    keys, rows = f"changed_{bronze.name}", f"new_{bronze.name}"
    with (
        lake.scratch(keys, changed_keys(lake, bronze, version, columns)),
        lake.scratch(rows, f"from ({gained}) semi join {keys} using (source, source_key)"),
    ):
        yield Changes(rows, keys if lake.one(f"select count(*) from ({lost})") else None)


def put(lake: Lakehouse, table: Table, query: str, changes: Changes | None = None) -> None:
    """Write a silver table whose key is made of source and source key; with changes, only rows that changed."""
    if changes is None:
        lake.write(table, query)
    elif changes.keys is None:
        lake.amend(table, query)
    else:
        (name,) = table.key
        ids = f"select {key('source', 'source_key')} as {name} from {changes.keys}"
        with lake.scratch(f"gone_{table.name}", ids) as gone:
            lake.amend(table, query, lost=gone)
