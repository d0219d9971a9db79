"""A second connection to a lakehouse, for work that goes on in another thread."""

from __future__ import annotations

from collections.abc import Iterable

from c360ml.lakehouse.lakehouse import Lakehouse
from c360ml.tables import Table


class LakehouseBeside(Lakehouse):
    """A lakehouse that reads the same tables over a connection of its own; it shares memory and threads with the first.

    Views are shared too, and two threads must not write one at once: so what it reads is opened when it is made, and
    stays at that version.

    Args:
        lake: the lakehouse.
        read: tables that it reads.

    >>> import tempfile; from c360ml import tables
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> _ = lake.write(tables.CLUSTERS, "select 'a:1' as record_id, 'a:1' as cluster_id, 1 as cohesion")
    >>> with LakehouseBeside(lake, [tables.CLUSTERS]) as beside:
    ...     beside.rows(f"select record_id from {beside.open(tables.CLUSTERS)}")
    [('a:1',)]
    """

    def __init__(self, lake: Lakehouse, read: Iterable[Table]) -> None:
        self._read = {lake.open(table) for table in read}
        self.__dict__.update(lake.__dict__)
        self.con = lake.con.cursor()

    def open(self, table: Table, *, version: int | None = None) -> str:
        """Name a table that is open, or open another."""
        return table.path if version is None and table.path in self._read else super().open(table, version=version)
