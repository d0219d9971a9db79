"""Small lakehouses written by hand."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.tables import Table

Row = dict[str, Any]


def write_rows(lake: Lakehouse, table: Table, rows: Sequence[Row]) -> None:
    """Write rows given as text; columns that a row leaves out are null."""
    columns = {
        name: pa.array([None if row.get(name) is None else str(row[name]) for row in rows], pa.string())
        for name in table.columns
    }
    lake.con.register("rows_by_hand", pa.table(columns))
    lake.write(table, "select * from rows_by_hand")
    lake.con.unregister("rows_by_hand")


def lay(lake: Lakehouse, *people: Sequence[Row], links: Sequence[Row] = ()) -> None:
    """Write records, clusters and links of people, each given as a list of their records."""
    records = [{"source": row["record_id"].split(":")[0], **row} for person in people for row in person]
    clusters = [
        {"record_id": row["record_id"], "cluster_id": min(r["record_id"] for r in person), "cohesion": 1}
        for person in people
        for row in person
    ]
    write_rows(lake, tables.RECORDS, records)
    write_rows(lake, tables.CLUSTERS, clusters)
    write_rows(lake, tables.LINKS, links)
