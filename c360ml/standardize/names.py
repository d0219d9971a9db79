"""Names of people: parts, titles and suffixes apart, nicknames, sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jellyfish
import pyarrow as pa

from c360ml.standardize.text import data_file, not_placeholder, words

if TYPE_CHECKING:
    import duckdb

_TITLES = (
    "mr|mister|mrs|ms|miss|mx|dr|doctor|prof|professor|sir|dame|rev|revd|reverend|hon|honorable|honourable|lady"
    "|lord|mme|mlle|madam|madame|capt|captain|col|colonel|lt|lieutenant|sgt|sergeant|maj|gen|general|admiral"
    "|viscount|viscountess|countess|baroness|marquess|the|right"
)
_GENERATIONS = "jr|junior|jnr|sr|senior|snr|ii|iii|iv|2nd|3rd|4th"
_PROFESSIONS = (
    "md|m d|phd|ph d|dds|d d s|dvm|dmd|esq|esquire|cpa|c p a|rn|r n|jd|mba|obe|mbe|cbe|kbe|kcb|qc|bt|bart|baronet|ret"
)
_PEERAGE = (
    "([0-9]+(st|nd|rd|th)|of|baron|baronet|baroness|earl|viscount|viscountess|duke|duchess|marquess|marquis"
    "|lord|lady|count|countess|prince|princess)"
)
_PARTICLES = (
    "van|von|vom|vander|vanden|der|den|de|del|della|dela|di|da|du|dos|das|la|le|las|los|el|al|ter|ten|zu|zum|af|av"
    "|san|santa|st|saint|bin|ibn|mc"
)
_ORDINALS = {"junior": "jr", "jnr": "jr", "senior": "sr", "snr": "sr", "2nd": "ii", "3rd": "iii", "4th": "iv"}


def add_names(rows: str) -> str:
    """SQL that adds standardized `full_name`, `given_name`, `middle_name`, `surname` and `suffix`.

    The raw parts stay as `name_raw`. Lower case, no accents; apostrophes join, hyphens part, but keep a
    surname together (wilson-vakili is wilson vakili). Titles and professional suffixes are dropped,
    generational suffixes split off. 'LAST, FIRST M' is understood. A part that the row lacks is taken from
    its full name where the parts it has agree with the full name; a second word of the first name is a
    middle name if there is no other.
    """
    return f"""
    with plain as ({_plain(rows)}),
    suffixed as ({_split_suffixes("plain")}),
    ordered as ({_order_full_name("suffixed")}),
    parsed as ({_parse_full_name("ordered")})
    {_choose_parts("parsed")}
    """


def _plain(rows: str) -> str:
    """SQL for the words of each part, placeholders out, titles and professional suffixes cut."""
    known = not_placeholder("translate(full_text, '-,', '  ')")
    return f"""
        with worded as (
            select * rename (full_name as full_raw, given_name as given_raw, middle_name as middle_raw,
                    surname as surname_raw, suffix as suffix_raw),
                {words("full_name", keep=",-")} as spaced_text,
                nullif(trim(regexp_replace(spaced_text, ' *-+ *', '-', 'g'), '- ,'), '') as full_text,
                {words("given_name")} as given_text,
                {words("middle_name")} as middle_text,
                {words("surname")} as surname_text,
                {words("suffix")} as suffix_text
            from {rows}
        )
        select * exclude (spaced_text) replace (
                {_without_titles(f"if({known} is not null, full_text, null)", before=",")} as full_text,
                {_without_titles(not_placeholder("given_text"))} as given_text,
                {not_placeholder("middle_text")} as middle_text,
                {_without_titles(not_placeholder("surname_text"))} as surname_text
            )
        from worded
    """


def _without_titles(text: str, *, before: str = "") -> str:
    untitled = f"regexp_replace({text}, '^(({_TITLES}) )+|^({_TITLES})$', '')"
    return f"nullif(trim(regexp_replace({untitled}, '([ {before}]({_PROFESSIONS}))+$', '')), '')"


def _generation_of(text: str) -> str:
    return f"nullif(regexp_extract({text}, ' ({_GENERATIONS})$', 1), '')"


def _without_generation(text: str) -> str:
    return f"regexp_replace({text}, ' ({_GENERATIONS})$', '')"


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
                {_without_generation("' ' || after_comma")} as after_comma,
                {_without_generation("given_text")} as given_text,
                {_without_generation("surname_text")} as surname_text
            ),
            coalesce(
                if(regexp_full_match(suffix_text, '{_GENERATIONS}|v'), suffix_text, null),
                {_generation_of("before_comma")}, {_generation_of("' ' || after_comma")},
                {_generation_of("surname_text")}, {_generation_of("given_text")}
            ) as generation
        from halved
    """


