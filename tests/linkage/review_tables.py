"""Small tables of a run, for tests of the review: what a query leaves out of a contract is null."""

from __future__ import annotations

from c360ml.lakehouse import Lakehouse
from c360ml.tables import Table


def write_table(lake: Lakehouse, table: Table, query: str) -> None:
    """Write a table from a query of some of its columns."""
    given = lake.sql(query).columns
    absent = [f"null as {name}" for name in table.columns if name not in given]
    lake.write(table, f"select {', '.join(['*', *absent])} from ({query})")
