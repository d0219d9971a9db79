"""From transactions to values in one call: what is in the answer, and what happens with too little data."""

import json

import numpy
import pandas
import pyarrow
import pytest
from pytest import approx

from c360ml.customer_value import BgNbd, GammaGamma, customer_lifetime_value, value_transactions
from c360ml.errors import ColumnError

ROLES = {"customer": "customer", "date": "day", "amount": "paid"}
COLUMNS = [
    "customer_id",
    "repeat_purchases",
    "first_to_last_purchase_weeks",
    "age_weeks",
    "mean_spend",
    "probability_alive",
    "expected_purchases",
    "expected_spend",
    "historical_value",
    "projected_value",
    "value_year_1",
    "value_year_2",
    "value_year_3",
    "value_all_years",
]


@pytest.fixture(scope="module")
def valuation(cdnow):
    """CDNOW valued at the end of calibration."""
    return value_transactions(cdnow, **ROLES, observation_end="1997-09-30", holdout_start="1997-07-01", model="bg_nbd")


def test_every_customer_is_valued(valuation, cdnow):
    """One row a customer, no nulls but the mean spend of who bought once, sums as in the metrics."""
    table = valuation.table

    assert list(table.columns) == COLUMNS
    assert table.customer_id.to_list() == sorted(set(cdnow.customer))
    assert table.drop(columns="mean_spend").notna().all().all()
    assert valuation.metrics["historical_value"] == approx(table.historical_value.sum())
    assert valuation.metrics["projected_value"] == approx(table.projected_value.sum())
    assert valuation.metrics["transactions"]["after_observation_end"] > 0


def test_model_file_gives_the_same_values(valuation):
    """Models read back from the model file give the table's values."""
    kept = json.loads(json.dumps(valuation.model, allow_nan=False))
    models = BgNbd.from_dict(kept["purchase_model"]), GammaGamma.from_dict(kept["gamma_gamma"])
    again = customer_lifetime_value(*models, valuation.history)

    assert again.projected_value.to_list() == valuation.table.projected_value.to_list()
    assert len(json.dumps(valuation.model)) < 10_000


def test_metrics_are_plain_json(valuation):
    """Metrics hold parameters, errors of the holdout, and nothing that JSON cannot say."""
    metrics = json.loads(json.dumps(valuation.metrics, allow_nan=False))

    assert metrics["purchase_model"]["params"]["r"] == approx(0.243, abs=0.0005)
    assert metrics["gamma_gamma"]["log_likelihood"] == approx(-4055.918, abs=0.001)
    assert metrics["holdout"]["measured"] is True
    assert metrics["fitted"] is True


def test_table_is_arrow_if_arrow_came(cdnow):
    """An Arrow table comes back as Arrow."""
    valuation = value_transactions(pyarrow.Table.from_pandas(cdnow), **ROLES)

    assert isinstance(valuation.table, pyarrow.Table)
    assert isinstance(valuation.history, pyarrow.Table)


def test_too_few_buyers_keep_their_past():
    """Too few repeat buyers: past values stand, forecasts are null, the reason is told."""
    sales = pandas.DataFrame({"customer": ["ann", "bob"], "day": ["2024-01-01", "2024-02-01"], "paid": [5, 6]})
    valuation = value_transactions(sales, **ROLES, holdout_start="2024-01-15")

    assert valuation.table.historical_value.to_list() == [5.0, 6.0]
    assert valuation.table.projected_value.isna().all()
    assert valuation.metrics["fitted"] is False
    assert "at least 20 customers" in valuation.metrics["reason"]
    assert valuation.model["fitted"] is False


def test_one_price_uses_the_observed_mean(cdnow):
    """Where all spend the same there is no spend model; the price itself is expected."""
    valuation = value_transactions(cdnow.drop_duplicates(["customer", "day"]).assign(paid=10.0), **ROLES)

    assert valuation.table.expected_spend.to_list() == approx([10.0] * 2357)
    assert valuation.model["gamma_gamma"] is None
    assert "observed mean spend" in valuation.metrics["notes"][0]


def test_holdout_too_short_is_told(cdnow):
    """A holdout that leaves too little to fit is no crash: the reason is in the metrics."""
    valuation = value_transactions(cdnow, **ROLES, holdout_start="1997-01-02")

    assert valuation.metrics["holdout"]["measured"] is False
    assert "20 customers" in valuation.metrics["holdout"]["reason"]
    assert numpy.isfinite(valuation.metrics["projected_value"])


def test_missing_column_is_named(cdnow):
    """A missing column is named beside those that are there."""
    with pytest.raises(ColumnError, match="'cds'"):
        value_transactions(cdnow, customer="customer", date="day", amount="price")
