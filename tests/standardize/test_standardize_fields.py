"""Field by field: what comes in, what comes out."""

from __future__ import annotations

import pyarrow as pa
import pytest

from c360ml.standardize import standardize_records


def read_rows(rows: list[dict[str, str]], *, at: str = "US") -> list[dict[str, str | None]]:
    """Standardize rows whose fields are named as their roles; answers in their order."""
    roles = sorted({role for row in rows for role in row})
    columns = {role: pa.array([row.get(role) for row in rows], pa.string()) for role in roles}
    table = pa.table({"key": [f"{position:03d}" for position in range(len(rows))]} | columns)
    return standardize_records(table, id="key", columns={role: role for role in roles}, country=at).to_pylist()


def read(*, at: str = "US", **row: str) -> dict[str, str | None]:
    """Standardize one row whose fields are named as their roles."""
    return read_rows([row], at=at)[0]


EMAILS = [
    ("John.Smith+promo@Gmail.com", "johnsmith@gmail.com", "personal"),
    ("j.smith@googlemail.com", "jsmith@gmail.com", "personal"),
    (" A.B@Yahoo.com ", "a.b@yahoo.com", "personal"),
    ("mailto:joe@x.org", "joe@x.org", "personal"),
    ("joe@x.org; ann@x.org", "joe@x.org", "personal"),
    ("o'neil@x.com", "o'neil@x.com", "personal"),
    ("info@dealer.com", "info@dealer.com", "role"),
    ("sales2@dealer.co.uk", "sales2@dealer.co.uk", "role"),
    ("none@none.com", None, "placeholder"),
    ("test@test.com", None, "placeholder"),
    ("noemail@gmail.com", None, "placeholder"),
    ("a@a.com", None, "placeholder"),
    ("bob@example.com", None, "placeholder"),
    ("unknown@dealer.com", None, "placeholder"),
    ("no e-mail", None, None),
    ("bob@@stone.com", None, None),
    ("@dealer.com", None, None),
    ("sam@localhost", None, None),
]


def test_emails_get_one_spelling_and_a_kind():
    """An e-mail is null if it is a placeholder or ill-formed, and else spelled one way."""
    records = read_rows([{"email": raw} for raw, _, _ in EMAILS])

    assert EMAILS == [
        (raw, record["email"], record["email_kind"]) for (raw, _, _), record in zip(EMAILS, records, strict=True)
    ]


PHONES = [
    ("(415) 555-2671", "+14155552671"),
    ("1-415-555-2671 x12", "+14155552671"),
    ("+1 415.555.2671 ext. 9", "+14155552671"),
    ("4155552671.0", "+14155552671"),
    ("+44 20 7946 0958", "+442079460958"),
    ("011 44 20 7946 0958", "+442079460958"),
    ("999-999-9999", None),
    ("+1 999 999 9999", None),
    ("123-456-7890", None),
    ("555-555-5555", None),
    ("(415) 000-0000", None),
    ("(015) 555-2671", None),
    ("555-2671", None),
    ("ask later", None),
]


def test_phones_become_e164():
    """A number that can be dialled becomes E.164; placeholders and fragments are null."""
    records = read_rows([{"phone": raw} for raw, _ in PHONES])

    assert PHONES == [(raw, record["phone"]) for (raw, _), record in zip(PHONES, records, strict=True)]


@pytest.mark.parametrize(("country", "phone"), [("GB", "020 7946 0958"), ("US", "+44 (0)20 7946 0958")])
def test_phones_are_dialled_from_the_country(country, phone):
    """A national number is read with the country of the project."""
    assert "+442079460958" == read(at=country, phone=phone)["phone"]


def test_a_row_with_a_country_of_its_own_is_dialled_from_there():
    """The country of the row goes before that of the project."""
    record = read(phone="020 7946 0958", country="United Kingdom")

    assert ("+442079460958", "gb") == (record["phone"], record["country"])


def name_of(record: dict[str, str | None]) -> tuple[str | None, ...]:
    """Parts of a name, in speaking order."""
    return tuple(record[part] for part in ("given_name", "middle_name", "surname", "suffix"))


FULL_NAMES = [
    ("SMITH, JOHN M", ("john", "m", "smith", None)),
    ("Smith Jr, John", ("john", None, "smith", "jr")),
    ("SMITH, JOHN JR", ("john", None, "smith", "jr")),
    ("John Smith, Jr.", ("john", None, "smith", "jr")),
    ("Dr. John A. Smith III, MD", ("john", "a", "smith", "iii")),
    ("Mr John Smith Sr", ("john", None, "smith", "sr")),
    ("Ludwig van Beethoven", ("ludwig", None, "van beethoven", None)),
    ("von Trapp, Maria", ("maria", None, "von trapp", None)),
    ("María José de la Cruz", ("maria", "jose", "de la cruz", None)),
    ("O'Brien, Pat", ("pat", None, "obrien", None)),
    ("Øystein Æsop-Strauß", ("oystein", None, "aesop strauss", None)),
    ("AGAR - ROBARTES, Jean-Luc", ("jean", "luc", "agar robartes", None)),
    ("Mary Mc Cabe", ("mary", None, "mccabe", None)),
    ("sir Philip Egerton, 10th Baronet", ("philip", None, "egerton", None)),
    ("George Bingham, 5th earl lucan", ("george", None, "bingham", None)),
    ("Bob", ("bob", None, None, None)),
    ("Madonna", (None, None, "madonna", None)),
    ("UNKNOWN UNKNOWN", (None, None, None, None)),
    ("Mr.", (None, None, None, None)),
    ("N/A", (None, None, None, None)),
    ("李小龍", ("xiaolong", None, "li", None)),
]


