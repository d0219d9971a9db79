"""One record at a time: the model's block keys, comparisons and weights for a new record and stored ones.

The conditions are those that Splink evaluates for whole tables, with `name_l` read as `l.name` (stored) and
`name_r` as `r.name` (new), written as Python once (see `row_sql`). Rarity and the number of names that share a contact
are read from the stored record: every level that asks for them also asks for equality, so they are the same on both
sides.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c360ml.errors import ModelError
from c360ml.linkage.blocking import rests_on_hub
from c360ml.linkage.blocking_parts import BlockingRule, part
from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.explanation import waterfall, waterfalls
from c360ml.linkage.features import DERIVED_LISTS, NAMED_FEATURES
from c360ml.linkage.model import LinkageModel
from c360ml.linkage.statistics import RARE, statistics_of
from c360ml.linkage.tabled_classes import TabledClasses
from c360ml.row_sql import compile_expressions, compile_pairs

Ints = NDArray[np.int64]
_SIDED = re.compile(r"\b(\w+?)_([lr])\b")
COUNTED = ("_rarity", "_names")


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


def _digit(comparison: Comparison) -> str:
    places = range(len(comparison.levels), 0, -1)
    levels = " ".join(
        f"when {_aliased(level.condition)} then {place}" for level, place in zip(comparison.levels, places, strict=True)
    )
    return f"case when {_aliased(comparison.missing)} then -1 {levels} else 0 end"


def _aliased(condition: str) -> str:
    return _SIDED.sub(r"\2.\1", condition)


def index_keys_sql(rules: tuple[BlockingRule, ...]) -> tuple[str, ...]:
    """SQL over `linkage_features` of each rule's index key: of what a record is blocked on, null where it is not.

    The index outlives the DuckDB that wrote it, and is read without it: so its keys are MD5 of the rule and the text
    that a block key is a hash of, as `OnlineScorer.block_keys` computes them. It is the number that DuckDB's
    `md5_number_lower` gives; but that goes by way of a text of its bits, and takes five times as long.

    >>> index_keys_sql((BlockingRule(("email",)),))[0][:78]
    'case when block_email = case when ((email)) is not null then hash((email)) end'
    """
    return tuple(
        "case "
        + " ".join(
            f"when {rule.column} = {key} then {_md5_sql(label, text)}"
            for key, (label, text) in zip((rule.key, rule.split_key), _index_keys(rule), strict=False)
        )
        + " end"
        for rule in rules
    )


def index_keys_query(rule: BlockingRule) -> str:
    """SQL over `linkage_features` of `block_key, position` of a rule: `index_keys_sql` where the statistics tell.

    What a whole file tells of hot keys is in the statistics by then, so the block keys need not be written first.

    >>> index_keys_query(BlockingRule(("email",))).count("md5_number('email|' || text)")
    1
    """
    (label, text), *split = _index_keys(rule)
    hot, skipped = (
        f"(select value::ubigint from {statistics_of(f'{kind}:{rule.column}')})" for kind in ("hot", "skipped")
    )
    query = f"""
        with texts as (
            select rid, {text} as text, {rests_on_hub(rule)} as hub from linkage_features
        ),
        keyed as materialized (
            select rid, text, hash(text) as k, hub or k in {hot} as is_hot from texts where text is not null
        )
        select {_md5_sql(label, "text")} as block_key, (rid - 1)::uinteger as position
        from keyed where not is_hot and k not in {skipped}
    """
    for label, text in split:
        query += f"""
            union all
            select {_md5_sql(label, "text")}, (rid - 1)::uinteger
            from (select rid, {text} as text from linkage_features where rid in (select rid from keyed where is_hot))
            where text is not null and hash(text) not in {skipped}
        """
    return query


def _index_keys(rule: BlockingRule) -> list[tuple[str, str]]:
    """Label and SQL of the text of a rule's index key, and of that of its split key if it has one."""
    keys = [(rule.name, rule.text)]
    return [*keys, (f"{rule.name} by {rule.split_by}", rule.split_text)] if rule.split_by else keys


def _md5_sql(label: str, text: str) -> str:
    return f"(md5_number('{label}|' || {text}) >> 64)::ubigint"


