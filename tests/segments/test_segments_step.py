"""The step `segment_customers` on small tables made by hand."""

import pytest
from segments_tables import fill

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.segments import KMeansSegmenter, RfmScorer, ValueTiers, segment_customers

QUIET = {"purchases": 0, "service_visits": 0, "digital_interactions": 0, "days_since_last_activity": 10}


def buyer(number):
    """Activity of a buyer: the greater the number, the better."""
    return {
        **QUIET,
        "master_id": f"b{number:02}",
        "purchases": 1 + number // 5,
        "purchase_revenue": 100.0 * number,
        "last_purchase_on": f"2024-{1 + number // 2:02}-15",
    }


@pytest.fixture
def lake(tmp_path):
    """Open an empty lakehouse."""
    with Lakehouse(tmp_path) as lake:
        yield lake


@pytest.fixture
def segment(lake):
    """Fill the tables that segments are made from, and make them."""

    def run(activity, values=(), extra_customers=(), config=None, interactions=()):
        masters = [row["master_id"] for row in activity] + list(extra_customers)
        fill(lake, tables.GOLDEN_RECORDS, [{"master_id": master} for master in masters])
        fill(lake, tables.INTERACTIONS, list(interactions))
        fill(lake, tables.CUSTOMER_ACTIVITY, list(activity))
        fill(lake, tables.CUSTOMER_VALUE, list(values))
        fill(lake, tables.OBSERVATION, [{"observation_start": "2024-01-01", "observation_end": "2024-12-31"}])
        return segment_customers(lake, config or Config())

    return run


def column(lake, name):
    """Read one column of the answer by master id."""
    return dict(lake.rows(f"select master_id, {name} from gold.customer_segments"))


def test_every_golden_record_once(lake, segment):
    """Buyers, others and people without any activity each have one row and a full set of names."""
    activity = [buyer(n) for n in range(20)] + [{**QUIET, "master_id": "p", "digital_interactions": 3}]
    summary = segment(activity, extra_customers=["silent"])

    assert 22 == summary["customers"] == lake.one("select count(distinct master_id) from gold.customer_segments")
    assert 0 == lake.one(
        "select count(*) from gold.customer_segments"
        " where rfm_segment is null or kmeans_segment is null or behaviour_segment is null"
        " or value_tier is null or (rfm_score is null) != (rfm_segment = 'PROSPECT')"
    )
    for name in ("value_tiers", "rfm_segments", "kmeans_segments", "behaviour_segments"):
        assert 22 == sum(summary[name].values())
    assert 2 == summary["rfm_segments"]["PROSPECT"] == summary["kmeans_segments"]["PROSPECT"]


def test_saved_models_answer_as_the_table(lake, segment):
    """Models of `models/segments.json` give single customers what the table says."""
    segment([buyer(n) for n in range(20)])
    saved = lake.read_json("models/segments.json")
    rfm, kmeans = RfmScorer.from_dict(saved["rfm"]), KMeansSegmenter.from_dict(saved["kmeans"])
    tiers = ValueTiers.from_dict(saved["value_tiers"])
    days = lake.one("select date_diff('day', date '2024-10-15', date '2024-12-31')")
    columns = "master_id, rfm_score, rfm_segment, kmeans_segment, value_tier"
    row = lake.rows(f"select {columns} from gold.customer_segments where master_id = 'b19'")[0]

    scored = rfm.score_one(days, 4, 1900.0)
    assert row == (
        "b19",
        scored["rfm_score"],
        scored["rfm_segment"],
        kmeans.assign(days, 4, 1900.0),
        tiers.assign(purchases=4, customer_value=1900.0),
    )
    assert ("555", "Champions", "VIP") == (row[1], row[2], row[4])


