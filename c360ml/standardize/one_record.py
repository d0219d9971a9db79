"""One record at a time, by the SQL that standardizes whole tables, written as Python once (see `row_sql`).

What a whole table tells of a source is given instead of counted: a single record's ZIP code did not lose a zero, and
its dates are read as the country writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from c360ml.lakehouse import connect
from c360ml.row_sql import Lookup, compile_query
from c360ml.standardize.addresses import add_address_parts
from c360ml.standardize.dates import add_date, day_first_sql
from c360ml.standardize.emails import add_emails
from c360ml.standardize.name_forms import NICKNAMES, metaphone, name_forms
from c360ml.standardize.name_notes import NAME_ROLES, is_odd, read_odd_name
from c360ml.standardize.names import add_names
from c360ml.standardize.phones import add_phone_parts, e164
from c360ml.standardize.records import RECORD_COLUMNS, _gender, _national_id
from c360ml.standardize.text import data_file

_GIVEN = "given_record"
_OF_A_TABLE = {"source": "records", "zips_lost_zeros": False}
_Record = Mapping[str, str | None]


class _Part(NamedTuple):
    """One part of a record: the fields it reads, the columns it answers, and how."""

    fields: tuple[str, ...]
    answers: tuple[str, ...]
    answer: Callable[..., tuple[str | None, ...]]


class RecordStandardizer:
    """Standardizes single records.

    Args:
        country: ISO 3166 code assumed where a record names no country.

    >>> record = RecordStandardizer("US").standardize({"full_name": "Dr. SMITH, Bob J", "phone": "(415) 555-2671"})
    >>> record["given_name_canonical"], record["surname"], record["phone"]
    ('robert', 'smith', '+14155552671')
    """

    def __init__(self, country: str) -> None:
        self._parts = _parts(country)

    def close(self) -> None:
        """Let go of the record's parts."""
        self._parts = {}

    def standardize(self, record: _Record) -> dict[str, str | None]:
        """Standardize a record given as role = text; gives the columns of `RECORD_COLUMNS`."""
        found: dict[str, str | None] = dict.fromkeys(RECORD_COLUMNS)
        record = _without_odd_names(record)
        for name in ("emails", "names", "places", "dates", "national_ids", "genders"):
            found |= self._answer(name, record)
        found |= self._answer("phones", {"phone": record.get("phone"), "country": found["country"]})
        return _finished(found)

    def _answer(self, name: str, record: _Record) -> dict[str, str | None]:
        part = self._parts[name]
        given = [record.get(field) for field in part.fields]
        if not any(given):
            return dict.fromkeys(part.answers)
        return dict(zip(part.answers, part.answer(*given), strict=True))


def _without_odd_names(record: _Record) -> _Record:
    """Read the odd names of a record, as `read_odd_names` does for tables."""
    given = {role: record.get(role) for role in NAME_ROLES}
    odd = {role: read_odd_name(role, name) for role, name in given.items() if name is not None and is_odd(name)}
    if not odd:
        return record
    maiden = [odd[role][1] for role in ("surname", "full_name") if role in odd]
    found = {"maiden_name": next(filter(None, [given["maiden_name"], *maiden]), None)}
    return {**record, **found, **{role: name for role, (name, _) in odd.items()}}


@cache
def _parts(country: str) -> dict[str, _Part]:
    """Write each part of a record as Python."""
    return {
        name: _Part(
            fields,
            answers,
            compile_query(query, _GIVEN, fields, answers, constants=_OF_A_TABLE, lookup=_lookup),
        )
        for name, (fields, answers, query) in _queries(country).items()
    }


def _queries(country: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...], str]]:
    """Each part of a record: the fields it reads, the columns it answers, and its SQL."""
    dates = add_date(_GIVEN, "date_of_birth", country)
    day_first = "true" if country.lower() != "us" else "false"
    dates = dates.replace(
        day_first_sql(_GIVEN, "date_of_birth", country), f"select 'records' as source, {day_first} as day_first"
    )
    names = (*NAME_ROLES, "suffix")
    places = ("street_number", "unit", "city", "state", "postcode", "country")
    return {
        "emails": (("email",), ("email", "email_kind"), add_emails(_GIVEN)),
        "names": (names, names, add_names(_GIVEN)),
        "places": (
            (*places, "address", "street"),
            (*places, "street_text"),
            add_address_parts(_GIVEN, country),
        ),
        "phones": (("phone", "country"), ("phone", "phone_text", "phone_country"), add_phone_parts(_GIVEN, country)),
        "dates": (("date_of_birth",), ("date_of_birth",), dates),
        "national_ids": (
            ("national_id",),
            ("national_id",),
            f"select {_national_id()} as national_id from {_GIVEN}",
        ),
        "genders": (("gender",), ("gender",), f"select {_gender()} as gender from {_GIVEN}"),
    }


def _finished(found: dict[str, str | None]) -> dict[str, str | None]:
    """Add what whole tables look up for distinct values: numbered phones, abbreviated streets, sounds of names."""
    nicknames, street_words = _dictionary(NICKNAMES), _dictionary("street_words.csv")
    text, given, surname = found["phone_text"], found["given_name"], found["surname"]
    if found["phone"] is None and text is not None:
        found["phone"] = e164(text, found["phone_country"] or "")
    street = found["street_text"]
    found["street"] = None if street is None else " ".join(street_words.get(word, word) for word in street.split(" "))
    if given is not None:
        formals, canonical, sound = name_forms(nicknames.get(given, given))
        found |= {"given_name_formals": formals, "given_name_canonical": canonical, "given_name_phonetic": sound}
    found["surname_phonetic"] = None if surname is None else metaphone(surname)
    return {column: found[column] for column in RECORD_COLUMNS}


@cache
def _lookup(path: str) -> Lookup:
    with connect(threads=1) as con:
        table = con.sql(f"from {data_file(Path(path).name)}")
        return Lookup(tuple(table.columns), tuple(table.fetchall()))


@cache
def _dictionary(name: str) -> dict[str, str]:
    return {word or "": meant or "" for word, meant in _lookup(name).rows}
