"""A chain of selects over one row as one Python function.

Columns are symbols until they are asked for: only what leads to the answers is written, each column once. A lookup
table joins as a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlglot import exp

from c360ml.row_sql.code import function_of
from c360ml.row_sql.expressions import Expressions
from c360ml.row_sql.parsing import only, parse, text_of, unknown
from c360ml.row_sql.values import Names, Value

Cell = Callable[[], Value]
Row = dict[str, Cell]


class Lookup(NamedTuple):
    """A table to look up in: its columns and rows of texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


def compile_query(
    query: str,
    table: str,
    given: Sequence[str],
    answers: Sequence[str],
    *,
    constants: Mapping[str, Any],
    lookup: Callable[[str], Lookup],
) -> Callable[..., tuple[Any, ...]]:
    """Write a query over a table of one row as a function of its columns, which gives the columns asked for.

    Args:
        query: the query.
        table: name of the table of one row.
        given: its columns, the arguments of the function.
        answers: columns of the query.
        constants: more columns of the table, text or boolean.
        lookup: reads the table that `read_csv` names by its path.

    Raises:
        ModelError: the query is made of something else than is known here.

    >>> both = compile_query("with b as (select *, left(a, 1) as c from t) select *, c || a as d from b",
    ...     "t", ("a",), ("a", "d"), constants={}, lookup=lambda path: Lookup((), ()))
    >>> both("xyz"), both(None)
    (('xyz', 'xxyz'), (None, None))
    """
    writer = _Writer(lookup)
    row = {name: _cell(Value(f"given_{name}", True, True)) for name in given}
    row |= {name: _cell(Value(repr(value), False, True)) for name, value in constants.items()}
    found = writer.query(parse(query), {table: row})
    if isinstance(found, Lookup):
        raise unknown("a query over a lookup table alone", query)
    results = [found[name]().code for name in answers]
    arguments = [f"given_{name}" for name in given]
    return function_of(writer.names, arguments, [*writer.lines, f"return ({', '.join(results)},)"])


def _cell(value: Value) -> Cell:
    return lambda: value


class _Writer:
    def __init__(self, lookup: Callable[[str], Lookup]) -> None:
        self.names = Names()
        self.lines: list[str] = []
        self._lookup = lookup

    def query(self, node: exp.Expression, tables: Mapping[str, Row | Lookup]) -> Row | Lookup:
        if not isinstance(node, exp.Select):
            raise unknown(type(node).__name__, node.sql("duckdb"))
        only(node, "with_", "from_", "joins", "expressions")
        tables = dict(tables)
        if node.args.get("with_"):
            for part in node.args["with_"].expressions:
                tables[part.alias] = self.query(part.this, tables)
        if node.args.get("from_") is None:
            scope = _Scope(self, {})
        else:
            name, source = self._source(node.args["from_"].this, tables)
            if isinstance(source, Lookup):
                return _renamed(source, node)
            scope = _Scope(self, {name: source})
        for join in node.args.get("joins") or ():
            self._join(scope, join, tables)
        return scope.select(node.expressions)

    def _source(self, node: exp.Expression, tables: Mapping[str, Row | Lookup]) -> tuple[str, Row | Lookup]:
        if isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            return node.alias, self.query(node.this, tables)
        only(node, "this", "alias")
        if isinstance(node.this, exp.Anonymous) and str(node.this.this).lower() == "read_csv":
            return node.alias, self._lookup(text_of(node.this.expressions[0]))
        if not isinstance(node.this, exp.Identifier) or node.name not in tables:
            raise unknown("a table", node.sql("duckdb"))
        return node.alias or node.name, tables[node.name]

    def _join(self, scope: _Scope, join: exp.Expression, tables: Mapping[str, Row | Lookup]) -> None:
        only(join, "this", "side", "on", "using")
        name, source = self._source(join.this, tables)
        if join.args.get("side") != "LEFT":
            raise unknown("a join", join.sql("duckdb"))
        if isinstance(source, Lookup):
            scope.tables[name] = self._looked_up(scope, source, join, name)
            return
        if not join.args.get("using"):
            raise unknown("a join", join.sql("duckdb"))
        keys = [key.name for key in join.args["using"]]
        same = " and ".join(f"{scope.column('', key).code} == {source[key]().code}" for key in keys)
        scope.tables[name] = {
            column: self.kept(partial(_if_joined, cell, same)) for column, cell in source.items() if column not in keys
        }

    def _looked_up(self, scope: _Scope, source: Lookup, join: exp.Expression, name: str) -> Row:
        """Columns of the row that a lookup table has for a value, null if none."""
        on = join.args.get("on")
        if not isinstance(on, exp.EQ) or not isinstance(on.this, exp.Column) or on.this.table not in ("", name):
            raise unknown("a join", join.sql("duckdb"))
        at = source.columns.index(on.this.name)
        rows = {row[at]: row for row in source.rows}
        if len(rows) < len(source.rows) or None in rows:
            raise unknown("a lookup table that names a value twice, or none", join.sql("duckdb"))
        known, nothing = self.names.constant(rows), (None,) * len(source.columns)
        key = on.expression
        found = self.kept(lambda: Value(f"{known}.get({scope.expressions.value(key).code}, {nothing!r})", False))
        return {column: self.kept(partial(_item, found, place)) for place, column in enumerate(source.columns)}

    def kept(self, write: Cell) -> Cell:
        """Write a column when it is first asked for, and keep it in a variable."""
        known: list[Value] = []

        def cell() -> Value:
            if not known:
                value = write()
                if not value.plain:
                    self.lines.append(f"v{len(self.lines)} = {value.code}")
                    value = Value(f"v{len(self.lines) - 1}", value.nullable, True)
                known.append(value)
            return known[0]

        return cell


