"""Names of people: parts, titles and suffixes apart, one person in Latin letters."""

from __future__ import annotations

from c360ml.standardize.name_forms import NICKNAMES
from c360ml.standardize.name_notes import NAME_ROLES
from c360ml.standardize.name_words import (
    DEGREES,
    DEGREES_AFTER_A_COMMA,
    GENERATION_SPELLINGS,
    GENERATIONS,
    JOINED_PREFIX,
    PARTICLES,
    PEERAGE,
    TITLES,
    TITLES_BEFORE_A_NAME,
)
from c360ml.standardize.text import data_file, not_placeholder, sql_text, words

_JOINED = sql_text(JOINED_PREFIX)


def add_names(rows: str, odd_names: str | None = None) -> str:
    """SQL that adds standardized `full_name`, `given_name`, `middle_name`, `surname`, `maiden_name` and `suffix`.

    The raw parts stay as `name_raw`. Lower case, no accents; apostrophes join, hyphens part, but keep a
    surname together (wilson-vakili is wilson vakili). Titles and professional suffixes are dropped,
    generational suffixes split off. 'LAST, FIRST M' is understood. A part that the row lacks is taken from
    its full name where the parts it has agree with the full name; a second word of the first name is a
    middle name if there is no other. What is no name is cut (see `name_notes`).

    Args:
        rows: a table or common table expression with a text column for each name role.
        odd_names: table of `read_odd_names`; without it, no name is odd.
    """
    return f"""
    with cleared as ({_clear(rows, odd_names)}),
    plain as ({_plain("cleared")}),
    suffixed as ({_split_suffixes("plain")}),
    ordered as ({_order_full_name("suffixed")}),
    parsed as ({_parse_full_name("ordered")})
    {_choose_parts("parsed")}
    """


def _clear(rows: str, odd_names: str | None) -> str:
    """SQL that keeps the raw names as `*_raw`, and adds the names of one person as `*_clear`."""
    raw = ", ".join(f"{role} as {role}_raw" for role in (*NAME_ROLES, "suffix"))
    if odd_names is None:
        return f"select * rename ({raw}), {', '.join(f'{role} as {role}_clear' for role in NAME_ROLES)} from {rows}"
    clear = {role: f"coalesce(odd_{role}.name, {role})" for role in NAME_ROLES}
    clear["maiden_name"] = f"coalesce({clear['maiden_name']}, odd_surname.maiden, odd_full_name.maiden)"
    joins = " ".join(
        f"left join {odd_names} odd_{role} on odd_{role}.role = '{role}' and odd_{role}.written = {role}"
        for role in NAME_ROLES
    )
    columns = ", ".join(f"{name} as {role}_clear" for role, name in clear.items())
    return f"select r.* rename ({raw}), {columns} from {rows} r {joins}"


def _plain(rows: str) -> str:
    """SQL for the words of each part, placeholders out, titles and professional suffixes cut."""
    known = not_placeholder("translate(full_text, '-,', '  ')")
    return f"""
        with worded as (
            select *,
                {words("full_name_clear", keep=",-")} as spaced_text,
                nullif(trim(regexp_replace(spaced_text, ' *-+ *', '-', 'g'), '- ,'), '') as full_text,
                {words("given_name_clear")} as given_text,
                {words("middle_name_clear")} as middle_text,
                {words("surname_clear")} as surname_text,
                {words("maiden_name_clear")} as maiden_text,
                {words("suffix_raw")} as suffix_text
            from {rows}
        )
        select * exclude (spaced_text, {", ".join(f"{role}_clear" for role in NAME_ROLES)}) replace (
                {_without_titles(f"if({known} is not null, full_text, null)", before=",")} as full_text,
                {_without_titles(not_placeholder("given_text"))} as given_text,
                {not_placeholder("middle_text")} as middle_text,
                {_without_titles(not_placeholder("surname_text"))} as surname_text,
                {not_placeholder("maiden_text")} as maiden_text
            )
        from worded
    """


def _without_titles(text: str, *, before: str = "") -> str:
    untitled = f"regexp_replace({text}, '^(({TITLES}|{TITLES_BEFORE_A_NAME}) )+|^({TITLES})$', '')"
    return f"nullif(trim(regexp_replace({untitled}, '([ {before}]({DEGREES}))+$', '')), '')"


def _generation_of(text: str) -> str:
    return f"nullif(regexp_extract({text}, ' ({GENERATIONS})$', 1), '')"


def _without_generation(text: str) -> str:
    return f"regexp_replace({text}, ' ({GENERATIONS})$', '')"


