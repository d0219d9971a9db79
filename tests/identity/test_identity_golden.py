"""Golden records: each field from the record that its rule names."""

import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_tables import lay

from c360ml.config import Config
from c360ml.identity import RULES, identify
from c360ml.identity.golden_rules import MEASURES, ORDERS
from c360ml.lakehouse import Lakehouse


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as lake:
        yield lake


CONFIG = Config.parse(
    {
        "sources": [
            {"name": "crm", "kind": "salesforce", "files": "x", "trust": 0.9},
            {"name": "dms", "kind": "dms_customers", "files": "x", "trust": 0.4},
        ]
    }
)
OLD, NEW = "2020-01-01 00:00:00+00", "2024-01-01 00:00:00+00"


def golden(lake, *columns):
    """Golden values of the only customer."""
    identify(lake, CONFIG)
    rows = lake.rows(f"select {', '.join(columns)} from silver.golden_records")
    assert 1 == len(rows)
    return rows[0]


def provenance(lake, field):
    """Provenance of one field of the only customer."""
    return lake.rows(
        "select record_id, rule, candidates from silver.golden_provenance where field = $field", {"field": field}
    )


def test_most_trusted_source_gives_the_email(lake):
    """The trusted source's e-mail survives although another is more recent."""
    lay(
        lake,
        [
            {"record_id": "crm:1", "email": "ann@x.com", "email_kind": "personal", "updated_at": OLD},
            {"record_id": "dms:1", "email": "ann@y.com", "email_kind": "personal", "updated_at": NEW},
        ],
    )
    assert ("ann@x.com",) == golden(lake, "email")
    assert [("crm:1", "most_trusted", 2)] == provenance(lake, "email")


def test_personal_email_goes_before_trust(lake):
    """A personal address goes before a role address, and an invalid or placeholder one never survives."""
    lay(
        lake,
        [
            {"record_id": "crm:1", "email": "info@x.com", "email_kind": "role"},
            {"record_id": "dms:1", "email": "ann@y.com", "email_kind": "personal"},
            {"record_id": "crm:2", "email": "no at sign", "email_kind": "personal"},
            {"record_id": "crm:3", "email": "none@none.com", "email_kind": "placeholder"},
        ],
    )
    assert ("ann@y.com",) == golden(lake, "email")
    assert [("dms:1", "most_trusted", 2)] == provenance(lake, "email")


def test_most_recent_phone(lake):
    """The most recently changed record gives the phone; a record without one is passed over."""
    lay(
        lake,
        [
            {"record_id": "crm:1", "phone": "+12025550101", "updated_at": OLD},
            {"record_id": "dms:1", "phone": "+12025550102", "created_at": NEW},
            {"record_id": "dms:2", "updated_at": "2025-01-01 00:00:00+00"},
        ],
    )
    assert ("+12025550102",) == golden(lake, "phone")
    assert [("dms:1", "most_recent", 2)] == provenance(lake, "phone")


def test_name_agreed_by_most_records(lake):
    """A typo in the most trusted source is outvoted."""
    lay(
        lake,
        [
            {"record_id": "crm:1", "given_name": "jhon", "surname": "smith"},
            {"record_id": "dms:1", "given_name": "john", "surname": "smith"},
            {"record_id": "dms:2", "given_name": "john", "surname": "smith"},
        ],
    )
    assert ("john", "John Smith") == golden(lake, "given_name", "full_name")
    assert [("dms:1", "most_frequent", 2)] == provenance(lake, "given_name")


def test_full_names_go_before_initials(lake):
    """A name goes before any number of initials; the longest middle name survives."""
    lay(
        lake,
        [
            {"record_id": "crm:1", "given_name": "j", "middle_name": "p", "surname": "o'neil"},
            {"record_id": "crm:2", "given_name": "j", "surname": "o'neil"},
            {"record_id": "dms:1", "given_name": "john", "middle_name": "paul", "surname": "o'neil",
             "suffix": "iii"},
        ]
    )  # fmt: skip
    assert ("john", "paul", "John Paul O'Neil III") == golden(lake, "given_name", "middle_name", "full_name")


def test_address_is_never_mixed(lake):
    """The whole address comes from one record: the most recent that has street and postcode."""
    lay(
        lake,
        [
            {"record_id": "crm:1", "street_number": "1", "street": "oak st", "unit": "4", "city": "reno",
             "postcode": "11111", "updated_at": OLD},
            {"record_id": "dms:1", "street_number": "2", "street": "elm st", "city": "troy",
             "postcode": "22222", "updated_at": NEW},
            {"record_id": "dms:2", "city": "york", "state": "pa", "updated_at": "2025-01-01 00:00:00+00"},
        ]
    )  # fmt: skip
    assert ("2", "elm st", None, "troy", None, "22222") == golden(
        lake, "street_number", "street", "unit", "city", "state", "postcode"
    )
    assert [("dms:1", "most_recent", 3)] == provenance(lake, "street")
    assert [] == provenance(lake, "unit")


