"""One standardized record per row: the SQL that the pipeline and `standardize_records` share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from c360ml.errors import ColumnError, DataError
from c360ml.lakehouse import as_relation, connect, same_kind
from c360ml.standardize.addresses import add_address_parts, lost_zeros, street_names
from c360ml.standardize.dates import add_date
from c360ml.standardize.emails import add_emails
from c360ml.standardize.name_forms import sound_names
from c360ml.standardize.name_notes import read_odd_names
from c360ml.standardize.names import add_names
from c360ml.standardize.phones import add_phone_parts, number_phones
from c360ml.standardize.text import not_placeholder, sql_list, trimmed, words

if TYPE_CHECKING:
    import duckdb

ROLES = (
    "full_name", "given_name", "middle_name", "surname", "maiden_name", "suffix", "email", "phone", "date_of_birth",
    "national_id", "address", "street_number", "street", "unit", "city", "state", "postcode", "country", "gender",
)  # fmt: skip
"""What a column of a table of people can be; any other is `attribute:NAME`."""

RECORD_COLUMNS = (
    "full_name", "given_name", "middle_name", "surname", "maiden_name", "suffix", "given_name_canonical",
    "given_name_formals", "given_name_phonetic", "surname_phonetic", "email", "email_kind", "phone", "date_of_birth",
    "national_id", "gender", "street_number", "street", "unit", "city", "state", "postcode", "country",
)  # fmt: skip
"""The standardized columns, all of them text."""

_ATTRIBUTE = "attribute:"
_ATTRIBUTE_ROLE = re.compile(r"attribute:[a-z0-9_]+")
FEWEST_EPOCH_BIRTHDAYS, _EPOCH_BIRTHDAY_SHARE = 20, 0.005


def standardize_records(
    table: Any, *, id: str, columns: Mapping[str, str], source: str | None = None, country: str = "US"
) -> Any:
    """Standardize a table of people: one row per row, ordered by `record_id`, the same kind of table out.

    Args:
        table: pandas frame, Arrow table or DuckDB relation.
        id: the column that identifies a row.
        columns: role = column; the roles are `ROLES` and `attribute:NAME` for any other column.
        source: the column that names the source of a row, if the table has several.
        country: ISO 3166 code assumed for phones, dates and postcodes where a row names no country.

    Raises:
        ColumnError: a role is unknown, or a column is not in the table.
        DataError: the table is empty, or its ids are null or not unique.

    >>> import pyarrow as pa
    >>> people = pa.table({"key": [1], "name": ["Dr. SMITH, Bob J"], "mail": ["Bob.Smith+x@gmail.com"]})
    >>> records = standardize_records(people, id="key", columns={"full_name": "name", "email": "mail"})
    >>> records.select(["record_id", "given_name_canonical", "surname", "email"]).to_pylist()
    [{'record_id': '1', 'given_name_canonical': 'robert', 'surname': 'smith', 'email': 'bobsmith@gmail.com'}]
    """
    con = connect()
    relation = as_relation(con, table)
    attributes = _check_roles(relation.columns, id, columns, source)
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))

    def text(column: str | None) -> str:
        return "cast(null as varchar)" if column is None else as_text(column, types[column])

    named = [f"{text(columns.get(role))} as {role}" for role in ROLES]
    named += [f"lower({text(column)}) as {_quoted(name)}" for name, column in attributes.items()]
    origin = "'records'" if source is None else f"coalesce({text(source)}, 'records')"
    con.register("people_given", relation.to_arrow_table())
    con.execute(
        f"create temp table rows_given as "
        f"select {text(id)} as record_id, {origin} as source, {', '.join(named)} from people_given"
    ).fetchall()
    _check_ids(con)
    with standardized(con, "rows_given", country) as query:
        chosen = ", ".join(["record_id", "source", *RECORD_COLUMNS, *map(_quoted, attributes)])
        con.execute(
            f"create temp table records_standardized as select {chosen} from ({query}) order by record_id"
        ).fetchall()
    return same_kind(con.sql("from records_standardized order by record_id"), table)


def as_text(column: str, sql_type: str) -> str:
    """SQL for a column of any type as trimmed text, '' as null; 7.0 is '7', as spreadsheets mean it."""
    name = _quoted(column)
    if sql_type in ("FLOAT", "DOUBLE"):
        whole = f"{name} = trunc({name}) and abs({name}) < 1e18"
        return f"if({whole}, cast(try_cast({name} as bigint) as varchar), cast(nullif({name}, 'nan') as varchar))"
    return trimmed(f"cast({name} as varchar)")


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _check_roles(have: list[str], id: str, columns: Mapping[str, str], source: str | None) -> dict[str, str]:
    """Check roles and columns; returns the column of each `attribute_NAME`."""
    if not columns:
        raise ColumnError("at least one column must have a role", got="no columns", hint="e.g. surname=last_name")
    unknown = [role for role in columns if role not in ROLES and not _ATTRIBUTE_ROLE.fullmatch(role)]
    if unknown:
        raise ColumnError(
            f"a role must be one of {', '.join(ROLES)} or attribute:NAME, NAME of a-z, 0-9 and _",
            got=", ".join(unknown),
            hint="name the column of each role, e.g. given_name=first_name",
        )
    missing = sorted({id, *columns.values(), *([source] if source else [])} - set(have))
    if missing:
        raise ColumnError(
            "every named column must be in the table",
            got=f"no column {', '.join(missing)}; the table has {', '.join(have)}",
            hint="mind the spelling and the case",
        )
    named = {role.removeprefix(_ATTRIBUTE): column for role, column in columns.items() if role not in ROLES}
    return {f"attribute_{name}": column for name, column in named.items()}


def _check_ids(con: duckdb.DuckDBPyConnection) -> None:
    rows, ids, distinct = con.execute(
        "select count(*), count(record_id), count(distinct record_id) from rows_given"
    ).fetchall()[0]
    if not rows:
        raise DataError("a table of people must have rows", got="an empty table", hint="check the file")
    if ids < rows:
        raise DataError(
            "every row must have an id",
            got=f"{rows - ids} of {rows} rows without",
            hint="choose another column",
        )
    if distinct < ids:
        raise DataError(
            "ids must be unique",
            got=f"{ids - distinct} of {rows} rows repeat one",
            hint="choose another column",
        )


@contextmanager
def standardized(con: duckdb.DuckDBPyConnection, rows: str, country: str, whole: str | None = None) -> Iterator[str]:
    """Standardize the table `rows` and give the query that answers; it holds within the `with` block.

    Args:
        con: the connection that holds `rows`.
        rows: a table with `record_id`, `source` and a text column for each of `ROLES`; more columns stay.
        country: ISO 3166 code assumed where a row names no country.
        whole: a table that holds `rows` and more, all of which tell what a source means; without it, `rows`.
    """
    parts, made = "record_parts", ["record_parts", "record_streets"]
    read_odd_names(con, rows, "record_odd_names")
    con.execute(f"create or replace temp table {parts} as {_parts(rows, country, whole or rows)}").fetchall()
    con.execute(f"create or replace temp table record_streets as {street_names(parts)}").fetchall()
    number_phones(con, parts, "record_phones")
    sound_names(con, parts, "record_names")
    try:
        born = f"select source, date_of_birth, 1 as n from {parts}"
        yield _joined(parts, born if whole is None else birthdays(whole, country))
    finally:
        for name in made:
            con.execute(f"drop table if exists {name}").fetchall()
        con.unregister("record_phones")
        con.unregister("record_names")
        con.unregister("record_odd_names")


def birthdays(rows: str, country: str) -> str:
    """SQL for `source, date_of_birth, n`: how many rows of a source have which standardized date of birth.

    >>> birthdays("people", "US").startswith("select source, date_of_birth, n from")
    True
    """
    counted = f"(select source, date_of_birth, count(*) as n from {rows} where date_of_birth is not null group by all)"
    return f"select source, date_of_birth, n from ({add_date(counted, 'date_of_birth', country)})"


def _parts(rows: str, country: str, whole: str) -> str:
    """SQL for everything that a row tells by itself."""
    return f"""
    with given as (
        select * from {rows} cross join ({lost_zeros(whole)})
    ),
    with_emails as ({add_emails("given")}),
    with_names as ({add_names("with_emails", "record_odd_names")}),
    with_address as ({add_address_parts("with_names", country)}),
    with_phones as ({add_phone_parts("with_address", country)}),
    with_dates as ({add_date("with_phones", "date_of_birth", country, whole)})
    select * replace ({_national_id()} as national_id, {_gender()} as gender)
    from with_dates
    """


def _national_id() -> str:
    """SQL for letters and digits of an identity number; all the same digit or counting up is a placeholder."""
    plain = "nullif(regexp_replace(lower(national_id), '[^0-9a-z]+', '', 'g'), '')"
    known = sql_list(["123456789", "012345678", "0123456789", "1234567890", "987654321", "078051120"])
    return f"case when {plain} not in {known} and replace({plain}, left({plain}, 1), '') <> '' then {plain} end"


def _gender() -> str:
    """SQL for m, f or the text as given; 1 and 2 are ISO 5218's codes."""
    plain = words("gender")
    return f"""case
            when {plain} in ('m', 'male', 'man', '1') then 'm'
            when {plain} in ('f', 'female', 'woman', '2') then 'f'
            when {plain} not in ('u', 'x', '0', '9') then {not_placeholder(plain)}
        end"""


