"""DuckDB's functions of text and lists, in Python: the same answer for every text without null.

Lengths and similarities count code points, as they do from DuckDB 2.0.1 on. Lower case and bare letters are read from
DuckDB, sign by sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import jellyfish

from c360ml.row_sql.asking import answers, asked

# Levels of one comparison ask for the same similarity, and candidates share values.
_MEMORY = 16_384
_LARGEST_MATRIX = 1_000_000
# Ideographs of Unicode's plane 2 never join with a neighbour.
_FIRST_IDEOGRAPH = 0x20000
# Winkler's bonus for a common start is given above this similarity.
_LEAST_FOR_PREFIX = 0.7
# Thresholds have at most four places.
_THRESHOLD_PLACES, _CLOSE = 10_000, 1e-7
# Unicode's space separators, which `trim` cuts off and RE2's blanks leave be.
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_HANGUL_JAMO = re.compile("[\u1100-\u11ff]")
_PLAIN_INTEGER = re.compile("-?[0-9]{1,9}")
_ask_lower, _ask_bare = asked("lower($1)"), asked("strip_accents($1)")
_ask_integer, _ask_substr = asked("try_cast($1 as integer)"), asked("substr($1, $2::bigint)")
_ask_damerau = asked("damerau_levenshtein($1, $2)")


@cache
def sign_tables() -> tuple[dict[int, str], dict[int, str]]:
    """What `lower` and `strip_accents` make of each character that they change; it takes a moment to ask.

    >>> sign_tables()[0][ord("A")]
    'a'
    """
    changed = answers("""
        with codes as (
            from range(1, 55296) as low(code) union all from range(57344, 1114112)
        ),
        signs as (
            select code, chr(code::int) as sign, lower(sign) as low, strip_accents(sign) as bare from codes
        )
        select code, nullif(low, sign), nullif(bare, sign) from signs where low <> sign or bare <> sign
    """)
    lowered = {code: low for code, low, _ in changed if low is not None}
    return lowered, {code: bare for code, _, bare in changed if bare is not None}


def lower(text: str) -> str:
    """Lower case, sign by sign.

    >>> lower("\u00c9a"), lower("\u03a3")
    ('\u00e9a', '\u03c3')
    """
    return text.lower() if text.isascii() else text.translate(sign_tables()[0])


def strip_accents(text: str) -> str:
    """Without accents; as in DuckDB, a text beyond ASCII ends at NUL.

    >>> strip_accents("\u00e9e\u0301")
    'ee'
    """
    if text.isascii():
        return text
    if _HANGUL_JAMO.search(text):
        return str(_ask_bare(text))
    return text.partition("\0")[0].translate(sign_tables()[1])


def byte_length(text: str) -> int:
    """Length in UTF-8.

    >>> byte_length("\u00e9")
    2
    """
    return len(text) if text.isascii() else len(text.encode())


def replace(text: str, old: str, new: str) -> str:
    """Replace a text; nothing is not replaced.

    >>> replace("ab", "", "x"), replace("ab", "a", "x")
    ('ab', 'xb')
    """
    return text.replace(old, new) if old else text


def split_part(text: str, separator: str, position: int) -> str:
    """Part of a text by its position, from the end if negative; '' beyond.

    >>> split_part("a b", " ", -1), split_part("a b", " ", 3)
    ('b', '')
    """
    parts = text.split(separator)
    at = position - 1 if position > 0 else position
    return parts[at] if -len(parts) <= at < len(parts) else ""


def substr(text: str, start: int) -> str:
    """Text from a position on, which counts from one.

    >>> substr("abc", 2), substr("abc", -1)
    ('bc', 'c')
    """
    return text[start - 1 :] if start > 0 else str(_ask_substr(text, start))


def substr_of(text: str, start: int, count: int) -> str:
    """So many characters from a position on, which counts from one.

    >>> substr_of("abc", 2, 1)
    'b'
    """
    return text[start - 1 : start - 1 + count]


def right(text: str, count: int) -> str:
    """Last characters of a text.

    >>> right("abc", 2), right("abc", 7)
    ('bc', 'abc')
    """
    return text[-count:]


def lpad(text: str, width: int, sign: str) -> str:
    """Fill up from the left, or cut off what is too long.

    >>> lpad("1", 2, "0"), lpad("123", 2, "0")
    ('01', '12')
    """
    return text.rjust(width, sign)[:width]


def translator(old: str, new: str) -> Callable[[str], str]:
    """`translate` of constant signs.

    >>> translator("ab", "x")("abc")
    'xc'
    """
    table = {ord(sign): new[at] if at < len(new) else None for at, sign in reversed(list(enumerate(old)))}
    return lambda text: text.translate(table)


def like(pattern: str) -> Callable[[str], bool]:
    """`like` of a constant pattern with no other wildcard than `%`.

    >>> like("%,%")("a,b"), like("+1%")("1+1")
    (True, False)
    """
    found = re.compile(".*".join(map(re.escape, pattern.split("%"))), re.DOTALL).fullmatch
    middle = pattern[1:-1]
    if pattern == f"%{middle}%" and "%" not in middle:
        return lambda text: middle in text
    return lambda text: found(text) is not None


def to_integer(text: str) -> int | None:
    """`try_cast` to integer.

    >>> to_integer("07"), to_integer("1e2"), to_integer("x"), to_integer("")
    (7, 100, None, None)
    """
    if not text:
        return None
    if _PLAIN_INTEGER.fullmatch(text):
        return int(text)
    answer = _ask_integer(text)
    return None if answer is None else int(answer)


def has_any(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether two lists share an element.

    >>> has_any(["a"], ["b", "a"])
    True
    """
    return any(each in right for each in left)


