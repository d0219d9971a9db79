"""Golden records: the best known value of each field, and which record gave it.

The SQL is generated from the rules of `golden_rules`; one pass over the records chooses every field.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from c360ml.config import Source
from c360ml.identity.golden_rules import ORDERS, Survivorship
from c360ml.identity.master_ids import MASTER_RECORDS
from c360ml.lakehouse import Lakehouse

GOLDEN_CHOICES = "golden_choices"
"""Temporary table: per customer and rule the chosen values with their record_id, and how many competed."""
UNKNOWN_TRUST = 0.5  # the default of Source.trust, for a source that the config no longer names


@contextmanager
def golden_choices(lake: Lakehouse, sources: tuple[Source, ...], rules: tuple[Survivorship, ...]) -> Iterator[str]:
    """Keep `golden_choices` for the length of a `with` block; `master_records` must be there."""
    trusts = {
        "names": [source.name for source in sources],
        "trusts": [source.trust for source in sources],
    }
    with (
        lake.scratch("source_trust", _SOURCE_TRUST, trusts),
        lake.scratch("golden_candidates", _candidates_sql(rules)),
        lake.scratch("golden_ranks", _ranks_sql(rules)),
        lake.scratch("golden_chosen", choices_sql(rules)),
        lake.scratch("golden_runners_up", runners_up_sql(rules)),
        lake.scratch(GOLDEN_CHOICES, "from golden_chosen left join golden_runners_up using (master_id)"),
    ):
        yield GOLDEN_CHOICES


_SOURCE_TRUST = """
    select unnest($names::varchar[]) as source, unnest($trusts::double[]) as trust
"""


def _candidates_sql(rules: tuple[Survivorship, ...]) -> str:
    fields = [field for rule in rules for field in rule.fields if field != "date_of_birth"]
    return f"""
        select
            {MASTER_RECORDS}.master_id, record_id, source, email_kind, created_at, updated_at,
            {", ".join(fields)},
            try_cast(date_of_birth as date) as date_of_birth,
            coalesce(quality_score, 0) as quality_score,
            coalesce(source_trust.trust, {UNKNOWN_TRUST}) as trust,
            coalesce(updated_at, created_at, '-infinity') as changed_at
        from silver.records as records
        join {MASTER_RECORDS} using (record_id)
        left join source_trust using (source)
    """


def _ranks_sql(rules: tuple[Survivorship, ...]) -> str:
    orders = [
        f"row_number() over (order by {', '.join(columns)}, record_id desc) as {name}"
        for name, columns in ORDERS.items()
    ]
    votes = [
        f"count(*) over (partition by master_id, {', '.join(rule.fields)}) as {rule.name}_votes"
        for rule in rules
        if rule.rule == "most_frequent"
    ]
    return f"select record_id, {_lines([*orders, *votes])} from golden_candidates"


def choices_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL that lets every rule choose among the records of each customer.

    >>> "as phone_choice" in choices_sql((Survivorship("phone", "most_recent"),))
    True
    """
    # Choosing and counting apart: together DuckDB would do both on one thread.
    return f"""
    with chosen as (
        select
            master_id,
            count(*) as records,
            max(quality_score) as quality_score,
            min(created_at) as first_seen_at,
            max(coalesce(updated_at, created_at)) as last_seen_at,
            {_lines([_choice(rule) for rule in rules])}
        from golden_candidates
        join golden_ranks using (record_id)
        group by master_id
    ),
    counted as (
        select
            master_id,
            list_sort(list(distinct source)) as sources,
            {_lines([_candidates(rule) for rule in rules])}
        from golden_candidates
        group by master_id
    )
    select *
    from chosen
    join counted using (master_id)
    """


def runners_up_sql(rules: tuple[Survivorship, ...]) -> str:
    """SQL of the record that each rule would choose if the chosen value were not there.

    Only customers whose records differ in anything have any, so only they are ranked again.

    >>> "as phone_runner_up" in runners_up_sql((Survivorship("phone", "most_recent"),))
    True
    """
    return f"""
    with contested as (
        from golden_chosen where {" or ".join(f"{rule.name}_candidates > 1" for rule in rules)}
    )
    select master_id, {_lines([_runner_up(rule) for rule in rules])}
    from golden_candidates
    join golden_ranks using (record_id)
    join contested using (master_id)
    group by master_id
    """


def _runner_up(rule: Survivorship) -> str:
    fields = (f"golden_candidates.{field} is distinct from {rule.name}_choice.{field}" for field in rule.fields)
    return (
        f"arg_max(record_id, {rule.rank}) filter ({rule.name}_candidates > 1 and {rule.condition} "
        f"and ({' or '.join(fields)})) as {rule.name}_runner_up"
    )


def _choice(rule: Survivorship) -> str:
    values = ", ".join(f"'{field}': {field}" for field in rule.fields)
    return (
        f"arg_max({{'record_id': record_id, {values}}}, {rule.rank}) "
        f"filter (where {rule.condition}) as {rule.name}_choice"
    )


def _candidates(rule: Survivorship) -> str:
    value = f"row({', '.join(rule.fields)})" if rule.block else rule.name
    return f"count(distinct {value}) filter (where {rule.condition}) as {rule.name}_candidates"


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
    """SQL of silver.golden_provenance: one row per customer and field that has a value."""
    return " union all ".join(
        f"""
        select
            master_id,
            '{field}' as field,
            {rule.name}_choice.record_id as record_id,
            {rule.name}_runner_up as runner_up_record_id,
            '{rule.rule}' as rule,
            {rule.name}_candidates as candidates
        from {GOLDEN_CHOICES}
        where {rule.name}_choice.{field} is not null
        """
        for rule in rules
        for field in rule.fields
    )


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
