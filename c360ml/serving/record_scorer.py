"""Raw record in, who it is and what they are worth out: the one code that MLflow and `c360ml serve` answer with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from c360ml.identity.resolution import is_record
from c360ml.identity.store import IdentityStore
from c360ml.serving.schemas import Answer, answer, answers
from c360ml.tracking.schemas import told

_MOST_AT_ONCE = 10_000
"""As many records as a batch compares in one query; memory is of some hundred megabytes then."""
_FEWEST_AT_ONCE = 50
"""Fewer are answered one by one before a query is planned."""


class RecordScorer:
    """Answers from the online index of a project; a new index or an upsert is seen by the next answer.

    Args:
        project: the project's folder, after a run.
        model: linkage model as JSON, with which the index was built.

    Raises:
        ModelError: there is no index of the model, or it is damaged.
    """

    def __init__(self, project: str | Path, model: Mapping[str, Any]) -> None:
        self._store = IdentityStore(project, model=model)
        self.answer({})  # the first request finds everything warm

    def resolve(self, record: Mapping[str, Any]) -> Answer:
        """Answer for one record.

        Raises:
            ColumnError: a field is no role.
            DataError: a value is no text, or too long.
        """
        return answer(self._store.resolve(record))

    def answer(self, record: Mapping[str, Any]) -> Answer:
        """Answer for one record; if it cannot be read, say so in `error`, without repeating it."""
        try:
            return self.resolve(record)
        except Exception as error:
            return Answer(error=told(error))

    def answer_all(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Answer for many records as `answer` does for each, several times as fast."""
        answers: list[Answer] = []
        for first in range(0, len(records), _MOST_AT_ONCE):
            answers += self._answer_part(records[first : first + _MOST_AT_ONCE])
        return answers

    def _answer_part(self, records: Sequence[Mapping[str, Any]]) -> list[Answer]:
        usable = [place for place, record in enumerate(records) if is_record(record)]
        if len(usable) < _FEWEST_AT_ONCE:
            return [self.answer(record) for record in records]
        try:
            resolved = self._store.resolve_all([records[place] for place in usable])
        except Exception:  # each tells its own
            return [self.answer(record) for record in records]
        known = dict(zip(usable, answers(resolved), strict=True))
        return [known.get(place) or self.answer(record) for place, record in enumerate(records)]

    def check(self) -> None:
        """Look something up, so that an index that cannot be read is noticed.

        Raises:
            C360Error: it cannot.
        """
        self._store.customer("")

    def close(self) -> None:
        """Close the index."""
        self._store.close()
