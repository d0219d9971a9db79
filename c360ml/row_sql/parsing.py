"""DuckDB's SQL as a tree in which every function keeps its name and its arguments as they are written."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.parsers.duckdb import DuckDBParser

from c360ml.errors import ModelError


class _AsWritten(DuckDB):
    """DuckDB without sqlglot's notions of what its functions are called elsewhere."""

    class Parser(DuckDBParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: parse for name, parse in DuckDBParser.FUNCTION_PARSERS.items() if name in ("CAST", "TRY_CAST")
        }


def parse(sql: str) -> Any:
    """Parse a query or an expression.

    Raises:
        ModelError: it is no SQL.

    >>> parse("left(a, 1)").name
    'left'
    """
    try:
        return sqlglot.parse_one(sql, dialect=_AsWritten)
    except SqlglotError as error:
        raise unknown("text that is no SQL", sql) from error


def only(node: exp.Expression, *known: str) -> None:
    """Check that a node says nothing but what is known, so that nothing of it is passed over.

    Raises:
        ModelError: it does.

    >>> only(parse("a like 'b'"), "this", "expression")
    """
    said = {name for name, value in node.args.items() if value not in (None, False, [])} - set(known)
    if said:
        raise unknown(f"{type(node).__name__} with {', '.join(sorted(said))}", node.sql("duckdb"))


def text_of(node: exp.Expression) -> str:
    """Text of a literal.

    Raises:
        ModelError: it is none.

    >>> text_of(parse("'a'"))
    'a'
    """
    if not isinstance(node, exp.Literal) or not node.is_string:
        raise unknown("an argument that is no constant text", node.sql("duckdb"))
    return str(node.this)


def unknown(what: str, where: str) -> ModelError:
    """Make the error of SQL that cannot be written as Python."""
    return ModelError(
        "SQL over one record must be made of parts that c360ml.row_sql knows",
        got=f"{what}: {where[:200]}",
        hint="add it there, with a test that compares it with DuckDB",
    )
