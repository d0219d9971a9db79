"""One record at a time: the model's block keys, comparisons and weights for a new record and stored ones.

The conditions are those that Splink evaluates for whole tables, with `name_l` read as `l.name` (stored) and
`name_r` as `r.name` (new). Rarity and the number of names that share a contact are read from the stored record:
every level that asks for them also asks for equality, so they are the same on both sides.

DuckDB keeps the plan of a prepared statement that reads parameters only, so records are handed in as such.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c360ml.errors import ModelError
from c360ml.lakehouse import connect
from c360ml.linkage.blocking_parts import BlockingRule, part
from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.explanation import waterfall
from c360ml.linkage.features import DERIVED_LISTS, NAMED_FEATURES
from c360ml.linkage.model import LinkageModel

Ints = NDArray[np.int64]
_SIDED = re.compile(r"\b(\w+?)_([lr])\b")
_COUNTED = ("_rarity", "_names")


def model_digest(model: Mapping[str, Any]) -> str:
    """Tell models apart: a digest of what `LinkageModel.to_dict` says, whatever else the file says of the fit.

    >>> model_digest({"seed": 1, "fit": {"links": 2}}) == model_digest({"seed": 1})
    True
    """
    content = {name: part for name, part in model.items() if name != "fit"}
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def stored_columns(comparisons: tuple[Comparison, ...]) -> tuple[str, ...]:
    """Name the columns of the feature table that the comparisons read.

    >>> from c360ml.linkage.comparisons import PHONE
    >>> stored_columns((PHONE,))
    ('phone', 'phone_names')
    """
    conditions = [
        text
        for comparison in comparisons
        for text in (comparison.missing, *(level.condition for level in comparison.levels))
    ]
    names = {name for text in conditions for name, _ in _SIDED.findall(text)}
    return tuple(sorted({DERIVED_LISTS[name][0] if name in DERIVED_LISTS else name for name in names}))


def pattern_columns(comparisons: tuple[Comparison, ...]) -> str:
    """SQL of one column per comparison over `l` and `r`: -1 missing, 0 different, up to the best level.

    >>> from c360ml.linkage.comparisons import GENDER
    >>> pattern_columns((GENDER,))
    'case when l.gender is null or r.gender is null then -1 when l.gender = r.gender then 1 else 0 end as "gender"'
    """
    return ", ".join(f'{_digit(comparison)} as "{comparison.name}"' for comparison in comparisons)


def _digit(comparison: Comparison) -> str:
    places = range(len(comparison.levels), 0, -1)
    levels = " ".join(
        f"when {_aliased(level.condition)} then {place}" for level, place in zip(comparison.levels, places, strict=True)
    )
    return f"case when {_aliased(comparison.missing)} then -1 {levels} else 0 end"


def _aliased(condition: str) -> str:
    return _SIDED.sub(r"\2.\1", condition)


def match_probability(weight: float) -> float:
    """Turn log2 odds into a probability.

    >>> match_probability(0.0)
    0.5
    """
    return float(1 / (1 + np.exp2(-np.clip(weight, -1000, 1000))))


class OnlineScorer:
    """Looks up and scores single records with a fitted linkage model; not for several threads at once.

    Args:
        model: linkage model as `LinkageModel.to_dict` gives it.

    Raises:
        ModelError: the model is damaged, of another version, or of Splink over columns of its own.
    """

    def __init__(self, model: Mapping[str, Any]) -> None:
        if "splink_settings" in model:
            raise ModelError(
                "a model that scores single records must compare standardized columns",
                got="a Splink model over a table of its own",
                hint='fit LinkageModel(classes="two") on standardized records, or score the table as a whole',
            )
        self.model = LinkageModel.from_dict(dict(model))
        self.columns = stored_columns(self.model.comparisons_)
        self._named = tuple(column for column in self.columns if not column.endswith(_COUNTED))
        self._blocking = tuple(sorted(_blocking_columns(self.model.rules_)))
        self._con = connect(threads=1)
        self._prepare()

    def close(self) -> None:
        """Close the connection."""
        self._con.close()

    def _prepare(self) -> None:
        places = {column: f"${place}::varchar" for place, column in enumerate(self._blocking, 1)}
        given = ", ".join(f"{place} as {column}" for column, place in places.items())
        # The index holds the split key where a key is shared by many: whether it is, only the index knows.
        keys = ", ".join(key for rule in self.model.rules_ for key in (rule.key, rule.split_key))
        self._con.execute(f"prepare block_keys as select [{keys}] from (select {given})").fetchall()
        new = ", ".join(f"${place}::varchar as {column}" for place, column in enumerate(self._named, 1))
        types = {column: "BIGINT" if column.endswith(_COUNTED) else "VARCHAR" for column in self.columns}
        shape = json.dumps([{**types, "position": "BIGINT"}])
        lists = "".join(
            f", {sql} as {name}" for name, (made_of, sql) in DERIVED_LISTS.items() if made_of in self._named
        )
        self._con.execute(f"""
            prepare compare_records as
            with r as (select *{lists} from (select {new})),
            l as (
                select *{lists}
                from (select unnest(from_json(${len(self._named) + 1}::varchar, '{shape}'), recursive := true))
            )
            select {pattern_columns(self.model.comparisons_)} from l, r order by position
        """).fetchall()

    def block_keys(self, new: Mapping[str, str | None]) -> list[int]:
        """Block keys of a standardized record, without those that it cannot have."""
        values = ", ".join(_text(new.get(column)) for column in self._blocking)
        keys = self._con.execute(f"execute block_keys({values})").fetchall()[0][0]
        return sorted({int(key) for key in keys if key is not None})

    def digits(self, new: Mapping[str, str | None], stored: Sequence[Sequence[Any]]) -> Ints:
        """Agreement patterns of a standardized record with stored ones, each a row of `columns`."""
        names = (*self.columns, "position")
        rows = [dict(zip(names, (*row, position), strict=True)) for position, row in enumerate(stored)]
        values = [*(_text(new.get(column)) for column in self._named), _text(json.dumps(rows))]
        found = self._con.execute(f"execute compare_records({', '.join(values)})").fetchall()
        return np.array(found, dtype=np.int64)

    def alone(self, record: Mapping[str, str | None]) -> tuple[Any, ...]:
        """Row of `columns` of a record of which no table tells: its names count as common, its contacts as its own."""
        unknown = {column: 0 if column.endswith("_rarity") else 1 for column in self.columns}
        return tuple(record.get(column) if column in NAMED_FEATURES else unknown[column] for column in self.columns)

    def match_weights(self, digits: Ints) -> NDArray[np.float64]:
        """log2 odds of one person, for each agreement pattern."""
        return self.model.scorer_.match_weights(digits)

    def explain(self, digits: Ints) -> list[dict[str, float | str]]:
        """Say which comparison adds which weight to a pattern, as `LinkageModel.explain` does."""
        return waterfall(self.model.scorer_, self.model.comparisons_, digits)


def _blocking_columns(rules: tuple[BlockingRule, ...]) -> set[str]:
    """Columns that the keys of blocking rules read."""
    names = {name for rule in rules for name in (*rule.parts, *filter(None, [rule.split_by]))}
    sql = " ".join(part(name).sql for name in sorted(names))
    attributes = {name for name in names if part(name).needs == name and name not in NAMED_FEATURES}
    return attributes | {column for column in NAMED_FEATURES if re.search(rf"\b{column}\b", sql)}


def _text(value: str | None) -> str:
    """Write a text for SQL; a value of another type than planned for would have the statement planned again."""
    return "null::varchar" if value is None else "'" + value.replace("'", "''") + "'"
