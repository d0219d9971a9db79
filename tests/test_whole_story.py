"""The whole story on the labelled sample that ships: raw extracts in, and what was planted comes out."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from c360ml import Lakehouse, run_pipeline, tables
from c360ml.pipeline import RunResult

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
TRUTH = json.loads((SAMPLE / "truth" / "parameters.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> tuple[Path, RunResult]:
    """A copy of the sample that was run."""
    folder = Path(shutil.copytree(SAMPLE, tmp_path_factory.mktemp("story") / "sample"))
    return folder, run_pipeline(folder)


@pytest.fixture(scope="module")
def lake(story):
    """All its tables, open."""
    with Lakehouse(story[0]) as opened:
        for table in tables.ALL:
            opened.open(table)
        yield opened


@pytest.fixture(scope="module")
def bad_rows() -> pd.DataFrame:
    """The rows that were spoiled on purpose: file, row number and reason."""
    return pd.read_csv(SAMPLE / "truth" / "bad_rows.csv", dtype={"source_key": str})


def good_rows(name: str, bad_rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of an extract that were not spoiled, read without the package."""
    path = SAMPLE / "extracts" / name
    rows = pd.read_csv(path, dtype=str) if path.suffix == ".csv" else pd.read_json(path, lines=True, dtype=str)
    bad = bad_rows.loc[bad_rows["file"] == f"extracts/{name}", "row_number"]
    return rows.drop(index=bad - 1)


# ---------------------------------------------------------------------- who is who
def b_cubed(joined: pd.DataFrame) -> float:
    """Work out B-cubed F1 of columns `found` and `true`, without the package."""
    both = joined.groupby(["found", "true"])["record_id"].transform("size")
    precision = (both / joined.groupby("found")["record_id"].transform("size")).mean()
    recall = (both / joined.groupby("true")["record_id"].transform("size")).mean()
    return 2 * precision * recall / (precision + recall)


def test_people_are_found(story, lake):
    """Master IDs agree with the truth, B-cubed F1 of 0.9 or more, however it is worked out."""
    true = pd.read_parquet(SAMPLE / "labels" / "true_people.parquet").rename(columns={"true_id": "true"})
    found = lake.sql("select record_id, master_id as found from silver.identities").df()
    measured = b_cubed(true.merge(found, on="record_id", validate="one_to_one"))
    assert measured >= 0.9
    assert measured == pytest.approx(story[1].evaluation["b3_f1"])
    assert len(true) == len(found) == TRUTH["customer_records"]


def test_households_are_found(lake):
    """Household IDs agree with the truth too, though people of one home share less than records of one person."""
    true = pd.read_parquet(SAMPLE / "labels" / "true_people.parquet").rename(columns={"true_household_id": "true"})
    found = lake.sql("select record_id, household_id as found from silver.identities").df()
    assert b_cubed(true.merge(found, on="record_id", validate="one_to_one")) >= 0.8


def test_labelled_pairs_are_judged_right(story):
    """Of the reviewer's labelled pairs, hard ones among them, most are decided as labelled."""
    assert sum(TRUTH["labelled_pairs"].values()) == story[1].evaluation["labelled_pairs"]
    assert story[1].evaluation["labelled_f1"] >= 0.85


def test_truth_is_never_read_by_a_model(story, lake, tmp_path):
    """Without labels and truth the project gives the same links, customers and values."""
    ignored = shutil.ignore_patterns("data", "models", "labels", "truth")
    blind = Path(shutil.copytree(story[0], tmp_path / "blind", ignore=ignored))
    config = blind / "c360ml.toml"
    config.write_text(config.read_text("utf-8").partition("[evaluation]")[0], "utf-8")
    assert {} == run_pipeline(blind).evaluation
    with Lakehouse(blind) as other:
        for table in (tables.LINKS, tables.IDENTITIES, tables.CUSTOMER_VALUE, tables.CUSTOMER_360):
            question = f"select t::varchar from {other.open(table)} t order by 1"
            assert lake.rows(question) == other.rows(question), table.path


# ---------------------------------------------------------------------- what came in
def test_planted_bad_rows_are_dead_letters(lake, bad_rows):
    """Every spoiled row, and no other, is refused, each for the reason it was spoiled."""
    refused = lake.sql("select file, row_number, reason from bronze.dead_letters").df()
    columns = ["file", "row_number", "reason"]
    assert set(bad_rows[columns].itertuples(index=False, name=None)) == set(refused.itertuples(index=False, name=None))


def test_dead_letters_keep_the_raw_row(lake):
    """A refused row is kept as it came, so that it can be mended."""
    raw = lake.one("select raw from bronze.dead_letters where reason = 'vin_invalid'")
    sales = pd.read_csv(SAMPLE / "extracts" / "dms" / "sales.csv", dtype=str)
    key = json.loads(raw)["deal_number"]
    expected = sales[sales["deal_number"] == key].iloc[0]
    assert {name: None if pd.isna(value) else value for name, value in expected.items()} == json.loads(raw)


