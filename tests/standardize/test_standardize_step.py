"""The pipeline step: bronze tables in, silver tables out."""

from __future__ import annotations

import pytest

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.standardize import standardize
from c360ml.tables import Table

BRONZE = tuple(table for table in tables.ALL if table.layer == "bronze")
CUSTOMERS = [
    {
        "source": "salesforce", "source_key": "003A", "given_name": "Bob", "surname": "Stone", "status": "Active",
        "email": "Bob.Stone@gmail.com", "phone": "(415) 555-2671", "date_of_birth": "1980-05-06",
        "address": "12 Oak Street Apt 4", "city": "Springfield", "state": "IL", "postcode": "62701-1234",
        "marketing_consent": "true", "created_at": "2024-01-05T10:00:00.000+0000", "updated_at": "2024-02-05T10:00:00Z",
    },
    {"source": "salesforce", "source_key": "00QB", "given_name": "Ann", "surname": "Hill",
     "status": "Open - Not Contacted", "email": "sales@dealer.com", "marketing_consent": "No"},
    {"source": "dms", "source_key": "7", "given_name": "UNKNOWN", "surname": "UNKNOWN", "email": "none@none.com",
     "phone": "999-999-9999", "address": "UNKNOWN", "date_of_birth": "01/01/1900",
     "created_at": "01/13/2020", "status": "Inactive"},
    {"source": "dms", "source_key": "8", "given_name": "AL", "surname": "LAKE", "date_of_birth": "03/25/1970",
     "created_at": "02/03/2021 14:30"},
]  # fmt: skip


def fill(lake: Lakehouse, table: Table, rows: list[dict[str, object]]) -> None:
    """Write a bronze table from rows that name some of its columns; all others are null."""
    lake.rows(
        "create or replace temp table filled as select "
        + ", ".join(f"cast(null as {column.type}) as {name}" for name, column in table.columns.items())
        + " where false"
    )
    for row in rows:
        names = ", ".join(row)
        values = ", ".join(f"${name}" for name in row)
        lake.rows(f"insert into filled ({names}) values ({values})", row)
    lake.write(table, "from filled")


@pytest.fixture
def lake(tmp_path):
    """A lakehouse whose bronze tables are all there and empty."""
    with Lakehouse(tmp_path) as opened:
        for table in BRONZE:
            fill(opened, table, [])
        yield opened


def one(lake: Lakehouse, columns: str, table: str, where: str) -> tuple[object, ...]:
    """Ask for some columns of a single row."""
    return lake.rows(f"select {columns} from {table} where {where}")[0]


def test_empty_bronze_gives_empty_silver(lake):
    """A project without any accepted row runs through."""
    summary = standardize(lake, Config())

    assert 0 == summary["records"] == summary["purchases"] == summary["digital_events"]
    assert {} == summary["quality_score_by_source"]


def test_records_are_standardized_and_keep_raw_values(lake):
    """A record has its id, its standardized values, its times in UTC and its raw values beside."""
    fill(lake, tables.CUSTOMERS, CUSTOMERS)

    standardize(lake, Config())

    assert ("robert", "stone", "bobstone@gmail.com", "+14155552671", "12", "oak st", "4", "62701") == one(
        lake, "given_name_canonical, surname, email, phone, street_number, street, unit, postcode",
        "silver.records", "record_id = 'salesforce:003A'",
    )  # fmt: skip
    assert ("Bob Stone", "Bob.Stone@gmail.com", "(415) 555-2671", "12 Oak Street Apt 4", "1980-05-06") == one(
        lake, "name_raw, email_raw, phone_raw, address_raw, date_of_birth_raw",
        "silver.records", "record_id = 'salesforce:003A'",
    )  # fmt: skip
    assert ("2024-01-05 10:00:00+00", "2024-02-05 10:00:00+00") == one(
        lake, "created_at::varchar, updated_at::varchar", "silver.records", "record_id = 'salesforce:003A'"
    )
    assert ("2021-02-03 14:30:00+00",) == one(lake, "created_at::varchar", "silver.records", "record_id = 'dms:8'")


