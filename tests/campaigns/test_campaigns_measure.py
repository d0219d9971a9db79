"""Campaign results on tables small enough to count by hand."""

from datetime import date

import pytest
from campaigns_tables import fill

from c360ml import tables
from c360ml.campaigns import measure_campaigns, uplift_interval
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse

SPRING = {"campaign_id": "spring", "campaign_name": "Spring", "channel": "EMAIL", "cost": 100.0}
AUTUMN = {"campaign_id": "autumn", "campaign_name": "Autumn", "channel": "EMAIL", "cost": 0.0}


@pytest.fixture
def lake(tmp_path):
    """Open an empty lakehouse."""
    with Lakehouse(tmp_path) as lake:
        yield lake


@pytest.fixture
def measure(lake):
    """Fill the tables that campaigns are measured from, and measure them."""

    def run(sends, interactions=(), campaigns=(SPRING, AUTUMN), tiers=None, identities=None, end="2024-12-31"):
        records = {send["record_id"] for send in sends} | {"nobody"}
        identities = identities or {record: record.upper() for record in records}
        fill(lake, tables.CAMPAIGNS, list(campaigns))
        fill(lake, tables.CAMPAIGN_SENDS, [{"send_id": f"s{i}", **send} for i, send in enumerate(sends)])
        fill(lake, tables.IDENTITIES, [{"record_id": r, "master_id": m} for r, m in identities.items()])
        fill(lake, tables.INTERACTIONS, [{"interaction_id": f"i{i}", **one} for i, one in enumerate(interactions)])
        fill(
            lake,
            tables.CUSTOMER_SEGMENTS,
            [
                {"master_id": master, "value_tier": (tiers or {}).get(master, "ACTIVE")}
                for master in sorted(set(identities.values()))
            ],
        )
        fill(lake, tables.OBSERVATION, [{"observation_end": end}] if end else [])
        return measure_campaigns(lake, Config())

    return run


def send(record, day, campaign="spring", audience="TREATED"):
    """One row of campaign_sends."""
    return {"record_id": record, "campaign_id": campaign, "sent_on": day, "audience": audience}


def hold_out(record, day, campaign="spring"):
    """One row of campaign_sends: a customer of the control group."""
    return send(record, day, campaign, "CONTROL")


def buy(master, day, amount=1000.0):
    """One purchase among the interactions."""
    return {
        "master_id": master,
        "interaction_type": "PURCHASE",
        "occurred_at": f"{day} 00:00:00+00",
        "amount": amount,
    }


def mail(master, event, time, campaign="spring"):
    """One e-mail event among the interactions."""
    return {
        "master_id": master,
        "interaction_type": "EMAIL",
        "event_type": event,
        "occurred_at": f"{time}+00",
        "campaign_id": campaign,
    }


def test_rates_by_hand(lake, measure):
    """Four sent and two held out give the rates, cost shares and ROI that a pencil gives."""
    summary = measure(
        [send(r, "2024-03-01") for r in "abcd"] + [hold_out(r, "2024-03-01") for r in "ef"],
        [
            mail("A", "email_open", "2024-03-01 09:00:00"),
            mail("A", "email_open", "2024-03-02 09:00:00"),
            mail("A", "email_click", "2024-03-02 09:01:00"),
            mail("B", "email_open", "2024-03-03 09:00:00"),
            buy("A", "2024-03-11", 300.0),
            buy("A", "2024-03-20", 50.0),
            buy("C", "2024-03-31", 150.0),
            buy("D", "2024-04-01", 999.0),
            buy("E", "2024-03-05", 70.0),
        ],
        tiers={"A": "VIP"},
    )

    columns = "value_tier, sent, opened, clicked, converted, revenue, cost, roi, held_out, uplift"
    rows = lake.rows(f"select {columns} from gold.campaign_results where campaign_id = 'spring' order by all")
    assert [
        ("ACTIVE", 3, 1, 0, 1, 150.0, 75.0, 1.0, 2, None),
        ("ALL", 4, 2, 1, 2, 500.0, 100.0, 4.0, 2, 0.0),
        ("VIP", 1, 1, 1, 1, 350.0, 25.0, 13.0, 0, None),
    ] == rows
    spring = summary["campaigns"]["spring"]
    assert (0.5, 0.25, 0.5, 0.5) == tuple(
        spring[rate] for rate in ("open_rate", "click_rate", "conversion_rate", "control_conversion_rate")
    )
    assert uplift_interval(2, 4, 1, 2) == tuple(spring[n] for n in ("uplift", "uplift_low", "uplift_high"))


