"""A single record is standardized as it is in a table, whatever it holds."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml import sources, tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.one_record import RecordStandardizer
from c360ml.standardize.records import RECORD_COLUMNS, ROLES, standardize_records

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
SIGNS = list(
    "aZ019é\u0301ßÆøİ\u017fΣς한가\u0627中א😀"
    "\u200b\u00a0\u3000\x00\x01\x0b\x1c\x85\r\n\t  ,.'\u2019\u00b4\"-#/|@+()&ǅﬁⅧ²١\ufeffẞ\\%_$^;:<>"
)
BITS = [
    *SIGNS, "e\u0301", "👨\u200d👩\u200d👧", "jr", "mr ", "van ", "apt 4", "unknown", "mc ", "née ", "gmail.com", "19",
    "1990", "jan ", "5,", "--", "  ", "12345",
]  # fmt: skip
USUAL = {
    "full_name": ["Dr. SMITH, Bob J", "Mr & Mrs John Smith", "Mary Jones (née Smith)", "van der Berg, Jan", "Mc Cabe",
                  "O'Brien-Lee Anne Jr", "李小龍", "Юлия Иванова", "anna de la cruz md", "Smith, John, PhD", "bob"],
    "given_name": ["Bob J", "Anne-Marie", "dr bob", "test", "Mary & John"],
    "middle_name": ["J", "Lee Ann", "na"],
    "surname": ["Mc Donald", "Smith Jr", "Wilson-Vakili", "Müller", "de la Cruz MD", "Jones (Smith)"],
    "maiden_name": ["O Brien", "none"],
    "suffix": ["Jr.", "5th", "III", "v"],
    "email": ["Bob.Smith+x@gmail.com", "mailto:a@b.co", "info12@x.com", "none@none.com", "a@googlemail.com;b@c.d",
              "x@test.com", "A@B", "a@x.example", " <a@b.org>", "a@b@c.d", "o'n!#$%&*@x.museum."],
    "phone": ["(415) 555-2671", "+44 20 7946 0958", "1-415-555-2671 ext. 4", "555-5555", "4155552671.0",
              "123-456-7890"],
    "date_of_birth": ["1990-03-04", "03/04/1990", "13/04/1990", "3.4.31", "19900304", "Mar 4, 1990", "04-Mar-90",
                      "1971-13-24", "1900-01-01", "infinity", "19o5-1a-3b", "Feb 30, 1990", "1e1/2/1990"],
    "national_id": ["123-45-6780", "111-11-1111", "AB 12 34"],
    "address": ["123 Oak Street Apt 4, Springfield, IL 62701", "12-14 High St.", "Suite 5, 10 Main Road", "P.O. Box 12",
                "1 North St, New York, New York 10001-1234"],
    "street_number": ["12", "12a", "#7."],
    "street": ["Oak Street", "12 Oak street", "Unit 4 Oak"],
    "unit": ["Apt 4", "# 5", "No 7"],
    "city": ["St. Louis", "unknown", "Zürich"],
    "state": ["IL", "Illinois", "N.Y.", "n a"],
    "postcode": ["62701", "62701-1234", "1234", "SW1A 1AA"],
    "country": ["US", "United States", "U.K.", "DE", "Xyz"],
    "gender": ["M", "female", "1", "x", "Other"],
}  # fmt: skip
ODD = st.lists(st.sampled_from(BITS), min_size=1, max_size=8).map("".join)


def usual(role):
    """Texts that are usual in a role, with something odd somewhere in most of them."""
    parts = st.tuples(st.sampled_from(USUAL[role]), st.integers(0, 40), st.just("") | ODD)
    return parts.map(lambda each: each[0][: each[1]] + each[2] + each[0][each[1] :])


RECORDS = st.fixed_dictionaries({}, optional={role: usual(role) | ODD for role in ROLES})


def in_a_table(records, country="US"):
    """Each record of a table, where none tells anything of another: its own source, and no lost zeros of ZIP codes."""
    rows = [*records, *[{"postcode": "1234"}] * (len(records) + 1)]
    columns = {role: pa.array([row.get(role) for row in rows], pa.string()) for role in ROLES}
    ids = [f"{place:09d}" for place in range(len(rows))]
    table = pa.table({**columns, "id": ids, "source": ids})
    roles = {role: role for role in ROLES}
    found = standardize_records(table, id="id", columns=roles, source="source", country=country)
    return found.select(list(RECORD_COLUMNS)).to_pylist()[: len(records)]


def alone(records, country="US"):
    """Each record by itself, its texts trimmed as the resolver does."""
    standardizer = RecordStandardizer(country)
    trimmed = [{role: text and (text.strip() or None) for role, text in record.items()} for record in records]
    return [standardizer.standardize(record) for record in trimmed]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """All raw records of the sample, as its sources sent them."""
    folder = tmp_path_factory.mktemp("sample")
    for file in SAMPLE.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(SAMPLE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    config = Config.load(folder / "c360ml.toml")
    with Lakehouse(folder) as lake:
        sources.land(lake, config)
        sources.validate(lake, config)
        lake.open(tables.CUSTOMERS)
        return lake.sql(f"select {', '.join(ROLES)} from bronze.customers").to_arrow_table().to_pylist()


@pytest.mark.parametrize("country", ["US", "DE"])
def test_raw_records_are_standardized_as_in_a_table(raw, country):
    """Every raw record of the sample is standardized alone as it is in a table."""
    assert len(raw) > 500
    assert in_a_table(raw, country) == alone(raw, country)


@settings(max_examples=4, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=60))
def test_odd_records_are_standardized_as_in_a_table(records):
    """Control characters, marks, emoji, quotes and NUL are read alone as they are in a table."""
    assert in_a_table(records) == alone(records)


@pytest.mark.parametrize("unit", ["a", "é ", "a, ", "apt 1 ", "\0é"])
def test_long_texts_are_standardized_as_in_a_table(unit):
    """Texts of ten thousand characters are read alone as they are in a table."""
    records = [{role: (unit * 10_000)[:10_000]} for role in ROLES if role not in ("full_name", "given_name", "surname")]
    assert in_a_table(records) == alone(records)


def test_a_record_of_nothing_stays_empty():
    """A record without a value has none in any column."""
    nothing = dict.fromkeys(RECORD_COLUMNS)
    assert [nothing, nothing] == alone([{}, dict.fromkeys(ROLES)])
