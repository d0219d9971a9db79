"""Interactions: each event, purchase and service under its customer, and nothing lost."""

import pytest
from customer360_tables import lay

from c360ml.config import Config
from c360ml.customer360 import collect_interactions
from c360ml.lakehouse import Lakehouse

ANN = {"record_id": "crm:1", "master_id": "m1"}
BOB = {"record_id": "crm:2", "master_id": "m2"}


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as lake:
        yield lake


def masters(lake):
    """Master of each interaction."""
    return dict(lake.rows("select interaction_id, master_id from gold.interactions"))


def mail(record, email="a@x.com", kind="personal", **fields):
    """The record with an e-mail address."""
    return {**record, "email": email, "email_kind": kind, **fields}


def event(**fields):
    """A page view."""
    day = "2024-05-01 12:00:00+00"
    return {"interaction_type": "WEB", "event_type": "page_view", "occurred_at": day, **fields}


def test_rows_of_all_channels(lake):
    """A purchase, a service and an event become interactions with their channel, type, time and amount."""
    lay(
        lake,
        [ANN],
        purchases=[{"record_id": "crm:1", "purchased_on": "2024-01-02", "amount": -5, "product": "Roadster",
                    "campaign_id": "c1"}],
        services=[{"record_id": "crm:1", "serviced_on": "2024-01-03", "amount": 7, "service_type": "PARTS"}],
        events=[event(record_id="crm:1", campaign_id="c2")],
    )  # fmt: skip
    collect_interactions(lake, Config())
    expected = [
        ("e:0", "m1", "crm:1", "WEB", "DIGITAL", "page_view", "2024-05-01 12:00:00+00", None, "c2"),
        ("p:0", "m1", "crm:1", "PURCHASE", "DEALER", "Roadster", "2024-01-02 00:00:00+00", -5.0, "c1"),
        ("s:0", "m1", "crm:1", "PARTS", "SERVICE", "PARTS", "2024-01-03 00:00:00+00", 7.0, None),
    ]
    assert expected == lake.rows(
        "select * replace (occurred_at::varchar as occurred_at) from gold.interactions order by interaction_id"
    )


def test_unknown_records_are_kept_and_counted(lake):
    """Purchases and services of an unknown record and events of nobody stay, without master, and are counted."""
    day = "2024-01-02"
    lay(
        lake,
        [ANN],
        purchases=[{"record_id": "dms:9", "purchased_on": day, "amount": 1}, {"purchased_on": day, "amount": 1}],
        services=[{"record_id": "service:9", "serviced_on": day, "amount": 1}],
        events=[event(email="nobody@x.com"), event(record_id="web:9"), event(), event(record_id="crm:1")],
    )
    summary = collect_interactions(lake, Config())
    assert (7, 2, 1, 3) == tuple(
        summary[name] for name in ("interactions", "orphan_purchases", "orphan_services", "unresolved_events")
    )
    assert {"m1": 1, None: 6} == dict(lake.rows("select master_id, count(*) from gold.interactions group by all"))


def test_event_goes_by_its_record_before_its_email(lake):
    """The record decides; the e-mail speaks only where no record is known."""
    events = [event(record_id="crm:2", email="a@x.com"), event(email="a@x.com"),
              event(record_id="web:9", email="a@x.com")]  # fmt: skip
    lay(lake, [mail(ANN), BOB], events=events)
    summary = collect_interactions(lake, Config())
    assert {"e:0": "m2", "e:1": "m1", "e:2": "m1"} == masters(lake)
    assert 2 == summary["events_resolved_by_email"]


def test_role_address_is_nobodys(lake):
    """An event at a role address belongs to nobody."""
    lay(lake, [mail(ANN, kind="role")], events=[event(email="a@x.com")])
    collect_interactions(lake, Config())
    assert {"e:0": None} == masters(lake)


def test_shared_email_goes_to_most_records(lake):
    """Of customers who share an address the one with most records using it gets its events, once."""
    records = [mail(ANN, updated_at="2025-01-01 00:00:00+00"), mail(BOB), mail({**BOB, "record_id": "crm:3"})]
    lay(lake, records, events=[event(email="a@x.com")])
    collect_interactions(lake, Config())
    assert {"e:0": "m2"} == masters(lake)


def test_shared_email_then_goes_to_latest_change_then_least_master(lake):
    """Equal use: the latest change decides, then the least master ID."""
    later, earlier = "2024-02-01 00:00:00+00", "2024-01-01 00:00:00+00"
    lay(
        lake,
        [mail(ANN, updated_at=earlier), mail(BOB, updated_at=later),
         mail(ANN, "b@x.com", record_id="crm:4", updated_at=later),
         mail(BOB, "b@x.com", record_id="crm:5", updated_at=later)],
        events=[event(email="a@x.com"), event(email="b@x.com")],
    )  # fmt: skip
    collect_interactions(lake, Config())
    assert {"e:0": "m2", "e:1": "m1"} == masters(lake)


def test_observation_ends_with_the_last_interaction_not_in_the_future(lake):
    """Without a configured end the last interaction that is not in the future ends the observation."""
    days = ["2024-01-02", "2024-03-04", "2999-01-01"]
    lay(lake, [ANN], purchases=[{"record_id": "crm:1", "purchased_on": day, "amount": 1} for day in days])
    summary = collect_interactions(lake, Config())
    assert ("2024-01-02", "2024-03-04", 1) == (
        summary["observation_start"], summary["observation_end"], summary["after_observation"],
    )  # fmt: skip
    assert (2, "2024-03-04") == lake.rows("select purchases, last_purchase_on::varchar from gold.customer_activity")[0]


def test_configured_end_of_observation(lake):
    """What happened after the configured end is kept as interaction but not counted as activity."""
    days = ["2024-01-02", "2024-03-04"]
    lay(lake, [ANN], purchases=[{"record_id": "crm:1", "purchased_on": day, "amount": 1} for day in days])
    config = Config.parse({"project": {"observation_end": "2024-02-01"}})
    summary = collect_interactions(lake, config)
    assert ("2024-02-01", 2, 1) == (
        summary["observation_end"], summary["interactions"], summary["after_observation"],
    )  # fmt: skip
    assert [(1, 30)] == lake.rows("select purchases, days_since_last_activity from gold.customer_activity")


def test_observation_without_interactions(lake):
    """Without any interaction the observation is the day a record last changed."""
    lay(lake, [{**ANN, "updated_at": "2023-07-01 00:00:00+00"}])
    summary = collect_interactions(lake, Config())
    assert ("2023-07-01", "2023-07-01", 0) == (
        summary["observation_start"], summary["observation_end"], summary["active_customers"],
    )  # fmt: skip
