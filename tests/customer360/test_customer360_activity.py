"""Activity: what each customer did, counted by hand."""

import tempfile

import pytest
from customer360_tables import lay
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.config import Config
from c360ml.customer360 import collect_interactions
from c360ml.lakehouse import Lakehouse


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as lake:
        yield lake


ANN = {"record_id": "crm:1", "master_id": "m1", "created_at": "2020-01-01 00:00:00+00"}
END = Config.parse({"project": {"observation_end": "2024-12-31"}})


def activity(lake, *columns):
    """Activity of the only customer."""
    collect_interactions(lake, END)
    rows = lake.rows(f"select {', '.join(columns)} from gold.customer_activity")
    assert 1 == len(rows)
    return rows[0]


def buy(day, amount, vin=None):
    """A purchase of Ann's."""
    return {"record_id": "crm:1", "purchased_on": day, "amount": amount, "vin": vin}


def event(kind, day, name="page_view"):
    """A digital event of Ann's."""
    return {
        "record_id": "crm:1", "interaction_type": kind, "event_type": name, "occurred_at": f"{day} 12:00:00+00",
    }  # fmt: skip


def test_purchases_and_refunds(lake):
    """Purchases are counted without refunds and valued net of them; nothing is bought for nothing."""
    lay(lake, [ANN], purchases=[buy("2024-01-01", 100), buy("2024-03-01", 50.25), buy("2024-06-01", -30),
                          buy("2024-07-01", 0)])  # fmt: skip
    expected = (2, 120.25, 75.125, "2024-01-01", "2024-03-01", 1)
    assert expected == activity(
        lake, "purchases", "purchase_revenue", "mean_purchase",
        "first_purchase_on::varchar", "last_purchase_on::varchar", "refunds",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("purchases", "expected"),
    [
        ([("A", 100), ("A", 100), ("B", 10), (None, 10)], 2),
        ([("A", 100), ("A", -100)], 0),
        ([("A", 100), ("A", -90)], 0),
        ([("A", 100), ("A", -5)], 1),
        ([("A", 100), ("A", -100), ("A", 80)], 0),
        ([("A", 100), ("A", -100), ("A", 120)], 1),
        ([("A", -100)], 0),
    ],
)
def test_vehicles_owned(lake, purchases, expected):
    """A vehicle is owned while more than half of what was paid for it was kept."""
    lay(lake, [ANN], purchases=[buy("2024-01-01", amount, vin) for vin, amount in purchases])
    assert (expected,) == activity(lake, "vehicles_owned")


def test_services(lake):
    """Service rows of all types are visits, with their revenue, mean, days and types."""
    lay(
        lake,
        [ANN],
        services=[
            {"record_id": "crm:1", "serviced_on": "2024-01-01", "amount": 100, "service_type": "SERVICE"},
            {"record_id": "crm:1", "serviced_on": "2024-02-01", "amount": 0, "service_type": "WARRANTY"},
            {"record_id": "crm:1", "serviced_on": "2024-03-01", "service_type": "SERVICE"},
        ],
    )
    expected = (3, 100.0, 50.0, "2024-01-01", "2024-03-01", ["SERVICE", "WARRANTY"])
    assert expected == activity(
        lake, "service_visits", "service_revenue", "mean_service",
        "first_service_on::varchar", "last_service_on::varchar", "service_types",
    )  # fmt: skip


def test_digital_events(lake):
    """Digital events are counted in all and by kind, e-mail by open and click."""
    lay(
        lake,
        [ANN],
        events=[
            event("WEB", "2024-01-01"), event("WEB", "2024-01-02", "session_start"),
            event("EMAIL", "2024-01-03", "email_open"), event("EMAIL", "2024-01-04", "email_open"),
            event("EMAIL", "2024-01-05", "email_click"), event("APP", "2024-01-06", "app_open"),
            event("SOCIAL", "2024-01-07", "social_like"),
        ],
    )  # fmt: skip
    expected = (7, 2, 1, 2, 1, 1, "2024-01-07 12:00:00+00")
    assert expected == activity(
        lake, "digital_interactions", "email_opens", "email_clicks", "site_visits", "app_events",
        "social_events", "last_digital_at::varchar",
    )  # fmt: skip