def test_no_uplift_by_tier(lake, measure):
    """Tiers are lifted by the purchase itself, so only the whole campaign is compared with those held out."""
    measure(
        [send(r, "2024-03-01") for r in "abc"] + [hold_out(r, "2024-03-01") for r in "def"], [buy("D", "2024-03-05")]
    )

    columns = "value_tier, held_out, control_conversion_rate, uplift, uplift_low, uplift_high"
    rows = lake.rows(f"select {columns} from gold.campaign_results where campaign_id = 'spring' order by all")
    assert [
        ("ACTIVE", 3, None, None, None, None),
        ("ALL", 3, 1 / 3, *uplift_interval(0, 3, 1, 3)),
    ] == rows


def test_two_records_are_one_customer(measure):
    """A person with two records, sent three times, counts once and from the first send."""
    summary = measure(
        [send("a1", "2024-03-01"), send("a2", "2024-03-20"), send("a2", "2024-03-25")],
        [buy("A", "2024-04-05")],
        identities={"a1": "A", "a2": "A"},
    )

    spring = summary["campaigns"]["spring"]
    assert (1, 0) == (spring["sent"], spring["converted"])


def test_contaminated_customer(measure):
    """A person both sent and held out counts as sent, is left out of uplift, and is reported."""
    summary = measure(
        [
            send("a1", "2024-03-01"),
            hold_out("a2", "2024-03-01"),
            send("b", "2024-03-01"),
            hold_out("c", "2024-03-01"),
        ],
        [buy("A", "2024-03-02"), buy("C", "2024-03-02")],
        identities={"a1": "A", "a2": "A", "b": "B", "c": "C"},
    )

    spring = summary["campaigns"]["spring"]
    assert 1 == summary["contaminated"] == spring["contaminated"]
    assert (2, 1, 1) == (spring["sent"], spring["converted"], spring["held_out"])
    assert (1, 0, -1.0) == (spring["comparable"], spring["comparable_converted"], spring["uplift"])


def test_last_touch(measure):
    """A purchase in two windows is credited once, to the later send, but counts for both uplifts."""
    summary = measure(
        [
            send("a", "2024-03-01"),
            send("a", "2024-03-10", "autumn"),
            hold_out("b", "2024-03-01"),
            hold_out("b", "2024-03-10", "autumn"),
        ],
        [buy("A", "2024-03-05", 10.0), buy("A", "2024-03-15", 500.0)],
    )

    spring, autumn = summary["campaigns"]["spring"], summary["campaigns"]["autumn"]
    assert (10.0, 500.0) == (spring["revenue"], autumn["revenue"])
    assert (1.0, 1.0) == (spring["uplift"], autumn["uplift"])


def test_stolen_purchase_does_not_bias_uplift(measure):
    """A purchase credited to a later campaign still counts as conversion when groups are compared."""
    summary = measure(
        [
            send("a", "2024-03-01"),
            hold_out("b", "2024-03-01"),
            send("a", "2024-03-10", "autumn"),
            send("b", "2024-03-10", "autumn"),
        ],
        [buy("A", "2024-03-15"), buy("B", "2024-03-15")],
    )

    spring = summary["campaigns"]["spring"]
    assert (0, 0.0, 1.0) == (spring["converted"], spring["uplift"], spring["control_conversion_rate"])


