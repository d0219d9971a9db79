"""Purchase histories: what counts as a purchase, what is left out, and what is refused."""

import datetime

import duckdb
import numpy
import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from c360ml.customer_value import purchase_history
from c360ml.customer_value.transactions import collect_purchase_days
from c360ml.errors import ColumnError, DataError
from c360ml.lakehouse import as_relation, connect

ROLES = {"customer": "who", "date": "day", "amount": "paid"}


def table(rows):
    """Transactions from rows of customer, day and amount."""
    return pandas.DataFrame(rows, columns=["who", "day", "paid"])


def one(history, name):
    """The value of a history of one customer."""
    assert len(history) == 1
    return history[name].to_list()[0]


SALES = table(
    [
        ("ann", "2024-01-01", 10.0),
        ("ann", "2024-01-15", 20.0),
        ("ann", "2024-01-15", 5.0),
        ("ann", "2024-01-29", 35.0),
        ("bob", "2024-01-08", 7.0),
    ]
)


def test_one_row_a_customer():
    """Purchases of one day are one, and mean spend is that of the repeat days."""
    history = purchase_history(SALES, **ROLES, observation_end="2024-02-05")

    assert history.iloc[0].to_dict() == {
        "customer_id": "ann",
        "repeat_purchases": 2,
        "first_to_last_purchase_weeks": 4.0,
        "age_weeks": 5.0,
        "mean_spend": 30.0,
        "first_purchase_on": pandas.Timestamp("2024-01-01"),
        "last_purchase_on": pandas.Timestamp("2024-01-29"),
        "purchases": 3,
        "total_spend": 70.0,
    }
    assert numpy.isnan(history.mean_spend[1])


