"""Which pairs are compared: keys, hot keys and what is counted of them."""

from itertools import combinations

import duckdb
import pytest

from c360ml.errors import DataError
from c360ml.linkage.blocking import BlockedRule, add_block_keys, measure_rules
from c360ml.linkage.blocking_choice import choose_rules
from c360ml.linkage.blocking_parts import PARTS, BlockingRule, candidate_rules, part
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
    add_block_keys(con, tuple(BlockedRule(rule, 0, chosen=True) for rule in rules))
    engine = SplinkEngine(con, features.name, choose_comparisons(features.filled), rules)
    return set(con.execute(f"select rid_l, rid_r from {engine.block()}").fetchall())


def test_pairs_agree_on_a_rule(con):
    """A rule finds exactly the pairs whose key agrees, each once, lesser record first."""
    found = pairs_by_rules(con, (BlockingRule(("surname",)),))

    assert {(2 * n + 1, 2 * n + 2) for n in range(150)} == found


def test_hot_keys_are_cut(con):
    """A value that too many records share brings no pairs if it cannot be split."""
    found = pairs_by_rules(con, (BlockingRule(("email",)),))

    assert {(2 * n + 1, 2 * n + 2) for n in range(75, 150)} == found


def test_hot_keys_are_split(con):
    """Records that share a hot value are compared if they agree on the further part; others are as they were."""
    found = pairs_by_rules(con, (BlockingRule(("email",), split_by="surname"),))

    assert {(2 * n + 1, 2 * n + 2) for n in range(150)} == found


def test_hub_values_do_not_block_alone(con):
    """A value shared by far more names than usual is split, even if few records hold it."""
    con.execute("update people set email = 'own' || (record_id[2:]::int // 2) || '@x.org'").fetchall()
    con.execute("update people set email = 'desk@x.org' where record_id < 'r0040'").fetchall()

    found = pairs_by_rules(con, (BlockingRule(("email",), split_by="surname"),))

    assert {(2 * n + 1, 2 * n + 2) for n in range(150)} == found


def test_pairs_of_two_rules_come_once(con):
    """A pair that two rules find is compared once."""
    both = pairs_by_rules(con, (BlockingRule(("surname",)), BlockingRule(("email",))))

    assert both == pairs_by_rules(con, (BlockingRule(("surname",)),))


@pytest.fixture(scope="module")
def messy():
    """48 records with nulls, few values, and one e-mail that many names share."""
    con = duckdb.connect()
    con.execute("""
        create table people as
        select 'r' || lpad(n::varchar, 3, '0') as record_id,
               case when n % 7 > 0 then 'given' || hash(n, 1) % 9 end as given_name,
               case when n % 5 > 0 then 'sur' || hash(n, 2) % 11 end as surname,
               case when n % 4 > 0 then (1950 + hash(n, 3) % 6) || '-0' || (1 + hash(n, 4) % 3) || '-11' end
                   as date_of_birth,
               case when n % 3 > 0 then 'town' || hash(n, 5) % 8 end as city,
               case when n < 20 then 'desk@x.org' else 'm' || hash(n, 6) % 40 || '@x.org' end as email,
               'c' || hash(n, 7) % 5 as attribute_colour
        from range(48) numbers(n)
    """).fetchall()
    return con


def test_counted_pairs_equal_brute_force(messy):
    """Each rule's pairs are those that a loop over all pairs finds, split hubs included, and so are skipped ones."""
    features = build_features(messy, "people")
    measured, share = measure_rules(messy, features, anchors=1000, most_pairs=1e9)
    names = sorted({name for each in measured for name in (*each.rule.parts, each.rule.split_by or each.rule.parts[0])})
    columns = ", ".join(part(name).sql for name in names)
    values = messy.execute(
        f"select {columns}, email_hub, date_of_birth_hub from linkage_features order by rid"
    ).fetchall()
    rows = [dict(zip((*names, "email hub", "date_of_birth hub"), row, strict=True)) for row in values]

    def value(row, parts):
        values = tuple(row[name] for name in parts)
        return None if None in values else values

    for each in measured:
        rule = each.rule
        crowded = {value(row, rule.parts) for row in rows if any(row[f"{kind} hub"] for kind in rule.hubs)}
        agreeing = [
            (left, right)
            for left, right in combinations(rows, 2)
            if value(left, rule.parts) is not None and value(left, rule.parts) == value(right, rule.parts)
        ]
        split = [pair for pair in agreeing if value(pair[0], rule.parts) in crowded]
        kept = [
            (left, right)
            for left, right in split
            if rule.split_by and left[rule.split_by] is not None and left[rule.split_by] == right[rule.split_by]
        ]
        skipped = len(split) - len(kept)
        assert (rule.name, len(agreeing) - skipped, skipped) == (rule.name, each.pairs, each.hot_pairs)
    assert 1.0 == share
    assert any(each.hot_pairs for each in measured)
    assert any("attribute_colour" in each.rule.parts for each in measured)


