"""What is compared, and how alike two values are."""

import math

import duckdb
import pytest

from c360ml.linkage.comparisons import Comparison, choose_comparisons
from c360ml.linkage.features import build_features
from c360ml.linkage.splink_engine import SplinkEngine

COLUMNS = (
    "record_id",
    "given_name",
    "given_name_canonical",
    "given_name_formals",
    "surname",
    "maiden_name",
    "middle_name",
    "suffix",
    "email",
    "phone",
    "date_of_birth",
    "street_number",
    "street",
    "unit",
    "city",
    "postcode",
)


def labels_of_pair(left: dict[str, str], right: dict[str, str]) -> dict[str, str]:
    """Compare two records, beside others that make every column vary, through Splink."""
    others = [{column: f"{column}{number}" for column in COLUMNS} for number in range(3)]
    rows = [dict(left, record_id="a"), dict(right, record_id="b"), *others]
    con = duckdb.connect()
    con.execute(f"create table people ({', '.join(f'{column} varchar' for column in COLUMNS)})").fetchall()
    con.executemany(
        f"insert into people values ({', '.join('?' * len(COLUMNS))})",
        [[row.get(column) for column in COLUMNS] for row in rows],
    )
    features = build_features(con, "people")
    comparisons = choose_comparisons(features.filled)
    engine = SplinkEngine(con, features.name, comparisons, ())
    con.execute("create table pair as select 1 as rid_l, 2 as rid_r").fetchall()
    engine.compare("pair", into="vector")
    digits = engine.digits(con.execute("select pattern from vector").fetchnumpy()["pattern"])[0]
    return {
        comparison.name: "missing" if digit < 0 else comparison.labels[len(comparison.labels) - 1 - digit]
        for comparison, digit in zip(comparisons, digits, strict=True)
    }


@pytest.mark.parametrize(
    ("column", "left", "right", "label"),
    [
        ("given_name", {"given_name": "ann"}, {"given_name": "ann"}, "same, uncommon"),
        ("given_name", {"given_name": "a"}, {"given_name": "ann"}, "initial"),
        ("given_name", {"given_name": "catherine"}, {"given_name": "catherina"}, "spelled alike"),
        ("given_name", {"given_name": "ann"}, {"given_name": "bob"}, "different"),
        (
            "given_name",
            {"given_name": "bob", "given_name_canonical": "robert"},
            {"given_name": "robert", "given_name_canonical": "robert"},
            "nickname",
        ),
        (
            "given_name",
            {
                "given_name": "chris",
                "given_name_canonical": "christopher",
                "given_name_formals": "christopher christina",
            },
            {"given_name": "tina", "given_name_canonical": "martina", "given_name_formals": "martina christina"},
            "nickname",
        ),
        (
            "given_name",
            {"given_name": "j", "given_name_canonical": "j", "given_name_formals": "j"},
            {"given_name": "j", "given_name_canonical": "j", "given_name_formals": "j"},
            "initial",
        ),
        (
            "given_name",
            {"given_name": "j", "middle_name": "robert"},
            {"given_name": "robert"},
            "middle name of the other",
        ),
        ("given_name", {"given_name": "jo", "middle_name": "marianne"}, {"given_name": "jomarianne"}, "spelled alike"),
        (
            "surname",
            {"surname": "jones", "maiden_name": "smith"},
            {"surname": "smith"},
            "maiden or middle name of the other",
        ),
        (
            "surname",
            {"surname": "thomas", "middle_name": "meyer"},
            {"surname": "meyer"},
            "maiden or middle name of the other",
        ),
        (
            "surname",
            {"surname": "jones", "maiden_name": "smith"},
            {"surname": "lee", "maiden_name": "smith"},
            "same maiden name",
        ),
        ("surname", {"surname": "smith jones"}, {"surname": "jones"}, "part of the other"),
        ("surname", {"surname": "lopez garcia"}, {"surname": "perez lopez"}, "a part in common"),
        ("surname", {"surname": "von stein"}, {"surname": "von kramer"}, "different"),
        ("surname", {"surname": "de la cruz"}, {"surname": "delacruz"}, "spelled alike"),
        ("middle_name", {"middle_name": "alice"}, {"middle_name": "andrew"}, "same initial"),
        ("middle_name", {"middle_name": "b"}, {"middle_name": "andrew"}, "different"),
        ("middle_name", {"middle_name": "maria jose"}, {"middle_name": "jose"}, "a name in common"),
        ("suffix", {"suffix": "jr"}, {"suffix": "sr"}, "different"),
        ("suffix", {"suffix": "jr"}, {}, "missing"),
        (
            "surname",
            {"given_name": "lee", "surname": "ann"},
            {"given_name": "ann", "surname": "lee"},
            "swapped with given name",
        ),
        ("surname", {"surname": "smith"}, {"surname": "garcia smith"}, "part of the other"),
        (
            "surname",
            {"surname": "lawrence", "maiden_name": "smith"},
            {"surname": "law rence", "maiden_name": "smith"},
            "spelled alike",
        ),
        ("middle_name", {"middle_name": "q"}, {"middle_name": "quincy"}, "initial"),
        ("date_of_birth", {"date_of_birth": "1980-02-01"}, {"date_of_birth": "1980-02-01"}, "same"),
        ("date_of_birth", {"date_of_birth": "1980-02-01"}, {"date_of_birth": "1980-02-11"}, "one slip"),
        ("date_of_birth", {"date_of_birth": "1980-02-11"}, {"date_of_birth": "1980-11-02"}, "day and month swapped"),
        ("date_of_birth", {"date_of_birth": "1980-02-11"}, {"date_of_birth": "1984-12-29"}, "within ten years"),
        ("email", {"email": "ann@x.org"}, {"email": "ann@x.org"}, "same"),
        ("email", {"email": "ann.lee@x.org"}, {"email": "ann.lee@other.net"}, "same before the @"),
        ("phone", {"phone": "+12125550123"}, {"phone": "+12125550124"}, "one slip"),
        (
            "street",
            {"street_number": "5", "street": "oak st", "unit": "1"},
            {"street_number": "5", "street": "oak st", "unit": "2"},
            "same house, unit differs",
        ),
        ("place", {"city": "salem"}, {"postcode": "97301"}, "missing"),
        ("email", {"email": "ann@x.org"}, {}, "missing"),
    ],
)
def test_level_of_a_pair(column, left, right, label):
    """Each way in which two values can agree is a level of its own."""
    assert label == labels_of_pair(left, right)[column]


def test_shared_email_is_weaker_than_an_own_one():
    """An e-mail that several first names use is a level of its own, not proof of one person."""
    left = {"given_name": "ann", "email": "family@x.org"}
    right = {"given_name": "bob", "email": "family@x.org"}

    assert "same, shared by a few" == labels_of_pair(left, right)["email"]


def test_agreement_patterns_fit_an_integer():
    """All comparisons at once, with ten attributes, number fewer patterns than a 64-bit integer holds."""
    everything = {*COLUMNS, "full_name", "national_id", "gender", *(f"attribute_{number}" for number in range(10))}
    comparisons = choose_comparisons(everything)

    assert len(comparisons) == 22
    assert math.prod(len(comparison.labels) + 1 for comparison in comparisons) < 2**63


def test_every_comparison_has_distinct_labels():
    """Labels name levels, so they must differ within a comparison."""
    everything = {*COLUMNS, "full_name", "suffix", "national_id", "gender", "attribute_job"}
    for comparison in choose_comparisons(everything):
        assert isinstance(comparison, Comparison)
        assert len(comparison.labels) == len(set(comparison.labels)) == len(comparison.full)