def intersect(left: Sequence[Any], right: Sequence[Any] | None) -> list[Any]:
    """Elements of both lists, each once; none if the second is null, as DuckDB has it.

    >>> intersect(["a", "b", "a"], ["a"])
    ['a']
    """
    return [each for each in dict.fromkeys(left) if each in right] if right is not None else []


def distinct(elements: Sequence[Any]) -> list[Any]:
    """Elements of a list, each once.

    >>> distinct(["a", "a"])
    ['a']
    """
    return list(dict.fromkeys(elements))


def greatest_of(elements: Sequence[Any]) -> Any:
    """Greatest element of a list.

    >>> greatest_of(["a", "b"])
    'b'
    """
    return max(elements, default=None)


def concat_ws(separator: str, *texts: str | None) -> str:
    """Join what is not null.

    >>> concat_ws(" ", "a", None)
    'a'
    """
    return separator.join(text for text in texts if text is not None)


def least(*values: Any) -> Any:
    """Least of what is not null.

    >>> least("b", None, "a")
    'a'
    """
    return min((value for value in values if value is not None), default=None)


def greatest(*values: Any) -> Any:
    """Greatest of what is not null.

    >>> greatest("b", None, "a")
    'b'
    """
    return max((value for value in values if value is not None), default=None)


@lru_cache(_MEMORY)
def jaro_winkler(left: str, right: str) -> float:
    """Similarity of Jaro and Winkler, of code points.

    >>> round(jaro_winkler("martha", "marhta"), 4)
    0.9611
    """
    if not left or not right:
        return 0.0
    left, right = _sign_by_sign(left, right)
    similarity = float(jellyfish.jaro_winkler_similarity(left, right))
    if similarity <= _LEAST_FOR_PREFIX:
        return similarity
    places = similarity * _THRESHOLD_PLACES
    return similarity if abs(places - round(places)) > _CLOSE else _as_rounded_by_duckdb(left, right)


def _as_rounded_by_duckdb(left: str, right: str) -> float:
    """Compute a similarity to its last digit, which a threshold of few places may hang on."""
    similarity = float(jellyfish.jaro_similarity(left, right))
    same = [mine == other for mine, other in zip(left[:4], right[:4], strict=False)]
    alike = (same.index(False) if False in same else len(same)) * 0.1
    if similarity <= _LEAST_FOR_PREFIX:
        return similarity
    if _fuses():
        return float(Fraction(alike) * Fraction(1 - similarity) + Fraction(similarity))
    return similarity + alike * (1 - similarity)


@cache
def _fuses() -> bool:
    """Whether this machine's DuckDB multiplies and adds in one step, rounding once."""
    return bool(asked("jaro_winkler_similarity('aaaab', 'ababa') = 0.805::double")())


@lru_cache(_MEMORY)
def damerau_levenshtein(left: str, right: str) -> int:
    """Insertions, deletions, changes and swaps that make one text the other, of code points.

    >>> damerau_levenshtein("ab", "ba")
    1
    """
    if len(left) * len(right) > _LARGEST_MATRIX:
        return int(_ask_damerau(left, right))
    return int(jellyfish.damerau_levenshtein_distance(*_sign_by_sign(left, right)))


def _sign_by_sign(left: str, right: str) -> tuple[str, str]:
    """Write each code point as a sign that stands alone: jellyfish takes a letter and its accent for one."""
    if left.isascii() and right.isascii() and "\r" not in left and "\r" not in right:
        return left, right
    lone = {ord(sign): _FIRST_IDEOGRAPH + place for place, sign in enumerate(dict.fromkeys(left + right))}
    return left.translate(lone), right.translate(lone)


STRICT: dict[tuple[str, int], Callable[..., Any]] = {
    ("lower", 1): lower,
    ("strip_accents", 1): strip_accents,
    ("strlen", 1): byte_length,
    ("replace", 3): replace,
    ("split_part", 3): split_part,
    ("substr", 2): substr,
    ("list_has_any", 2): has_any,
    ("list_distinct", 1): distinct,
    ("list_max", 1): greatest_of,
    ("jaro_winkler_similarity", 2): jaro_winkler,
    ("damerau_levenshtein", 2): damerau_levenshtein,
}
"""Functions that are null if an argument is, by name and number of arguments."""

INLINE: dict[tuple[str, int], str] = {
    ("length", 1): "len({0})",
    ("len", 1): "len({0})",
    ("trim", 1): f"{{0}}.strip({_SPACES!r})",
    ("trim", 2): "{0}.strip({1})",
    ("rtrim", 2): "{0}.rstrip({1})",
    ("left", 2): "{0}[:{1}]",
    ("strpos", 2): "({0}.find({1}) + 1)",
    ("starts_with", 2): "{0}.startswith({1})",
    ("ends_with", 2): "{0}.endswith({1})",
    ("string_split", 2): "{0}.split({1})",
    ("list_sort", 1): "sorted({0})",
    ("abs", 1): "abs({0})",
    # Hashes are only compared with each other, and so can be what they are of.
    ("hash", 1): "{0}",
}
"""The same where Python has an expression for it."""

OF_ANY: dict[str, Callable[..., Any]] = {"concat_ws": concat_ws, "least": least, "greatest": greatest}
"""Functions of any number of arguments that pass over null."""