def epoch_sources(born: str) -> str:
    """SQL for the sources in which the first day of 1970 is too frequent to be a birthday: it means that none is known.

    Args:
        born: SQL of `source, date_of_birth, n`, as `birthdays` counts them.
    """
    return f"""
        select source from ({born})
        group by source
        having sum(n) filter (date_of_birth = '1970-01-01')
            >= greatest({FEWEST_EPOCH_BIRTHDAYS}, {_EPOCH_BIRTHDAY_SHARE} * sum(n) filter (date_of_birth is not null))
    """


def _joined(parts: str, born: str) -> str:
    """SQL that joins the answers for distinct values: numbered phones, abbreviated streets, sounds of names."""
    return f"""
    with epoch_sources as ({epoch_sources(born)})
    select p.* exclude (phone_text, phone_country, street_text) replace (
            coalesce(p.phone, f.phone) as phone,
            case when date_of_birth <> '1970-01-01' or source not in (from epoch_sources) then date_of_birth end
                as date_of_birth
        ),
        street,
        g.canonical as given_name_canonical,
        g.formals as given_name_formals,
        g.canonical_phonetic as given_name_phonetic,
        s.name_phonetic as surname_phonetic
    from {parts} p
    left join record_phones f using (phone_text, phone_country)
    left join record_streets using (street_text)
    left join record_names g on g.name = p.given_name
    left join record_names s on s.name = p.surname
    """
