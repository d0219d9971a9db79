"""The table that blocking and comparison read: records numbered, with the rarity of their terms beside them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from c360ml.errors import ColumnError, DataError
from c360ml.linkage.hubs import HOUSE, HUB_VALUES, note_hubs
from c360ml.linkage.statistics import RARE, note_statistics, start_statistics, statistics_of, take_statistics
from c360ml.tables import RECORDS

if TYPE_CHECKING:
    import duckdb

NAMED_FEATURES = (
    "full_name",
    "given_name",
    "given_name_canonical",
    "given_name_formals",
    "given_name_phonetic",
    "middle_name",
    "surname",
    "surname_phonetic",
    "maiden_name",
    "suffix",
    "email",
    "phone",
    "date_of_birth",
    "national_id",
    "gender",
    "street_number",
    "street",
    "unit",
    "city",
    "state",
    "postcode",
)
DERIVED_LISTS = {
    "name_words": ("full_name", "list_sort(list_distinct(string_split(full_name, ' ')))"),
    # Numbers are compared three times faster than texts.
    "given_name_groups": (
        "given_name_formals",
        "case when length(given_name_formals) > 1"
        " then list_transform(string_split(given_name_formals, ' '), lambda w: hash(w)) end",
    ),
    "middle_names": (
        "middle_name",
        "case when length(middle_name) > 1"
        " then list_filter(string_split(middle_name, ' '), lambda w: length(w) > 1) end",
    ),
    "surname_parts": (
        "surname",
        "case when surname like '% %' then list_filter(string_split(surname, ' '), lambda w: length(w) > 3) end",
    ),
}
"""Lists that comparisons read: the named feature that each is made of, and its SQL."""
RARITY_OF = ("full_name", "given_name", "surname", "postcode", "city")
CONTACTS = ("email", "phone")
FULL_NAME_REPEATS = """(
    full_name = concat_ws(' ', given_name, middle_name, surname, suffix)
    or full_name = concat_ws(' ', given_name, middle_name, surname)
)"""
"""SQL that says whether a full name only repeats its parts."""
MOST_REPEATED = 0.9
"""Share of the full names from which on, if they do, a full name is no evidence of its own."""
CONTACT_NAME = "coalesce(given_name_canonical, given_name, full_name)"
"""SQL of the name that is counted beside a contact."""


@dataclass(frozen=True)
class Features:
    """What the feature table `name` holds: its records, and the columns with at least two values."""

    name: str
    records: int
    filled: frozenset[str]
    attributes: tuple[str, ...]


def build_features(con: duckdb.DuckDBPyConnection, records: str, statistics: str | None = None) -> Features:
    """Number the records by their id and add what comparisons need: `linkage_features`.

    Args:
        con: connection that holds the records.
        records: table of standardized records.
        statistics: table of what a model's own file told of its values (see `statistics`); without it, these records
            tell. Either is left as `term_statistics`.

    Raises:
        ColumnError: there is no `record_id`, or ids are missing or repeat.
        DataError: there are fewer than two records, or no column to compare.
    """
    attributes = _number_records(con, records)
    if statistics is None:
        filled = _count_terms(con, attributes)
    else:
        filled = take_statistics(con, statistics)
    write_features(con, filled, attributes)
    count = con.execute("select count(*) from linkage_features").fetchall()[0][0]
    return Features("linkage_features", int(count), filled, attributes)


def _number_records(con: duckdb.DuckDBPyConnection, records: str) -> tuple[str, ...]:
    """Write `linkage_base`; returns the attribute columns."""
    columns = [row[0] for row in con.execute(f"describe select * from {records}").fetchall()]
    _check_ids(con, records, columns)
    base, attributes = base_query(records, columns)
    # A sort of ids alone is done on one thread, and need not carry all columns along.
    con.execute(f"""
        create or replace temp table linkage_base as
        with numbers as (
            select record_id, row_number() over (order by record_id) as rid
            from (select cast(record_id as varchar) as record_id from {records})
        )
        select rid, base.* from ({base}) as base join numbers using (record_id)
    """).fetchall()
    return attributes


def base_query(records: str, columns: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Give SQL of the columns that features are made of, all as text, and which of them are attributes.

    Args:
        records: table of standardized records.
        columns: its columns; what is not there is null.
    """
    attributes = tuple(sorted(column for column in columns if column.startswith("attribute_")))
    _check_attributes(attributes)
    features = [
        f'cast("{name}" as varchar) as "{name}"' if name in columns else f"cast(null as varchar) as {name}"
        for name in (*NAMED_FEATURES, *attributes)
    ]
    source = "cast(source as varchar)" if "source" in columns else "'records'"
    email_kind = "cast(email_kind as varchar)" if "email_kind" in columns else "cast(null as varchar)"
    query = f"""
        select cast(record_id as varchar) as record_id, {source} as source,
               {email_kind} as email_kind, {", ".join(features)}
        from {records}
    """
    return query, attributes


def _check_attributes(attributes: tuple[str, ...]) -> None:
    odd = [name for name in attributes if not re.fullmatch(r"[a-z0-9_]+", name)]
    if odd:
        raise ColumnError("attribute columns must be named with a-z, 0-9 and _", got=odd, hint="rename them")


