"""What constraints and reviewers say of a record that comes alone, before the model is asked.

The rules on sources are those that the model was trained with; reviewers' decisions are read from the project, newly
when their file changes. `most_values_per_person` and `most_people_per` are left to the next run.
"""

from __future__ import annotations

from pathlib import Path

from c360ml.config import CONFIG_FILE, Config
from c360ml.lakehouse import connect
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.decisions import read_decisions

MATCH, NON_MATCH = "match", "non-match"


class StoreRules:
    """Tells what sources and decided pairs allow.

    Args:
        folder: the project's folder.
        constraints: those of the model.

    >>> import tempfile
    >>> rules = StoreRules(Path(tempfile.mkdtemp()), Constraints(duplicate_free_sources=("crm",)))
    >>> rules.forbidden("crm"), rules.is_duplicate_free("web"), rules.partners("crm:1")
    (frozenset({'crm'}), False, {})
    """

    def __init__(self, folder: Path, constraints: Constraints) -> None:
        file = folder / CONFIG_FILE
        self._file = folder / (Config.load(file) if file.is_file() else Config()).linkage.reviewed_pairs
        self._read_at: tuple[int, int] | None = None
        self._decided: dict[str, dict[str, str]] = {}
        self._alone = frozenset(constraints.duplicate_free_sources)
        self._never: dict[str, frozenset[str]] = {}
        for one, other in constraints.never:
            for source, barred in ((one, other), (other, one)):
                self._never[source] = self._never.get(source, frozenset()) | {barred}

    def forbidden(self, source: str | None) -> frozenset[str]:
        """Sources that a record of this one never shares a customer with."""
        return self._never.get(source or "", frozenset())

    def is_duplicate_free(self, source: str) -> bool:
        """Whether a customer has at most one record of a source."""
        return source in self._alone

    def partners(self, record_id: str | None) -> dict[str, str]:
        """Records that reviewers compared with this one, and what they said: `match` or `non-match`."""
        if record_id is None:
            return {}
        self._read()
        return self._decided.get(record_id, {})

    def _read(self) -> None:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            self._read_at, self._decided = None, {}
            return
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp == self._read_at:
            return
        with connect(threads=1) as con:
            pairs = read_decisions(con, self._file).fetchall()
        decided: dict[str, dict[str, str]] = {}
        for left, right, decision in pairs:
            if decision in (MATCH, NON_MATCH):
                decided.setdefault(left, {})[right] = decision
                decided.setdefault(right, {})[left] = decision
        self._read_at, self._decided = stamp, decided