@pytest.mark.parametrize(
    "days",
    [
        ["20240101", "20240115"],
        [20240101, 20240115],
        [20240101.0, 20240115.0],
        ["2024-01-01 09:30:00", "2024-01-15T23:59:59Z"],
        [datetime.date(2024, 1, 1), datetime.date(2024, 1, 15)],
        [pandas.Timestamp("2024-01-01 23:00"), pandas.Timestamp("2024-01-15 01:00")],
        [pandas.Timestamp("2024-01-01 23:00", tz="UTC"), pandas.Timestamp("2024-01-15", tz="UTC")],
        pandas.Categorical(["2024-01-01", "2024-01-15"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Series.values:DeprecationWarning")  # pyarrow 25 on pandas 3.1
def test_dates_of_every_kind(days):
    """Dates may be dates, timestamps, ISO text or YYYYMMDD, and mean the same day."""
    history = purchase_history(pandas.DataFrame({"who": 1, "day": days}), customer="who", date="day")

    assert one(history, "first_purchase_on") == pandas.Timestamp("2024-01-01")
    assert one(history, "first_to_last_purchase_weeks") == 2.0


@pytest.mark.parametrize("kind", ["pandas", "arrow", "relation"])
def test_history_comes_back_as_the_table_came(kind):
    """pandas, Arrow and DuckDB relations come back as what they were."""
    given_table = {
        "pandas": SALES,
        "arrow": pyarrow.Table.from_pandas(SALES),
        "relation": as_relation(connect(), SALES),
    }[kind]
    history = purchase_history(given_table, **ROLES)
    kinds = {"pandas": pandas.DataFrame, "arrow": pyarrow.Table, "relation": duckdb.DuckDBPyRelation}

    assert isinstance(history, kinds[kind])
    frame = {
        "pandas": lambda: history,
        "arrow": lambda: history.to_pandas(),
        "relation": lambda: history.df(),
    }[kind]()
    assert frame.customer_id.to_list() == ["ann", "bob"]


def test_refund_lowers_the_purchase_before_it():
    """A refund is no purchase and lowers the latest purchase day at or before it."""
    sales = table([("ann", "2024-01-01", 100.0), ("ann", "2024-01-15", 50.0), ("ann", "2024-02-01", -20.0)])
    history = purchase_history(sales, **ROLES)

    assert one(history, "repeat_purchases") == 1
    assert one(history, "mean_spend") == 30.0
    assert one(history, "total_spend") == 130.0
    assert one(history, "last_purchase_on") == pandas.Timestamp("2024-01-15")


def test_refund_before_the_first_purchase():
    """A refund of a purchase that was not observed lowers total spend only."""
    sales = table([("ann", "2024-01-01", -5.0), ("ann", "2024-01-15", 50.0), ("ann", "2024-02-01", 20.0)])
    history = purchase_history(sales, **ROLES)

    assert one(history, "first_purchase_on") == pandas.Timestamp("2024-01-15")
    assert (one(history, "mean_spend"), one(history, "total_spend")) == (20.0, 65.0)


def test_dropped_refunds_change_nothing():
    """Under refunds="drop" the table is as if refunds had not been there."""
    refunds = table([("ann", "2024-01-20", -3.0), ("cid", "2024-01-20", -3.0)])
    history = purchase_history(pandas.concat([SALES, refunds]), **ROLES, refunds="drop", observation_end="2024-03-01")

    pandas.testing.assert_frame_equal(history, purchase_history(SALES, **ROLES, observation_end="2024-03-01"))


def test_zero_and_unknown_amounts_are_purchases():
    """An amount of zero is a purchase of nothing, a missing one a purchase of unknown spend."""
    sales = table([("ann", "2024-01-01", 8.0), ("ann", "2024-01-15", 0.0), ("ann", "2024-02-01", None)])
    history = purchase_history(sales, **ROLES)

    assert one(history, "repeat_purchases") == 2
    assert one(history, "mean_spend") == 0.0


def test_without_amounts_spend_is_unknown():
    """Without an amount column every row is a purchase and spend is null."""
    history = purchase_history(SALES, customer="who", date="day")

    assert history.repeat_purchases.to_list() == [2, 0]
    assert history.total_spend.isna().all()


def test_week_is_one_purchase():
    """With grain="week" purchases of one week from Monday are one."""
    sales = table([("ann", "2024-01-02", 1.0), ("ann", "2024-01-05", 1.0), ("ann", "2024-01-08", 4.0)])
    history = purchase_history(sales, **ROLES, grain="week")

    assert (one(history, "repeat_purchases"), one(history, "first_to_last_purchase_weeks")) == (1, 1.0)


def test_what_is_left_out_is_counted():
    """Rows without customer or date, and after the observation end, are left out and counted."""
    sales = table(
        [
            ("ann", "2024-01-01", 1.0),
            (None, "2024-01-01", 1.0),
            ("  ", "2024-01-01", 1.0),
            ("ann", None, 1.0),
            ("ann", "2024-01-02", None),
            ("ann", "2024-01-03", -4.0),
            ("ann", "2025-01-01", -9.0),
        ]
    )
    con = connect()
    days = collect_purchase_days(con, as_relation(con, sales), **ROLES, observation_end="2024-06-30")

    assert days.counts == {
        "rows": 7,
        "without_customer": 2,
        "without_date": 1,
        "without_amount": 1,
        "after_observation_end": 1,
        "refunds": 1,
        "refunded": -4.0,
    }


@pytest.mark.parametrize(
    ("sales", "error", "words"),
    [
        (SALES.rename(columns={"paid": "eur"}), ColumnError, r"no \['paid'\].*'eur'"),
        (SALES.assign(day="12/31/2024"), DataError, "5 dates that cannot be read"),
        (SALES.assign(day=["2024-01-01"] * 4 + ["2024-02-30"]), DataError, "1 dates that cannot be read"),
        (SALES.assign(paid="$5"), DataError, "5 amounts that cannot be read"),
        (SALES.assign(paid=float("inf")), DataError, "5 amounts that cannot be read"),
        (SALES.assign(day=True), ColumnError, "dates, timestamps or text"),
        (SALES.assign(paid=pandas.Timestamp("2024-01-01")), ColumnError, "numbers or text"),
        (SALES.head(0), DataError, "0 rows"),
        (SALES.assign(who=None), DataError, "0 with a customer"),
        (SALES.assign(day=None), ColumnError, "dates, timestamps or text"),
        (SALES.assign(day=pandas.Series([None] * 5, dtype="str")), DataError, "none of these with a date"),
        (SALES.assign(paid=numpy.nan), DataError, "all without one"),
        (SALES.assign(paid=-1.0), DataError, "at least one purchase"),
        ([1, 2], ColumnError, "pandas DataFrame"),
    ],
)
def test_bad_transactions_are_refused(sales, error, words):
    """Tables that cannot be read give an error that says what and how many."""
    with pytest.raises(error, match=words):
        purchase_history(sales, **ROLES)


def test_bad_arguments_are_refused():
    """Unknown policies, grains and days are refused, and an end before the first purchase."""
    with pytest.raises(DataError, match="net or drop"):
        purchase_history(SALES, **ROLES, refunds="keep")
    with pytest.raises(DataError, match="day or week"):
        purchase_history(SALES, **ROLES, grain="month")
    with pytest.raises(DataError, match="2024-01-31"):
        purchase_history(SALES, **ROLES, observation_end="soon")
    with pytest.raises(DataError, match="none up to 2023-12-31"):
        purchase_history(SALES, **ROLES, observation_end=datetime.datetime(2023, 12, 31, 12))


def test_names_with_quotes_and_spaces():
    """Column names may hold anything."""
    odd = SALES.rename(columns={"who": 'the "who"', "day": "select", "paid": "paid; drop"})
    history = purchase_history(odd, customer='the "who"', date="select", amount="paid; drop")

    pandas.testing.assert_frame_equal(history, purchase_history(SALES, **ROLES))


@given(
    some.lists(
        some.tuples(some.integers(1, 4), some.integers(0, 40), some.integers(-500, 2000)), min_size=1, max_size=60
    ),
    some.randoms(use_true_random=False),
)
@settings(max_examples=25, deadline=None)
def test_history_agrees_with_counting_by_hand(rows, random):
    """Histories agree with a plain count, whatever the order of rows; money adds up to the cent."""
    start = datetime.date(2024, 1, 1)
    end = start + datetime.timedelta(days=60)
    rows = [(who, start + datetime.timedelta(days=day), cents / 100) for who, day, cents in rows]
    random.shuffle(rows)
    buyers = sorted({who for who, _, paid in rows if paid >= 0})
    if not buyers:
        return
    history = purchase_history(table(rows), **ROLES, observation_end=end)

    assert history.customer_id.to_list() == buyers
    for row in history.itertuples():
        days = sorted({day for who, day, paid in rows if who == row.customer_id and paid >= 0})
        total = sum(round(paid * 100) for who, _, paid in rows if who == row.customer_id) / 100
        assert row.repeat_purchases == len(days) - 1
        assert row.first_to_last_purchase_weeks == (days[-1] - days[0]).days / 7
        assert row.age_weeks == (end - days[0]).days / 7
        assert row.total_spend == total
