"""Who is this? The answer to one raw record, how it is decided, and what a raw record may be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from c360ml.errors import C360Error, ColumnError, DataError
from c360ml.identity.resolution_display import ResolutionDisplay
from c360ml.linkage import online
from c360ml.standardize.records import ROLES

LONGEST_TEXT = 10_000
_SOURCE = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class Resolution(ResolutionDisplay):
    """Who a record is: a known customer, or new, with the probability and the reasons of the best pair.

    `master_id` is null where a record is new and was not stored. Without a candidate `match_probability` is 0 and
    `explanation` empty. `golden_record` is the best known value of each field, dates and times as text;
    `customer` value and segments. Both are what the last run knew, and null of a customer that it did not know, whose
    golden record is then made of the upserted records.
    """

    master_id: str | None
    is_new: bool
    match_probability: float
    household_id: str | None
    explanation: tuple[dict[str, float | str], ...]
    candidates: int
    golden_record: dict[str, Any] | None = None
    customer: dict[str, Any] | None = None


@dataclass(frozen=True)
class Decision:
    """What the candidates say: the customer, or None, with the probability and reasons of the best pair."""

    master_id: str | None
    match_probability: float = 0.0
    explanation: tuple[dict[str, float | str], ...] = ()
    candidates: int = 0


Known = tuple[dict[str, Any] | None, dict[str, Any] | None]
"""Golden record and value of a customer."""


def resolved(decision: Decision, known: Known, *, is_new: bool | None = None) -> Resolution:
    """Put a decision and what is known of the customer into one answer.

    >>> resolved(Decision(None), (None, None)).is_new
    True
    """
    golden, customer = known
    return Resolution(
        decision.master_id,
        decision.master_id is None if is_new is None else is_new,
        decision.match_probability,
        golden.get("household_id") if golden else None,
        decision.explanation,
        decision.candidates,
        golden,
        customer,
    )


def decide(scorer: online.OnlineScorer, new: Mapping[str, str | None], candidates: Sequence[Sequence[Any]]) -> Decision:
    """Decide by the best pair, if it is at least as probable as the model's threshold.

    A record of a customer who wrote down little is weak evidence either way, so the best pair decides, and the mean
    over the customer's candidates only breaks ties. A record that shares no block key with any other is new: nothing
    is ever matched on emptiness.

    Args:
        scorer: the model.
        new: the standardized record.
        candidates: stored records as `record_id, master_id` and the scorer's columns.
    """
    if not candidates:
        return Decision(None)
    masters = [row[1] for row in candidates]
    digits = scorer.digits(new, [row[2:] for row in candidates])
    weights = scorer.match_weights(digits).tolist()
    best = best_candidate(masters, weights)
    probability = online.match_probability(weights[best])
    known = probability >= (scorer.model.threshold or 0.5)
    steps = tuple(scorer.explain(digits[best]))
    return Decision(masters[best] if known else None, probability, steps, len(masters))


def best_candidate(masters: list[str], weights: list[float]) -> int:
    """Position of the greatest weight; ties go to the customer with the greater mean, then the least ID.

    >>> best_candidate(["b", "a", "b"], [3.0, 3.0, 1.0])
    1
    """
    of_master: dict[str, list[float]] = {}
    for master, weight in zip(masters, weights, strict=True):
        of_master.setdefault(master, []).append(weight)
    highest = max(weights)
    tied = [position for position, weight in enumerate(weights) if weight == highest]
    return min(tied, key=lambda at: (-float(np.mean(of_master[masters[at]])), masters[at], at))


def checked_record(record: Mapping[str, Any]) -> dict[str, str | None]:
    """Check that a raw record has only known fields, all of them text, and trim them; '' is null.

    Raises:
        ColumnError: a field is no role.
        DataError: it is no mapping, or a value is no text, is too long, or cannot be encoded.

    >>> checked_record({"surname": " Lee ", "email": ""})
    {'surname': 'Lee', 'email': None}
    """
    if not isinstance(record, Mapping):
        raise DataError("a record must map fields to texts", got=type(record).__name__, hint='e.g. {"surname": "Lee"}')
    unknown = [name for name in record if name not in ROLES]
    if unknown:
        raise ColumnError(
            "a record's fields must be roles", got=f"{len(unknown)} others", hint=f"use {', '.join(ROLES)}"
        )
    return {role: checked_text(role, value) for role, value in record.items()}


def is_record(record: Any) -> bool:
    """Whether `checked_record` takes a raw record.

    >>> is_record({"surname": "Lee"}), is_record({"surname": 7}), is_record(None)
    (True, False, False)
    """
    try:
        checked_record(record)
    except C360Error:
        return False
    return True


def checked_text(name: str, value: Any) -> str | None:
    """Check that a value is text of bearable length, and trim it; '' is null.

    Raises:
        DataError: it is not.

    >>> checked_text("surname", " Lee ")
    'Lee'
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(f"{name} must be text or null", got=type(value).__name__, hint="write it as text")
    if len(value) > LONGEST_TEXT:
        raise DataError(f"{name} must have at most {LONGEST_TEXT:,} characters", got=f"{len(value):,}", hint="cut it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name} must be Unicode text", got="half a surrogate pair", hint="mend its encoding"
        ) from error
    return value.strip() or None


def checked_source(source: str | None, source_key: str) -> tuple[str, str]:
    """Check the source of a record and its key in it, and trim them.

    Raises:
        DataError: one of them is missing, or no usable text.

    >>> checked_source("crm", " 42 ")
    ('crm', '42')
    """
    texts = checked_text("source", source), checked_text("source_key", source_key)
    if texts[0] is None or texts[1] is None or not _SOURCE.fullmatch(texts[0]):
        raise DataError(
            "an upserted record must have a source of a-z, 0-9 and _, and a source_key",
            got="none" if None in texts else "other characters in the source",
            hint='e.g. source="web", source_key="42"',
        )
    return texts[0], texts[1]