def test_impossible_date_of_birth_is_passed_over(lake):
    """Only a real date survives, and only real dates compete."""
    lay(
        lake,
        [
            {"record_id": "crm:1", "date_of_birth": "1980-02-31"},
            {"record_id": "dms:1", "date_of_birth": "1980-02-13"},
        ],
    )
    assert ("1980-02-13",) == golden(lake, "date_of_birth::varchar")
    assert [("dms:1", "most_frequent", 1)] == provenance(lake, "date_of_birth")


@pytest.mark.parametrize(
    ("said", "expected"),
    [(("true", "false"), False), (("true", None), True), ((None, None), None), (("false", "false"), False)],
)
def test_any_refusal_counts(lake, said, expected):
    """One refusal is enough; silence is not consent."""
    lay(lake, [{"record_id": f"crm:{i}", "marketing_consent": word} for i, word in enumerate(said)])
    assert (expected,) == golden(lake, "marketing_consent")


def test_active_anywhere_is_active(lake):
    """A customer who is active in one source and a more recent prospect in another is active."""
    lay(
        lake,
        [
            {"record_id": "crm:1", "status": "PROSPECT", "updated_at": NEW},
            {"record_id": "dms:1", "status": "ACTIVE", "updated_at": OLD},
        ],
    )
    assert ("ACTIVE",) == golden(lake, "status")


def test_quality_then_record_id_break_ties(lake):
    """Equal trust and time: the better record gives the value, and of equal records the least record_id."""
    lay(
        lake,
        [
            {"record_id": "crm:3", "phone": "+3", "gender": "m", "quality_score": 0.5, "updated_at": NEW},
            {"record_id": "crm:2", "phone": "+2", "gender": "f", "quality_score": 0.9, "updated_at": NEW},
            {"record_id": "crm:1", "phone": "+1", "gender": "x", "quality_score": 0.9, "updated_at": NEW},
        ],
    )
    assert ("+1", "x") == golden(lake, "phone", "gender")


def test_what_is_counted(lake):
    """A golden record tells how many records, which sources, the best quality and the span of time."""
    lay(
        lake,
        [
            {"record_id": "dms:1", "quality_score": 0.25, "created_at": OLD, "updated_at": NEW},
            {"record_id": "crm:1", "quality_score": 0.75, "created_at": NEW},
            {"record_id": "crm:2"},
        ],
    )
    expected = (3, ["crm", "dms"], 0.75, "2020-01-01", "2024-01-01", None)
    assert expected == golden(
        lake, "records", "sources", "quality_score",
        "first_seen_at::date::varchar", "last_seen_at::date::varchar", "full_name",
    )  # fmt: skip


def test_rules_are_whole():
    """Every rule exists, every order exists, and no field is filled twice."""
    fields = [field for rule in RULES for field in rule.fields]
    assert len(fields) == len(set(fields))
    assert {rule.rule for rule in RULES} <= set(MEASURES)
    assert {measure.order for measure in MEASURES.values()} <= set(ORDERS)


names = st.none() | st.sampled_from(["a", "ann", "anne", "o"])
records = st.fixed_dictionaries(
    {
        "given_name": names,
        "surname": names,
        "phone": st.none() | st.sampled_from(["+1", "+2"]),
        "city": names,
        "postcode": st.none() | st.sampled_from(["1", "2"]),
        "marketing_consent": st.sampled_from([None, "true", "false"]),
        "updated_at": st.sampled_from([None, OLD, NEW]),
    }
)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["crm", "dms", "new"]), records), min_size=1, max_size=8),
       st.randoms())  # fmt: skip
def test_golden_values_come_from_the_own_records_in_any_order(drawn, random):
    """Each golden value is a value of the record that provenance names, whatever the order of rows."""
    people: dict[int, list[dict[str, str | None]]] = {}
    for i, (person, source, record) in enumerate(drawn):
        people.setdefault(person, []).append({"record_id": f"{source}:{i}", **record})
    answers = []
    with tempfile.TemporaryDirectory() as folder, Lakehouse(folder, threads=1) as lake:
        for _ in range(2):
            lay(lake, *people.values())
            identify(lake, CONFIG)
            strange = " union all ".join(
                f"""
                    select '{field}'
                    from silver.golden_records as golden
                    left join (from silver.golden_provenance where field = '{field}') as why using (master_id)
                    left join silver.identities as own on own.record_id = why.record_id
                    left join silver.records as record on record.record_id = why.record_id
                    where (golden.{field} is not null) <> (why.record_id is not null)
                        or golden.{field} <> record.{field} or own.master_id <> golden.master_id
                """
                for field in ("given_name", "surname", "phone", "city", "postcode", "marketing_consent")
            )
            assert [] == lake.rows(strange)
            answers.append(
                lake.rows("select * exclude (first_seen_at, last_seen_at) from silver.golden_records order by all")
            )
            for rows in people.values():
                random.shuffle(rows)
    assert answers[0] == answers[1]
