"""Addresses: number, street, unit, city, state and postcode, as USPS Publication 28 abbreviates them."""

from __future__ import annotations

from c360ml.standardize.text import data_file, lower_ascii, not_placeholder, single_blanks, trimmed, words

_UNIT_WORDS = "apartment|apt|unit|suite|ste|flat|room|rm|lot|building|bldg|floor|trlr|spc"
_UNIT_AT_END = f"[ ,]+(({_UNIT_WORDS})[ #]*|#) *[0-9a-z-]+$"
_UNIT_AT_START = f"^({_UNIT_WORDS}) *#?[0-9a-z-]+[, ]+"
_NUMBER = "[0-9]+[a-z]?([-/][0-9]+[a-z]?)?"
_WHOLE = "^(.*), *([^,]+?),? +([a-z]{2}|[a-z ]{4,}) +([0-9]{5})(?:-[0-9]{4})?$"


def add_address_parts(rows: str, country: str) -> str:
    """SQL that adds `street_number`, `street_text`, `unit`, `city`, `state`, `postcode` and `country`.

    One field (`123 Oak Street Apt 4`, also with `, Springfield, IL 62701`) is split; what a row has in its
    own field stays. `street_text` is abbreviated by `street_names`. The raw street line stays as `address_raw`.
    """
    return f"""
    with lined as ({_line(rows)}),
    placed as ({_whole_address("lined")}),
    united as ({_split_unit("placed")}),
    numbered as ({_split_number("united")}),
    coded as (
        select n.* exclude (state_text, country_text),
            {not_placeholder("city_text")} as city,
            coalesce(s.code, {not_placeholder("state_text")}) as state,
            coalesce(c.code, {not_placeholder("country_text")}) as country
        from numbered n
        left join {data_file("states.csv")} s on s.name = n.state_text
        left join {data_file("countries.csv")} c on c.name = n.country_text
    )
    select * exclude (city_text, postcode_text, zips_lost_zeros),
        case
            when regexp_full_match(postcode_text, '[0-9]{{5}}([- ]?[0-9]{{4}})?') then left(postcode_text, 5)
            when zips_lost_zeros and regexp_full_match(postcode_text, '[0-9]{{3,4}}')
                and coalesce(country, '{country.lower()}') = 'us' then lpad(postcode_text, 5, '0')
            else {not_placeholder("postcode_text")}
        end as postcode
    from coded
    """


def _line(rows: str) -> str:
    """SQL for the street line of a row, in lower case with single blanks."""
    return f"""
        select * rename (street_number as number_raw, street as street_raw, unit as unit_raw),
            nullif(concat_ws(' ', street_number, coalesce(street, address), unit), '') as address_raw,
            trim({single_blanks(lower_ascii("coalesce(street, address)"), ".")}, ' ,') as line
        from {rows}
    """


def _whole_address(rows: str) -> str:
    """SQL that takes city, state and postcode from a one-field address if the row has none of its own."""
    return f"""
        with found as (
            select *,
                case when city is null and postcode is null
                    then regexp_extract(line, '{_WHOLE}', ['line', 'city', 'state', 'postcode']) end as whole
            from {rows}
        )
        select * exclude (whole, city, state, postcode, country)
                replace (coalesce(nullif(whole['line'], ''), line) as line),
            {words("coalesce(city, whole['city'])")} as city_text,
            {words("replace(coalesce(state, whole['state']), '.', '')")} as state_text,
            {single_blanks("lower(coalesce(postcode, whole['postcode']))")} as postcode_text,
            {words("replace(country, '.', '')")} as country_text
        from found
    """


def _split_unit(rows: str) -> str:
    """SQL that splits the unit off a street line; its designator (apt, #, suite) is dropped."""
    own = f"regexp_replace({words('unit_raw')}, '^(({_UNIT_WORDS}|number|no) )+', '')"
    return f"""
        with found as (
            select *,
                regexp_extract(line, '{_UNIT_AT_END}') as tail,
                regexp_extract(line, '{_UNIT_AT_START}') as head
            from {rows}
        )
        select * exclude (tail, head) replace (
                case
                    when tail <> '' then left(line, length(line) - length(tail))
                    when head <> '' then substr(line, length(head) + 1)
                    else line
                end as line
            ),
            coalesce(
                {own},
                nullif(regexp_extract(tail, '[0-9a-z-]+$'), ''),
                nullif(regexp_extract(head, '([0-9a-z-]+)[, ]+$', 1), '')
            ) as unit
        from found
    """


def _split_number(rows: str) -> str:
    """SQL that splits the house number off a street line, unless the row has it in its own field."""
    return f"""
        with worded as (
            select *,
                {trimmed("lower(number_raw)", "#.,")} as own_number,
                rtrim(split_part(line, ' ', 1), ',') as first_word,
                line like '% %' and regexp_full_match(first_word, '{_NUMBER}')
                    and coalesce(own_number = first_word, true) as numbered
            from {rows}
        ),
        halved as (
            select *,
                coalesce(own_number, if(numbered, first_word, null)) as street_number,
                {words("if(numbered, substr(line, strpos(line, ' ') + 1), line)")} as street_words
            from worded
        )
        select * exclude (number_raw, street_raw, unit_raw, address, line, own_number, first_word, numbered,
                street_words),
            regexp_replace({not_placeholder("street_words")}, '^p o box', 'po box') as street_text
        from halved
    """


def lost_zeros(rows: str) -> str:
    """SQL for one true or false: are short postcodes ZIP codes that lost a leading zero in a spreadsheet?

    So it is if five digits are the rule; in Australia four are.
    """
    return f"""
    select coalesce(
        count(*) filter (regexp_matches(postcode, '^[0-9]{{5}}'))
            > count(*) filter (regexp_full_match(postcode, '[0-9]{{3,4}}')), false) as zips_lost_zeros
    from {rows}
    """


def street_names(rows: str) -> str:
    """SQL for `street_text, street`: each distinct street with its words abbreviated (street is st, north is n)."""
    return f"""
    with streets as (
        select distinct street_text from {rows} where street_text is not null
    ),
    street_words as (
        select street_text, unnest(string_split(street_text, ' ')) as word,
            generate_subscripts(string_split(street_text, ' '), 1) as position
        from streets
    )
    select street_text, string_agg(coalesce(abbreviation, word), ' ' order by position) as street
    from street_words
    left join {data_file("street_words.csv")} using (word)
    group by street_text
    """