def _split_suffixes(rows: str) -> str:
    """SQL that splits the full name at its comma, and the generational suffix off every part."""
    return f"""
        with halved as (
            select *,
                full_text like '%,%' as has_comma,
                trim(split_part(full_text, ',', 1)) as before_comma,
                trim(replace(substr(full_text, length(split_part(full_text, ',', 1)) + 2), ',', ' ')) as after_comma
            from {rows}
        )
        select * replace (
                {_without_generation("before_comma")} as before_comma,
                regexp_replace({_without_generation("' ' || after_comma")}, '^ ({GENERATIONS}) +', '') as after_comma,
                {_without_generation("given_text")} as given_text,
                {_without_generation("surname_text")} as surname_text
            ),
            coalesce(
                if(regexp_full_match(suffix_text, '{GENERATIONS}|v|5th'), suffix_text, null),
                {_generation_of("before_comma")}, {_generation_of("' ' || after_comma")},
                if(has_comma, nullif(regexp_extract(after_comma, '^({GENERATIONS}) ', 1), ''), null),
                {_generation_of("surname_text")}, {_generation_of("given_text")}
            ) as generation
        from halved
    """


def _order_full_name(rows: str) -> str:
    """SQL that puts a full name in speaking order; what follows the comma may be the first names or a peerage."""
    degrees = f"'(({DEGREES_AFTER_A_COMMA})( |$))+'"
    return f"""
        with worded as (
            select * replace (trim(after_comma) as after_comma) from {rows}
        )
        select *,
            has_comma and after_comma <> '' and before_comma <> ''
                and not regexp_matches(after_comma, '^{PEERAGE}\\b')
                and not (before_comma like '% %' and regexp_full_match(after_comma, {degrees})) as surname_first,
            nullif(trim(if(surname_first, after_comma || ' ' || before_comma, before_comma)), '') as spoken_name
        from worded
    """


def _parse_full_name(rows: str) -> str:
    """SQL that finds first, middle and last name in a full name; particles stay with the last name.

    A single name is a first name if it is a known one.
    """
    return f"""
        with cut as (
            select r.*,
                regexp_extract(spoken_name, '^([^ ]+(?: [^ ]+)*?) ((?:(?:{PARTICLES}) )*[^ ]+)$',
                    ['first_names', 'surname']) as pieces,
                case
                    when surname_first then before_comma
                    when pieces['surname'] <> '' then pieces['surname']
                    when known_name is not null then null
                    else spoken_name
                end as parsed_surname,
                case
                    when surname_first then after_comma
                    when pieces['surname'] <> '' then pieces['first_names']
                    when parsed_surname is null then spoken_name
                end as parsed_first_names
            from {rows} r
            left join (select name as known_name from {data_file(NICKNAMES)}) on known_name = spoken_name
        )
        select *,
            split_part(replace(parsed_first_names, '-', ' '), ' ', 1) as parsed_given,
            nullif(substr(replace(parsed_first_names, '-', ' '), length(parsed_given) + 2), '') as parsed_middle,
            split_part(given_text, ' ', 1) as own_given,
            coalesce(middle_text, nullif(substr(given_text, length(own_given) + 2), '')) as own_middle,
            regexp_replace(surname_text, {_JOINED}, '\\1\\2') as own_surname,
            regexp_replace(replace(parsed_surname, '-', ' '), {_JOINED}, '\\1\\2') as named_surname,
            (own_given is null or own_given = parsed_given)
                and (own_surname is null or own_surname = named_surname) as agree
        from cut
    """


def _choose_parts(rows: str) -> str:
    """SQL that chooses between the parts a row has and those of its full name."""
    ordinals = " ".join(f"when '{word}' then '{short}'" for word, short in GENERATION_SPELLINGS.items())
    return f"""
    select * exclude (full_text, given_text, middle_text, surname_text, suffix_text, has_comma, before_comma,
            after_comma, generation, surname_first, spoken_name, pieces, parsed_surname, parsed_first_names,
            parsed_given, parsed_middle, own_given, own_middle, own_surname, named_surname, agree,
            maiden_text, {", ".join(f"{role}_raw" for role in (*NAME_ROLES, "suffix"))}),
        coalesce(
            full_name_raw, nullif(concat_ws(' ', given_name_raw, middle_name_raw, surname_raw, suffix_raw), '')
        ) as name_raw,
        if(agree, parsed_given, own_given) as given_name,
        if(agree, coalesce(own_middle, parsed_middle), own_middle) as middle_name,
        if(agree, named_surname, own_surname) as surname,
        nullif(regexp_replace(maiden_text, {_JOINED}, '\\1\\2'), surname) as maiden_name,
        coalesce(
            replace(spoken_name, '-', ' '), nullif(concat_ws(' ', given_name, middle_name, surname), '')
        ) as full_name,
        case generation {ordinals} else generation end as suffix
    from {rows}
    """
