"""Golden records: the best known value of each field, and which record gave it.

The SQL is generated from the rules of `golden_rules`. Who has one record only has nothing to choose; the records of
the others are ranked as numbers, and their values are looked up when all is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from c360ml.config import Source
from c360ml.identity.golden_rules import ORDERS, Survivorship
from c360ml.identity.master_ids import MASTER_RECORDS
from c360ml.lakehouse import Lakehouse

GOLDEN_CHOICES = "golden_choices"
"""Temporary table: per customer and rule the chosen values with their record_id, and how many competed."""
RECORDS_AT_ONCE = 1_000_000
"""Records, of customers with several, whose values are chosen at a time: each rule joins them once more."""
UNKNOWN_TRUST = 0.5  # the default of Source.trust, for a source that the config no longer names


@contextmanager
def golden_choices(lake: Lakehouse, sources: tuple[Source, ...], rules: tuple[Survivorship, ...]) -> Iterator[str]:
    """Keep `golden_choices` for the length of a `with` block; `master_records` must be there."""
    trusts = {
        "names": [source.name for source in sources],
        "trusts": [source.trust for source in sources],
    }
    with ExitStack() as choices:
        with (
            lake.scratch("source_trust", _SOURCE_TRUST, trusts),
            lake.scratch("golden_numbers", _NUMBERS),
            lake.scratch("golden_customers", _CUSTOMERS),
            lake.scratch("golden_candidates", _candidates_sql(rules)),
        ):
            choices.enter_context(lake.scratch(GOLDEN_CHOICES, alone_sql(rules)))
            competing = lake.one("select count(*) from golden_candidates where customer_records > 1")
            slices = -(-competing // RECORDS_AT_ONCE)
            for number in range(slices):
                _choose_among_several(lake, rules, f"customer % {slices} = {number}")
        yield GOLDEN_CHOICES


def _choose_among_several(lake: Lakehouse, rules: tuple[Survivorship, ...], customers: str) -> None:
    with (
        lake.scratch("golden_several", f"from golden_candidates where customer_records > 1 and {customers}"),
        lake.scratch("golden_ranks", ranks_sql(rules)),
        lake.scratch("golden_picked", picked_sql(rules)),
        lake.scratch("golden_runners_up", runners_up_sql(rules)),
    ):
        lake.rows(f"insert into {GOLDEN_CHOICES} by name {choices_sql(rules)}")


_SOURCE_TRUST = """
    select unnest($names::varchar[]) as source, unnest($trusts::double[]) as trust
"""
# Numbers are sorted, grouped and joined several times as fast as texts.
_NUMBERS = f"""
    select record_id, master_id, row_number() over (order by record_id) as number from {MASTER_RECORDS}
"""
_CUSTOMERS = """
    select master_id, min(number) as customer, count(*) as records from golden_numbers group by master_id
"""


def _candidates_sql(rules: tuple[Survivorship, ...]) -> str:
    fields = [field for rule in rules for field in rule.fields if field != "date_of_birth"]
    return f"""
        select
            master_id, customer, golden_customers.records as customer_records, number,
            record_id, source, email_kind, created_at, updated_at,
            {", ".join(fields)},
            try_cast(date_of_birth as date) as date_of_birth,
            coalesce(quality_score, 0) as quality_score,
            coalesce(source_trust.trust, {UNKNOWN_TRUST}) as trust,
            coalesce(updated_at, created_at, '-infinity') as changed_at
        from silver.records as records
        join golden_numbers using (record_id)
        join golden_customers using (master_id)
        left join source_trust using (source)
    """


def ranks_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL that ranks the records of customers with several, by every rule: `<rule>_value` and `<rule>_rank`.

    A value is the hash of what the record has to give, null if that is nothing.

    >>> "as phone_rank" in ranks_sql((Survivorship("phone", "most_recent"),))
    True
    """
    orders = [
        f"row_number() over (order by {', '.join(columns)}, number desc) as {name}" for name, columns in ORDERS.items()
    ]
    votes = [
        f"count(*) over (partition by customer, {_value(rule)}) as {rule.name}_votes"
        for rule in rules
        if rule.rule == "most_frequent"
    ]
    ranked = [
        f"case when {rule.condition} then {_value(rule)} end as {rule.name}_value, {rule.rank} as {rule.name}_rank"
        for rule in rules
    ]
    return f"""
    with ordered as (
        select number, {_lines([*orders, *votes])}
        from golden_several
    )
    select
        number, customer, record_id,
        {_lines(ranked)}
    from golden_several
    join ordered using (number)
    """


