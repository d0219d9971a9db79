"""Which pairs are compared."""

import duckdb
import pytest

from c360ml.errors import DataError
from c360ml.linkage.blocking import (
    CANDIDATE_RULES,
    PARTS,
    BlockingRule,
    add_block_keys,
    candidate_rules,
    choose_rules,
)
from c360ml.linkage.comparisons import choose_comparisons
from c360ml.linkage.features import build_features
from c360ml.linkage.splink_engine import SplinkEngine


@pytest.fixture
def con():
    con = duckdb.connect()
    con.execute("""
        create table people as
        select 'r' || lpad(n::varchar, 4, '0') as record_id,
               case when n < 150 then 'hub@x.org' else 'own' || (n // 2) || '@x.org' end as email,
               'name' || (n // 2) as surname, 'given' || n as given_name
        from range(300) numbers(n)
    """).fetchall()
    return con


def pairs_by_rules(con, rules):
    features = build_features(con, "people")
    add_block_keys(con, choose_rules(con, rules, records=features.records, max_pairs=1_000_000))
    engine = SplinkEngine(con, features.name, choose_comparisons(features.filled), rules)
    return set(con.execute(f"select rid_l, rid_r from {engine.block()}").fetchall())


def test_pairs_agree_on_a_rule(con):
    """A rule finds exactly the pairs whose key agrees, each once, lesser record first."""
    found = pairs_by_rules(con, (BlockingRule(("surname",)),))

    assert {(2 * n + 1, 2 * n + 2) for n in range(150)} == found


def test_hot_keys_are_cut(con):
    """A value that too many records share is a hub, and brings no pairs."""
    found = pairs_by_rules(con, (BlockingRule(("email",)),))

    assert {(2 * n + 1, 2 * n + 2) for n in range(75, 150)} == found


def test_pairs_of_two_rules_come_once(con):
    """A pair that two rules find is compared once."""
    both = pairs_by_rules(con, (BlockingRule(("surname",)), BlockingRule(("email",))))

    assert both == pairs_by_rules(con, (BlockingRule(("surname",)),))


def test_choice_says_what_each_rule_finds(con):
    """Rules are counted on the data, hot keys apart, and the most selective are chosen within the budget."""
    features = build_features(con, "people")
    rules = candidate_rules(features.filled)

    chosen = {each.rule.parts: each for each in choose_rules(con, rules, records=features.records, max_pairs=1_000_000)}

    assert (75, 150 * 149 // 2) == (chosen[("email",)].pairs, chosen[("email",)].hot_pairs)
    assert chosen[("email",)].chosen


def test_budget_holds(con):
    """Chosen rules never bring more pairs than allowed."""
    features = build_features(con, "people")
    measured = choose_rules(con, candidate_rules(features.filled), records=features.records, max_pairs=100)

    assert sum(each.pairs for each in measured if each.chosen) <= 100


def test_nothing_in_common_is_an_error(con):
    """A file in which no two records agree on anything cannot be linked, and the error says so."""
    con.execute(
        "create or replace table people as select n::varchar as record_id, 'x' || n as email from range(9) t(n)"
    )
    features = build_features(con, "people")

    with pytest.raises(DataError, match="agree on something"):
        choose_rules(con, candidate_rules(features.filled), records=9, max_pairs=100)


def test_rules_name_known_parts_and_no_rule_twice():
    """Every rule is made of known parts, and no two rules are the same set."""
    assert all(part in PARTS for rule in CANDIDATE_RULES for part in rule.parts)
    assert len(CANDIDATE_RULES) == len({frozenset(rule.parts) for rule in CANDIDATE_RULES})