@pytest.mark.parametrize(
    ("activity", "behaviour", "tier"),
    [
        ({"purchases": 1, "service_visits": 1, "digital_interactions": 1}, "OMNICHANNEL", "STANDARD"),
        ({"purchases": 1, "service_visits": 1}, "BUYER", "STANDARD"),
        ({"service_visits": 2, "digital_interactions": 5}, "SERVICE_LOYAL", "SERVICE_ONLY"),
        ({"digital_interactions": 3}, "DIGITAL", "ENGAGED"),
        ({"digital_interactions": 2}, "DIGITAL", "PROSPECT"),
        ({"service_visits": 1, "days_since_last_activity": 731}, "INACTIVE", "SERVICE_ONLY"),
        ({"service_visits": 1, "days_since_last_activity": 730}, "SERVICE_LOYAL", "SERVICE_ONLY"),
        ({"days_since_last_activity": None}, "INACTIVE", "PROSPECT"),
    ],
)
def test_behaviour_and_tier_by_hand(lake, segment, activity, behaviour, tier):
    """The first rule that holds names the behaviour, and the tier goes by value or nearness to buying."""
    known = {
        **QUIET,
        "master_id": "x",
        "last_purchase_on": "2024-05-05",
        "purchase_revenue": 50.0,
        **activity,
    }
    segment([known])

    assert (behaviour, tier) == (column(lake, "behaviour_segment")["x"], column(lake, "value_tier")["x"])


def test_tiers_go_by_value_past_and_to_come(lake, segment):
    """What is still expected counts: the greatest sum is VIP, and equal sums share a tier."""
    values = [
        {
            "customer_id": f"b{n:02}",
            "historical_value": 100.0 * n,
            "projected_value": 5000.0 if n == 0 else 0.0,
        }
        for n in range(20)
    ]
    values[18]["historical_value"] = values[17]["historical_value"]
    segment([buyer(n) for n in range(20)], values)
    tier = column(lake, "value_tier")

    assert "VIP" == tier["b00"]
    assert "PREMIUM" == tier["b17"] == tier["b18"]
    assert "ACTIVE" == tier["b01"]


def test_no_purchases(lake, segment):
    """Without purchases everybody is a PROSPECT for RFM and clusters, and the summary says why."""
    summary = segment([{**QUIET, "master_id": "s", "service_visits": 1}], extra_customers=["silent"])

    assert {"PROSPECT"} == set(column(lake, "rfm_segment").values())
    assert (None, None) == (summary["rfm"], summary["kmeans"])
    assert ["no customer has a purchase: no RFM scores and no clusters"] == summary["notes"]


def test_few_buyers(lake, segment):
    """Nine buyers are scored, share one cluster, and the summary says so."""
    summary = segment([buyer(n) for n in range(9)])

    assert {"all buyers": 9, "PROSPECT": 0} == summary["kmeans_segments"]
    assert "fewer than 10 customers" in summary["notes"][0]


def test_no_customers(lake, segment):
    """A project without customers gets an empty table."""
    assert 0 == segment([])["customers"]


def test_activity_without_golden_record(lake, segment):
    """Activity of somebody who is no customer any more neither gets a row nor moves the cut points."""
    fill(lake, tables.GOLDEN_RECORDS, [{"master_id": "b01"}])
    fill(lake, tables.INTERACTIONS, [])
    fill(lake, tables.CUSTOMER_ACTIVITY, [buyer(1), buyer(9)])
    fill(lake, tables.CUSTOMER_VALUE, [])
    fill(lake, tables.OBSERVATION, [{"observation_end": "2024-12-31"}])
    summary = segment_customers(lake, Config())

    assert (1, 1) == (summary["customers"], summary["buyers"])


def test_summary_is_json_and_empty_bands_are_told(lake, segment):
    """The summary can be written as JSON and tells which RFM bands nobody is in."""
    summary = segment([buyer(n) for n in range(12)])

    lake.write_json("summary.json", summary)
    assert summary == lake.read_json("summary.json")
    sizes = summary["rfm"]["band_sizes"]["purchases"]
    assert [band for band in range(1, 6) if sizes[band - 1] == 0] == summary["rfm"]["empty_bands"]["purchases"]


def test_rerun_gives_the_same(lake, segment):
    """The same input gives the same rows and the same summary."""
    activity = [buyer(n) for n in range(20)]
    first, rows = segment(activity), lake.rows("select * from gold.customer_segments order by master_id")

    assert first == segment(list(reversed(activity)))
    assert rows == lake.rows("select * from gold.customer_segments order by master_id")
