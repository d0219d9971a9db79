"""Campaign results against a plain Python reading of the rules, on a random world."""

import random
from collections import defaultdict
from datetime import date, timedelta

import pytest
from campaigns_tables import fill

from c360ml import tables
from c360ml.campaigns import measure_campaigns
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse

START, WINDOW = date(2024, 1, 1), 30


def draw_world(seed):
    """Draw sends of three overlapping campaigns and purchases with refunds, dates as days from START."""
    rng = random.Random(seed)
    sends = [
        (f"r{rng.randrange(150)}", rng.choice("xyz"), rng.randrange(60), rng.choice(["TREATED", "TREATED", "CONTROL"]))
        for _ in range(400)
    ]
    money = [
        (f"i{i:04}", f"M{rng.randrange(100)}", rng.randrange(120), rng.choice([-30.25, 10.1, 99.9, 250.0]))
        for i in range(900)
    ]
    return sends, money


def first_sends(sends):
    """Give by campaign and customer the day that counts and whether sent and held out."""
    days = defaultdict(list)
    for record, campaign, day, audience in sends:
        days[campaign, f"M{int(record[1:]) % 100}"].append((audience, day))
    touches = {}
    for key, found in days.items():
        treated = [day for audience, day in found if audience == "TREATED"]
        held_out = [day for audience, day in found if audience == "CONTROL"]
        touches[key] = (min(treated or held_out), bool(treated), bool(treated and held_out))
    return touches


def within(day, sent):
    """Tell whether a day lies in the window of a send."""
    return sent <= day <= sent + WINDOW


def credit(touches, money):
    """Give by campaign the customers who converted, and the revenue credited."""
    converted, revenue, credited = defaultdict(set), defaultdict(float), defaultdict(list)
    for key, master, day, amount in money:
        open_sends = [
            (sent, c) for (c, m), (sent, treated, _) in touches.items() if m == master and treated and within(day, sent)
        ]
        if amount >= 0 and open_sends:
            campaign = max(open_sends)[1]
            converted[campaign].add(master)
            revenue[campaign] += amount
            credited[master].append((day, key, campaign))
    for _, master, day, amount in money:
        before = [one for one in credited[master] if one[0] <= day]
        if amount < 0 and before:
            campaign = max(before)[2]
            if within(day, touches[campaign, master][0]):
                revenue[campaign] += amount
    return converted, revenue


@pytest.fixture
def lake(tmp_path):
    """Open an empty lakehouse."""
    with Lakehouse(tmp_path) as lake:
        yield lake


@pytest.fixture
def measure(lake):
    """Write a world into a lakehouse and measure it."""

    def run(sends, money):
        fill(lake, tables.CAMPAIGNS, [{"campaign_id": name, "cost": 100.0} for name in "xyz"])
        fill(
            lake,
            tables.CAMPAIGN_SENDS,
            [
                {"record_id": record, "campaign_id": campaign, "sent_on": START + timedelta(day), "audience": audience}
                for record, campaign, day, audience in sends
            ],
        )
        fill(lake, tables.IDENTITIES, [{"record_id": f"r{i}", "master_id": f"M{i % 100}"} for i in range(150)])
        fill(
            lake,
            tables.INTERACTIONS,
            [
                {
                    "interaction_id": key,
                    "master_id": master,
                    "interaction_type": "PURCHASE",
                    "occurred_at": START + timedelta(day),
                    "amount": amount,
                }
                for key, master, day, amount in money
            ],
        )
        fill(lake, tables.CUSTOMER_SEGMENTS, [{"master_id": f"M{i}", "value_tier": "ACTIVE"} for i in range(100)])
        fill(lake, tables.OBSERVATION, [{"observation_end": START + timedelta(200)}])
        return measure_campaigns(lake, Config())

    return run


@pytest.mark.parametrize(("seed", "threads"), [(1, 1), (2, 2), (3, 4)])
def test_same_as_plain_python(lake, measure, seed, threads):
    """SQL and a reading of the rules row by row count the same, at any number of threads."""
    lake.rows(f"set threads = {threads}")
    sends, money = draw_world(seed)
    summary = measure(sends, money)
    touches = first_sends(sends)
    converted, revenue = credit(touches, money)

    for campaign, told in summary["campaigns"].items():
        ours = {m: touch for (c, m), touch in touches.items() if c == campaign}
        bought = {m for _, m, day, amount in money if amount >= 0 and m in ours and within(day, ours[m][0])}
        clean = {m for m, (_, treated, both) in ours.items() if treated and not both}
        control = {m for m, (_, treated, _) in ours.items() if not treated}
        assert (
            sum(treated for _, treated, _ in ours.values()),
            len(converted[campaign]),
            len(control),
            pytest.approx(revenue[campaign]),
            pytest.approx(len(clean & bought) / len(clean) - len(control & bought) / len(control)),
            sum(both for _, _, both in ours.values()),
        ) == tuple(told[n] for n in ("sent", "converted", "held_out", "revenue", "uplift", "contaminated"))
