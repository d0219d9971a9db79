"""The table that goes in and the table that comes out."""

from __future__ import annotations

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.errors import ColumnError, DataError
from c360ml.standardize import RECORD_COLUMNS, ROLES, standardize_records
from c360ml.tables import RECORDS

PEOPLE = pa.table(
    {
        "key": [3, 1, 2],
        "first": ["Bob", "Ann", None],
        "last": ["Stone", "Hill", "Lake"],
        "system": ["crm", None, "shop"],
        "Job Title": [" Cook ", "", None],
    }
)
COLUMNS = {"given_name": "first", "surname": "last", "attribute:job": "Job Title"}


def test_the_columns_are_those_of_the_contract():
    """Every standardized column exists, typed, given or not; attributes follow."""
    records = standardize_records(PEOPLE, id="key", columns=COLUMNS)

    assert ["record_id", "source", *RECORD_COLUMNS, "attribute_job"] == records.column_names
    assert {pa.string()} == set(records.schema.types)
    assert set(RECORD_COLUMNS) <= set(RECORDS.columns)


def test_one_row_per_row_in_the_order_of_ids():
    """Ids are text, sources are named, attributes are lower-cased and trimmed."""
    records = standardize_records(PEOPLE, id="key", columns=COLUMNS, source="system").to_pylist()

    assert ["1", "2", "3"] == [record["record_id"] for record in records]
    assert ["records", "shop", "crm"] == [record["source"] for record in records]
    assert [None, None, "cook"] == [record["attribute_job"] for record in records]


def test_the_same_kind_of_table_comes_out():
    """pandas, Arrow and DuckDB tables stay what they are, with the same content."""
    con = duckdb.connect()
    con.register("people", PEOPLE)
    expected = standardize_records(PEOPLE, id="key", columns=COLUMNS)

    relation = standardize_records(con.sql("from people"), id="key", columns=COLUMNS)
    frame = standardize_records(PEOPLE.to_pandas(), id="key", columns=COLUMNS)

    assert isinstance(relation, duckdb.DuckDBPyRelation)
    assert expected.to_pylist() == relation.to_arrow_table().to_pylist()
    assert isinstance(frame, pd.DataFrame)
    assert expected.column_names == list(frame.columns)


def test_numbers_of_a_spreadsheet_are_whole_again():
    """A house number that became 7.0 because others are missing is 7."""
    frame = pd.DataFrame({"key": [1, 2], "number": [7.0, None]})

    read = standardize_records(frame, id="key", columns={"street_number": "number"})

    assert ["7"] == read["street_number"].dropna().tolist()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"first_name": "first"}, "a role must be one of full_name, .* Got first_name"),
        ({"given_name": "fist"}, "no column fist; the table has key, first, last"),
        ({}, "at least one column must have a role"),
    ],
)
def test_wrong_columns_are_named(columns, message):
    """An unknown role lists the roles, a missing column lists the columns."""
    with pytest.raises(ColumnError, match=message):
        standardize_records(PEOPLE, id="key", columns=columns)


@pytest.mark.parametrize(
    ("ids", "message"),
    [([], "must have rows"), ([1, 1], "ids must be unique"), ([1, None], "every row must have an id")],
)
def test_wrong_ids_are_refused(ids, message):
    """Ids must be there, and be unique."""
    table = pa.table({"key": pa.array(ids, pa.int64()), "last": pa.array(["x"] * len(ids), pa.string())})

    with pytest.raises(DataError, match=message):
        standardize_records(table, id="key", columns={"surname": "last"})


def test_errors_hold_no_personal_data():
    """The message about duplicate ids counts them, and does not print them."""
    table = pa.table({"key": ["ann@x.org", "ann@x.org"], "last": ["Hill", "Hill"]})

    with pytest.raises(DataError) as error:
        standardize_records(table, id="key", columns={"surname": "last"})

    assert "ann" not in str(error.value)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.text(max_size=25)), min_size=len(ROLES), max_size=len(ROLES)),
        min_size=1,
        max_size=8,
    )
)
def test_no_text_breaks_it_and_nothing_is_ever_empty(rows):
    """Whatever people type, every row comes back, and a value is null or says something."""
    given_columns = {role: pa.array([row[at] for row in rows], pa.string()) for at, role in enumerate(ROLES)}
    table = pa.table({"key": list(range(len(rows)))} | given_columns)

    records = standardize_records(table, id="key", columns={role: role for role in ROLES}).to_pylist()

    assert len(rows) == len(records)
    values = [value for record in records for value in record.values() if value is not None]
    assert all(value == value.strip() != "" for value in values)


def test_standardizing_twice_changes_nothing():
    """Standardized values are their own standard form."""
    rough = pa.table(
        {
            "key": [1, 2],
            "given_name": ["Dr. BOB", "Mary Ann"],
            "surname": ["O'Neil-Smith Jr", "Mc Donald"],
            "email": ["B.o.b+x@gmail.com", "m@yahoo.com"],
            "phone": ["415 555 2671 x1", "+44 20 7946 0958"],
            "date_of_birth": ["1/31/1990", "12/05/1985"],
            "street": ["12 North Oak Street Apt 4", "Main Avenue"],
            "state": ["California", "N.Y."],
            "postcode": ["02139-1234", "10001"],
        }
    )
    roles = {role: role for role in rough.column_names if role != "key"}
    once = standardize_records(rough, id="key", columns=roles)

    again = {role: role for role in (*roles, "middle_name", "suffix", "street_number", "unit")}
    twice = standardize_records(once, id="record_id", columns=again)

    assert once.to_pylist() == twice.to_pylist()
