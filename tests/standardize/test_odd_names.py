"""Odd names of any length are read, in bounded work, alone as in a table."""

from __future__ import annotations

import pandas as pd
import pytest

from c360ml.standardize import standardize_records
from c360ml.standardize.name_notes import LONGEST_NAME, is_odd, read_odd_name
from c360ml.standardize.one_record import RecordStandardizer
from c360ml.standardize.records import RECORD_COLUMNS

LONG = [
    "Mary Jones (nee Smith) " + "x" * 9_000,
    "John & Mary " + "Lee " * 2_000,
    "Mary" + " " * 5_000 + "& John Smith",
    ", geb. " * 1_000,
    '"' * 4_000 + "Lee",
]


@pytest.mark.parametrize("role", ["full_name", "given_name", "surname"])
@pytest.mark.parametrize("name", LONG, ids=range(len(LONG)))
def test_only_the_first_of_a_long_odd_name_is_read(role, name):
    """What lies behind the first characters, blanks counted once, changes nothing."""
    assert is_odd(name)
    start = " ".join(name.split())[:LONGEST_NAME]
    assert read_odd_name(role, start) == read_odd_name(role, name)
    assert len(read_odd_name(role, name)[0]) <= LONGEST_NAME


def test_a_long_odd_name_is_read_alone_as_in_a_table():
    """A single record with a long odd name is standardized as it is in a table."""
    rows = pd.DataFrame({"record_id": [f"a:{n}" for n in range(len(LONG))], "full_name": LONG})
    table = standardize_records(rows, id="record_id", columns={"full_name": "full_name"}, country="US")
    standardizer = RecordStandardizer("US")
    columns = list(RECORD_COLUMNS)
    expected = table.sort_values("record_id")[columns].astype(object)
    expected = expected.where(expected.notna(), None).to_dict("records")
    assert expected == [standardizer.standardize({"full_name": name}) for name in LONG]