def test_measured_pairs_are_those_that_splink_finds(messy):
    """The pairs that a rule is said to find are as many as Splink then blocks by it, alone and together."""
    features = build_features(messy, "people")
    measured, _ = measure_rules(messy, features, anchors=1000, most_pairs=1e9)
    distinct = messy.execute("select count(distinct (rid_l, rid_r)) from sampled_agreements").fetchall()[0][0]
    chosen = [each for each in measured if each.pairs][::30]

    alone = [len(pairs_by_rules(messy, (each.rule,))) for each in chosen]
    together = pairs_by_rules(messy, tuple(each.rule for each in measured))

    assert [each.pairs for each in chosen] == alone
    assert distinct == len(together)


def test_chosen_rules_say_how_many_pairs_they_add(messy):
    """New pairs of the chosen rules add up to the distinct pairs that Splink blocks, as the whole file is sampled."""
    features = build_features(messy, "people")
    blocked = choose_rules(messy, features, by_given_name(messy), max_pairs=10_000)

    found = pairs_by_rules(messy, tuple(each.rule for each in blocked if each.chosen))

    assert round(sum(each.new_pairs for each in blocked)) >= len(found)
    assert round(sum(each.new_pairs for each in blocked if each.chosen)) == len(found)


def by_given_name(con):
    """A judge for whom pairs of one given name are matches."""

    def judge(pairs, share):
        found = con.execute(f"""
            select coalesce(l.given_name = r.given_name, false)::double as matches
            from {pairs} join linkage_features l on l.rid = rid_l join linkage_features r on r.rid = rid_r
            order by rid_l, rid_r
        """).fetchnumpy()
        return found["matches"]

    return judge


def test_choice_finds_the_matches(messy):
    """If pairs of one given name are matches, the chosen rules find nearly all of those that any rule finds."""
    features = build_features(messy, "people")
    blocked = choose_rules(messy, features, by_given_name(messy), max_pairs=10_000)

    chosen = [each for each in blocked if each.chosen]
    left_out = [each for each in blocked if not each.chosen]

    assert sum(each.new_matches_share for each in chosen) > 0.99
    assert max(each.new_matches_share for each in left_out) < 0.01


def test_budget_holds(messy):
    """Chosen rules never bring more distinct pairs than allowed."""
    features = build_features(messy, "people")
    blocked = choose_rules(messy, features, by_given_name(messy), max_pairs=60)

    assert 0 < sum(each.new_pairs for each in blocked if each.chosen) <= 60


def test_nothing_in_common_is_an_error(con):
    """A file in which no two records agree on anything cannot be linked, and the error says so."""
    con.execute(
        "create or replace table people as select n::varchar as record_id, 'x' || n as email from range(9) t(n)"
    )
    features = build_features(con, "people")

    with pytest.raises(DataError, match="agree on something"):
        choose_rules(con, features, by_given_name(con), max_pairs=100)


def test_rules_name_known_parts_and_no_rule_twice():
    """Every rule is made of known parts, and no two rules are the same set."""
    rules = candidate_rules({each.needs for each in PARTS.values()} | {"attribute_x", "attribute_y"})

    assert all(part(name).sql for rule in rules for name in rule.parts)
    assert len(rules) == len({frozenset(rule.parts) for rule in rules})
    assert {("attribute_x",), ("surname", "attribute_y")} <= {rule.parts for rule in rules}


@pytest.mark.parametrize("rule", [BlockingRule(("surname", "attribute_x"), "birth_year"), BlockingRule(("email",))])
def test_rules_survive_json_and_column_names(rule):
    """A rule is the same after a model file and after Splink's JSON, which knows only its column."""
    assert rule == BlockingRule.from_dict(rule.to_dict())
    assert rule == BlockingRule.of_column(rule.column)