class _Scope:
    """What the expressions of one select can name: columns of its tables, then what it has named before."""

    def __init__(self, writer: _Writer, tables: dict[str, Row]) -> None:
        self.tables = tables
        self._named: Row = {}
        self._writer = writer
        self.expressions = Expressions(writer.names, self.column)

    def column(self, table: str, name: str) -> Value:
        """Value of a column; `table` may also be a column that holds a struct."""
        if table in self.tables and name in self.tables[table]:
            return self.tables[table][name]()
        if table:
            return self.expressions.field(self.column("", table), name)
        for columns in (*self.tables.values(), self._named):
            if name in columns:
                return columns[name]()
        raise unknown("a column", name)

    def select(self, nodes: Iterable[exp.Expression]) -> Row:
        """Columns of the select."""
        chosen: Row = {}
        for node in nodes:
            if isinstance(node, exp.Star) or isinstance(node.this, exp.Star):
                chosen |= self._star(node)
            elif isinstance(node, exp.Column):
                chosen[node.name] = self._writer.kept(partial(self.expressions.value, node))
            elif isinstance(node, exp.Alias):
                only(node, "this", "alias")
                chosen[node.alias] = self._alias(node)
            else:
                raise unknown("a column without a name", node.sql("duckdb"))
        return chosen

    def _alias(self, node: exp.Expression) -> Cell:
        cell = self._writer.kept(lambda: self.expressions.value(node.this))
        self._named[node.alias] = cell
        return cell

    def _star(self, node: exp.Expression) -> Row:
        star = node if isinstance(node, exp.Star) else node.this
        only(star, "except_", "replace", "rename")
        if isinstance(node, exp.Column):
            columns = self.tables[node.table]
        elif len(self.tables) == 1:
            (columns,) = self.tables.values()
        else:
            raise unknown("* of several tables", node.sql("duckdb"))
        left_out = {each.name for each in star.args.get("except_") or ()}
        names = {each.this.name: each.alias for each in star.args.get("rename") or ()}
        others = {each.alias: each for each in star.args.get("replace") or ()}
        if (left_out | set(names) | set(others)) - set(columns):
            raise unknown("a column that is not there", node.sql("duckdb"))
        return {
            names.get(name, name): self._alias(others[name]) if name in others else cell
            for name, cell in columns.items()
            if name not in left_out
        }


def _renamed(source: Lookup, node: exp.Expression) -> Lookup:
    """Write a select of columns of a lookup table."""
    only(node, "from_", "expressions")
    columns = {}
    for each in node.expressions:
        column = each.this if isinstance(each, exp.Alias) else each
        if not isinstance(column, exp.Column):
            raise unknown("an expression over a lookup table", node.sql("duckdb"))
        columns[each.alias_or_name] = source.columns.index(column.name)
    rows = tuple(tuple(row[place] for place in columns.values()) for row in source.rows)
    return Lookup(tuple(columns), rows)


def _if_joined(cell: Cell, same: str) -> Value:
    return Value(f"({cell().code} if {same} else None)")


def _item(found: Cell, place: int) -> Value:
    return Value(f"{found().code}[{place}]")