def _md5_number_lower(text: str) -> int:
    """Compute DuckDB's `md5_number_lower`: the second half of the digest as a number.

    >>> _md5_number_lower("abc")
    8250560606382298838
    """
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def _counted(column: str, record: Mapping[str, str | None], number_of: Callable[[str], int | None]) -> int:
    """Rarity of a term or names at a contact or house, as `linkage_features` has it."""
    name, _, counted = column.rpartition("_")
    if column == "street_names":
        place = record.get("city") or record.get("postcode") or ""
        house = f"{record.get('street')}|{record.get('street_number')}|{place}"
        known = record.get("street") is not None and record.get("street_number") is not None
        return (number_of(f"hub:door|{house}") or 1) if known else 1
    value = record.get(name)
    if counted == "names":
        return 1 if value is None else number_of(f"names:{name}|{value}") or 1
    if value is None or number_of(f"filled|{name}") is None:
        return 0
    rarity = number_of(f"rarity:{name}|{value}")
    return RARE if rarity is None else rarity


def match_probability(weight: float) -> float:
    """Turn log2 odds into a probability.

    >>> match_probability(0.0)
    0.5
    """
    return float(1 / (1 + np.exp2(-np.clip(weight, -1000, 1000))))


class OnlineScorer:
    """Looks up and scores single records with a fitted linkage model.

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
        self.named = tuple(column for column in self.columns if not column.endswith(COUNTED))
        self._blocking = tuple(sorted(_blocking_columns(self.model.rules_)))
        # The index holds the split key where a key is shared by many: whether it is, only the index knows.
        keyed = [each for rule in self.model.rules_ for each in _index_keys(rule)]
        self._labels = tuple(f"{label}|" for label, _ in keyed)
        self._texts = compile_expressions([text for _, text in keyed], self._blocking)
        self.digits_sql = tuple(_digit(comparison) for comparison in self.model.comparisons_)
        self._compare = compile_pairs(self.digits_sql, self.columns, self.named, DERIVED_LISTS)
        scorer = self.model.scorer_
        self._scorer = replace(scorer, classes=TabledClasses(scorer.classes))

    def block_keys(self, new: Mapping[str, str | None]) -> list[int]:
        """Index keys of a standardized record, without those that it cannot have."""
        texts = self._texts(*(new.get(column) for column in self._blocking))
        keys = {
            _md5_number_lower(label + text) for label, text in zip(self._labels, texts, strict=True) if text is not None
        }
        return sorted(keys)

    def digits(self, new: Mapping[str, str | None], stored: Sequence[Sequence[Any]]) -> Ints:
        """Agreement patterns of a standardized record with stored ones, each a row of `columns`."""
        found = self._compare(stored, *(new.get(column) for column in self.named))
        return np.array(found, dtype=np.int64).reshape(len(found), len(self.model.comparisons_))

    def alone(self, record: Mapping[str, str | None]) -> tuple[Any, ...]:
        """Row of `columns` of a record of which no table tells: its names count as common, its contacts as its own."""
        return self.stored(record, lambda name: None)

    def stored(self, record: Mapping[str, str | None], number_of: Callable[[str], int | None]) -> tuple[Any, ...]:
        """Row of `columns` of a standardized record, as the model's statistics have it.

        Args:
            record: the standardized record.
            number_of: the number that the statistics give to `kind|value`, e.g. `rarity:surname|lee`.
        """
        return tuple(
            _counted(column, record, number_of) if column.endswith(COUNTED) else record.get(column)
            for column in self.columns
        )

    def match_weights(self, digits: Ints) -> NDArray[np.float64]:
        """log2 odds of one person, for each agreement pattern."""
        return self._scorer.match_weights(digits)

    def explain(self, digits: Ints) -> list[dict[str, float | str]]:
        """Say which comparison adds which weight to a pattern, as `LinkageModel.explain` does."""
        return waterfall(self._scorer, self.model.comparisons_, digits)

    def explain_all(self, patterns: Ints) -> list[list[dict[str, float | str]]]:
        """Explain many patterns, one a row, as `explain` does one."""
        return waterfalls(self._scorer, self.model.comparisons_, patterns)


def _blocking_columns(rules: tuple[BlockingRule, ...]) -> set[str]:
    """Columns that the keys of blocking rules read."""
    names = {name for rule in rules for name in (*rule.parts, *filter(None, [rule.split_by]))}
    sql = " ".join(part(name).sql for name in sorted(names))
    attributes = {name for name in names if part(name).needs == name and name not in NAMED_FEATURES}
    return attributes | {column for column in NAMED_FEATURES if re.search(rf"\b{column}\b", sql)}
