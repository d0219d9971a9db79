"""What a table of buyers must be before it is scored or clustered."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from c360ml.errors import ColumnError, DataError
from c360ml.lakehouse import as_relation, connect

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FEATURES = ("days_since_last_purchase", "purchases", "total_spend")
"""What RFM and KMeans look at; spend is net of refunds and may be negative."""

_NUMBERS = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
    *("FLOAT", "DOUBLE", "DECIMAL"),
}

_FAULTS = """
    select
        count(*) filter (where customer_id is null) as "customer_id null",
        count(customer_id) - count(distinct customer_id) as "customer_id repeated",
        count(*) filter (where not coalesce(isfinite(days_since_last_purchase::double), false))
            as "days_since_last_purchase null or not finite",
        count(*) filter (where not coalesce(isfinite(purchases::double), false))
            as "purchases null or not finite",
        count(*) filter (where not coalesce(isfinite(total_spend::double), false))
            as "total_spend null or not finite",
        count(*) filter (where days_since_last_purchase < 0) as "days_since_last_purchase below 0",
        count(*) filter (where purchases < 1) as "purchases below 1"
    from buyers
"""


@contextmanager
def open_buyers(table: Any) -> Iterator[DuckDBPyConnection]:
    """Show a checked table as the view `buyers` of a connection that keeps the order of rows.

    Raises:
        ColumnError: a column is missing or not numeric.
        DataError: a row is not a buyer, or a customer comes twice.
    """
    con = connect()
    con.execute("set preserve_insertion_order = true").fetchall()
    relation = as_relation(con, table)
    check_columns(dict(zip(relation.columns, map(str, relation.types), strict=True)), ("customer_id", *FEATURES))
    relation.create_view("buyers")
    _check_rows(con)
    yield con


def check_columns(types: dict[str, str], required: tuple[str, ...]) -> None:
    """Refuse a table that lacks a column, or holds a measure as anything but numbers.

    Raises:
        ColumnError: names the columns.
    """
    missing = [name for name in required if name not in types]
    if missing:
        raise ColumnError(
            f"a table must have the columns {', '.join(required)}",
            got=f"no {', '.join(missing)}",
            hint="rename your columns to these",
        )
    wrong = {
        name: types[name]
        for name in required
        if name != "customer_id" and types[name].partition("(")[0] not in _NUMBERS
    }
    if wrong:
        raise ColumnError(f"{', '.join(wrong)} must be numbers", got=wrong, hint="convert them before the call")


def _check_rows(con: DuckDBPyConnection) -> None:
    faults = con.sql(_FAULTS)
    counts = dict(zip(faults.columns, faults.fetchall()[0], strict=True))
    found = {rule: rows for rule, rows in counts.items() if rows}
    if found:
        raise DataError(
            "each row must be one customer with days >= 0, at least one purchase and a known spend",
            got=", ".join(f"{rows:,} rows: {rule}" for rule, rows in found.items()),
            hint="leave out customers without a purchase, and sum up a customer's rows first",
        )


def check_count(customers: int) -> None:
    """Refuse to learn from an empty table.

    Raises:
        DataError: there is no customer.
    """
    if customers == 0:
        raise DataError("there must be at least one customer to learn from", got="an empty table", hint="add rows")


def check_one(days_since_last_purchase: float, purchases: float, total_spend: float) -> None:
    """Refuse a single customer who is not a buyer.

    Raises:
        DataError: a number is unknown, or below what it can be.
    """
    numbers = (days_since_last_purchase, purchases, total_spend)
    if not all(map(math.isfinite, numbers)) or days_since_last_purchase < 0 or purchases < 1:
        raise DataError(
            "a buyer must have days >= 0, at least one purchase and a known spend",
            got="a number out of range",
            hint="a customer without purchase has no RFM score: call it PROSPECT",
        )
