"""Generated Python: expressions over named values as one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from c360ml.row_sql.expressions import Expressions
from c360ml.row_sql.parsing import parse, unknown
from c360ml.row_sql.values import Names, Value

_MEMORY = 4096


def function_of(names: Names, arguments: Sequence[str], lines: Sequence[str]) -> Callable[..., Any]:
    """Make a function of generated lines."""
    source = f"def compiled({', '.join(arguments)}):\n" + "".join(f"    {line}\n" for line in lines)
    space: dict[str, Any] = dict(names.values)
    exec(compile(source, "<SQL over one row>", "exec"), space)
    function: Callable[..., Any] = space["compiled"]
    return function


def compile_expressions(expressions: Sequence[str], given: Sequence[str]) -> Callable[..., tuple[Any, ...]]:
    """Write SQL expressions over columns as one function of them, which gives their values.

    Raises:
        ModelError: they are made of something else than is known here.

    >>> compile_expressions(["a || b", "length(a) > 1"], ["a", "b"])("xy", None)
    (None, True)
    """
    names = Names()
    columns = {name: Value(f"given_{name}", True, True) for name in given}

    def resolve(table: str, name: str) -> Value:
        if table or name not in columns:
            raise unknown("a column", f"{table}.{name}")
        return columns[name]

    writer = Expressions(names, resolve)
    codes = [writer.value(parse(expression)).code for expression in expressions]
    return function_of(names, [f"given_{name}" for name in given], [f"return ({', '.join(codes)},)"])


def compile_pairs(
    expressions: Sequence[str], left: Sequence[str], right: Sequence[str], derived: Mapping[str, tuple[str, str]]
) -> Callable[..., list[tuple[Any, ...]]]:
    """Write SQL expressions over `l` and `r` as a function of many left rows and the columns of one right one.

    Args:
        expressions: SQL over `l.column` and `r.column`.
        left: columns of the left rows.
        right: columns of the right row.
        derived: more columns of both: the column that each is made of, and its SQL.

    Returns:
        A function of the left rows and the right columns, which gives the values of each pair.

    Raises:
        ModelError: they are made of something else than is known here.

    >>> both = compile_pairs(["l.a = r.a", "l.b = r.b"], ["a"], ["a"], {"b": ("a", "left(a, 1)")})
    >>> both([("xy",), ("xyz",), (None,)], "xyz")
    [(False, True), (True, True), (None, None)]
    """
    names = Names()
    sides = {"l": set(left), "r": set(right)}

    def resolve(side: str, name: str) -> Value:
        if name in sides.get(side, ()):
            return Value(f"{side}_{name}", True, True)
        made_of, sql = derived.get(name, ("", ""))
        if made_of not in sides.get(side, ()):
            raise unknown("a column", f"{side}.{name}")
        # Asked for only where a level comes to it; the right one is the same for all left rows.
        one = compile_expressions([sql], [made_of])
        make = names.constant(lru_cache(_MEMORY)(lambda value: one(value)[0]), ("derived", name))
        return Value(f"{make}({side}_{made_of})")

    writer = Expressions(names, resolve)
    codes = [writer.value(parse(expression)).code for expression in expressions]
    rows = f"for {''.join(f'l_{name}, ' for name in left)} in rows"
    return function_of(
        names,
        ["rows", *(f"r_{name}" for name in right)],
        ["found = []", f"{rows}:", f"    found.append(({''.join(f'{code}, ' for code in codes)}))", "return found"],
    )