def picked_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL that lets every rule pick among the records of each customer with several: `<rule>_number`.

    >>> "as phone_number" in picked_sql((Survivorship("phone", "most_recent"),))
    True
    """
    picks = [
        f"arg_max(number, {rule.name}_rank) filter ({rule.name}_value is not null) as {rule.name}_number, "
        f"arg_max({rule.name}_value, {rule.name}_rank) filter ({rule.name}_value is not null) as {rule.name}_picked, "
        f"min({rule.name}_value) as {rule.name}_least, max({rule.name}_value) as {rule.name}_greatest"
        for rule in rules
    ]
    return f"""
    select customer, {_lines(picks)}
    from golden_ranks
    group by customer
    """


def runners_up_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL of the record that each rule would choose if the chosen value were not there, and of how many compete.

    Only customers whose records differ in anything have any, so only they are looked at again.

    >>> "as phone_runner_up" in runners_up_sql((Survivorship("phone", "most_recent"),))
    True
    """
    # Few values lie between the least and the greatest: lists of them cost less than counting all distinct ones.
    others = [
        f"arg_max(record_id, {rule.name}_rank) filter ({rule.name}_value <> {rule.name}_picked) "
        f"as {rule.name}_runner_up, "
        f"len(list_distinct(list({rule.name}_value) filter ({rule.name}_value > {rule.name}_least "
        f"and {rule.name}_value < {rule.name}_greatest))) as {rule.name}_between"
        for rule in rules
    ]
    return f"""
    with contested as (
        from golden_picked where {" or ".join(f"{rule.name}_least <> {rule.name}_greatest" for rule in rules)}
    )
    select customer, {_lines(others)}
    from golden_ranks
    join contested using (customer)
    group by customer
    """


def alone_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL of the values of customers with one record, who have nothing to choose.

    >>> "as phone_choice" in alone_sql((Survivorship("phone", "most_recent"),))
    True
    """
    values = [
        f"case when {rule.condition} then {_struct(rule, 'golden_candidates')} end as {rule.name}_choice, "
        f"null::varchar as {rule.name}_runner_up, "
        f"case when {rule.condition} then 1 else 0 end::bigint as {rule.name}_candidates"
        for rule in rules
    ]
    return f"""
    select
        master_id, customer_records as records, quality_score, created_at as first_seen_at,
        coalesce(updated_at, created_at) as last_seen_at, [source] as sources,
        {_lines(values)}
    from golden_candidates
    where customer_records = 1
    """


def choices_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL of the values that the rules chose for each customer with several records.

    >>> "as phone_choice" in choices_sql((Survivorship("phone", "most_recent"),))
    True
    """
    chosen = [
        f"case when {rule.name}_number is not null then {_struct(rule, rule.name)} end as {rule.name}_choice, "
        f"{rule.name}_runner_up, "
        f"case when {rule.name}_number is null then 0 when {rule.name}_least = {rule.name}_greatest then 1 "
        f"else 2 + coalesce({rule.name}_between, 0) end::bigint as {rule.name}_candidates"
        for rule in rules
    ]
    joins = " ".join(
        f"left join golden_several as {rule.name} on {rule.name}.number = {rule.name}_number" for rule in rules
    )
    return f"""
    with seen as (
        select
            customer,
            any_value(master_id) as master_id,
            count(*) as records,
            max(quality_score) as quality_score,
            min(created_at) as first_seen_at,
            max(coalesce(updated_at, created_at)) as last_seen_at,
            list_sort(list(distinct source)) as sources
        from golden_several
        group by customer
    )
    select
        seen.* exclude (customer),
        {_lines(chosen)}
    from seen
    join golden_picked using (customer)
    left join golden_runners_up using (customer)
    {joins}
    """


