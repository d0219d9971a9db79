"""What all rows together tell of how their sources write: day before month, ZIP codes without zero, a date for none."""

from __future__ import annotations

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.addresses import lost_zeros
from c360ml.standardize.customers import customer_rows
from c360ml.standardize.dates import day_first_sql
from c360ml.standardize.records import birthdays, epoch_sources

_DATES = (
    ("customer_rows", "date_of_birth"),
    (tables.CUSTOMERS.path, "created_at"),
    (tables.CUSTOMERS.path, "updated_at"),
    (tables.SALES.path, "sold_on"),
    (tables.SERVICE_ROWS.path, "serviced_on"),
    (tables.EVENTS.path, "occurred_at"),
    (tables.CAMPAIGN_ROWS.path, "starts_on"),
    (tables.CAMPAIGN_SEND_ROWS.path, "sent_on"),
)


def meanings(lake: Lakehouse, country: str) -> list[object]:
    """List what all rows tell, in plain values: the same list, the same reading of each row."""
    with customer_rows(lake):
        orders = [
            lake.rows(f"from ({day_first_sql(rows, column, country)}) order by source") for rows, column in _DATES
        ]
        epochs = lake.rows(f"from ({epoch_sources(birthdays('customer_rows', country))}) order by source")
        zeros = lake.rows(lost_zeros("customer_rows"))
    return [orders, epochs, zeros]