def test_status_and_consent(lake):
    """Leads are prospects, no status means active; consent is true, false or unknown."""
    fill(lake, tables.CUSTOMERS, CUSTOMERS)

    standardize(lake, Config())

    assert [("ACTIVE", True), ("PROSPECT", False), ("INACTIVE", None), ("ACTIVE", None)] == lake.rows(
        "select status, marketing_consent from silver.records order by record_id like 'dms%', record_id"
    )


STATUSES = [
    ("Lead", "PROSPECT"),
    ("Closed - Not Converted", "PROSPECT"),
    ("Working - Contacted", "PROSPECT"),
    ("Qualified", "PROSPECT"),
    ("closed", "INACTIVE"),
    ("Deactivated", "INACTIVE"),
    ("customer", "ACTIVE"),
    ("", "ACTIVE"),
]


def test_statuses(lake):
    """Every word of a source is one of three."""
    rows = [CUSTOMERS[0] | {"source_key": str(at), "status": status} for at, (status, _) in enumerate(STATUSES)]
    fill(lake, tables.CUSTOMERS, rows)

    standardize(lake, Config())

    assert [(status,) for _, status in STATUSES] == lake.rows("select status from silver.records order by source_key")


def test_quality_scores_count_what_is_usable(lake):
    """A full record scores 1, one of placeholders 0.05 for its time stamp, a role e-mail counts half."""
    fill(lake, tables.CUSTOMERS, CUSTOMERS)

    summary = standardize(lake, Config())

    assert [("dms:7", 0.05), ("dms:8", 0.45), ("salesforce:003A", 1.0), ("salesforce:00QB", 0.35)] == lake.rows(
        "select record_id, quality_score from silver.records order by record_id"
    )
    assert {"dms": 0.25, "salesforce": 0.675} == summary["quality_score_by_source"]
    assert {"name": 1, "email": 1, "phone": 1, "address": 1, "date_of_birth": 1} == summary["placeholders"]


def test_source_quality_counts_rejects_of_sources_without_records(lake):
    """Every source with an accepted or a rejected customer row has its line."""
    fill(lake, tables.CUSTOMERS, CUSTOMERS)
    fill(
        lake,
        tables.DEAD_LETTERS,
        [
            {"source": "dms", "entity": "customers", "row_number": 1},
            {"source": "digital", "entity": "customers", "row_number": 1},
            {"source": "digital", "entity": "events", "row_number": 2},
        ],
    )

    standardize(lake, Config())

    assert [("digital", 0, 1), ("dms", 2, 1), ("salesforce", 2, 0)] == lake.rows(
        "select source, records, rejected_rows from silver.source_quality order by source"
    )
    assert (0.5, 1.0, 0.5) == one(
        lake, "phone_share, name_share, date_of_birth_share", "silver.source_quality", "source = 'salesforce'"
    )


def test_purchases(lake):
    """Days, amounts and VINs are read; a sale without a readable day is counted, not written."""
    sale = {"source": "dms_sales", "customer_source": "dms", "customer_key": "7", "campaign_key": "c1"}
    fill(
        lake,
        tables.SALES,
        [
            sale | {"source_key": "1", "sold_on": "01/25/2024", "amount": "$31,250.50", "vin": " 1hgcm82633a004352 "},
            sale | {"source_key": "2", "sold_on": "02/03/2024", "amount": "(500.00)"},
            sale | {"source_key": "3", "sold_on": "2024-02-04T23:30:00-05:00", "amount": "-12,5"},
            sale | {"source_key": "4", "sold_on": "soon", "amount": "1"},
        ],
    )

    summary = standardize(lake, Config())

    assert [
        ("dms_sales:1", "dms:7", "2024-01-25", 31250.5, "1HGCM82633A004352", "c1"),
        ("dms_sales:2", "dms:7", "2024-02-03", -500.0, None, "c1"),
        ("dms_sales:3", "dms:7", "2024-02-04", -12.5, None, "c1"),
    ] == lake.rows(
        "select purchase_id, record_id, purchased_on::varchar, amount, vin, campaign_id "
        "from silver.purchases order by purchase_id"
    )
    assert (3, 1) == (summary["purchases"], summary["undated_purchases"])