def _check_ids(con: duckdb.DuckDBPyConnection, records: str, columns: list[str]) -> None:
    if "record_id" not in columns:
        raise ColumnError(
            "records must have the column record_id",
            got=f"columns {columns}",
            hint=f"use standardize_records(...), which names columns as {RECORDS.path} does",
        )
    total, ids, distinct = con.execute(
        f"select count(*), count(record_id), count(distinct record_id) from {records}"
    ).fetchall()[0]
    if total < 2:
        raise DataError("linkage needs at least two records", got=f"{total}", hint="add records")
    if ids < total or distinct < total:
        raise ColumnError(
            "record_id must be given and different in every row",
            got=f"{total - ids} missing, {ids - distinct} repeated",
            hint="make the ids unique",
        )


def _filled_columns(con: duckdb.DuckDBPyConnection, names: tuple[str, ...]) -> set[str]:
    checks = ", ".join(f'min("{name}") <> max("{name}")' for name in names)
    answers = con.execute(f"select {checks} from linkage_base").fetchall()[0]
    return {name for name, varies in zip(names, answers, strict=True) if varies}


def _derived_full_name(con: duckdb.DuckDBPyConnection) -> set[str]:
    repeats = con.execute(
        f"select avg(cast({FULL_NAME_REPEATS} as integer)) from linkage_base where full_name is not null"
    ).fetchall()[0][0]
    return {"full_name"} if repeats is not None and repeats > MOST_REPEATED else set()


def _count_terms(con: duckdb.DuckDBPyConnection, attributes: tuple[str, ...]) -> frozenset[str]:
    """Count what the records tell of their values; returns the filled columns."""
    filled = frozenset(_filled_columns(con, (*NAMED_FEATURES, *attributes)) - _derived_full_name(con))
    if not filled:
        raise DataError(
            "at least one column must hold two different values to compare records",
            got="none does",
            hint="map more columns to roles, e.g. given_name, surname, email, date_of_birth",
        )
    start_statistics(con)
    listed = ", ".join(f"'{name}'" for name in sorted(filled))
    note_statistics(con, "filled", f"select unnest([{listed}]) as value, null as number")
    for column in (*RARITY_OF, *attributes):
        if column in filled:
            note_statistics(con, f"rarity:{column}", rarities(_terms(column)))
    for contact in CONTACTS:
        note_statistics(con, f"names:{contact}", _names(contact))
    note_hubs(con, "linkage_base")
    return filled


def _terms(column: str) -> str:
    return f"""
        select "{column}" as value, count(*) as n, count(*) as filled
        from linkage_base where "{column}" is not null group by all
    """


def rarities(counted: str) -> str:
    """SQL of the terms that are not rare: rarity 2, 1, 0 is cut where a third of the filled records lie each side.

    Args:
        counted: SQL of `value, n, filled`: terms, how many records have such a term, and how many have one of these.
    """
    return f"""
        with counted as ({counted}),
        weighted as (
            select *, sum(filled) over (order by n range unbounded preceding) as up_to, sum(filled) over () as total
            from counted
        )
        select value, case when 3 * (up_to - n) < total then {RARE} when 3 * (up_to - n) < 2 * total then 1 else 0 end
                   as number
        from (select value, n, min(up_to) over (partition by n) as up_to, total from weighted)
        where number < {RARE}
    """


def _names(contact: str) -> str:
    return f"""
        select {contact} as value,
               count(distinct {CONTACT_NAME}) as number
        from linkage_base where {contact} is not null group by all having number > 1
    """


def write_features(con: duckdb.DuckDBPyConnection, filled: frozenset[str], attributes: tuple[str, ...]) -> None:
    """Write `linkage_features`: the records, and beside them what the statistics say of their values."""
    hubs = ", ".join(f"hubs_{kind}.value is not null as {kind}_hub" for kind in HUB_VALUES)
    flagged = " ".join(
        f"left join {statistics_of(f'hub:{kind}')} hubs_{kind} on hubs_{kind}.value = ({sql})"
        for kind, sql in HUB_VALUES.items()
    )
    rare = [column for column in (*RARITY_OF, *attributes) if column in filled]
    rarities = [
        f'case when "{name}" is null then 0 else coalesce(frequency_{name}.number, {RARE}) end as {name}_rarity'
        if name in rare
        else f"0 as {name}_rarity"
        for name in (*RARITY_OF, *attributes)
    ]
    frequencies = " ".join(
        f"left join {statistics_of(f'rarity:{name}')} frequency_{name}"
        f' on frequency_{name}.value = linkage_base."{name}"'
        for name in rare
    )
    names = " ".join(
        f"left join {statistics_of(f'names:{name}')} names_{name} on names_{name}.value = linkage_base.{name}"
        for name in CONTACTS
    )
    con.execute(f"""
        create or replace temp table linkage_features as
        select linkage_base.*, {", ".join(rarities)},
               {", ".join(f"coalesce(names_{name}.number, 1) as {name}_names" for name in CONTACTS)},
               coalesce(crowded.number, 1) as street_names, {hubs},
               {", ".join(f"{sql} as {name}" for name, (_, sql) in DERIVED_LISTS.items())}
        from linkage_base {frequencies} {names}
        left join {statistics_of("hub:door")} crowded on crowded.value = {HOUSE}
        {flagged}
    """).fetchall()
    con.execute("drop table linkage_base").fetchall()
