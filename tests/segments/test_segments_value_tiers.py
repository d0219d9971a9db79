"""Value tiers: equal values are never parted, and everybody has a tier."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.errors import ColumnError, ConfigError, DataError, ModelError, NotFittedError
from c360ml.segments import VALUE_TIERS, ValueTiers

ORDER = {tier: place for place, tier in enumerate(VALUE_TIERS)}


def frame(values):
    """Make a table of buyers of these values."""
    return pd.DataFrame({"customer_id": range(len(values)), "customer_value": pd.array(values, dtype="float64")})


def test_hundred_buyers():
    """Of 100 different values 5 are VIP, 15 PREMIUM, 40 STANDARD and 40 ACTIVE."""
    tiers = ValueTiers().fit(frame(range(100)))
    found = [tiers.assign(purchases=1, customer_value=value) for value in range(100)]

    assert {"ACTIVE": 40, "STANDARD": 40, "PREMIUM": 15, "VIP": 5} == pd.Series(found).value_counts().to_dict()


@given(st.lists(st.integers(0, 6).map(float), min_size=1, max_size=50))
@settings(max_examples=12, deadline=None)
def test_more_value_is_never_a_lower_tier(values):
    """Tiers rise with value; no more than a twentieth is VIP, save that ties stay together."""
    tiers = ValueTiers().fit(frame(values))
    places = [ORDER[tiers.assign(purchases=1, customer_value=value)] for value in sorted(values)]

    assert sorted(places, reverse=True) == places
    vips = [v for v in values if tiers.assign(purchases=1, customer_value=v) == "VIP"]
    assert sum(v > min(vips, default=0) for v in vips) <= 0.05 * len(values)


@pytest.mark.parametrize(
    ("customer", "tier"),
    [
        ({}, "PROSPECT"),
        ({"digital_interactions": 2}, "PROSPECT"),
        ({"digital_interactions": 3}, "ENGAGED"),
        ({"service_visits": 1, "digital_interactions": 9}, "SERVICE_ONLY"),
        ({"purchases": 1, "customer_value": -5.0, "service_visits": 1}, "ACTIVE"),
        ({"purchases": 1, "customer_value": 4.0}, "STANDARD"),
    ],
)
def test_tiers_by_hand(customer, tier):
    """Buyers are told by value; others by service, then by digital events."""
    assert tier == ValueTiers().fit(frame(range(10))).assign(**customer)


def test_no_buyers():
    """Without buyers there are no cut points, and whoever buys first is ACTIVE."""
    tiers = ValueTiers().fit(frame([]))

    assert {"VIP": None, "PREMIUM": None, "STANDARD": None} == tiers.cut_points_
    assert "ACTIVE" == tiers.assign(purchases=1, customer_value=1e9)


def test_json_round_trip():
    """Tiers brought back from JSON are the same tiers."""
    content = ValueTiers(0.9, 0.7, 0.2, 5).fit(frame(range(10))).to_dict()

    assert content == ValueTiers.from_dict(json.loads(json.dumps(content))).to_dict()


def test_errors_of_use():
    """Percentiles out of order, unknown values, missing columns and foreign files are told apart."""
    with pytest.raises(ConfigError, match="must fall from vip"):
        ValueTiers(0.5, 0.8, 0.4).fit(frame([1.0]))
    with pytest.raises(DataError, match="1 rows without a finite customer_value"):
        ValueTiers().fit(frame([1.0, None]))
    with pytest.raises(ColumnError, match="Got no customer_value"):
        ValueTiers().fit(frame([1.0]).drop(columns="customer_value"))
    with pytest.raises(NotFittedError):
        ValueTiers().to_dict()
    with pytest.raises(ModelError):
        ValueTiers.from_dict({})