def test_refund_follows_its_purchase(measure):
    """A refund lowers the revenue of the campaign that got the purchase before it, and converts nobody."""
    summary = measure(
        [send("a", "2024-03-01"), send("a", "2024-03-10", "autumn"), send("b", "2024-03-01")],
        [buy("A", "2024-03-05", 500.0), buy("A", "2024-03-12", -200.0), buy("B", "2024-03-12", -80.0)],
    )

    spring, autumn = summary["campaigns"]["spring"], summary["campaigns"]["autumn"]
    assert (1, 300.0) == (spring["converted"], spring["revenue"])
    assert (0, 0.0) == (autumn["converted"], autumn["revenue"])


@pytest.mark.parametrize(
    ("day", "converted"), [("2024-02-29", 0), ("2024-03-01", 1), ("2024-03-31", 1), ("2024-04-01", 0)]
)
def test_edges_of_the_window(measure, day, converted):
    """The window runs from the day of the send to 30 days after it, both days in."""
    summary = measure([send("a", "2024-03-01")], [buy("A", day)])

    assert converted == summary["campaigns"]["spring"]["converted"]


def test_only_events_of_this_campaign_after_the_send(measure):
    """An open before the send, of another campaign, by the held out or by nobody known is not counted."""
    summary = measure(
        [send("a", "2024-03-01"), hold_out("b", "2024-03-01")],
        [
            mail("A", "email_open", "2024-02-28 09:00:00"),
            mail("A", "email_open", "2024-03-02 09:00:00", "autumn"),
            mail("B", "email_open", "2024-03-02 09:00:00"),
            mail(None, "email_open", "2024-03-02 09:00:00"),
            {**mail("A", "page_view", "2024-03-02 09:00:00"), "interaction_type": "WEB"},
        ],
    )

    assert 0 == summary["campaigns"]["spring"]["opened"]


def test_nothing_is_divided_by_zero(lake, measure):
    """A campaign without cost has no ROI, one without sends no rates; both have their row."""
    summary = measure([send("a", "2024-03-01", "autumn")], [buy("A", "2024-03-02")])

    assert (1, None, None) == tuple(summary["campaigns"]["autumn"][n] for n in ("converted", "roi", "uplift"))
    spring = summary["campaigns"]["spring"]
    assert (0, None, 100.0, -1.0) == tuple(spring[n] for n in ("sent", "open_rate", "cost", "roi"))
    assert 1 == lake.one("select count(*) from gold.campaign_results where campaign_id = 'spring'")


def test_windows_not_over_are_told(measure):
    """A customer whose window ends after the last observed day is told by campaign."""
    summary = measure([send("a", "2024-12-01"), send("b", "2024-12-02"), hold_out("c", "2024-12-20")])

    assert {"spring": 2} == summary["incomplete_windows"]


def test_sends_left_out_are_told(measure):
    """Sends to unknown customers, of unknown campaigns or of the future are left out and counted."""
    summary = measure(
        [
            send("a", "2024-03-01"),
            send("x", "2024-03-01"),
            send("a", "2024-03-01", "winter"),
            send("a", "2025-01-01"),
        ],
        identities={"a": "A"},
    )

    assert {"total": 4, "unknown_campaign": 1, "unknown_customer": 1, "not_yet_sent": 1} == summary["sends"]
    assert 1 == summary["campaigns"]["spring"]["sent"]


def test_purchases_after_observation_do_not_count(measure):
    """What lies after the last observed day was not seen."""
    summary = measure([send("a", "2024-12-20")], [buy("A", "2025-01-02")])

    assert 0 == summary["campaigns"]["spring"]["converted"]


@pytest.mark.parametrize("end", ["2024-12-31", None])
def test_no_campaigns_at_all(lake, measure, end):
    """A project without campaigns gets an empty table and an empty summary."""
    summary = measure([], campaigns=(), end=end)

    assert ({}, {}, 0) == (summary["campaigns"], summary["incomplete_windows"], summary["contaminated"])
    assert 0 == lake.one("select count(*) from gold.campaign_results")


def test_summary_is_json(lake, measure):
    """The summary can be written as JSON and holds no date objects or customers."""
    summary = measure([send("a", date(2024, 3, 1)), hold_out("b", date(2024, 3, 1))], [buy("A", "2024-03-02", 0.1)])

    lake.write_json("summary.json", summary)
    assert summary == lake.read_json("summary.json")
