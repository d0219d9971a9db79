"""Charts for notebooks, the section on doubt, and the breakdown of campaigns."""

import datetime as dt
import json
from itertools import pairwise

import numpy as np
import pandas
import pytest

from c360ml import BgNbd, Lakehouse, tables
from c360ml.campaigns import campaign_results
from c360ml.customer_value import holdout_backtest
from c360ml.dashboards import plots
from c360ml.dashboards.campaign_parts import breakdown_blocks
from c360ml.dashboards.purchase_charts import alive_rows, belief_rows
from c360ml.dashboards.value_doubt import doubt_section
from c360ml.dashboards.worth import Terms
from c360ml.errors import ColumnError, DataError

END = dt.date(2024, 12, 31)


@pytest.fixture(scope="module")
def model():
    """A small fitted model."""
    history = {
        "repeat_purchases": [0, 1, 2, 6, 0, 3],
        "first_to_last_purchase_weeks": [0.0, 5.0, 30.4, 38.0, 0.0, 12.0],
        "age_weeks": [38.9, 38.9, 38.9, 39.0, 30.0, 36.0],
        "weight": [1411, 439, 214, 64, 300, 90],
    }
    return BgNbd(penalty=1).fit(pandas.DataFrame(history))


@pytest.fixture(scope="module")
def backtest():
    """A backtest of simulated purchases."""
    random = np.random.default_rng(3)
    customers = np.repeat(np.arange(300), random.poisson(4, 300) + 1)
    days = pandas.Timestamp("2023-01-01") + pandas.to_timedelta(random.integers(0, 600, len(customers)), "D")
    sales = pandas.DataFrame({"who": customers, "day": days, "paid": random.gamma(3, 10, len(customers))})
    return holdout_backtest(sales, customer="who", date="day", amount="paid", holdout_start="2024-03-01")


def drawn(chart):
    """Render a chart, which fails if Vega-Lite cannot read it; gives its specification."""
    import vl_convert

    assert vl_convert.vegalite_to_svg(chart.to_json()).startswith("<svg")
    content = json.loads(chart.to_json())
    assert "var(--" not in json.dumps(content)
    return content


def test_grids_show_what_the_model_says(model):
    """A cell is the model's own answer for that history."""
    rows = belief_rows(model, age_weeks=40, weeks_ahead=20)
    cell = next(row for row in rows if (row["repeats"], row["silence"]) == ("3", "20"))
    history = pandas.DataFrame({"repeat_purchases": [3], "first_to_last_purchase_weeks": [20.0], "age_weeks": [40.0]})
    assert model.probability_alive(history)[0] == pytest.approx(cell["probability_alive"])
    assert model.expected_purchases(20, history)[0] == pytest.approx(cell["expected_purchases"])
    drawn(plots.plot_alive_grid(model, age_weeks=40))
    drawn(plots.plot_purchases_grid(model, age_weeks=40))


def test_a_life_goes_up_with_purchases_and_down_with_silence(model):
    """The probability falls from day to day without a purchase, and every purchase but the first lifts it."""
    days = [dt.date(2024, 1, 1), dt.date(2024, 2, 1), dt.date(2024, 6, 1)]
    rows = alive_rows(model, days, END)
    assert days == [row["day"] for row in rows if row["bought"]]
    for before, after in pairwise(rows[1:]):
        if after["bought"] and before["day"] > days[1]:
            assert after["probability_alive"] > before["probability_alive"]
        elif not after["bought"]:
            assert after["probability_alive"] <= before["probability_alive"] + 1e-12
    drawn(plots.plot_history_alive(model, days, END))


def test_a_life_needs_a_purchase(model):
    """Nobody without a purchase by the observation end has a life to show."""
    with pytest.raises(DataError, match="purchase"):
        alive_rows(model, [dt.date(2025, 1, 1)], END)


def test_backtest_charts(backtest):
    """Tracking and calibration of a backtest are drawn, with a legend."""
    drawn(plots.plot_tracking(backtest))
    assert "legend" not in drawn(plots.plot_calibration(backtest))["encoding"]["color"]


def test_value_and_segment_charts():
    """Customers of any frame are drawn by value and by segment; a wrong column is named."""
    customers = pandas.DataFrame({"projected_value": [1.0, 20.0, 300.0, 0.0], "rfm_segment": list("aabb")})
    drawn(plots.plot_value_distribution(customers))
    drawn(plots.plot_segments(customers))
    with pytest.raises(ColumnError, match="segments"):
        plots.plot_segments(customers, segment="none")
    with pytest.raises(DataError, match="projected_value"):
        plots.plot_value_distribution(customers.assign(projected_value=0.0))


def test_campaign_funnel():
    """Results of own tables are drawn as a funnel."""
    sends = pandas.DataFrame({"campaign_id": ["a"], "customer_id": ["ann"], "sent_on": ["2024-03-01"]})
    sales = pandas.DataFrame({"customer_id": ["ann"], "purchased_on": ["2024-03-02"], "amount": [1.0]})
    found = campaign_results(pandas.DataFrame({"campaign_id": ["a"]}), sends, sales)
    drawn(plots.plot_campaign_funnel(found.results))


@pytest.fixture(scope="module")
def lake(small_world_project):
    """The small world's tables, all open."""
    with Lakehouse(small_world_project) as opened:
        for table in tables.ALL:
            opened.open(table)
        yield opened


def test_doubt_is_told(lake):
    """The section tells the total's interval and names records by key only."""
    steps = json.loads((lake.folder / "data" / "manifest.json").read_text())["steps"]
    summary = next(each["summary"] for name, each in steps.items() if name == "value_doubt")
    section = doubt_section(lake.con, summary, Terms("USD", 52), lake.read_json("models/customer_value.json"))
    titles = [block.title for block in section.blocks]
    assert "90% interval" in section.answer
    assert "What errors of identity do to the models" in titles
    assert len(titles) >= 6


def test_no_forecast_is_told(lake):
    """Without intervals the section says why."""
    assert (
        "identity_draws is 0"
        in doubt_section(lake.con, {"reason": "identity_draws is 0"}, Terms(None, 52), None).answer
    )


def test_campaigns_are_broken_down(lake):
    """Channels, spend before the send and segments are told."""
    titles = [block.title for block in breakdown_blocks(lake.con, "USD")]
    assert ["Campaigns by channel", "Campaigns by action segment"] == [t for t in titles if t.startswith("Campaigns")]
