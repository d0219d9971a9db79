"""What customers prefer: channel by days of contact, brand and model by purchases."""

import random

import pytest
from segments_tables import fill

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.segments.preferences import preferences_sql


def bought(master, product, day="2024-03-01", amount=9.0):
    """Make a purchase."""
    return _did(master, "DEALER", "PURCHASE", product, day, amount)


def seen(master, kind, day, event="page_view"):
    """Make a digital event."""
    return _did(master, "DIGITAL", kind, event, day, None)


def _did(master, channel, kind, event, day, amount):
    return {
        "master_id": master,
        "channel": channel,
        "interaction_type": kind,
        "event_type": event,
        "occurred_at": f"{day} 10:00:00Z",
        "amount": amount,
    }


@pytest.fixture
def preferences(tmp_path):
    """Ask for preferences of interactions."""

    def ask(interactions):
        with Lakehouse(tmp_path) as lake:
            fill(lake, tables.INTERACTIONS, interactions)
            fill(lake, tables.OBSERVATION, [{"observation_end": "2024-12-31"}])
            return {row[0]: row[1:] for row in lake.rows(preferences_sql())}

    return ask


def test_channel_goes_by_days(preferences):
    """Ten page views of a day are one day of contact, less than two days at the workshop."""
    views = [seen("a", "WEB", "2024-05-01") for _ in range(10)]
    visits = [_did("a", "SERVICE", "PARTS", "PARTS", f"2024-06-0{day}", 5.0) for day in (1, 2)]

    assert {"a": ("SERVICE", None, None)} == preferences([*views, *visits])


def test_what_was_sent_is_no_contact(preferences):
    """E-mails that were sent, delivered or bounced tell nothing of the customer, nor does the time to come."""
    sent = [seen("a", "EMAIL", f"2024-05-0{n}", event) for n, event in enumerate(("email_sent", "email_delivered"), 1)]
    later = [seen("a", "APP", f"2025-01-0{n}", "app_open") for n in range(1, 5)]

    assert ("WEB", None, None) == preferences([*sent, *later, seen("a", "WEB", "2024-01-01")])["a"]


def test_ties_go_to_the_latest(preferences):
    """Of two channels, or models, as frequent, the one met last is preferred, then the first of the alphabet."""
    rows = [seen("a", "WEB", "2024-05-01"), seen("a", "APP", "2024-05-02", "app_open")]
    rows += [bought("b", "Kia Rio", "2024-01-01"), bought("b", "Audi A4", "2024-01-02")]
    rows += [bought("c", "Kia Rio"), bought("c", "Audi A4")]
    found = preferences(rows)

    assert ("APP", ("Audi", "Audi A4"), ("Audi", "Audi A4")) == (found["a"][0], found["b"][1:], found["c"][1:])


def test_brands_are_the_first_word(preferences):
    """A brand is one word, or two of known makes; case and blanks do not part them; refunds choose nothing."""
    rows = [bought("a", "LAND ROVER DEFENDER"), bought("a", " Land Rover Evoque"), bought("a", "Audi A4", amount=-9.0)]
    rows += [bought("b", "Land Rover Defender"), bought("c", "Land Rover Defender"), bought("d", "Beetle")]
    found = preferences(rows)

    assert "Land Rover" == found["a"][1] == found["b"][1]
    assert ("Beetle", "Beetle") == found["d"][1:]
    assert "Land Rover Defender" == found["b"][2]


def test_order_of_rows_is_no_matter(preferences):
    """However interactions are ordered, preferences are the same."""
    drawn = random.Random(5)
    products = ("Kia Rio", "KIA RIO", "Kia Ceed", "Audi A4", "audi a4")
    rows = [
        bought(f"m{drawn.randrange(9)}", drawn.choice(products), f"2024-0{drawn.randrange(1, 4)}-01") for _ in range(60)
    ]
    first = preferences(rows)
    drawn.shuffle(rows)

    assert first == preferences(rows)


def test_counting_who_was_touched_is_enough(tmp_path):
    """New purchases of some customers, which change how names are spelled, give what counting everybody gives."""
    random.seed(5)
    names = ["Audi A4", "AUDI A4", "audi a4", "BMW X5", "bmw X5", "Land Rover Evoque", "LAND ROVER EVOQUE"]
    days = [f"2024-0{month}-01" for month in range(1, 7)]

    def some(customers, number):
        bought_some = [
            bought(random.choice(customers), random.choice(names), random.choice(days)) for _ in range(number)
        ]
        return bought_some + [seen(random.choice(customers), "WEB", random.choice(days)) for _ in range(number)]

    with Lakehouse(tmp_path) as lake:
        fill(lake, tables.OBSERVATION, [{"observation_end": "2024-12-31"}])
        rows = some("abcdefgh", 24)
        for _ in range(6):
            fill(lake, tables.INTERACTIONS, rows)
            before = lake.sql(preferences_sql()).to_arrow_table().to_pylist()
            fill(lake, tables.CUSTOMER_SEGMENTS, before)
            touched = random.sample("abcdefghij", 3)
            rows = rows + some(touched, 6)
            fill(lake, tables.INTERACTIONS, rows)
            lake.rows("create or replace temp table touched as select unnest($names) as master_id", {"names": touched})
            expected = sorted(lake.rows(preferences_sql()))
            assert expected == sorted(lake.rows(preferences_sql("touched")))
