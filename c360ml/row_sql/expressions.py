"""SQL expressions as Python expressions, null as None.

`value` gives True, False or None for a condition. `truth` and `falsehood` give what is truthy where a condition is
true, and where it is false, which is all that `case`, `and` and `or` ask, and takes fewer questions about null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from c360ml.row_sql import functions, patterns
from c360ml.row_sql.asking import asked
from c360ml.row_sql.parsing import only, text_of, unknown
from c360ml.row_sql.values import NULL, Names, Value

_COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "==",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_ARITHMETIC: dict[type[exp.Expression], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.DPipe: "+"}
_OF_SIGNS = {"lower", "strip_accents"}
_MAYBE_NULL = {"list_max", "least", "greatest"}


class Expressions:
    """Writes expressions of one scope.

    Args:
        names: names of the function that is generated.
        resolve: gives the value of a column by table (or '') and name.
    """

    def __init__(self, names: Names, resolve: Callable[[str, str], Value]) -> None:
        self._names = names
        self._resolve = resolve
        self._bound: dict[str, Value] = {}

    # ------------------------------------------------------------------ values
    def value(self, node: exp.Expression) -> Value:
        """Write an expression.

        Raises:
            ModelError: it holds what is not known.
        """
        write = _WRITERS.get(type(node))
        if write is None:
            raise unknown(type(node).__name__, node.sql("duckdb"))
        return write(self, node)

    def _paren(self, node: exp.Expression) -> Value:
        only(node, "this")
        return self.value(node.this)

    def _literal(self, node: exp.Expression) -> Value:
        only(node, "this", "is_string")
        number = str(node.this)
        return Value(repr(number) if node.args["is_string"] else number, nullable=False, plain=True)

    def _boolean(self, node: exp.Expression) -> Value:
        return Value(repr(bool(node.this)), nullable=False, plain=True)

    def _null(self, node: exp.Expression) -> Value:
        return NULL

    def _column(self, node: exp.Expression) -> Value:
        only(node, "this", "table")
        name, table = node.name, node.args.get("table")
        if table is None and name in self._bound:
            return self._bound[name]
        return self._resolve("" if table is None else table.name, name)

    def _identifier(self, node: exp.Expression) -> Value:
        return self._bound[node.name]

    def _neg(self, node: exp.Expression) -> Value:
        return self._strict([node.this], lambda this: f"(-{this})")

    def _operator(self, node: exp.Expression) -> Value:
        only(node, "this", "expression", "safe", "typed")
        sign = {**_COMPARISONS, **_ARITHMETIC}[type(node)]
        return self._strict([node.this, node.expression], lambda left, right: f"({left} {sign} {right})")

    def _divide(self, node: exp.Expression) -> Value:
        """Divide; only by what is a number of elements, never none."""
        only(node, "this", "expression", "safe", "typed")
        return self._strict([node.this, node.expression], lambda left, right: f"({left} / {right})")

    def _connector(self, node: exp.Expression) -> Value:
        """Write `and`, `or`, `not` in three values."""
        if isinstance(node, exp.Not):
            return self._strict([node.this], lambda this: f"(not {this})")
        left, right = self.value(node.this), self.value(node.expression)
        if not left.nullable and not right.nullable:
            return Value(f"({self.truth(node)})", nullable=False)
        return Value(f"(True if {self.truth(node)} else False if {self.falsehood(node)} else None)")

    def _is(self, node: exp.Expression) -> Value:
        only(node, "this", "expression")
        if not isinstance(node.expression, exp.Null | exp.Boolean):
            raise unknown("is", node.sql("duckdb"))
        other = "None" if isinstance(node.expression, exp.Null) else repr(bool(node.expression.this))
        return Value(f"({self.value(node.this).code} is {other})", nullable=False)

    def _in(self, node: exp.Expression) -> Value:
        only(node, "this", "expressions")
        texts = frozenset(map(text_of, node.expressions))
        name = self._names.constant(texts, ("in", texts))
        return self._strict([node.this], lambda this: f"({this} in {name})")

    def _like(self, node: exp.Expression) -> Value:
        only(node, "this", "expression", "negate")
        pattern = text_of(node.expression)
        if set(pattern) & {"_", "\\"}:
            raise unknown("a pattern of like", pattern)
        name = self._names.constant(functions.like(pattern), ("like", pattern))
        no = "not " if node.args.get("negate") else ""
        return self._strict([node.this], lambda this: f"({no}{name}({this}))")

    def _case(self, node: exp.Expression) -> Value:
        only(node, "this", "ifs", "default")
        if node.this is None:
            conditions = [self.truth(each.this) for each in node.args["ifs"]]
        else:
            kept = self._names.meanwhile()
            conditions = [f"{kept} == {text_of(each.this)!r}" for each in node.args["ifs"]]
            conditions[0] = conditions[0].replace(kept, f"({kept} := {self.value(node.this).code})", 1)
        results = [self.value(each.args["true"]) for each in node.args["ifs"]]
        return self._choice(conditions, results, node.args.get("default"))

    def _if(self, node: exp.Expression) -> Value:
        only(node, "this", "true", "false")
        return self._choice([self.truth(node.this)], [self.value(node.args["true"])], node.args.get("false"))

    def _choice(self, conditions: list[str], results: list[Value], default: exp.Expression | None) -> Value:
        last = NULL if default is None else self.value(default)
        chain = " else ".join(f"{result.code} if {when}" for when, result in zip(conditions, results, strict=True))
        return Value(f"({chain} else {last.code})", any(each.nullable for each in (*results, last)))

    def _bracket(self, node: exp.Expression) -> Value:
        """Write a field of a struct, or a slice of a text."""
        only(node, "this", "expressions")
        (inside,) = node.expressions
        if not isinstance(inside, exp.Slice):
            return self.field(self.value(node.this), text_of(inside))
        only(inside, "this", "expression")
        first, last = _place(inside.this), _place(inside.expression)
        return self._strict([node.this], lambda this: f"{this}[{first - 1}:{last}]")

    def field(self, struct: Value, name: str) -> Value:
        """Write a field of a struct."""
        return self.strict([struct], lambda this: f"{this}[{name!r}]")

    def _cast(self, node: exp.Expression) -> Value:
        only(node, "this", "to", "safe")
        target = node.args["to"].sql("duckdb")
        value = self.value(node.this)
        if isinstance(node, exp.TryCast) and target == "INT":
            name = self._names.constant(functions.to_integer)
            return self.strict([value], lambda this: f"{name}({this})")._replace(nullable=True)
        if target == "INT" and isinstance(node.this, exp.Paren):
            return self.strict([value], lambda this: f"int({this})")
        if target == "TEXT":
            return value if value is NULL else self.strict([value], lambda this: f"str({this})")
        raise unknown("a cast", node.sql("duckdb"))

    # ------------------------------------------------------------------ functions
    def _function(self, node: exp.Expression) -> Value:
        name, given = str(node.this).lower(), node.expressions
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self, name, given)
        form = functions.INLINE.get((name, len(given)))
        if form is None:
            function = functions.STRICT.get((name, len(given)))
            if function is None:
                raise unknown(f"the function {name} of {len(given)}", node.sql("duckdb"))
            places = ", ".join(f"{{{place}}}" for place in range(len(given)))
            form = f"{self._names.constant(function)}({places})"
            if name in _OF_SIGNS:
                functions.sign_tables()  # now, not when the first record waits for it
        value = self._strict(given, form.format)
        return value._replace(nullable=True) if name in _MAYBE_NULL else value

    def _coalesce(self, name: str, given: Sequence[exp.Expression]) -> Value:
        *first, last = [self.value(each) for each in given]
        code = last.code
        for each in reversed(first):
            if not each.nullable:
                code = each.code
            elif each.plain:
                code = f"({each.code} if {each.code} is not None else {code})"
            else:
                kept = self._names.meanwhile()
                code = f"({kept} if ({kept} := {each.code}) is not None else {code})"
        return Value(code, all(each.nullable for each in (*first, last)))

    def _nullif(self, name: str, given: Sequence[exp.Expression]) -> Value:
        value, other = (self.value(each) for each in given)
        if value.plain:
            return Value(f"(None if {value.code} == {other.code} else {value.code})")
        kept = self._names.meanwhile()
        return Value(f"(None if ({kept} := {value.code}) == {other.code} else {kept})")

    def _of_any(self, name: str, given: Sequence[exp.Expression]) -> Value:
        function = self._names.constant(functions.OF_ANY[name])
        values = ", ".join(self.value(each).code for each in given)
        return Value(f"{function}({values})", nullable=name in _MAYBE_NULL)

    def _of_constants(self, name: str, given: Sequence[exp.Expression]) -> Value:
        """Write a function whose arguments but the first are constants, which make a function of one."""
        constants = tuple(_constant(each) for each in given[1:])
        key = (name, constants)
        function = self._names.constant(_MAKERS[name](*constants), key)
        return self._strict(given[:1], lambda this: f"{function}({this})")

    def _lpad(self, name: str, given: Sequence[exp.Expression]) -> Value:
        if len(text_of(given[2])) != 1:
            raise unknown("lpad with", given[2].sql("duckdb"))
        return self._positive(name, given)

    def _positive(self, name: str, given: Sequence[exp.Expression]) -> Value:
        """Write a function of a text and positive constants, which alone it is written for."""
        for each in given[1:]:
            if not isinstance(each, exp.Literal) or (not each.is_string and int(each.name) < 1):
                raise unknown(f"{name} with", each.sql("duckdb"))
        function = self._names.constant(_OF_POSITIVE[name, len(given)])
        return self._strict(given, lambda *values: f"{function}({', '.join(values)})")

    def _substr(self, name: str, given: Sequence[exp.Expression]) -> Value:
        if len(given) == 3:
            return self._positive(name, given)
        function = self._names.constant(functions.substr)
        return self._strict(given, lambda this, start: f"{function}({this}, {start})")

    def _list_function(self, name: str, given: Sequence[exp.Expression]) -> Value:
        """Write `list_transform` or `list_filter`."""
        elements, of = given
        if not isinstance(of, exp.Lambda):
            raise unknown(name, of.sql("duckdb"))
        only(of, "this", "expressions")
        variable = of.expressions[0].name
        each = f"each_{variable}"
        before, self._bound = self._bound, {**self._bound, variable: Value(each, nullable=False, plain=True)}
        if name == "list_filter":
            inside = f"[{each} for {each} in {{0}} if {_escaped(self.truth(of.this))}]"
        else:
            inside = f"[{_escaped(self.value(of.this).code)} for {each} in {{0}}]"
        self._bound = before
        return self._strict([elements], inside.format)

    def _intersect(self, name: str, given: Sequence[exp.Expression]) -> Value:
        elements, others = given
        function, those = self._names.constant(functions.intersect), self.value(others).code
        return self._strict([elements], lambda this: f"{function}({this}, {those})")

    def _by_duckdb(self, name: str, given: Sequence[exp.Expression]) -> Value:
        """Ask DuckDB for `strftime(try_strptime(text, formats), format)`: few dates name their month."""
        inner = given[0]
        if not isinstance(inner, exp.Anonymous) or str(inner.this).lower() != "try_strptime":
            raise unknown(name, inner.sql("duckdb"))
        text, formats = inner.expressions
        listed = ", ".join(each.sql("duckdb") for each in formats.expressions)
        question = f"strftime(try_strptime($1, [{listed}]), {given[1].sql('duckdb')})"
        function = self._names.constant(asked(question), question)
        return self._strict([text], lambda this: f"{function}({this})")._replace(nullable=True)

    # ------------------------------------------------------------------ null
    def _strict(self, nodes: Sequence[exp.Expression], write: Callable[..., str]) -> Value:
        return self.strict([self.value(node) for node in nodes], write)

    def strict(self, values: Sequence[Value], write: Callable[..., str]) -> Value:
        """Write what is None if one of its values is."""
        asks, codes = [], []
        for value in values:
            if not value.nullable:
                codes.append(value.code)
            elif value.plain:
                asks.append(f"{value.code} is None")
                codes.append(value.code)
            else:
                kept = self._names.meanwhile()
                asks.append(f"({kept} := {value.code}) is None")
                codes.append(kept)
        if not asks:
            return Value(write(*codes), nullable=False)
        return Value(f"(None if {' or '.join(dict.fromkeys(asks))} else {write(*codes)})")

    # ------------------------------------------------------------------ conditions
    def truth(self, node: exp.Expression) -> str:
        """Write what is truthy if, and only if, a condition is true."""
        match node:
            case exp.Paren():
                return self.truth(node.this)
            case exp.And() | exp.Or():
                joined = " and " if isinstance(node, exp.And) else " or "
                return f"({joined.join(self.truth(each) for each in (node.this, node.expression))})"
            case exp.Not():
                return self.falsehood(node.this)
            case exp.EQ():
                left, right = self.value(node.this), self.value(node.expression)
                if left.nullable and right.nullable and left.plain and left.code != "None":
                    return f"({left.code} is not None and {left.code} == {right.code})"
                if not left.nullable or not right.nullable:
                    return f"({left.code} == {right.code})"
        return self.value(node).code

    def falsehood(self, node: exp.Expression) -> str:
        """Write what is truthy if, and only if, a condition is false."""
        match node:
            case exp.Paren():
                return self.falsehood(node.this)
            case exp.And() | exp.Or():
                joined = " or " if isinstance(node, exp.And) else " and "
                return f"({joined.join(self.falsehood(each) for each in (node.this, node.expression))})"
            case exp.Not():
                return self.truth(node.this)
        value = self.value(node)
        return f"({value.code} is False)" if value.nullable else f"(not {value.code})"


def _constant(node: exp.Expression) -> Any:
    if isinstance(node, exp.Array):
        return tuple(map(text_of, node.expressions))
    if isinstance(node, exp.DPipe):
        raise unknown("an argument that is no constant", node.sql("duckdb"))
    return text_of(node) if not isinstance(node, exp.Literal) or node.is_string else int(node.name)


def _place(node: exp.Expression) -> int:
    """Position in a text, which counts from one."""
    if not isinstance(node, exp.Literal) or node.is_string or int(node.name) < 1:
        raise unknown("a position", node.sql("duckdb"))
    return int(node.name)


def _escaped(code: str) -> str:
    return code.replace("{", "{{").replace("}", "}}")


_OF_POSITIVE = {
    ("right", 2): functions.right,
    ("lpad", 3): functions.lpad,
    ("substr", 3): functions.substr_of,
}
_MAKERS: dict[str, Callable[..., Callable[[str], Any]]] = {
    "regexp_full_match": patterns.full_match,
    "regexp_matches": patterns.matches,
    "regexp_replace": patterns.replace,
    "regexp_extract": patterns.extract,
    "translate": functions.translator,
}
_SPECIAL: dict[str, Callable[[Expressions, str, Sequence[exp.Expression]], Value]] = {
    "coalesce": Expressions._coalesce,
    "nullif": Expressions._nullif,
    "lpad": Expressions._lpad,
    "right": Expressions._positive,
    "substr": Expressions._substr,
    "list_transform": Expressions._list_function,
    "list_filter": Expressions._list_function,
    "list_intersect": Expressions._intersect,
    "strftime": Expressions._by_duckdb,
    **dict.fromkeys(functions.OF_ANY, Expressions._of_any),
    **dict.fromkeys(_MAKERS, Expressions._of_constants),
}
_WRITERS: dict[type[exp.Expression], Callable[[Expressions, Any], Value]] = {
    exp.Paren: Expressions._paren,
    exp.Literal: Expressions._literal,
    exp.Boolean: Expressions._boolean,
    exp.Null: Expressions._null,
    exp.Column: Expressions._column,
    exp.Identifier: Expressions._identifier,
    exp.Neg: Expressions._neg,
    **dict.fromkeys((*_COMPARISONS, *_ARITHMETIC), Expressions._operator),
    exp.Div: Expressions._divide,
    **dict.fromkeys((exp.And, exp.Or, exp.Not), Expressions._connector),
    exp.Is: Expressions._is,
    exp.In: Expressions._in,
    exp.Like: Expressions._like,
    exp.Case: Expressions._case,
    exp.If: Expressions._if,
    exp.Bracket: Expressions._bracket,
    exp.Cast: Expressions._cast,
    exp.TryCast: Expressions._cast,
    exp.Anonymous: Expressions._function,
}