def test_full_names_are_parsed():
    """A name in one field is split into first, middle, last name and generation, in either order."""
    records = read_rows([{"full_name": raw} for raw, _ in FULL_NAMES])

    assert FULL_NAMES == [(raw, name_of(record)) for (raw, _), record in zip(FULL_NAMES, records, strict=True)]


NAME_PARTS = [
    ({"given_name": "Mary Ann", "surname": "Smith-Jones"}, ("mary", "ann", "smith jones", None)),
    ({"given_name": "Mary Ann", "middle_name": "B", "surname": "Hill"}, ("mary", "b", "hill", None)),
    ({"given_name": "Dr. Liz", "surname": "Smith II"}, ("liz", None, "smith", "ii")),
    ({"given_name": "John Jr", "surname": "Doe"}, ("john", None, "doe", "jr")),
    ({"given_name": "UNKNOWN", "surname": "Hill", "suffix": "2nd"}, (None, None, "hill", "ii")),
    ({"given_name": "Jo", "surname": "Hill", "suffix": "PhD"}, ("jo", None, "hill", None)),
]


def test_name_parts_are_cleaned():
    """Titles go, suffixes move to their own column, a second first name is a middle name if none is given."""
    records = read_rows([row for row, _ in NAME_PARTS])

    assert NAME_PARTS == [(row, name_of(record)) for (row, _), record in zip(NAME_PARTS, records, strict=True)]


def test_full_name_fills_what_the_parts_lack():
    """A part that a row lacks comes from its full name if the parts it has agree with it."""
    record = read(full_name="Sir George Lacy Hillier", given_name="George", surname="Hillier")

    assert ("george", "lacy", "hillier") == (record["given_name"], record["middle_name"], record["surname"])


def test_full_name_yields_to_parts_that_disagree():
    """Given parts stay as they came when the full name says otherwise."""
    record = read(full_name="Ann Taylor", given_name="Beth", surname="Stone")

    assert ("ann taylor", "beth", "stone") == (record["full_name"], record["given_name"], record["surname"])


def test_nicknames_get_a_formal_name_and_its_sound():
    """Bob is Robert, and sounds like him."""
    bob, robert = read(given_name="Bob", surname="Smyth"), read(given_name="Robert", surname="Smith")

    assert "bob robert" == f"{bob['given_name']} {bob['given_name_canonical']}"
    assert robert["given_name_phonetic"] == bob["given_name_phonetic"]
    assert robert["surname_phonetic"] == bob["surname_phonetic"]


STREET_LINES = [
    ("123 Oak Street Apt 4", "123", "oak st", "4"),
    ("123 OAK ST., #4", "123", "oak st", "4"),
    ("123 North Main Avenue, Suite 200", "123", "n main ave", "200"),
    ("Flat 5, 12 High Street", "12", "high st", "5"),
    ("12-14 King Street", "12-14", "king st", None),
    ("123 5th Ave", "123", "5th ave", None),
    ("123 Flatbush Ave", "123", "flatbush ave", None),
    ("P.O. Box 12", None, "po box 12", None),
    ("Hwy 139", None, "hwy 139", None),
    ("UNKNOWN", None, None, None),
]


def test_street_lines_are_split():
    """A street line is split into number, street and unit, in USPS abbreviations."""
    records = read_rows([{"address": raw} for raw, *_ in STREET_LINES])

    assert STREET_LINES == [
        (raw, record["street_number"], record["street"], record["unit"])
        for (raw, *_), record in zip(STREET_LINES, records, strict=True)
    ]


def test_a_whole_address_in_one_field_is_taken_apart():
    """City, state and ZIP code come from the address if the row has none of its own."""
    record = read(address="123 Oak St Apt 4, Springfield, Illinois 62701-1234")

    assert ("123", "oak st", "4") == (record["street_number"], record["street"], record["unit"])
    assert ("springfield", "il", "62701") == (record["city"], record["state"], record["postcode"])


def test_a_number_of_its_own_is_not_split_off_the_street():
    """111 avenue stays a street where the house number has its own column."""
    record = read(street_number="9808", street="111 avenue")

    assert ("9808", "111 ave") == (record["street_number"], record["street"])


SMALL_FIELDS = [
    ("state", "New York", "ny"),
    ("state", "N.Y.", "ny"),
    ("state", "Victoria", "victoria"),
    ("postcode", "02139-1234", "02139"),
    ("postcode", " L33  2AE ", "l33 2ae"),
    ("city", "St. Louis", "st louis"),
    ("city", "not provided", None),
    ("country", "U.S.A.", "us"),
    ("gender", "Female", "f"),
    ("gender", "unknown", None),
    ("gender", "Nonbinary", "nonbinary"),
    ("national_id", "AB-12 34 56 C", "ab123456c"),
    ("national_id", "000-00-0000", None),
    ("national_id", "123456789", None),
]


def test_small_fields():
    """Codes are lower case and short; placeholders are null."""
    records = read_rows([{role: raw} for role, raw, _ in SMALL_FIELDS])

    assert SMALL_FIELDS == [
        (role, raw, record[role]) for (role, raw, _), record in zip(SMALL_FIELDS, records, strict=True)
    ]


def test_lost_zeros_come_back_only_among_zip_codes():
    """2139 is 02139 where five digits are the rule, and an Australian postcode where four are."""
    american = pa.table({"key": [1, 2, 3], "zip": [2139, 90210, 10001]})
    australian = pa.table({"key": [1, 2], "zip": [2139, 3000]})

    assert "02139" == standardize_records(american, id="key", columns={"postcode": "zip"})["postcode"][0].as_py()
    assert "2139" == standardize_records(australian, id="key", columns={"postcode": "zip"})["postcode"][0].as_py()
