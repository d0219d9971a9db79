r"""Regular expressions of DuckDB (RE2) as Python's, with RE2's own classes of letters.

They differ in `$` (Python also matches before a last newline), in `\s` (RE2 has no vertical tab) and in `\pL`, which
Python lacks. RE2 takes time in proportion to the text whatever the pattern is; Python may take its square, so DuckDB
is asked about long texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from c360ml.errors import ModelError
from c360ml.row_sql.asking import answers, asked

T = TypeVar("T")
LONGEST = 300
_SPACES = "\\t\\n\\f\\r "
_SAME_IN_BOTH = set("tnr")
_SIGNS = set(".*+?()[]{}|^$\\-/#&")
_CODE_POINTS = "range(1, 55296) as low(code) union all from range(57344, 1114112)"


def full_match(pattern: str) -> Callable[[str], bool]:
    r"""`regexp_full_match` of a constant pattern.

    >>> full_match("[a-z]+")("abc"), full_match("[a-z]+")("abc\n")
    (True, False)
    """
    found = _compiled(pattern).fullmatch
    return _unless_long(lambda text: found(text) is not None, f"regexp_full_match($1, {_quoted(pattern)})")


def matches(pattern: str) -> Callable[[str], bool]:
    r"""`regexp_matches` of a constant pattern.

    >>> matches("b$")("ab"), matches("b$")("ab\n")
    (True, False)
    """
    found = _compiled(pattern).search
    return _unless_long(lambda text: found(text) is not None, f"regexp_matches($1, {_quoted(pattern)})")


def replace(pattern: str, by: str, how: str = "") -> Callable[[str], str]:
    r"""`regexp_replace` of a constant pattern: the first match, or with `g` all of them.

    >>> replace("[^\\pL]+", " ", "g")("a-b\t")
    'a b '
    """
    compiled = _compiled(pattern)
    if how not in ("", "g") or re.search(r"\\(?![0-9])", by) or (how and compiled.match("")):
        raise _unknown(f"regexp_replace with {pattern!r}, {by!r}, {how!r}")
    change, most = compiled.sub, 0 if how else 1
    sql = f"regexp_replace($1, {_quoted(pattern)}, {_quoted(by)}, {_quoted(how)})"
    return _unless_long(lambda text: change(by, text, count=most), sql)


def extract(pattern: str, group: int | tuple[str, ...] = 0) -> Callable[[str], str | dict[str, str]]:
    """`regexp_extract` of a constant pattern: one group, or named ones; '' where nothing is found.

    >>> extract("(a+)(b)?", ("first", "second"))("caa")
    {'first': 'aa', 'second': ''}
    """
    found = _compiled(pattern).search
    if isinstance(group, tuple):
        names, nothing = group, dict.fromkeys(group, "")

        def groups(text: str) -> dict[str, str]:
            match = found(text)
            return dict(zip(names, match.groups(""), strict=False)) if match else nothing

        listed = ", ".join(map(_quoted, names))
        return _unless_long(groups, f"regexp_extract($1, {_quoted(pattern)}, [{listed}])")

    def one(text: str) -> str:
        match = found(text)
        return match[group] or "" if match else ""

    return _unless_long(one, f"regexp_extract($1, {_quoted(pattern)}, {group})")


def _unless_long(short: Callable[[str], T], sql: str) -> Callable[[str], T]:
    long = asked(sql)
    return lambda text: short(text) if len(text) <= LONGEST else long(text)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(python_pattern(pattern), re.ASCII)


def python_pattern(pattern: str) -> str:
    r"""Write a pattern of RE2 for Python.

    Raises:
        ModelError: it holds what has not been compared.

    >>> print(python_pattern("^a[\\s-]$"))
    ^a[\t\n\f\r \-]\Z
    """
    written, at, in_class = [], 0, False
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            text, at = _escape(pattern, at + 1, in_class)
        else:
            text, in_class = _in_class(pattern, at) if in_class else _outside(pattern, at)
            at += 1
        written.append(text)
    return "".join(written)


def _escape(pattern: str, at: int, in_class: bool) -> tuple[str, int]:
    """What stands for the escape whose letter is at `at`, and where the pattern goes on."""
    letter = pattern[at : at + 1]
    if letter == "p" or letter == "s":
        kind = pattern[at + 1 : at + 2]
        members = _SPACES if letter == "s" else _members(kind)
        return members if in_class else f"[{members}]", at + (1 if letter == "s" else 2)
    if letter in _SAME_IN_BOTH or letter in _SIGNS or (letter == "b" and not in_class):
        return "\\" + letter, at + 1
    raise _unknown(f"\\{letter} in {pattern!r}")


def _in_class(pattern: str, at: int) -> tuple[str, bool]:
    sign = pattern[at]
    if sign == "]":
        return "]", False
    if sign == "-" and pattern[at + 1] != "]":
        return "-", True
    return (sign if sign.isalnum() or sign in " ^," else re.escape(sign)), True


def _outside(pattern: str, at: int) -> tuple[str, bool]:
    sign = pattern[at]
    if sign == "(" and pattern[at + 1 : at + 2] == "?" and pattern[at + 2] != ":":
        raise _unknown(f"(?{pattern[at + 2]} in {pattern!r}")
    return ("\\Z" if sign == "$" else sign), sign == "["


@cache
def _members(kind: str) -> str:
    """Ranges of the characters of a class of Unicode, as RE2 knows it."""
    codes = _codes().get(kind)
    if codes is None:
        raise _unknown(f"\\p{kind}")
    return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in codes)


@cache
def _codes() -> dict[str, list[tuple[int, int]]]:
    kinds = "".join(f", regexp_matches(sign, '\\p{kind}') as {kind}" for kind in "LNZC")
    ranges = " union all ".join(
        f"select '{kind}' as kind, min(code), max(code) from (select code, code - row_number() over (order by code)"
        f" as island from kinds where {kind}) group by island"
        for kind in "LNZC"
    )
    found: dict[str, list[tuple[int, int]]] = {"C": [(0, 0)]}
    for kind, first, last in answers(f"""
        with kinds as (select code, chr(code::int) as sign{kinds} from (from {_CODE_POINTS}))
        select * from ({ranges}) order by all
    """):
        found.setdefault(kind, []).append((first, last))
    return found


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unknown(what: str) -> ModelError:
    return ModelError(
        "SQL over one record must use regular expressions that Python reads as DuckDB does",
        got=what,
        hint="add it to c360ml/row_sql/patterns.py with a test that compares both",
    )
