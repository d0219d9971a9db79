"""What merges and splits did to customers is told once, from the rows as they were and as they are."""

import pytest

from c360ml import tables
from c360ml.customer360.identity_impact import record_impact
from c360ml.lakehouse import Lakehouse


@pytest.fixture
def lake(tmp_path):
    """A lakehouse with an empty ledger."""
    with Lakehouse(tmp_path, threads=1) as lake:
        events(lake)
        yield lake


def rows_of(table, rows):
    """SQL of rows given by column; what a row leaves out is null."""
    parts = [
        "select "
        + ", ".join(f"{row.get(name, 'null')}::{column.type} as {name}" for name, column in table.columns.items())
        for row in rows
    ] or ["select " + ", ".join(f"null as {name}" for name in table.columns) + " where false"]
    return " union all ".join(parts)


def events(lake, *rows):
    """Write the ledger."""
    lake.write(tables.IDENTITY_LEDGER, rows_of(tables.IDENTITY_LEDGER, rows))


def customers(*rows):
    """SQL of customers: ID, purchases, value, segment."""
    return rows_of(
        tables.CUSTOMER_360,
        [
            {"master_id": f"'{i}'", "purchases": n, "historical_value": v, "customer_value": v, "rfm_segment": f"'{s}'"}
            for i, n, v, s in rows
        ],
    )


BEFORE = customers(("m1", 2, 20, "LOST"), ("m2", 3, 30, "LOYAL"), ("m3", 1, 1, "NEW"))
AFTER = customers(("m1", 5, 50, "CHAMPION"), ("m3", 1, 1, "NEW"))
MERGE = {"event_id": "'e1'", "event": "'merged'", "master_id": "'m1'", "other_master_id": "'m2'"}


def told(lake):
    """Purchases, value and segment of both customers of each event, before and now."""
    return lake.rows("""
        select event_id, purchases_before, purchases_after, other_purchases_before, other_purchases_after,
            historical_value_after - historical_value_before, rfm_segment_before, rfm_segment_after
        from gold.identity_impact order by event_id
    """)


def test_first_run_has_no_impact(lake):
    """Before anything was merged there is an empty table."""
    assert 0 == record_impact(lake, AFTER)
    assert [] == told(lake)


def test_merge_shows_both_customers_before_and_after(lake):
    """A merge tells what both customers were and what the living one is; the retired one has nothing now."""
    lake.write(tables.CUSTOMER_360, BEFORE)
    events(lake, MERGE)
    assert 1 == record_impact(lake, AFTER)
    assert [("e1", 2, 5, 3, None, 30.0, "LOST", "CHAMPION")] == told(lake)


def test_each_event_is_told_once(lake):
    """A killed attempt is replaced by the next one, and a finished one is never told again."""
    lake.write(tables.CUSTOMER_360, BEFORE)
    events(lake, MERGE)
    record_impact(lake, BEFORE)
    record_impact(lake, AFTER)
    assert [("e1", 2, 5, 3, None, 30.0, "LOST", "CHAMPION")] == told(lake)
    lake.write(tables.CUSTOMER_360, AFTER)
    assert 0 == record_impact(lake, AFTER)
    assert 1 == len(told(lake))


def test_customer_of_a_split_was_not_there_before(lake):
    """A part that was split off has no values before, and the customer it came from has both."""
    lake.write(tables.CUSTOMER_360, AFTER)
    events(lake, {**MERGE, "event": "'split'", "master_id": "'m2'", "other_master_id": "'m1'"})
    record_impact(lake, BEFORE)
    assert [("e1", None, 3, 5, 2, None, None, "LOYAL")] == told(lake)
