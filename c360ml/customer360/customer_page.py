"""Everything that is known of one customer, for a customer's page and for serving."""

from __future__ import annotations

import json
from typing import Any

from c360ml import tables
from c360ml.errors import DataError
from c360ml.lakehouse import Lakehouse

READS = (
    tables.CUSTOMER_360,
    tables.GOLDEN_RECORDS,
    tables.GOLDEN_PROVENANCE,
    tables.IDENTITIES,
    tables.RECORDS,
    tables.INTERACTIONS,
)


def customer_360(lake: Lakehouse, master_id: str) -> dict[str, Any]:
    """Tell everything of one customer in plain JSON values.

    Returns:
        `customer`: the row of gold.customer_360; `golden_record`; `provenance`: which record gave which
        field; `records`: the source records; `household`: the other members; `timeline`: every
        interaction, newest first.

    Raises:
        DataError: there is no such customer.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> for table in READS:
    ...     key = "'m-1' as master_id"
    ...     columns = ", ".join(key if name == "master_id" else f"null as {name}" for name in table.columns)
    ...     _ = lake.write(table, f"select {columns}")
    >>> sorted(customer_360(lake, "m-1"))
    ['customer', 'golden_record', 'household', 'provenance', 'records', 'timeline']
    """
    for table in READS:
        lake.open(table)
    answers = {name: _rows(lake, query, master_id) for name, query in _QUESTIONS.items()}
    customers, golden_records = answers.pop("customer"), answers.pop("golden_record")
    if not customers or not golden_records:
        raise DataError(
            "a customer must be named by a master_id of gold.customer_360",
            got=repr(master_id),
            hint="look it up in silver.identities by record_id",
        )
    return {"customer": customers[0], "golden_record": golden_records[0], **answers}


def _rows(lake: Lakehouse, query: str, master_id: str) -> list[dict[str, Any]]:
    # As JSON text, for times with a zone would need pytz on their way into Python.
    rows = lake.rows(f"select to_json(answer) from ({query}) as answer", {"master_id": master_id})
    return [json.loads(row) for (row,) in rows]


_QUESTIONS = {
    "customer": "select * from gold.customer_360 where master_id = $master_id",
    "golden_record": "select * from silver.golden_records where master_id = $master_id",
    "provenance": """
        select field, record_id, rule, candidates
        from silver.golden_provenance
        where master_id = $master_id
        order by field
    """,
    "records": """
        select records.*, cohesion
        from silver.records as records
        join silver.identities using (record_id)
        where master_id = $master_id
        order by record_id
    """,
    "household": """
        select master_id, full_name, value_tier, customer_value
        from gold.customer_360
        where master_id <> $master_id
            and household_id = (select household_id from gold.customer_360 where master_id = $master_id)
        order by master_id
    """,
    "timeline": """
        select * exclude (master_id)
        from gold.interactions
        where master_id = $master_id
        order by occurred_at desc, interaction_id
    """,
}
