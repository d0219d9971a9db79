"""What every text field has in common: plain letters, single blanks, no placeholder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_FOLDER = Path(__file__).parent
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001))))

PLACEHOLDER_WORDS = (
    "unknown", "unk", "none", "null", "nil", "nan", "test", "tester", "testing", "dummy", "sample", "xx+", "zz+",
    "00+", "n a", "not provided", "not available", "not applicable", "not given", "not known", "not specified",
    "undefined", "unspecified", "undisclosed", "no name", "noname", "no address", "no city", "missing", "blank",
    "anonymous", "anon", "tbd", "tba", "tbc", "asdf", "qwerty", "first name", "last name", "firstname",
    "lastname", "customer", "valued customer", "cash customer", "house account", "walk in", "do not use",
    "do not call", "declined", "refused",
)  # fmt: skip
"""Words that people type when they know nothing; regular expressions after punctuation became blanks."""


def sql_text(value: str) -> str:
    """Quote a text for SQL.

    >>> sql_text("o'brien")
    "'o''brien'"
    """
    return "'" + value.replace("'", "''") + "'"


def sql_list(values: Iterable[str]) -> str:
    """Write texts as the list of an SQL `in`.

    >>> sql_list(["a", "b"])
    "('a', 'b')"
    """
    return "(" + ", ".join(map(sql_text, values)) + ")"


def lower_ascii(value: str) -> str:
    """SQL that lowers a text and takes the accents off; other scripts stay as they are."""
    # strip_accents leaves the letters that are no base letter with a mark
    lowered = f"translate(lower(strip_accents({value})), 'øłđðħıþ\u2019\u2018\u00b4', 'olddhit''''''')"
    foreign = f"replace(replace(replace({lowered}, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe')"
    # strlen counts bytes: most texts are ASCII, and `translate` is twenty times slower than `lower`
    return f"case when strlen({value}) = length({value}) then lower({value}) else {foreign} end"


def trimmed(value: str, signs: str = "") -> str:
    """SQL for a text without blanks of any kind, and without `signs`, at its ends; '' is null."""
    edge = f"[\\s\\pZ\\pC{signs}]"
    cut = f"trim({value}, {sql_text(_BLANKS + signs)})"
    # most texts have bare ends, and finding that out is eight times faster than trimming
    return f"nullif(case when regexp_matches({value}, '^{edge}|{edge}$') then {cut} else {value} end, '')"


def single_blanks(value: str, signs: str = "") -> str:
    """SQL that makes each run of blanks, and of `signs`, one blank, and none at the ends; '' is null."""
    spaced = f"regexp_replace({value}, '[\\s{signs}]+', ' ', 'g')"
    tidy = f"case when regexp_matches({value}, '[\\t-\\r{signs}]|  ') then {spaced} else {value} end"
    return trimmed(tidy)


def words(value: str, *, keep: str = "") -> str:
    """SQL for the words of a text: letters and digits, and `keep`, parted by single blanks; '' is null.

    Apostrophes join (o'brien is obrien), every other sign parts.
    """
    joined = f"replace({lower_ascii(value)}, '''', '')"
    worded = f"nullif(trim(regexp_replace({joined}, '[^\\pL\\pN{keep}]+', ' ', 'g')), '')"
    # most texts are plain already, and finding that out is four times faster than replacing
    return f"""case when regexp_full_match({value}, '[a-zA-Z0-9]+( [a-zA-Z0-9]+)*') then lower({value})
            else {worded} end"""


def not_placeholder(value: str) -> str:
    """SQL that turns a text made of placeholder words only into null."""
    word = "|".join(PLACEHOLDER_WORDS)
    return f"case when not regexp_full_match({value}, '({word})( ({word}))*') then {value} end"


def data_file(name: str) -> str:
    """SQL that reads a CSV of this folder, every column as text.

    >>> data_file("states.csv").endswith("states.csv', header = true, all_varchar = true)")
    True
    """
    return f"read_csv({sql_text(str(_FOLDER / name))}, header = true, all_varchar = true)"
