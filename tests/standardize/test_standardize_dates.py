"""Dates of birth: any format in, comparable text out."""

from __future__ import annotations

import datetime

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.standardize import standardize_records


def dates(values: list[str | None], *, country: str = "US", sources: list[str] | None = None) -> list[str | None]:
    """Standardize a column of dates of birth; answers in the order of the values."""
    keys = [f"{position:05d}" for position in range(len(values))]
    table = pa.table({"key": keys, "born": pa.array(values), "source": sources or ["a"] * len(values)})
    records = standardize_records(table, id="key", columns={"date_of_birth": "born"}, source="source", country=country)
    return records["date_of_birth"].to_pylist()


FORMATS = [
    ("1990-02-03", "1990-02-03"),
    ("19900203", "1990-02-03"),
    ("02/03/1990", "1990-02-03"),
    ("2/3/90", "1990-02-03"),
    ("1990-02-03T00:00:00Z", "1990-02-03"),
    ("1990-02-03 00:00:00", "1990-02-03"),
    ("Feb 3, 1990", "1990-02-03"),
    ("3 February 1990", "1990-02-03"),
    ("1971-13-24", "1971-13-24"),
    ("19560490", "1956-04-90"),
    ("13/45/1990", "1990-45-13"),
    ("1900-01-01", None),
    ("9999-12-31", None),
    ("01/01/0001", None),
    ("unknown", None),
]


def test_formats():
    """Every format becomes YYYY-MM-DD; impossible dates keep their digits, placeholders are null."""
    raws = [raw for raw, _ in FORMATS]

    assert FORMATS == list(zip(raws, dates(raws, sources=raws), strict=True))


def test_parts_above_12_tell_day_from_month_for_the_whole_source():
    """One 25/04 proves that the source writes the day first; the other source is not touched by it."""
    read = dates(["03/04/1990", "25/04/1990", "03/04/1990"], sources=["uk", "uk", "us"])

    assert ["1990-04-03", "1990-04-25", "1990-03-04"] == read


def test_without_evidence_the_country_decides():
    """Only the United States write the month first."""
    assert ["1990-04-03"] == dates(["03/04/1990"], country="GB")


def test_the_epoch_is_a_placeholder_only_where_it_is_frequent():
    """Somebody was born on 1970-01-01, but not one customer in five."""
    real = [f"19{50 + day % 40}-05-{day % 28 + 1:02d}" for day in range(80)]

    assert "1970-01-01" in dates([*real, "1970-01-01"])
    assert "1970-01-01" not in dates([*real, *["1970-01-01"] * 20])


def test_typed_dates_are_read():
    """Columns of type date and timestamp need no parsing."""
    day = datetime.date(1990, 2, 3)
    table = pa.table({"key": [1], "born": [day]})

    assert (
        "1990-02-03"
        == standardize_records(table, id="key", columns={"date_of_birth": "born"})["date_of_birth"][0].as_py()
    )


@settings(max_examples=10, deadline=None)
@given(st.lists(st.dates(datetime.date(1905, 1, 1), datetime.date(2020, 12, 31)), min_size=1, max_size=30))
def test_any_day_survives_each_format(days):
    """Whatever format a source writes, the same days come out."""
    proof = datetime.date(1999, 12, 31)
    layouts = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%d/%m/%Y", "%d %b %Y")
    written = [(layout, day.strftime(layout)) for layout in layouts for day in (*days, proof)]

    read = dates([text for _, text in written], sources=[layout for layout, _ in written])

    assert [day.isoformat() for _ in layouts for day in (*days, proof)] == read