# ---------------------------------------------------------------------- what they did
def test_money_is_neither_lost_nor_made(story, lake, bad_rows):
    """The historical value of all customers is the sum of all accepted sales, to the cent."""
    accepted = good_rows("dms/sales.csv", bad_rows)["sale_price"].astype(float).sum()
    for question in (
        "select sum(amount) from silver.purchases",
        "select sum(historical_value) from gold.customer_value",
        "select sum(historical_value) from gold.customer_360",
        "select sum(purchase_revenue) from gold.customer_activity",
    ):
        assert accepted == pytest.approx(lake.one(question), abs=0.005), question
    assert accepted == pytest.approx(story[1].summary("value")["historical_value"], abs=0.005)


def test_counts_are_those_of_the_extracts(lake, bad_rows):
    """Purchases, service visits and digital events of all customers are those of the extracts."""
    sales = good_rows("dms/sales.csv", bad_rows)
    services = good_rows("service/service_records.csv", bad_rows)
    events = good_rows("digital/events.ndjson", bad_rows)
    bought = int((sales["sale_price"].astype(float) > 0).sum())
    question = (
        "select sum(purchases), sum(refunds), sum(service_visits), sum(digital_interactions) from gold.customer_360"
    )
    purchases, refunds, visits, digital = map(int, lake.rows(question)[0])
    assert (bought, len(sales) - bought, len(services)) == (purchases, refunds, visits)
    unresolved = lake.one("select count(*) from gold.interactions where master_id is null")
    assert len(events) == digital + unresolved
    assert unresolved < 0.02 * len(events)
    assert (TRUTH["purchases"], TRUTH["refunds"], TRUTH["services"]) == (purchases, refunds, visits)


def test_a_customer_is_the_sum_of_their_records(lake, bad_rows):
    """The first customer with three records has the purchases of those records, counted without the package."""
    master = lake.one("select min(master_id) from gold.customer_360 where records >= 3 and purchases >= 2")
    keys = [key for (key,) in lake.rows("select record_id from silver.identities where master_id = $m", {"m": master})]
    sales = good_rows("dms/sales.csv", bad_rows)
    own = sales[("dms:" + sales["customer_id"]).isin(keys)]
    bought = own[own["sale_price"].astype(float) > 0]
    question = "select purchases, purchase_revenue, first_purchase_on::varchar, last_purchase_on::varchar"
    found = lake.rows(f"{question} from gold.customer_360 where master_id = $m", {"m": master})[0]
    days = pd.to_datetime(bought["sale_date"], format="mixed").dt.strftime("%Y-%m-%d")
    expected = (len(bought), pytest.approx(own["sale_price"].astype(float).sum()), days.min(), days.max())
    assert expected == found


def test_every_customer_has_one_page(lake):
    """Customer 360 has one row per golden record, and golden records share out all records."""
    golden = lake.rows("select master_id, records from silver.golden_records order by master_id")
    assert golden == lake.rows("select master_id, records from gold.customer_360 order by master_id")
    assert TRUTH["customer_records"] == sum(records for _, records in golden)


# ---------------------------------------------------------------------- what they are worth
@pytest.mark.parametrize(("model", "planted"), [("purchase_model", "bg_nbd"), ("gamma_gamma", "gamma_gamma")])
def test_planted_parameters_are_recovered(story, model, planted):
    """Fitted parameters are finite and within four standard errors of those that purchases were drawn from."""
    fitted = story[1].summary("value")[model]
    expected = {name: value for name, value in TRUTH[planted].items() if name != "time_unit"}
    assert set(expected) == set(fitted["params"])
    assert np.isfinite([*fitted["params"].values(), *fitted["standard_errors"].values()]).all()
    for name, value in expected.items():
        assert abs(fitted["params"][name] - value) < 4 * fitted["standard_errors"][name], name


def test_values_make_sense(lake):
    """Probabilities are between 0 and 1, forecasts are not negative, tiers fall in value, non-buyers have no value."""
    wrong = """
        select count(*) from gold.customer_360
        where probability_alive not between 0 and 1 or projected_value < 0 or expected_purchases < 0
           or (purchases > 0) <> (probability_alive is not null)
           or (purchases > 0) <> (value_tier in ('VIP', 'PREMIUM', 'STANDARD', 'ACTIVE'))
    """
    assert 0 == lake.one(wrong)
    tiers = lake.rows("""
        select value_tier, min(customer_value), max(customer_value) from gold.customer_360
        where purchases > 0 group by 1 order by 2 desc
    """)
    assert ["VIP", "PREMIUM", "STANDARD", "ACTIVE"] == [tier for tier, *_ in tiers]
    assert all(higher[1] >= lower[2] for higher, lower in pairwise(tiers))


@pytest.mark.parametrize("campaign", TRUTH["campaigns"])
def test_planted_campaign_effect_is_found(lake, campaign):
    """The reported interval of a campaign's uplift holds what was planted, and what luck made of it."""
    question = """
        select sent, held_out, uplift, uplift_low, uplift_high from gold.campaign_results
        where campaign_id = $campaign and value_tier = 'ALL'
    """
    sent, held_out, uplift, low, high = lake.rows(question, {"campaign": campaign})[0]
    planted = TRUTH["campaigns"][campaign]
    assert (planted["treated"], planted["held_out"]) == (sent, held_out)
    assert low <= uplift <= high
    assert low <= planted["lift_of_conversion_rate"] <= high
    assert low <= planted["uplift"] <= high
