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


def lay(
    lake: Lakehouse,
    records: Sequence[Row],
    purchases: Sequence[Row] = (),
    services: Sequence[Row] = (),
    events: Sequence[Row] = (),
) -> None:
    """Write what `collect_interactions` reads; a record names its `master_id`."""
    write_rows(lake, tables.RECORDS, [{"created_at": "2020-01-01 00:00:00+00", **row} for row in records])
    write_rows(lake, tables.IDENTITIES, records)
    write_rows(lake, tables.PURCHASES, [{"purchase_id": f"p:{i}", **row} for i, row in enumerate(purchases)])
    write_rows(lake, tables.SERVICES, [{"service_id": f"s:{i}", **row} for i, row in enumerate(services)])
    write_rows(lake, tables.DIGITAL_EVENTS, [{"event_id": f"e:{i}", **row} for i, row in enumerate(events)])
