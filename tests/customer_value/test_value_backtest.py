"""Backtest: both sides are counted alike, and nothing leaks from the later to the earlier."""

import json

import pandas
import pytest

from c360ml.customer_value import holdout_backtest
from c360ml.errors import DataError

ROLES = {"customer": "customer", "date": "day", "amount": "paid"}


def test_calibration_does_not_see_the_holdout(cdnow):
    """Refunds and purchases of the holdout change no forecast."""
    refunds = cdnow.assign(paid=-5.0, day=19971101)
    more = holdout_backtest(pandas.concat([cdnow, refunds]), **ROLES, holdout_start="1997-10-01")
    plain = holdout_backtest(cdnow, **ROLES, holdout_start="1997-10-01")

    assert more.metrics["predicted_purchases"] == plain.metrics["predicted_purchases"]
    assert more.metrics["predicted_spend"] == plain.metrics["predicted_spend"]
    assert more.metrics["actual_purchases"] == plain.metrics["actual_purchases"]
    assert more.metrics["actual_spend"] < plain.metrics["actual_spend"]


def test_dropped_refunds_are_dropped_on_both_sides(cdnow):
    """Under refunds="drop" refunds of the holdout do not lower its spend."""
    refunds = cdnow.assign(paid=-5.0, day=19971101)
    more = holdout_backtest(pandas.concat([cdnow, refunds]), **ROLES, holdout_start="1997-10-01", refunds="drop")

    assert more.metrics == holdout_backtest(cdnow, **ROLES, holdout_start="1997-10-01").metrics


def test_purchases_of_one_day_are_one_on_both_sides(cdnow):
    """Lines of one day are one purchase, before and after the split."""
    lines = pandas.concat([cdnow.assign(paid=cdnow.paid / 2)] * 2)
    by_line = holdout_backtest(lines, **ROLES, holdout_start="1997-10-01").metrics
    by_order = holdout_backtest(cdnow, **ROLES, holdout_start="1997-10-01").metrics

    assert by_line["actual_purchases"] == by_order["actual_purchases"] == 1882
    assert by_line["predicted_purchases"] == pytest.approx(by_order["predicted_purchases"], rel=1e-6)


def test_amounts_are_not_needed(cdnow):
    """Without amounts purchases are measured, spend is not; the result is plain JSON."""
    backtest = holdout_backtest(cdnow, customer="customer", date="day", holdout_start="1997-10-01")

    assert "actual_spend" not in backtest.metrics
    assert json.loads(json.dumps(backtest.to_dict(), allow_nan=False)) == backtest.to_dict()


@pytest.mark.parametrize(
    ("start", "words"), [("1999-01-01", "by the observation end"), ("1997-01-01", "at least one purchase")]
)
def test_both_sides_must_hold_something(cdnow, start, words):
    """A split outside the data is refused."""
    with pytest.raises(DataError, match=words):
        holdout_backtest(cdnow, **ROLES, holdout_start=start)
