"""What people write as a name beside the name: two people, a maiden name, remarks, numbers, another script.

Few names are odd like that, so they are found by one regular expression, and read one distinct name at a time.
Two people in one record ("Mr & Mrs John Smith", "John and Mary Smith") are read as the first of them: a record is
one customer, and the first is who signs. `count_odd_names` of the data quality counts them. Of an odd name of more
than `LONGEST_NAME` characters only the first are read: the time these expressions take grows with the square of the
length, no name of a person is that long, and what a form or an export has put behind it is not part of it. The whole
text stays in `name_raw`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import pyarrow as pa

from c360ml.standardize.latin_letters import FOREIGN_LETTER, has_foreign_letter, latin_letters, latin_part
from c360ml.standardize.name_words import GENERATIONS, MAIDEN, TITLES
from c360ml.standardize.text import sql_text

if TYPE_CHECKING:
    import duckdb

NAME_ROLES = ("full_name", "given_name", "middle_name", "surname", "maiden_name")
"""The roles that hold names of people."""

LONGEST_NAME = 255
"""Characters of an odd name that are read: what the usual column for a name holds, VARCHAR(255)."""

TWO_PEOPLE = "(?i)[&+]|[ .,](and|und) "
"""Regular expression, for Python and DuckDB, of a sign or word between two people."""

ODD = (
    '(?i)[("\u201c\u201d&+]|[ .,](and|und) |[ ,;](ne\u0301?e|n\u00e9e|geb|geborene?|formerly|f\\.?/?k\\.?/?a|z domu'
    f"|nacida|nascida|rozena|maiden)[ .:]|[,;] *born |\\b[0-9]+\\b|{FOREIGN_LETTER}"
)
"""Regular expression, for Python and DuckDB, of what may be no part of a name in Latin letters."""

_ODD = re.compile(ODD, re.ASCII)
_TITLE = f"(?:{TITLES})\\b\\.?"
_AND = "(?:\\s*[&+]\\s*|\\s+(?:and|und)\\s+)"
_PARTICLE = "(?:van|von|vom|de|del|la|der|den|di|da) "
_FIRST_OF_TWO = tuple(
    (re.compile(pattern, re.IGNORECASE), answer)
    for pattern, answer in (
        (f"\\b{_TITLE}{_AND}{_TITLE}(?!\\w)", " "),  # titles of both
        (f"^([^,]+,[^,]*?){_AND}.*$", "\\1"),  # both first names after the surname's comma
        (
            f"^((?:{_TITLE} *)*[^ ,]+(?: \\w\\.?)?){_AND}[^ ]+ (?:.*? )??((?:{_PARTICLE})*[^ ]+)$",
            "\\1 \\2",
        ),  # one surname
        (f"^((?:{_TITLE} *)*[^ ,]+){_AND}[^ ]+$", "\\1"),  # first names only
        (f"^(.* .*?){_AND}.*$", "\\1"),  # two whole names
    )
)
_FORMER = f"(?!(?:{GENERATIONS})\\b)([^\\W\\d_][^,()]*)(?=,|$)"
_MAIDEN = re.compile(
    f"\\(\\s*(?:{MAIDEN}|born)[ .:]+([^)]*)\\)|[ ,;]+(?:{MAIDEN})[ .:]+{_FORMER}|[,;]\\s*born\\s+{_FORMER}",
    re.IGNORECASE,
)
_MAIDEN_IN_BRACKETS = re.compile("^([^()]+)\\(([^()]*)\\)\\s*$")
_GENERATION_IN_BRACKETS = re.compile(f"\\((\\s*(?:{GENERATIONS})\\.?\\s*)\\)", re.IGNORECASE)
_REMARK = re.compile('\\([^)]*\\)|"[^"]*"|[\u201c\u201d][^\u201c\u201d]*[\u201c\u201d]|\\b[0-9]+\\b')
_NO_NAME = re.compile(
    "\\s*(?:dec|deceased|estate|work|home|mobile|cell|business|test|duplicate|old|new|\\W|\\d)*\\s*", re.IGNORECASE
)


def is_odd(name: str) -> bool:
    """Whether a text may hold more than a name in Latin letters.

    >>> is_odd("Dr. Anna Müller-Lee"), is_odd("John & Mary Lee")
    (False, True)
    """
    return _ODD.search(name) is not None


def read_odd_name(role: str, text: str) -> tuple[str, str | None]:
    """Read the name of one person in Latin letters, and a maiden name.

    >>> read_odd_name("full_name", "Mary Jones (née Smith)")
    ('Mary Jones', 'Smith')
    >>> read_odd_name("full_name", "Mr & Mrs John Smith"), read_odd_name("surname", "Jones (Smith)")
    (('John Smith', None), ('Jones', 'Smith'))
    """
    name, maiden = unicodedata.normalize("NFC", " ".join(text.split())[:LONGEST_NAME]), None
    if has_foreign_letter(name):
        name = latin_letters(name) if role == "full_name" else latin_part(name)
    name = _GENERATION_IN_BRACKETS.sub(" \\1 ", name)
    if role in ("full_name", "surname"):
        name, maiden = _without_maiden_name(name, brackets=role == "surname")
    bare = _REMARK.sub(" ", name).strip() or name
    if role in ("full_name", "given_name") and " of " not in bare.lower():
        for pattern, answer in _FIRST_OF_TWO:
            bare = pattern.sub(answer, bare).strip() or bare
    return bare, maiden


def _without_maiden_name(name: str, *, brackets: bool) -> tuple[str, str | None]:
    found = _MAIDEN.search(name)
    if found:
        return name[: found.start()] + " " + name[found.end() :], next(filter(None, found.groups()), None)
    bracketed = _MAIDEN_IN_BRACKETS.match(name) if brackets else None
    if bracketed and not _NO_NAME.fullmatch(bracketed[2]):
        return bracketed[1], bracketed[2]
    return name, None


def read_odd_names(con: duckdb.DuckDBPyConnection, rows: str, answer: str) -> None:
    """Register `answer`: `role, written, name, maiden` of each distinct odd name in the table `rows`."""
    asked = " union ".join(
        f"select '{role}' as role, {role} as written from {rows} where regexp_matches({role}, {sql_text(ODD)})"
        for role in NAME_ROLES
    )
    written = con.execute(asked).fetchall()
    read = [(*odd, *read_odd_name(*odd)) for odd in written]
    columns = dict(zip(("role", "written", "name", "maiden"), zip(*read, strict=True), strict=True)) if read else {}
    names = ("role", "written", "name", "maiden")
    con.register(answer, pa.table({name: pa.array(columns.get(name, ()), pa.string()) for name in names}))
