"""Who is this? One raw record against all known customers, with the model that linked them.

A record is standardized by the batch code, looked up by the model's block keys in the online index, compared with
each candidate on the model's levels, and weighed by the model's classes.

The customer of the best record is the answer, if that pair is at least as probable as the model's threshold: a
record of a customer who wrote down little is weak evidence either way, so the best pair decides, and the mean over
the customer's candidates only breaks ties. A record that shares no block key with any other is new: nothing is
ever matched on emptiness.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c360ml.errors import ColumnError, DataError
from c360ml.identity.online_index import OnlineIndex, build_index, read_model
from c360ml.linkage import online
from c360ml.standardize.one_record import RecordStandardizer
from c360ml.standardize.records import ROLES

__all__ = ["Resolution", "Resolver", "build_index", "checked_record", "read_model"]

LONGEST_TEXT = 10_000


@dataclass(frozen=True)
class Resolution:
    """Who a record is: a known customer, or new, with the probability and the reasons of the best pair.

    Without a candidate `match_probability` is 0 and `explanation` empty.
    """

    master_id: str | None
    is_new: bool
    match_probability: float
    household_id: str | None
    explanation: tuple[dict[str, float | str], ...]
    candidates: int


_NOBODY = Resolution(None, True, 0.0, None, (), 0)


class Resolver:
    """Answers who a raw record is, from a project's online index; safe to call from several threads.

    Args:
        folder: the project's folder.
        model: linkage model as JSON; without it the project's newest.
        index: the index file; without it the one that `build_index` wrote for the model.

    Raises:
        ModelError: there is no index, or it was built by another model or another DuckDB.
    """

    def __init__(
        self, folder: str | Path, *, model: Mapping[str, Any] | None = None, index: Path | None = None
    ) -> None:
        folder = Path(folder).resolve()
        content = model if model is not None else read_model(folder)
        self._scorer = online.OnlineScorer(content)
        self._index = OnlineIndex(folder, content, self._scorer.columns, index)
        self._standardizer = RecordStandardizer(self._index.country)
        self._threshold = self._scorer.model.threshold or 0.5
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the index."""
        for part in (self._scorer, self._index, self._standardizer):
            part.close()

    def __enter__(self) -> Resolver:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def resolve(self, record: Mapping[str, str | None]) -> Resolution:
        """Find the customer of a raw record, given as role = text; the roles are those of `standardize_records`.

        Raises:
            ColumnError: a field is no role.
            DataError: a value is no text, or longer than 10,000 characters.
        """
        given = checked_record(record)
        with self._lock:
            new = self._standardizer.standardize(given)
            found = self._index.candidates(self._scorer.block_keys(new))
            if not found:
                return _NOBODY
            masters = [row[0] for row in found]
            return self._decide(masters, self._scorer.digits(new, [row[1:] for row in found]))

    def customer(self, master_id: str) -> dict[str, Any] | None:
        """Look up value and segments of a customer; None if there is none of that ID."""
        with self._lock:
            return self._index.customer(master_id)

    def _decide(self, masters: list[str], digits: online.Ints) -> Resolution:
        weights = self._scorer.match_weights(digits).tolist()
        best = _best_candidate(masters, weights)
        probability = online.match_probability(weights[best])
        steps = tuple(self._scorer.explain(digits[best]))
        if probability < self._threshold:
            return Resolution(None, True, probability, None, steps, len(masters))
        customer = self._index.customer(masters[best]) or {}
        return Resolution(masters[best], False, probability, customer.get("household_id"), steps, len(masters))


def _best_candidate(masters: list[str], weights: list[float]) -> int:
    """Position of the greatest weight; ties go to the customer with the greater mean, then the least ID.

    >>> _best_candidate(["b", "a", "b"], [3.0, 3.0, 1.0])
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
        DataError: a value is no text, is too long, or cannot be encoded.

    >>> checked_record({"surname": " Lee ", "email": ""})
    {'surname': 'Lee', 'email': None}
    """
    unknown = [name for name in record if name not in ROLES]
    if unknown:
        raise ColumnError(
            "a record's fields must be roles", got=f"{len(unknown)} others", hint=f"use {', '.join(ROLES)}"
        )
    return {role: _checked_text(role, value) for role, value in record.items()}


def _checked_text(role: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(f"{role} must be text or null", got=type(value).__name__, hint="write it as text")
    if len(value) > LONGEST_TEXT:
        raise DataError(f"{role} must have at most {LONGEST_TEXT:,} characters", got=f"{len(value):,}", hint="cut it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{role} must be Unicode text", got="half a surrogate pair", hint="mend its encoding"
        ) from error
    return value.strip() or None
