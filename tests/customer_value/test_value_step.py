"""The pipeline's step: gold.interactions to gold.customer_value."""

import json

import pytest
from pytest import approx

from c360ml import tables
from c360ml.config import Config
from c360ml.customer_value import value_customers
from c360ml.lakehouse import Lakehouse


def write_interactions(lake, purchases):
    """Write purchases and one visit to the web as interactions."""
    lake.con.register("purchases", purchases)
    lake.write(
        tables.INTERACTIONS,
        """
        select
            'i' || row_number() over ()            as interaction_id,
            customer                               as master_id,
            'dms:' || customer                     as record_id,
            'PURCHASE'                             as interaction_type,
            'DEALER'                               as channel,
            'car'                                  as event_type,
            strptime(day::varchar, '%Y%m%d')       as occurred_at,
            paid                                   as amount,
            null                                   as campaign_id
        from purchases
        union all
        select 'web', null, null, 'WEB', 'DIGITAL', 'page_view', timestamp '1997-05-05', null, null
        """,
    )
    lake.write(
        tables.OBSERVATION,
        "select date '1997-01-01' as observation_start, date '1998-06-30' as observation_end",
    )


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as opened:
        yield opened


def test_step_values_the_buyers(lake, cdnow):
    """The step writes one row a buyer, the model file, and a summary without personal data."""
    write_interactions(lake, cdnow)
    summary = value_customers(lake, Config.parse({"value": {"holdout_weeks": 39}}))

    rows = lake.rows("select count(*), count(distinct customer_id), sum(projected_value) from gold.customer_value")
    assert rows[0][:2] == (2357, 2357)
    assert summary["projected_value"] == approx(rows[0][2])
    assert summary["customers"] == 2357
    assert summary["holdout"]["holdout_start"] == "1997-10-01"
    assert summary["holdout"]["bias"] == approx(-0.121, abs=0.0005)
    assert len(summary["tracking"]) == 78
    assert (
        lake.read_json("models/customer_value.json")["purchase_model"]["params"] == summary["purchase_model"]["params"]
    )
    json.dumps(summary, allow_nan=False)


def test_step_gives_the_same_table_again(lake, cdnow):
    """The same interactions give the same table, to the last digit."""
    write_interactions(lake, cdnow)
    answers = []
    for threads in (1, 2):
        lake.rows(f"set threads = {threads}")
        value_customers(lake, Config())
        answers.append(lake.rows("select * from gold.customer_value order by customer_id"))

    assert answers[0] == answers[1]


@pytest.mark.parametrize(("wanted", "customers"), [("customer < 10", 9), ("false", 0)])
def test_step_survives_few_buyers(lake, cdnow, wanted, customers):
    """With few buyers, or none, the step writes what it knows and says why there is no forecast."""
    write_interactions(lake, cdnow.query(wanted) if customers else cdnow.head(0))
    summary = value_customers(lake, Config())

    assert (summary["fitted"], summary["customers"]) == (False, customers)
    assert summary["reason"]
    assert lake.rows("select count(*), count(projected_value) from gold.customer_value") == [(customers, 0)]
    assert lake.read_json("models/customer_value.json")["fitted"] is False
    json.dumps(summary, allow_nan=False)