def _value(rule: Survivorship) -> str:
    return f"hash({', '.join(rule.fields)})"


def _struct(rule: Survivorship, record: str) -> str:
    values = ", ".join(f"'{field}': {record}.{field}" for field in ("record_id", *rule.fields))
    return f"{{{values}}}"


def golden_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL of silver.golden_records: the chosen values side by side with the household."""
    values = [f"{rule.name}_choice.{field} as {field}" for rule in rules for field in rule.fields]
    return f"""
    with golden as (
        select
            master_id, records, sources, quality_score, first_seen_at, last_seen_at,
            {_lines(values)}
        from {GOLDEN_CHOICES}
    ),
    named as (
        select
            *,
            {title_case("concat_ws(' ', given_name, middle_name, surname)")} as name_in_title_case,
            case
                when suffix in ('ii', 'iii', 'iv', 'v') then upper(suffix)
                else {title_case("suffix")}
            end as suffix_in_title_case
        from golden
    )
    select
        named.* exclude (name_in_title_case, suffix_in_title_case),
        nullif(concat_ws(' ', nullif(name_in_title_case, ''), suffix_in_title_case), '') as full_name,
        household_id
    from named
    join household_members using (master_id)
    """


def provenance_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL of silver.golden_provenance: one row per customer and field that has a value.

    >>> "field := 'phone'" in provenance_sql((Survivorship("phone", "most_recent"),))
    True
    """
    # One scan of all choices: a query per field would hold them in memory as many times.
    fields = [
        f"case when {rule.name}_choice.{field} is not null then struct_pack(field := '{field}', "
        f"record_id := {rule.name}_choice.record_id, runner_up_record_id := {rule.name}_runner_up, "
        f"rule := '{rule.rule}', candidates := {rule.name}_candidates) end"
        for rule in rules
        for field in rule.fields
    ]
    return f"""
    with given as (
        select master_id, unnest([{_lines(fields)}]) as field from {GOLDEN_CHOICES}
    )
    select master_id, unnest(field) from given where field is not null
    """


def golden_changes_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL of the golden values that differ from those that stand: `master_id, field, before, after`, as record ids.

    The tables silver.golden_records and silver.golden_provenance must be open, as they were.
    """
    changes = ", ".join(
        f"case when {rule.name}_choice.{field} is distinct from before.{field} "
        f"then struct_pack(field := '{field}', after := {rule.name}_choice.record_id) end"
        for rule in rules
        for field in rule.fields
    )
    return f"""
    with compared as (
        select master_id, unnest(list_filter([{changes}], lambda change: change is not null)) as change
        from {GOLDEN_CHOICES}
        join silver.golden_records as before using (master_id)
    )
    select
        compared.master_id,
        change.field,
        provenance.record_id as before,
        change.after
    from compared
    left join silver.golden_provenance as provenance
        on provenance.master_id = compared.master_id and provenance.field = change.field
    """


def title_case(text: str) -> str:
    """SQL that gives every word, also after a hyphen or an apostrophe, a capital.

    >>> from c360ml.lakehouse import connect
    >>> connect().sql("select " + title_case("'mary ann o''neil-smith'")).fetchall()
    [("Mary Ann O'Neil-Smith",)]
    """
    words = rf"regexp_extract_all({text}, '[\p{{L}}\p{{M}}\p{{N}}]+|[^\p{{L}}\p{{M}}\p{{N}}]+')"
    return f"array_to_string(list_transform({words}, lambda word: upper(word[1]) || lower(word[2:])), '')"


def _lines(expressions: list[str]) -> str:
    return ",\n            ".join(expressions)
