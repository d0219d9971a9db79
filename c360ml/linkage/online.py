"""One record at a time: the model's comparisons and block keys as SQL over a stored record `l` and a new one `r`.

The conditions are those that Splink evaluates for whole tables, with `name_l` read as `l.name`. Rarity and the
number of names that share a contact are read from the stored record: every level that asks for them also asks
for equality, so they are the same on both sides.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.blocking import BlockingRule
from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.explanation import waterfall
from c360ml.linkage.features import NAMED_FEATURES
from c360ml.linkage.model import LinkageModel

_SIDED = re.compile(r"\b(\w+?)_([lr])\b")
_WORDS = "list_sort(list_distinct(string_split(full_name, ' ')))"


def model_digest(model: Mapping[str, Any]) -> str:
    """Tell models apart: a digest of what `LinkageModel.to_dict` says, whatever else the file says of the fit.

    >>> model_digest({"seed": 1, "fit": {"links": 2}}) == model_digest({"seed": 1})
    True
    """
    content = {name: part for name, part in model.items() if name != "fit"}
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def compared_columns(comparisons: tuple[Comparison, ...]) -> tuple[str, ...]:
    """Name the columns that the comparisons read.

    >>> from c360ml.linkage.comparisons import PHONE
    >>> compared_columns((PHONE,))
    ('phone', 'phone_names')
    """
    conditions = [
        text
        for comparison in comparisons
        for text in (comparison.missing, *(level.condition for level in comparison.levels))
    ]
    return tuple(sorted({name for text in conditions for name, _ in _SIDED.findall(text)}))


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


def new_features(records: str, comparisons: tuple[Comparison, ...]) -> str:
    """SQL of the features of standardized records that nothing is known of but themselves.

    Without a table around them their terms count as common, and their contacts as one person's.
    """
    known = [
        f"{0 if name.endswith('_rarity') else 1} as {name}"
        for name in compared_columns(comparisons)
        if name.endswith(("_rarity", "_names"))
    ]
    return f"select {', '.join(('record_id', *NAMED_FEATURES, f'{_WORDS} as name_words', *known))} from {records}"


def block_keys(rules: tuple[BlockingRule, ...]) -> str:
    """SQL of the list of a record's block keys, without those that it cannot have.

    >>> block_keys((BlockingRule(("email",)),))
    'list_filter([case when ((email)) is not null then hash((email)) end], lambda k: k is not null)'
    """
    return f"list_filter([{', '.join(rule.key for rule in rules)}], lambda k: k is not null)"


def match_weights(model: LinkageModel, digits: NDArray[np.int64]) -> NDArray[np.float64]:
    """log2 odds of one person, for each row of `pattern_columns`."""
    return model.classes_.match_weights(digits)


def match_probability(weight: float) -> float:
    """Turn log2 odds into a probability.

    >>> match_probability(0.0)
    0.5
    """
    return float(1 / (1 + np.exp2(-np.clip(weight, -1000, 1000))))


def explain_pattern(model: LinkageModel, digits: NDArray[np.int64]) -> list[dict[str, float | str]]:
    """Say which comparison adds which weight, as `LinkageModel.explain` does."""
    return waterfall(model.classes_, model.comparisons_, digits)
