"""RFM scores: by value, whatever the order of rows, and the same for table and single customer."""

import json
import math
import random
import re

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.errors import ColumnError, ConfigError, DataError, ModelError, NotFittedError
from c360ml.segments import RfmScorer

COLUMNS = ["customer_id", "days_since_last_purchase", "purchases", "total_spend"]
SCORES = ["r_score", "f_score", "m_score", "rfm_score", "rfm_segment"]

buyers_lists = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(1, 5),
        st.one_of(st.integers(-2, 8).map(float), st.floats(-1e6, 1e6)),
    ),
    min_size=1,
    max_size=40,
)


def frame(rows):
    """Make a table of buyers whose ids are their positions."""
    return pd.DataFrame([(f"c{i:03}", *row) for i, row in enumerate(rows)], columns=COLUMNS)


def percentile_score(values, value, bands=5):
    """Score by average rank, written as plainly as can be."""
    below, ties = sum(v < value for v in values), sum(v == value for v in values)
    return 1 + math.floor(bands * (2 * below + ties) / (2 * len(values)) + 1e-9)


@given(buyers_lists)
@settings(max_examples=10, deadline=None)
def test_scores_are_percentiles(rows):
    """Each score is the fifth in which the value's average rank lies, days backwards."""
    scored = RfmScorer().fit(frame(rows)).transform(frame(rows))

    days, purchases, spend = zip(*rows, strict=True)
    back = [-d for d in days]
    expected = [
        (percentile_score(back, -d), percentile_score(purchases, p), percentile_score(spend, s)) for d, p, s in rows
    ]
    assert expected == list(zip(scored.r_score, scored.f_score, scored.m_score, strict=True))


@given(buyers_lists, st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_row_order_does_not_matter(rows, shuffler):
    """Shuffled rows give the same model, and each customer the same score."""
    table = frame(rows)
    order = list(range(len(rows)))
    shuffler.shuffle(order)

    straight, shuffled = RfmScorer().fit(table), RfmScorer().fit(table.iloc[order])
    assert straight.to_dict() == shuffled.to_dict()
    assert straight.transform(table).iloc[order].to_dict("list") == shuffled.transform(table.iloc[order]).to_dict(
        "list"
    )


@given(buyers_lists)
@settings(max_examples=10, deadline=None)
def test_one_customer_scores_as_in_the_table(rows):
    """`score_one` and `transform` agree, before and after JSON."""
    scorer = RfmScorer().fit(frame(rows))
    again = RfmScorer.from_dict(json.loads(json.dumps(scorer.to_dict())))
    table = scorer.transform(frame(rows))[SCORES].to_dict("records")

    assert table == [again.score_one(*row) for row in rows]


def test_ntile_trap():
    """Customers with one purchase score equally, although they fill three fifths."""
    table = frame([(day, 1 + (day >= 60), float(day)) for day in range(100)])
    scorer = RfmScorer().fit(table)

    scored = scorer.transform(table)
    assert {(1, 2), (2, 5)} == set(zip(scored.purchases, scored.f_score, strict=True))
    assert [0, 60, 0, 0, 40] == scorer.band_sizes_["purchases"]
    assert [20] * 5 == scorer.band_sizes_["days_since_last_purchase"]


def test_all_equal_is_the_middle():
    """Customers without any difference score 3 and cut points above stay open."""
    scorer = RfmScorer().fit(frame([(9, 1, 5.0)] * 7))

    assert [1.0, 1.0, None, None] == scorer.cut_points_["purchases"]
    assert "333" == scorer.score_one(9, 1, 5.0)["rfm_score"]


def test_cut_points_by_hand():
    """Of ten customers with different values, two fall in each fifth; fewer days score higher."""
    scorer = RfmScorer().fit(frame([(i, 1 + i, 10.0 * i) for i in range(10)]))

    assert {
        "days_since_last_purchase": [7.0, 5.0, 3.0, 1.0],
        "purchases": [3.0, 5.0, 7.0, 9.0],
        "total_spend": [20.0, 40.0, 60.0, 80.0],
    } == scorer.cut_points_


def test_scores_stay_as_fitted():
    """Scoring the same customers a year later lowers recency only: cut points are frozen."""
    table = frame([(i, 1 + i, 10.0 * i) for i in range(10)])
    scorer = RfmScorer().fit(table)
    later = scorer.transform(table.assign(days_since_last_purchase=table.days_since_last_purchase + 365))

    assert [1] * 10 == list(later.r_score)
    assert list(scorer.transform(table).f_score) == list(later.f_score)


def test_same_kind_in_and_out():
    """Pandas, Arrow and DuckDB come back as what they were, with the same answer and all columns."""
    table = frame([(i, 1 + i % 3, 10.0 * i) for i in range(20)]).assign(note="kept")
    con = duckdb.connect()
    con.register("given", pa.Table.from_pandas(table))
    scorer = RfmScorer().fit(table)
    from_pandas = scorer.transform(table)
    from_arrow = scorer.transform(pa.Table.from_pandas(table))
    from_duckdb = scorer.transform(con.sql("select * from given"))

    assert isinstance(from_arrow, pa.Table) and isinstance(from_duckdb, duckdb.DuckDBPyRelation)
    assert [*COLUMNS, "note", *SCORES] == list(from_pandas.columns) == from_arrow.column_names
    assert from_pandas.to_dict("list") == from_arrow.to_pydict() == from_duckdb.to_arrow_table().to_pydict()


def test_scoring_a_scored_table_renews_scores():
    """Columns of an earlier scoring are replaced, not doubled."""
    table = frame([(i, 1 + i % 3, 10.0 * i) for i in range(20)])
    scorer = RfmScorer().fit(table)
    once = scorer.transform(table)

    assert once.to_dict("list") == scorer.transform(once).to_dict("list")


def test_empty_table_is_scored_to_an_empty_one():
    """Nobody to score is no error once fitted."""
    table = frame([(1, 1, 1.0), (2, 2, 2.0)])

    assert 0 == len(RfmScorer().fit(table).transform(table.iloc[:0]))


@pytest.mark.parametrize("column", COLUMNS)
def test_missing_column(column):
    """A missing column is named."""
    with pytest.raises(ColumnError, match=f"Got no {column}"):
        RfmScorer().fit(frame([(1, 1, 1.0)]).drop(columns=column))


def test_text_column():
    """Numbers held as text are refused by name."""
    with pytest.raises(ColumnError, match="purchases must be numbers"):
        RfmScorer().fit(frame([(1, "one", 1.0)]))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((None, 1, 1.0), "days_since_last_purchase null or not finite"),
        ((-1, 1, 1.0), "days_since_last_purchase below 0"),
        ((1, None, 1.0), "purchases null or not finite"),
        ((1, 0, 1.0), "purchases below 1"),
        ((1, -2, 1.0), "purchases below 1"),
        ((1, 1, None), "total_spend null or not finite"),
        ((1, 1, math.inf), "total_spend null or not finite"),
    ],
)
def test_rows_that_are_no_buyers(row, told):
    """Unknown or impossible numbers are refused with a count and the rule, by fit and by transform."""
    good = frame([(1, 1, 1.0), (2, 2, 2.0)])
    bad = frame([(1, 1, 1.0), row])
    with pytest.raises(DataError, match=re.escape(f"1 rows: {told}")):
        RfmScorer().fit(bad)
    with pytest.raises(DataError, match=re.escape(f"1 rows: {told}")):
        RfmScorer().fit(good).transform(bad)