def test_services(lake):
    """Service types of any spelling are one of three."""
    service = {
        "source": "service_records",
        "customer_source": "service",
        "customer_key": "S1",
        "serviced_on": "20240105",
    }
    words = ["Oil change", "warranty repair", "Parts", None]
    fill(
        lake,
        tables.SERVICE_ROWS,
        [service | {"source_key": str(at), "service_type": word} for at, word in enumerate(words)],
    )

    standardize(lake, Config())

    assert ["SERVICE", "WARRANTY", "PARTS", "SERVICE"] == [
        row[0] for row in lake.rows("select service_type from silver.services order by service_id")
    ]


def test_digital_events(lake):
    """Event names get a type, e-mails the spelling of records; an event may know only an e-mail."""
    event = {"source": "digital_events", "occurred_at": "2024-01-05T10:00:00Z"}
    fill(
        lake,
        tables.EVENTS,
        [
            event | {"source_key": "1", "customer_source": "digital", "customer_key": "U1", "event_type": "page_view"},
            event | {"source_key": "2", "email": "Bob.Stone+x@gmail.com", "event_type": "Email Opened"},
            event | {"source_key": "3", "email": "none@none.com", "event_type": "push notification"},
            event | {"source_key": "4", "event_type": "instagram_like"},
            event | {"source_key": "5", "event_type": "configurator"},
        ],
    )

    standardize(lake, Config())

    assert [
        ("digital:U1", None, "WEB", "page_view"),
        (None, "bobstone@gmail.com", "EMAIL", "email_open"),
        (None, None, "APP", "push_notification"),
        (None, None, "SOCIAL", "instagram_like"),
        (None, None, "WEB", "configurator"),
    ] == lake.rows("select record_id, email, interaction_type, event_type from silver.digital_events order by event_id")


def test_campaigns_and_sends(lake):
    """A campaign keeps its key; an audience is TREATED or CONTROL."""
    fill(
        lake,
        tables.CAMPAIGN_ROWS,
        [{"source": "m", "source_key": "c1", "channel": "email", "starts_on": "2024-01-05", "cost": "1,000"}],
    )
    send = {"source": "m", "campaign_key": "c1", "customer_source": "salesforce", "sent_on": "2024-01-06"}
    fill(
        lake,
        tables.CAMPAIGN_SEND_ROWS,
        [
            send | {"source_key": "1", "customer_key": "003A", "audience": "Treated"},
            send | {"source_key": "2", "customer_key": "003B", "audience": "Hold-out"},
        ],
    )

    summary = standardize(lake, Config())

    assert ("c1", "c1", "EMAIL", 1000.0) == one(
        lake, "campaign_id, campaign_name, channel, cost", "silver.campaigns", "true"
    )
    assert [("m:1", "salesforce:003A", "TREATED"), ("m:2", "salesforce:003B", "CONTROL")] == lake.rows(
        "select send_id, record_id, audience from silver.campaign_sends order by send_id"
    )
    assert (1, 2) == (summary["campaigns"], summary["campaign_sends"])


def test_the_step_is_deterministic(lake):
    """Running again writes the same records, and leaves no temporary table behind."""
    question = "select * exclude (created_at, updated_at) from silver.records order by record_id"
    fill(lake, tables.CUSTOMERS, CUSTOMERS)
    standardize(lake, Config())
    before = lake.rows(question)
    standardize(lake, Config())

    assert before == lake.rows(question)
    assert [] == lake.rows("select table_name from duckdb_tables() where table_name like '%record_%'")


def test_odd_names_are_counted(lake):
    """Two people, digits, maiden names and other scripts in a name are counted, and the name is read all the same."""
    names = [
        "Mr & Mrs John Smith",
        "Mary Jones née Hill",
        "Анна Павлова",
        "Bob Stone 12",
        "Duke of Mar and Kellie",
        "Al Lake",
    ]
    rows = [{"source": "crm", "source_key": str(key), "full_name": name} for key, name in enumerate(names)]
    fill(lake, tables.CUSTOMERS, rows)

    summary = standardize(lake, Config())

    assert {"two_people": 1, "digits": 1, "maiden_name": 1, "other_script": 1} == summary["odd_names"]
    assert [("smith",), ("jones",), ("pavlova",), ("stone",), ("kellie",), ("lake",)] == lake.rows(
        "select surname from silver.records order by record_id"
    )
