"""Raw record in, who it is and what they are worth out: the one code that MLflow and `c360ml serve` answer with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c360ml.identity.store import IdentityStore
from c360ml.serving.schemas import Answer, answer
from c360ml.tracking.schemas import told


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

    def check(self) -> None:
        """Look something up, so that an index that cannot be read is noticed.

        Raises:
            C360Error: it cannot.
        """
        self._store.customer("")

    def close(self) -> None:
        """Close the index."""
        self._store.close()
