"""What a history's numbers mean goes with it, and a model refuses those that mean something else."""

import json
from functools import partial

import pandas
import pyarrow
import pytest
from pytest import approx

from c360ml.customer_value import BgNbd, ParetoNbd, TripleCounts, purchase_history, value_transactions
from c360ml.customer_value.origin import origin_of
from c360ml.errors import DataError, ModelError

ROLES = {"customer": "customer", "date": "day", "amount": "paid"}


@pytest.fixture(scope="module")
def weekly(cdnow):
    """Histories whose purchases are merged by week."""
    return purchase_history(cdnow, **ROLES, observation_end="1997-09-30", grain="week")


@pytest.mark.parametrize("kind", [lambda rows: rows, pyarrow.Table.from_pandas])
def test_history_says_what_it_means(cdnow, kind):
    """Unit, grain, refunds and observation end go with pandas and Arrow histories, and with the fitted model."""
    history = purchase_history(kind(cdnow), **ROLES, observation_end="1997-09-30")
    origin = {"time_unit": "week", "grain": "day", "refunds": "net", "observation_end": "1997-09-30"}

    assert origin_of(history) == origin
    assert BgNbd().fit(history).origin_ == origin
    assert BgNbd().fit(TripleCounts.of(history)).to_dict()["origin"] == origin


@pytest.mark.parametrize("model", [BgNbd, ParetoNbd])
def test_another_grain_is_refused(model, bgnbd, paretonbd, weekly):
    """A model of days refuses a history of weeks, read back from its file too."""
    fitted = bgnbd if model is BgNbd else paretonbd
    again = model.from_dict(json.loads(json.dumps(fitted.to_dict())))

    for each in (fitted, again):
        for ask in (each.probability_alive, partial(each.expected_purchases, 4), each.outlook):
            with pytest.raises(DataError, match="grain week instead of day"):
                ask(weekly)
    with pytest.raises(DataError, match="counted as the one"):
        TripleCounts.of(weekly).merge(fitted.counts_)


def test_a_later_end_is_no_other_origin(bgnbd, cdnow):
    """A model values histories of a later end, and tables that say nothing of themselves."""
    later = purchase_history(cdnow, **ROLES)
    silent = later.copy()
    silent.attrs.clear()

    assert bgnbd.probability_alive(later) == approx(bgnbd.probability_alive(silent))


def test_another_time_unit_is_refused(bgnbd):
    """A model file of days is refused."""
    with pytest.raises(ModelError, match="time unit must be the week"):
        BgNbd.from_dict(bgnbd.to_dict() | {"time_unit": "day"})


def test_refund_policy_is_stated_and_counted(cdnow):
    """The summary states the policy and counts refunds, who had them, and purchases paid back on their day."""
    first = cdnow[cdnow.customer <= 3].drop_duplicates("customer")
    back = first.assign(paid=-first.paid)
    stranger = first.head(1).assign(customer=10**6, paid=-5.0)
    rows = pandas.concat([cdnow, back, stranger])
    counts = value_transactions(rows, **ROLES, model="bg_nbd").metrics["transactions"]

    assert "no purchase" in counts["refund_policy"]
    assert (counts["refunds"], counts["customers_with_refunds"], counts["customers_with_refunds_only"]) == (4, 4, 1)
    assert counts["refunded"] == approx(-first.paid.sum() - 5)
    sums = cdnow.groupby(["customer", "day"]).paid.sum()
    cancelled = sum(sums.loc[(row.customer, row.day)] <= row.paid for row in first.itertuples())
    assert counts["cancelled_purchases"] == cancelled > 0