def _order_full_name(rows: str) -> str:
    """SQL that puts a full name in speaking order; what follows the comma may be the first names or a peerage."""
    return f"""
        with worded as (
            select * replace (trim(after_comma) as after_comma) from {rows}
        )
        select *,
            has_comma and after_comma <> '' and before_comma <> ''
                and not regexp_matches(after_comma, '^{_PEERAGE}\\b')
                and not regexp_full_match(after_comma, '({_PROFESSIONS})( ({_PROFESSIONS}))*') as surname_first,
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
                regexp_extract(spoken_name, '^([^ ]+(?: [^ ]+)*?) ((?:(?:{_PARTICLES}) )*[^ ]+)$',
                    ['first_names', 'surname']) as pieces,
                case
                    when surname_first then before_comma
                    when pieces['surname'] <> '' then pieces['surname']
                    when nickname is not null then null
                    else spoken_name
                end as parsed_surname,
                case
                    when surname_first then after_comma
                    when pieces['surname'] <> '' then pieces['first_names']
                    when parsed_surname is null then spoken_name
                end as parsed_first_names
            from {rows} r
            left join {data_file("nicknames.csv")} on nickname = spoken_name
        )
        select *,
            split_part(replace(parsed_first_names, '-', ' '), ' ', 1) as parsed_given,
            nullif(substr(replace(parsed_first_names, '-', ' '), length(parsed_given) + 2), '') as parsed_middle,
            split_part(given_text, ' ', 1) as own_given,
            coalesce(middle_text, nullif(substr(given_text, length(own_given) + 2), '')) as own_middle,
            regexp_replace(surname_text, '^mc ', 'mc') as own_surname,
            regexp_replace(replace(parsed_surname, '-', ' '), '^mc ', 'mc') as named_surname,
            (own_given is null or own_given = parsed_given)
                and (own_surname is null or own_surname = named_surname) as agree
        from cut
    """


def _choose_parts(rows: str) -> str:
    """SQL that chooses between the parts a row has and those of its full name."""
    ordinals = " ".join(f"when '{word}' then '{short}'" for word, short in _ORDINALS.items())
    return f"""
    select * exclude (full_text, given_text, middle_text, surname_text, suffix_text, has_comma, before_comma,
            after_comma, generation, surname_first, spoken_name, pieces, parsed_surname, parsed_first_names,
            parsed_given, parsed_middle, own_given, own_middle, own_surname, named_surname, agree,
            full_raw, given_raw, middle_raw, surname_raw, suffix_raw),
        coalesce(full_raw, nullif(concat_ws(' ', given_raw, middle_raw, surname_raw, suffix_raw), '')) as name_raw,
        if(agree, parsed_given, own_given) as given_name,
        if(agree, coalesce(own_middle, parsed_middle), own_middle) as middle_name,
        if(agree, named_surname, own_surname) as surname,
        coalesce(
            replace(spoken_name, '-', ' '), nullif(concat_ws(' ', given_name, middle_name, surname), '')
        ) as full_name,
        case generation {ordinals} else generation end as suffix
    from {rows}
    """


def sound_names(con: duckdb.DuckDBPyConnection, rows: str, answer: str) -> None:
    """Register `answer`: canonical first name and metaphone of each distinct given name and surname."""
    asked = con.execute(
        f"""
        with spoken as (
            select given_name as name from {rows} union select surname from {rows}
        )
        select name, coalesce(canonical, name) as canonical
        from spoken left join {data_file("nicknames.csv")} on nickname = name
        where name is not null
        """
    ).fetchall()
    columns = {
        "name": [name for name, _ in asked],
        "canonical": [canonical for _, canonical in asked],
        "name_phonetic": [metaphone(name) for name, _ in asked],
        "canonical_phonetic": [metaphone(canonical) for _, canonical in asked],
    }
    con.register(answer, pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns])))


def metaphone(name: str) -> str | None:
    """Spell how a name sounds; None if it is silent.

    >>> metaphone("smyth") == metaphone("smith")
    True
    """
    return " ".join(str(jellyfish.metaphone(name)).split()) or None