def test_days_of_any_activity(lake):
    """First and last activity count every channel."""
    lay(lake, [ANN], purchases=[buy("2024-02-01", 1)], events=[event("WEB", "2024-12-01")])
    assert ("2024-02-01", "2024-12-01", 30) == activity(
        lake, "first_activity_on::varchar", "last_activity_on::varchar", "days_since_last_activity"
    )


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], 0.0),
        ([("WEB", "2024-12-31")], 25.0),
        ([(kind, "2024-12-31") for kind in ("WEB", "APP", "EMAIL", "SOCIAL")], 100.0),
        ([("WEB", "2024-10-02")], 12.5),
        ([("WEB", "2024-10-02"), ("APP", "2024-12-31"), ("APP", "2021-01-01")], 37.5),
    ],
)
def test_engagement_score(lake, events, expected):
    """Each kind gives 25 points, halved with every 90 days since it was last used."""
    lay(lake, [ANN], events=[event(*each) for each in events])
    assert (expected,) == activity(lake, "engagement_score")


def test_purchases_per_year_of_tenure(lake):
    """Tenure runs from the first record: ten purchases in 1,826 days."""
    lay(lake, [ANN], purchases=[buy("2024-01-01", 1)] * 1 + [buy("2024-02-01", 1)] * 9)
    assert (pytest.approx(10 / (1826 / 365.25)),) == activity(lake, "purchases_per_year")


def test_tenure_of_less_than_a_year_counts_as_one(lake):
    """A customer since last month who bought once does not buy twelve times a year."""
    lay(lake, [{**ANN, "created_at": "2024-12-01 00:00:00+00"}], purchases=[buy("2024-12-01", 1)])
    assert (1.0,) == activity(lake, "purchases_per_year")


def test_customer_who_did_nothing_has_a_row(lake):
    """A customer without interactions has zeros, and no days."""
    lay(lake, [ANN])
    assert (0, 0.0, None, None, 0, [], 0.0, None) == activity(
        lake, "purchases", "purchase_revenue", "mean_purchase", "last_activity_on", "vehicles_owned",
        "service_types", "engagement_score", "days_since_last_activity",
    )  # fmt: skip


rows = st.lists(
    st.tuples(
        st.sampled_from(["crm:1", "crm:2", "crm:3", "dms:9", None]),
        st.sampled_from(["2024-01-01", "2024-06-01", "2025-06-01"]),
        st.decimals(-1000, 1000, places=2),
    ),
    max_size=8,
)
PEOPLE = [ANN, {"record_id": "crm:2", "master_id": "m1"}, {"record_id": "crm:3", "master_id": "m2"}]


@settings(max_examples=10, deadline=None)
@given(rows, rows, st.randoms())
def test_nothing_is_lost_and_order_does_not_matter(bought, serviced, random):
    """Each row is one interaction, revenue adds up to the cent, and the order of rows changes nothing."""
    purchases = [
        {"purchase_id": f"p:{i}", "record_id": r, "purchased_on": d, "amount": a} for i, (r, d, a) in enumerate(bought)
    ]
    services = [
        {"service_id": f"s:{i}", "record_id": r, "serviced_on": d, "amount": a} for i, (r, d, a) in enumerate(serviced)
    ]
    answers = []
    with tempfile.TemporaryDirectory() as folder, Lakehouse(folder, threads=1) as lake:
        for _ in range(2):
            lay(lake, PEOPLE, purchases=purchases, services=services)
            summary = collect_interactions(lake, END)
            assert len(bought) + len(serviced) == summary["interactions"]
            revenue = lake.one("select sum(purchase_revenue) + sum(service_revenue) from gold.customer_activity")
            known = [a for r, d, a in bought + serviced if r in ("crm:1", "crm:2", "crm:3") and d < "2025"]
            assert pytest.approx(float(sum(known))) == revenue
            answers.append(lake.rows("select to_json(a)::varchar as row from gold.customer_activity as a order by all"))
            random.shuffle(purchases)
            random.shuffle(services)
    assert answers[0] == answers[1]
