"""Telephone numbers: E.164 for all that can be dialled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import phonenumbers
import pyarrow as pa

from c360ml.standardize.text import sql_list

if TYPE_CHECKING:
    import duckdb

_NANP_COUNTRIES = ("us", "ca")
_NANP = r"1?[2-9][0-9]{2}[2-9][0-9]{6}"
_EXTENSION = r"(;ext=|extension|extn|ext|x|#)[.: ]*[0-9]+\s*$|[.]0$"
_PLACEHOLDERS = ("1234567890", "0123456789", "2345678901", "9876543210", "1234567", "12345678", "123456789")


def add_phone_parts(rows: str, country: str) -> str:
    """SQL that reads `phone` as `phone_raw` and adds `phone`, `phone_text` and `phone_country`.

    A plain North American number becomes E.164 here; whatever else could be a number is left in
    `phone_text` for `number_phones`. The extension is cut, and the .0 of a spreadsheet. A placeholder
    (all or the last seven digits the same, 123-456-7890) is null.
    """
    return f"""
    with dialled as (
        select * rename (phone as phone_raw),
            regexp_replace(lower(phone), '{_EXTENSION}', '') as dialled,
            coalesce(if(length(country) = 2, country, null), '{country.lower()}') as phone_country
        from {rows}
    ),
    counted as (
        select *, regexp_replace(dialled, '[^0-9]+', '', 'g') as digits
        from dialled
    ),
    judged as (
        select *,
            length(digits) < 7
                or replace(right(digits, 7), right(digits, 1), '') = ''
                or digits in {sql_list(_PLACEHOLDERS)}
                or (length(digits) = 11 and right(digits, 10) in {sql_list(_PLACEHOLDERS)}) as placeholder,
            (phone_country in {sql_list(_NANP_COUNTRIES)} and dialled not like '%+%' or dialled like '+1%')
                and regexp_full_match(digits, '{_NANP}') as north_american
        from counted
    )
    select * exclude (dialled, digits, placeholder, north_american),
        case when north_american and not placeholder then '+1' || right(digits, 10) end as phone,
        case when not north_american and not placeholder then dialled end as phone_text
    from judged
    """


def number_phones(con: duckdb.DuckDBPyConnection, rows: str, answer: str) -> None:
    """Register `answer`: E.164 of each distinct `phone_text` and `phone_country` of a table."""
    asked = con.execute(
        f"select distinct phone_text, phone_country from {rows} where phone_text is not null"
    ).fetchall()
    texts, countries = [text for text, _ in asked], [country for _, country in asked]
    numbers = [e164(text, country) for text, country in asked]
    schema = pa.schema([("phone_text", pa.string()), ("phone_country", pa.string()), ("phone", pa.string())])
    con.register(answer, pa.table([texts, countries, numbers], schema=schema))


def e164(text: str, country: str) -> str | None:
    """Read a telephone number as dialled from within a country; None if it cannot be one.

    >>> e164("020 7946 0958", "gb")
    '+442079460958'
    """
    try:
        number = phonenumbers.parse(text, country.upper())
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not possible or (number.country_code == 1 and not re.fullmatch(_NANP, str(number.national_number))):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
