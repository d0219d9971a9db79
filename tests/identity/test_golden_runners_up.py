"""Golden records: the rules a user may choose, and who would have won otherwise."""

import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_tables import lay

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import ConfigError
from c360ml.identity import identify
from c360ml.identity.golden import golden_choices, provenance_sql
from c360ml.identity.golden_rules import RULES, chosen_rules
from c360ml.lakehouse import Lakehouse


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as lake:
        yield lake


def record(key, **fields):
    """A record of the source crm."""
    return {"record_id": f"crm:{key}", **fields}


def provenance(lake, field):
    """Who gave a field of the only customer, who is next, and by which rule."""
    return lake.rows(
        "select record_id, runner_up_record_id, rule, candidates from silver.golden_provenance where field = $field",
        {"field": field},
    )


def test_runner_up_has_another_value(lake):
    """The runner-up is the best record of another value, however many have the winner's."""
    lay(lake, [
        record("1", phone="+1", updated_at="2024-01-03 00:00Z"),
        record("2", phone="+1", updated_at="2024-01-02 00:00Z"),
        record("3", phone="+3", updated_at="2024-01-01 00:00Z"),
        record("4"),
    ])  # fmt: skip
    identify(lake, Config())
    assert [("crm:1", "crm:3", "most_recent", 2)] == provenance(lake, "phone")


def test_no_other_value_no_runner_up(lake):
    """Records that agree leave nobody to come second."""
    lay(lake, [record("1", phone="+1"), record("2", phone="+1")])
    identify(lake, Config())
    assert [("crm:1", None, "most_recent", 1)] == provenance(lake, "phone")


def test_choosing_a_few_records_at_a_time_gives_the_same_customers(tmp_path, monkeypatch, small_world_project):
    """How many records are chosen among at a time changes no golden record and no provenance."""
    chosen = []
    for at_once in (1_000_000, 37):
        monkeypatch.setattr("c360ml.identity.golden.RECORDS_AT_ONCE", at_once)
        with Lakehouse(small_world_project) as lake:
            for table in (tables.RECORDS, tables.IDENTITIES):
                lake.open(table)
            rules = chosen_rules({})
            with (
                lake.scratch("master_records", "select master_id, record_id from silver.identities"),
                golden_choices(lake, (), rules),
            ):
                chosen.append(
                    [sorted(lake.rows(f"select c::varchar from ({query}) c")) for query in (
                        "from golden_choices", provenance_sql(rules)
                    )]
                )  # fmt: skip
    assert chosen[0] == chosen[1]
    assert 100 < len(chosen[0][0])


@pytest.mark.parametrize(
    ("rule", "expected"), [("longest", "crm:long"), ("most_complete", "crm:parts"), ("most_recent", "crm:new")]
)
def test_rule_of_an_address_can_be_chosen(lake, rule, expected):
    """Longest counts characters, most complete counts known parts, and the whole address follows the rule."""
    lay(lake, [
        record("long", street="a very long name of a street", city="x", postcode="1"),
        record("parts", street="b", street_number="1", unit="2", city="y", postcode="1"),
        record("new", street="c", city="z", postcode="1", updated_at="2024-01-01 00:00Z"),
    ])  # fmt: skip
    identify(lake, Config.parse({"golden": {"address": rule}}))
    assert (expected, rule) == (provenance(lake, "city")[0][0], provenance(lake, "city")[0][2])


@pytest.mark.parametrize("rule", ["most_trusted", "most_recent", "most_frequent", "most_complete", "longest"])
def test_every_field_takes_every_rule(lake, rule):
    """No rule fails on any field, and provenance names the rule that was chosen."""
    lay(lake, [record("1", given_name="ann", date_of_birth="1980-01-02", status="ACTIVE", city="x"), record("2")])
    names = {each.name: rule for each in RULES if each.name != "marketing_consent"}
    identify(lake, Config.parse({"golden": names}))
    assert [(rule,)] == lake.rows("select distinct rule from silver.golden_provenance")


@pytest.mark.parametrize("golden", [{"phone": "newest"}, {"fone": "longest"}, {"phone": "any_refusal"}])
def test_wrong_rules_are_refused_by_name(golden):
    """An unknown rule or field, or a rule of consent on a telephone number, is an error that names the setting."""
    with pytest.raises(ConfigError, match=f"setting golden.{next(iter(golden))} is wrong"):
        Config.parse({"golden": golden})


TYPES = {"quality_score": "double", "marketing_consent": "boolean"}
# rule = what it measures of a record, given all records of the customer
MEASURES = {
    "most_trusted": lambda value, values: 0,
    "most_recent": lambda value, values: 0,
    "longest": lambda value, values: len(value),
    "most_complete": lambda value, values: len(value.split(" ")),
    "most_frequent": lambda value, values: values.count(value),
}


@pytest.mark.parametrize("rule", MEASURES)
def test_winner_and_runner_up_are_those_of_plain_python(rule):
    """For any phones the winner and the best of another value are those of a second implementation."""
    with tempfile.TemporaryDirectory() as folder, Lakehouse(folder, threads=1) as lake:

        @settings(max_examples=12, deadline=None)
        @given(
            st.lists(st.tuples(st.sampled_from([None, "1", "2 2", "333"]), st.integers(1, 2)), min_size=1, max_size=6)
        )
        def holds(drawn):
            rows = {f"r{i}": pair for i, pair in enumerate(drawn)}
            values = ", ".join(
                f"('m', '{key}', {'null' if phone is None else repr(phone)}, '200{year}-01-01 00:00Z'::timestamptz)"
                for key, (phone, year) in rows.items()
            )
            nulls = ", ".join(
                f"null::{TYPES.get(name, 'varchar')} as {name}"
                for name in (
                    "source",
                    "email_kind",
                    "quality_score",
                    *(f for each in RULES for f in each.fields if f != "phone"),
                )
            )
            lake.rows("drop view if exists silver.records")
            lake.rows(f"""
                create view silver.records as
                select record_id, phone, updated_at, null::timestamptz as created_at, {nulls}
                from (values {values}) as rows(m, record_id, phone, updated_at)""")
            with (
                lake.scratch("master_records", "select 'm' as master_id, record_id from silver.records"),
                golden_choices(lake, (), chosen_rules({"phone": rule})),
            ):
                got = lake.rows("select phone_choice.record_id, phone_runner_up from golden_choices")[0]
            phones = [phone for phone, _ in rows.values() if phone]

            def best(unlike):
                ranked = [
                    (-MEASURES[rule](phone, phones), -year, key)
                    for key, (phone, year) in rows.items() if phone is not None and phone != unlike
                ]  # fmt: skip
                return min(ranked)[2] if ranked else None

            winner = best(None)
            assert (winner, best(rows[winner][0]) if winner else None) == got

        holds()
