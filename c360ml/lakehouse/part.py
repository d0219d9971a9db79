"""Some rows of a lakehouse's tables, for work that is done again for them alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c360ml.lakehouse.delta_files import columns_of, rows_of
from c360ml.lakehouse.lakehouse import Lakehouse
from c360ml.tables import ALL, Table


class LakehousePart(Lakehouse):
    """A lakehouse of which, for the length of a `with` block, some tables hold only some of their rows.

    What is written takes the place of some rows, and all others stay. JSON files are not written.

    Args:
        lake: the whole lakehouse; its connection is shared.
        shown: by table, the name of a scratch table that tells by some of the table's columns which rows it holds.
        replaced: by table that is written, the name of a scratch table that tells likewise which rows make room.

    >>> import tempfile; from c360ml import tables
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> _ = lake.write(tables.CLUSTERS, "select 'a:' || i as record_id, 'a:0' as cluster_id, 1 as cohesion "
    ...                                 "from range(3) t(i)")
    >>> some = {"silver.clusters": "some_records"}
    >>> with lake.scratch("some_records", "select 'a:1' as record_id"), LakehousePart(lake, some, some) as part:
    ...     rows = part.rows("select record_id from silver.clusters")
    ...     written = part.write(tables.CLUSTERS, "select 'a:9' as record_id, 'a:9' as cluster_id, 1 as cohesion")
    >>> rows, written, sorted(lake.rows("select record_id from silver.clusters"))
    ([('a:1',)], 1, [('a:0',), ('a:2',), ('a:9',)])
    """

    def __init__(self, lake: Lakehouse, shown: Mapping[str, str], replaced: Mapping[str, str]) -> None:
        self.__dict__.update(lake.__dict__)
        self._shown, self._replaced = shown, replaced

    def __enter__(self) -> LakehousePart:
        for table in self._tables():
            keys = self._shown[table.path]
            rows = rows_of(table, self.files(table) or [])
            self.rows(
                f"create or replace view {table.path} as "
                f"from ({rows}) semi join {keys} using ({columns_of(self.con, keys)})"
            )
        return self

    def __exit__(self, *exc: object) -> None:
        for table in self._tables():
            self.open(table)

    def _tables(self) -> list[Table]:
        return [table for table in ALL if table.path in self._shown]

    def write(self, table: Table, query: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Put a query's answer in the place of the rows that make room for it; returns its number of rows."""
        with self.scratch(f"part_of_{table.name}", query, parameters) as part:
            self.amend(table, f"from {part}", lost=self._replaced[table.path])
            return int(self.one(f"select count(*) from {part}"))

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Leave a file as it is: it tells of all rows."""
        return self.folder / name
