"""Which pairs are compared: candidate rules by the columns at hand, the most selective first, in a budget.

A rule is a set of parts that must agree. Keys that more than `MOST_RECORDS_PER_KEY` records share are cut: they
are placeholders or hubs, and their pairs are found by narrower rules if they are real.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from c360ml.errors import DataError

if TYPE_CHECKING:
    import duckdb

MOST_RECORDS_PER_KEY = 100
PAIRS_PER_RECORD = 20
_LEAST_BUDGET = 2_000_000


@dataclass(frozen=True)
class Part:
    """One thing that must agree: the column it needs, and the SQL of its value (null: cannot agree)."""

    needs: str
    sql: str


PARTS = {
    "full_name": Part("full_name", "full_name"),
    "last_word": Part("full_name", "split_part(full_name, ' ', -1)"),
    "given_name": Part("given_name", "coalesce(given_name_canonical, given_name)"),
    "given_initial": Part("given_name", "left(given_name, 1)"),
    "surname": Part("surname", "surname"),
    "surname_sound": Part("surname", "coalesce(surname_phonetic, surname)"),
    "both_names": Part("surname", "least(given_name, surname) || '|' || greatest(given_name, surname)"),
    "middle_initial": Part("middle_name", "left(middle_name, 1)"),
    "email": Part("email", "email"),
    "email_user": Part("email", "case when length(split_part(email, '@', 1)) > 5 then split_part(email, '@', 1) end"),
    "phone": Part("phone", "phone"),
    "date_of_birth": Part("date_of_birth", "date_of_birth"),
    "birth_year": Part("date_of_birth", "date_of_birth[1:4]"),
    "birth_month": Part("date_of_birth", "date_of_birth[1:7]"),
    "national_id": Part("national_id", "national_id"),
    "street": Part("street", "street"),
    "street_number": Part("street_number", "street_number"),
    "city": Part("city", "city"),
    "postcode": Part("postcode", "postcode"),
    "postcode_area": Part("postcode", "left(postcode, 3)"),
}


@dataclass(frozen=True)
class BlockingRule:
    """Records are compared if all the parts of a rule agree."""

    parts: tuple[str, ...]

    @property
    def column(self) -> str:
        """Name of the key column in the feature table."""
        return "block_" + "_and_".join(self.parts)

    @property
    def key(self) -> str:
        """SQL of the key: a hash of all parts, null if any part is missing."""
        parts = " || '|' || ".join(f"({PARTS[part].sql})" for part in self.parts)
        return f"case when ({parts}) is not null then hash({parts}) end"


@dataclass(frozen=True)
class BlockedRule:
    """A candidate rule measured on the data: the pairs it finds and those lost to hot keys."""

    rule: BlockingRule
    pairs: int
    hot_pairs: int
    chosen: bool


CANDIDATE_RULES = tuple(
    BlockingRule(parts)
    for parts in (
        ("national_id",),
        ("email",),
        ("phone",),
        ("full_name",),
        ("date_of_birth", "surname"),
        ("date_of_birth", "given_name"),
        ("date_of_birth", "postcode"),
        ("date_of_birth", "city"),
        ("date_of_birth",),
        ("birth_month", "given_name"),
        ("birth_month", "surname_sound"),
        ("birth_year", "surname", "given_initial"),
        ("birth_year", "surname"),
        ("birth_year", "last_word"),
        ("birth_year", "given_name", "postcode_area"),
        ("birth_year", "given_initial", "postcode_area"),
        ("birth_year", "surname_sound", "postcode_area"),
        ("birth_year", "given_name", "city"),
        ("both_names", "postcode"),
        ("both_names", "city"),
        ("both_names",),
        ("given_name", "surname"),
        ("given_name", "surname_sound", "postcode_area"),
        ("surname", "given_initial", "middle_initial"),
        ("surname", "given_initial", "postcode_area"),
        ("surname", "given_initial", "city"),
        ("surname_sound", "postcode"),
        ("surname", "city"),
        ("given_name", "postcode"),
        ("given_name", "street", "street_number"),
        ("given_initial", "street"),
        ("surname", "street"),
        ("street", "street_number"),
        ("street_number", "postcode", "given_initial"),
        ("postcode",),
        ("email_user",),
    )
)


def candidate_rules(filled: Collection[str]) -> tuple[BlockingRule, ...]:
    """Keep the rules whose columns hold data.

    >>> [rule.parts for rule in candidate_rules({"email", "phone"})]
    [('email',), ('phone',), ('email_user',)]
    """
    return tuple(rule for rule in CANDIDATE_RULES if all(PARTS[part].needs in filled for part in rule.parts))


def choose_rules(
    con: duckdb.DuckDBPyConnection, rules: tuple[BlockingRule, ...], *, records: int, max_pairs: int
) -> tuple[BlockedRule, ...]:
    """Count each rule's pairs in `linkage_features` and choose, fewest pairs first, within the budget.

    Raises:
        DataError: no rule finds a pair, so nothing can be compared.
    """
    budget = min(max_pairs, max(_LEAST_BUDGET, PAIRS_PER_RECORD * records))
    _write_keys(con, rules)
    counted = []
    for rule in rules:
        pairs, hot = con.execute(f"""
            with sizes as (
                select count(*) as n from block_keys where {rule.column} is not null
                group by {rule.column} having n > 1
            )
            select coalesce(sum(n * (n - 1) // 2) filter (n <= {MOST_RECORDS_PER_KEY}), 0),
                   coalesce(sum(n * (n - 1) // 2) filter (n > {MOST_RECORDS_PER_KEY}), 0)
            from sizes
        """).fetchall()[0]
        counted.append((int(pairs), int(hot), rule))
    measured, spent = [], 0
    for pairs, hot, rule in sorted(counted, key=lambda item: (item[0], item[2].parts)):
        chosen = 0 < pairs <= budget - spent
        spent += pairs if chosen else 0
        measured.append(BlockedRule(rule, pairs, hot, chosen))
    if not spent:
        raise DataError(
            "blocking must find at least one pair of records that agree on something",
            got=f"none in {records} records by {len(rules)} rules",
            hint="map more columns to roles, or check that values are comparable",
        )
    return tuple(measured)


def add_block_keys(con: duckdb.DuckDBPyConnection, rules: tuple[BlockedRule, ...]) -> None:
    """Put one key column per chosen rule into `linkage_features`, with hot keys cut to null.

    Rules of a stored model were not counted on these records: their keys are written here.
    """
    if con.execute("select count(*) from duckdb_tables() where table_name = 'block_keys'").fetchall()[0][0] == 0:
        _write_keys(con, tuple(each.rule for each in rules))
    columns = [each.rule.column for each in rules if each.chosen]
    for column in columns:
        con.execute(f"""
            create or replace temp table hot_{column} as
            select {column} as k from block_keys where {column} is not null
            group by k having count(*) > {MOST_RECORDS_PER_KEY}
        """).fetchall()
    cuts = ", ".join(
        f"case when {column} not in (select k from hot_{column}) then {column} end as {column}" for column in columns
    )
    con.execute(f"""
        create or replace temp table linkage_features as
        select linkage_features.*, keyed.* exclude (rid)
        from linkage_features join (select rid, {cuts} from block_keys) keyed using (rid)
    """).fetchall()
    for table in ("block_keys", *(f"hot_{column}" for column in columns)):
        con.execute(f"drop table {table}").fetchall()


def _write_keys(con: duckdb.DuckDBPyConnection, rules: tuple[BlockingRule, ...]) -> None:
    keys = ", ".join(f"{rule.key} as {rule.column}" for rule in rules)
    con.execute(f"create or replace temp table block_keys as select rid, {keys} from linkage_features").fetchall()
