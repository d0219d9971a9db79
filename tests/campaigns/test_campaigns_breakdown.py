"""Breakdown of campaigns, pooled uplift, attribution, and the user's own tables."""

import json

import numpy as np
import pandas
import pytest

from c360ml import tables
from c360ml.campaigns import campaign_results, pooled_uplift, uplift_interval
from c360ml.errors import ColumnError
from c360ml.lakehouse import Lakehouse

CAMPAIGNS = pandas.DataFrame(
    {"campaign_id": ["a", "b"], "channel": ["EMAIL", "EMAIL"], "cost": [10.0, 20.0], "campaign_name": ["A", "B"]}
)
SENDS = pandas.DataFrame(
    {
        "campaign_id": ["a", "a", "a", "b", "b"],
        "customer_id": ["ann", "bob", "cy", "ann", "cy"],
        "sent_on": ["2024-03-01", "2024-03-01", "2024-03-01", "2024-03-10", "2024-03-10"],
        "audience": ["TREATED", "TREATED", "CONTROL", "TREATED", "CONTROL"],
    }
)
SALES = pandas.DataFrame(
    {
        "customer_id": ["ann", "ann", "bob", "cy"],
        "purchased_on": ["2024-01-05", "2024-03-15", "2024-05-01", "2024-05-02"],
        "amount": [50.0, 70.0, 5.0, 5.0],
    }
)


def part(found, campaign, kind, name):
    """One row of the breakdown."""
    rows = found.breakdown
    return rows[(rows.campaign_id == campaign) & (rows.kind == kind) & (rows.part == name)].iloc[0]


def test_attribution_is_by_the_rule_named():
    """The same purchase is credited to the latest or to the earliest campaign sent before it."""
    last = campaign_results(CAMPAIGNS, SENDS, SALES)
    first = campaign_results(CAMPAIGNS, SENDS, SALES, attribution="first_touch")
    assert "last_touch" == last.summary["attribution"]
    assert [0.0, 70.0] == last.results[last.results.value_tier == "ALL"].revenue.to_list()
    assert [70.0, 0.0] == first.results[first.results.value_tier == "ALL"].revenue.to_list()


def test_breakdown_by_hand():
    """Spend before the send counts purchases before it only; a channel adds its campaigns up."""
    found = campaign_results(CAMPAIGNS, SENDS, SALES)
    low = part(found, "a", "spend_before_send", "1 low")
    nothing = part(found, "a", "spend_before_send", "0 nothing")
    assert (1, 0, 5.0) == (low["sent"], low["held_out"], low["cost"])
    assert (1, 1, 0.0) == (nothing["sent"], nothing["held_out"], nothing["uplift"])
    channel = part(found, "ALL", "channel", "EMAIL")
    assert (3, 1, 70.0, 30.0) == tuple(channel[["sent", "converted", "revenue", "cost"]])
    assert pooled_uplift([(1, 2, 0, 1), (1, 1, 0, 1)]) == pytest.approx(
        tuple(channel[["uplift", "uplift_low", "uplift_high"]])
    )


def test_parts_add_up_to_the_whole(small_world_project):
    """By every kind but channel, the parts of a campaign are the campaign."""
    with Lakehouse(small_world_project) as lake:
        lake.open(tables.CAMPAIGN_BREAKDOWN), lake.open(tables.CAMPAIGN_RESULTS)
        apart = lake.rows("""
            with sums as (
                select campaign_id, kind, sum(sent) as sent, sum(converted) as converted, sum(revenue) as revenue,
                       sum(cost) as cost, sum(held_out) as held_out
                from gold.campaign_breakdown where kind <> 'channel' group by all
            )
            select * from sums join gold.campaign_results whole using (campaign_id)
            where value_tier = 'ALL' and (sums.sent <> whole.sent or sums.converted <> whole.converted
                or abs(sums.revenue - whole.revenue) > 0.01 or abs(sums.cost - whole.cost) > 0.01
                or sums.held_out <> whole.held_out)
        """)
        assert [] == apart


def test_one_stratum_is_newcombe():
    """Pooled over one campaign the interval is that campaign's."""
    assert uplift_interval(30, 100, 20, 90) == pytest.approx(pooled_uplift([(30, 100, 20, 90)]))


def test_pooled_intervals_cover_the_effect():
    """Over 400 simulations of three campaigns the 95 % interval holds the common effect 92 to 98.5 % of the time."""
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        strata = []
        for n, control, base in ((120, 60, 0.1), (80, 80, 0.3), (300, 100, 0.2)):
            strata.append((int(random.binomial(n, base + 0.1)), n, int(random.binomial(control, base)), control))
        _, low, high = pooled_uplift(strata)
        covered += low <= 0.1 <= high
    assert 0.92 <= covered / 400 <= 0.985


def test_planted_effects_lie_in_their_intervals(small_world_project):
    """What the synthetic world planted is inside the interval of each campaign, and of the audience's channel."""
    planted = json.loads((small_world_project / "truth" / "parameters.json").read_text())["campaigns"]
    with Lakehouse(small_world_project) as lake:
        lake.open(tables.CAMPAIGN_RESULTS)
        rows = lake.rows("""
            select campaign_id, uplift_low, uplift_high from gold.campaign_results where value_tier = 'ALL'
        """)
    assert set(planted) == {row[0] for row in rows}
    for campaign, low, high in rows:
        assert low <= planted[campaign]["lift_of_conversion_rate"] <= high


def test_a_missing_column_is_named():
    """Own tables without a needed column are refused by name."""
    with pytest.raises(ColumnError, match="sent_on"):
        campaign_results(CAMPAIGNS, SENDS.drop(columns="sent_on"), SALES)


def test_responses_and_segments_are_counted():
    """Opens and clicks of own tables count, and segments are told."""
    responses = pandas.DataFrame(
        {"campaign_id": ["a"], "customer_id": ["ann"], "responded_on": ["2024-03-02"], "response": ["Click"]}
    )
    segments = pandas.DataFrame({"customer_id": ["ann", "bob"], "segment": ["gold", "silver"]})
    found = campaign_results(CAMPAIGNS, SENDS, SALES, responses=responses, segments=segments)
    assert 1 == part(found, "a", "action_segment", "gold")["clicked"]
    assert 0 == part(found, "a", "action_segment", "silver")["clicked"]
