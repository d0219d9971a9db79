"""One row per customer, and everything of one customer."""

import json

import pytest
from customer360_tables import lay, write_rows

from c360ml import tables
from c360ml.config import Config
from c360ml.customer360 import collect_interactions, customer_360, profile_customers
from c360ml.errors import DataError
from c360ml.lakehouse import Lakehouse

RECORDS = [
    {"record_id": "crm:1", "source": "crm", "master_id": "m1", "household_id": "Hm1", "given_name": "ann",
     "created_at": "2022-01-01 00:00:00+00"},
    {"record_id": "dms:1", "source": "dms", "master_id": "m1", "household_id": "Hm1",
     "created_at": "2023-01-01 00:00:00+00"},
    {"record_id": "crm:2", "source": "crm", "master_id": "m2", "household_id": "Hm1",
     "created_at": "2024-01-01 00:00:00+00"},
]  # fmt: skip
END = Config.parse({"project": {"observation_end": "2024-12-31"}})


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as lake:
        yield lake


@pytest.fixture
def profiled(lake):
    """Ann who bought a car before her first record, and Bob who did nothing."""
    lay(
        lake,
        RECORDS,
        purchases=[{"record_id": "dms:1", "purchased_on": "2021-12-31", "amount": 100, "vin": "V1"}],
        services=[{"record_id": "dms:1", "serviced_on": "2024-03-01", "amount": 10, "service_type": "SERVICE"}],
    )
    collect_interactions(lake, END)
    both = {"household_id": "Hm1", "status": "ACTIVE"}
    write_rows(lake,
        tables.GOLDEN_RECORDS,
        [
            {"master_id": "m1", "full_name": "Ann", "records": 2, "first_seen_at": "2022-01-01 00:00:00+00",
             "last_seen_at": "2023-01-01 00:00:00+00", "sources": "[crm, dms]", "quality_score": 0.5, **both},
            {"master_id": "m2", "full_name": "Bob", "records": 1, "first_seen_at": "2024-01-01 00:00:00+00",
             "last_seen_at": "2024-01-01 00:00:00+00", "sources": "[crm]", "quality_score": 0.9, **both},
        ],
    )  # fmt: skip
    write_rows(
        lake,
        tables.GOLDEN_PROVENANCE,
        [{"master_id": "m1", "field": "given_name", "record_id": "crm:1", "rule": "most_frequent", "candidates": 1}],
    )
    write_rows(lake,
        tables.CUSTOMER_VALUE,
        [{"customer_id": "m1", "historical_value": 100, "projected_value": 25.5, "probability_alive": 0.75,
          "expected_purchases": 0.5}],
    )  # fmt: skip
    write_rows(
        lake,
        tables.CUSTOMER_SEGMENTS,
        [{"master_id": "m1", "value_tier": "VIP"}, {"master_id": "m2", "value_tier": "PROSPECT"}],
    )
    return profile_customers(lake, END)


def profile(lake, master_id, *columns):
    """Columns of one customer's row."""
    query = f"select {', '.join(columns)} from gold.customer_360 where master_id = $master_id"
    return lake.rows(query, {"master_id": master_id})


def test_one_row_per_golden_record(lake, profiled):
    """Every golden record has one row, also without activity or value."""
    assert [("m1", "Ann"), ("m2", "Bob")] == lake.rows(
        "select master_id, full_name from gold.customer_360 order by all"
    )


def test_value_is_past_and_future_together(lake, profiled):
    """Customer value is the historical and the projected value together."""
    columns = ("historical_value", "projected_value", "customer_value", "probability_alive", "value_tier")
    assert [(100.0, 25.5, 125.5, 0.75, "VIP")] == profile(lake, "m1", *columns)


def test_tenure_starts_with_the_first_record_or_interaction(lake, profiled):
    """Tenure runs from whatever came first: Ann's purchase, Bob's record."""
    columns = ("tenure_days", "tenure_years", "earliest_record_on::varchar", "latest_record_on::varchar")
    assert [(1096, 1096 / 365.25, "2022-01-01", "2023-01-01")] == profile(lake, "m1", *columns)
    assert [(365, 365 / 365.25, "2024-01-01", "2024-01-01")] == profile(lake, "m2", *columns)


def test_nothing_is_zero_and_unknown_stays_unknown(lake, profiled):
    """Counts and sums of nothing are zero, a mean or a day of nothing is unknown."""
    zeros = ("purchases", "purchase_revenue", "service_visits", "digital_interactions", "vehicles_owned",
             "historical_value", "projected_value", "customer_value", "expected_purchases")  # fmt: skip
    assert [(0,) * len(zeros)] == profile(lake, "m2", *zeros)
    unknown = ("mean_purchase", "last_purchase_on", "days_since_last_activity", "probability_alive")
    assert [(None,) * len(unknown)] == profile(lake, "m2", *unknown)
    assert [([], ["crm"])] == profile(lake, "m2", "service_types", "data_sources")


def test_customer_missing_from_activity_has_zeros(lake, profiled):
    """A golden record without a row of activity, value or segment still has its profile."""
    for table in (tables.CUSTOMER_ACTIVITY, tables.CUSTOMER_VALUE, tables.CUSTOMER_SEGMENTS):
        write_rows(lake, table, [])
    profile_customers(lake, END)
    assert [(0, 0.0, [], 1095, None)] == profile(
        lake, "m1", "purchases", "engagement_score", "service_types", "tenure_days", "value_tier"
    )


def test_profile_summary(profiled):
    """The summary counts customers, buyers and totals."""
    expected = {
        "customers": 2,
        "buyers": 1,
        "service_customers": 1,
        "digital_customers": 0,
        "customers_without_activity": 1,
        "multi_source_customers": 1,
        "mean_tenure_years": pytest.approx((1096 + 365) / 2 / 365.25, abs=1e-6),
        "mean_engagement_score": 0.0,
        "historical_value": 100.0,
        "projected_value": 25.5,
        "customer_value": 125.5,
        "households": 1,
        "identity_changes": 0,
    }
    assert expected == profiled


def test_customer_page_tells_everything(lake, profiled):
    """One customer's page holds the profile, golden record, provenance, records, household and timeline."""
    page = customer_360(lake, "m1")
    assert ("Ann", 125.5) == (page["customer"]["full_name"], page["customer"]["customer_value"])
    assert ["crm:1", "dms:1"] == [record["record_id"] for record in page["records"]]
    assert ["2024-03-01", "2021-12-31"] == [event["occurred_at"][:10] for event in page["timeline"]]
    assert ["m2"] == [member["master_id"] for member in page["household"]]
    assert [{"field": "given_name", "record_id": "crm:1", "rule": "most_frequent", "candidates": 1}] == page[
        "provenance"
    ]
    assert page == json.loads(json.dumps(page))


def test_unknown_customer_is_an_error(lake, profiled):
    """A master ID that nobody has is a clear error."""
    with pytest.raises(DataError, match="must be named by a master_id"):
        customer_360(lake, "nobody")
