"""Action segments and recommendations: total, disjoint, in words with the project's figures."""

from itertools import product

import pyarrow as pa
import pytest
from segments_tables import fill

from c360ml import tables
from c360ml.lakehouse import Lakehouse, connect
from c360ml.segments.actions import ACTION_RULES, ACTION_SEGMENTS, action_cuts, rule_in_words
from c360ml.segments.behaviour import first_match_sql
from c360ml.segments.recommendations import ACTIONS, RFM_ACTIONS, recommend, rfm_rule_in_words
from c360ml.segments.rfm_map import RFM_SEGMENTS

CUTS = {"inactive_days": 730, "gone": 0.3, "alive": 0.6, "high_past": 1000.0, "high_projected": 500.0}
LAPSED = {"About To Sleep", "At Risk", "Can't Lose Them", "Lost"}
RISING = {"New", "Promising", "Potential Loyalist"}


def expected_action(purchases, days, rfm, alive, past, projected):
    """Say in Python what the rules say in SQL."""
    if purchases == 0:
        return "CONVERT" if days is not None and days <= 730 else "AWAIT"
    if alive is None:
        by_rfm = {"At Risk": "WIN_BACK", "Can't Lose Them": "WIN_BACK", "Lost": "LET_GO"}
        by_rfm |= {"Champions": "KEEP", "Loyal": "KEEP", **dict.fromkeys(RISING, "GROW")}
        return by_rfm.get(rfm, "REMIND")
    if alive < 0.3:
        return "WIN_BACK" if past >= 1000 or rfm in {"At Risk", "Can't Lose Them"} else "LET_GO"
    if alive < 0.6:
        return "RESCUE" if past >= 1000 or projected >= 500 else "REMIND"
    if projected >= 500:
        return "KEEP"
    return "REMIND" if rfm in LAPSED else "GROW" if rfm in RISING else "MAINTAIN"


def test_every_crossing_has_one_action():
    """Each crossing of RFM, probability alive, past and projected value has the one action the rules say."""
    buyers = product([1, 7], [0, 5000], RFM_SEGMENTS, [0.0, 0.29, 0.3, 0.59, 0.6, 1.0], [-5, 999, 1000], [0, 499, 500])
    unforeseen = product([1], [None, 5], RFM_SEGMENTS, [None], [0, 5000], [None])
    others = product([0], [None, 0, 730, 731], ["PROSPECT"], [None], [None], [None])
    rows = [*buyers, *unforeseen, *others]
    con = connect()
    columns = ["purchases", "days_since_last_activity", "rfm_segment", "probability_alive"]
    columns += ["historical_value", "projected_value"]
    table = pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))
    con.register("crossed", table.append_column("n", pa.array(range(len(rows)))))
    named = first_match_sql(tuple((rule.segment, rule.condition) for rule in ACTION_RULES))
    found = con.execute(f"select {named} from crossed order by n", CUTS).fetchall()

    assert [expected_action(*row) for row in rows] == [name for (name,) in found]
    assert set(ACTION_SEGMENTS) == {name for (name,) in found}


def test_every_segment_has_a_recommendation():
    """No action segment and no RFM segment is without advice, and no advice is for nobody."""
    assert set(ACTION_SEGMENTS) == set(ACTIONS)
    assert {*RFM_SEGMENTS, "PROSPECT"} == set(RFM_ACTIONS)


@pytest.mark.parametrize("forecast", [True, False])
@pytest.mark.parametrize("segment", ACTION_SEGMENTS)
def test_rules_are_told_with_figures(segment, forecast):
    """Each segment's rule in words holds the run's figures and no hole."""
    words = rule_in_words(segment, {**CUTS, "high_projected": None}, forecast=forecast)

    assert words
    assert "{" not in words
    assert not forecast or "no forecast" not in words


def test_rules_of_rfm_are_told_without_a_scorer():
    """An RFM segment's scores are told as ranges, before there is a scorer too."""
    assert "no purchase" == rfm_rule_in_words("PROSPECT", None)
    assert rfm_rule_in_words("Can't Lose Them", None).startswith("scores of recency 1, frequency 4-5, value 4-5")


def test_cuts_are_of_buyers():
    """Value is high from the percentile of buyers on; without forecast no projected value is high."""
    con = connect()
    con.execute(
        "create table buyers as select unnest(range(10))::double as historical_value, null::double as projected_value"
    ).fetchall()

    assert {**CUTS, "high_past": 8.0, "high_projected": None} == action_cuts(con, "buyers", 730)


def test_recommendations_count_and_sum(tmp_path):
    """A recommendation tells the segment's customers, consents, values, mean probability and main channel."""
    with Lakehouse(tmp_path) as lake:
        consents = [{"master_id": f"m{n}", "marketing_consent": n == 0} for n in range(3)]
        fill(lake, tables.GOLDEN_RECORDS, consents)
        value = {"historical_value": 10.0, "projected_value": 2.5}
        values = [{"customer_id": f"m{n}", "probability_alive": n / 4, **value} for n in range(2)]
        fill(lake, tables.CUSTOMER_VALUE, values)
        lake.rows("""
            create temp table new_segments as
            select unnest(['m0', 'm1', 'm2']) as master_id, unnest(['KEEP', 'KEEP', 'AWAIT']) as action_segment,
                   unnest(['Loyal', 'Lost', 'PROSPECT']) as rfm_segment,
                   unnest(['WEB', 'WEB', null]) as preferred_channel
        """)
        recommend(lake, None, CUTS)
        told = lake.sql("select * from gold.recommendations").to_arrow_table().to_pylist()

    (keep,) = [row for row in told if row["segment"] == "KEEP"]
    assert (2, 1, "WEB", 20.0, 5.0, 0.125) == tuple(
        keep[name]
        for name in (
            "customers",
            "contactable",
            "main_channel",
            "historical_value",
            "projected_value",
            "mean_probability_alive",
        )
    )
    assert "2 customers, 1 may be contacted, mean probability alive 0.12, past value 20" in keep["evidence"]
    assert {"action_segment": 3, "rfm_segment": 3} == {
        kind: sum(row["customers"] for row in told if row["kind"] == kind) for kind in ("action_segment", "rfm_segment")
    }
    assert len(ACTIONS) + len(RFM_ACTIONS) == len(told)