def test_customer_twice():
    """A customer with two rows would count twice, so it is refused."""
    table = frame([(1, 1, 1.0), (2, 2, 2.0)]).assign(customer_id="same")
    with pytest.raises(DataError, match="1 rows: customer_id repeated"):
        RfmScorer().fit(table)


def test_errors_of_use():
    """Empty tables, impossible bands, asking too early and foreign files are told apart."""
    with pytest.raises(DataError, match="at least one customer"):
        RfmScorer().fit(frame([(1, 1, 1.0)]).iloc[:0])
    with pytest.raises(ConfigError, match="bands must be"):
        RfmScorer(bands=10).fit(frame([(1, 1, 1.0)]))
    for ask in (
        RfmScorer().to_dict,
        lambda: RfmScorer().score_one(1, 1, 1.0),
        lambda: RfmScorer().transform(frame([])),
    ):
        with pytest.raises(NotFittedError, match="RfmScorer must be fitted"):
            ask()
    with pytest.raises(ModelError, match="must be a RfmScorer"):
        RfmScorer.from_dict({"model": "BgNbd"})
    with pytest.raises(ModelError, match="must be whole"):
        RfmScorer.from_dict({"model": "RfmScorer", "format": 1, "bands": 5})
    with pytest.raises(DataError, match="must have days >= 0"):
        RfmScorer().fit(frame([(1, 1, 1.0)])).score_one(math.nan, 1, 1.0)


def test_many_rows_keep_their_order():
    """Rows come back in the order they came, also when more than one thread works on them."""
    random.seed(1)
    rows = [(random.randrange(900), random.randrange(1, 9), random.random()) for _ in range(200_000)]
    table = pd.DataFrame(rows, columns=COLUMNS[1:])
    table.insert(0, "customer_id", range(len(rows)))

    assert list(table.customer_id) == list(RfmScorer().fit(table).transform(table).customer_id)
