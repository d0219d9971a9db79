"""How a model sees records that were upserted: standardized, with its keys, and without what they replace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c360ml.identity.base_files import Base
from c360ml.identity.store_delta import Added, Delta
from c360ml.linkage import online
from c360ml.linkage.features import NAMED_FEATURES
from c360ml.standardize.one_record import RecordStandardizer

KNOWN_BY_KEY = {"is_new": False, "match_probability": 1.0, "explanation": [], "candidates": 0}
"""Answer about a record whose source key says who it is."""


@dataclass(frozen=True)
class View:
    """A record standardized, and its block keys."""

    standardized: dict[str, str | None]
    block_keys: list[int]


class RecordViewer:
    """Sees single raw records as a model does; not for several threads at once.

    Args:
        content: linkage model as JSON.
        country: ISO 3166 code assumed where a record names no country.
    """

    def __init__(self, content: Mapping[str, Any], country: str) -> None:
        self.scorer = online.OnlineScorer(content)
        self._standardizer = RecordStandardizer(country)
        self.named = tuple(at for at, column in enumerate(self.scorer.columns) if column in NAMED_FEATURES)
        """Places in a stored row of what the record itself says."""

    def close(self) -> None:
        """Close what the record is read with."""
        self._standardizer.close()

    def view(self, record: Mapping[str, str | None]) -> View:
        """Standardize a raw record and find its keys."""
        standardized = self._standardizer.standardize(record)
        return View(standardized, self.scorer.block_keys(standardized))

    def stored(self, view: View, base: Base) -> list[Any]:
        """Columns that the scorer reads of a stored record, rarity and shared contacts by the model's statistics."""
        return list(self.scorer.stored(view.standardized, base.number_of))


def bring_up_to_date(delta: Delta, content: Mapping[str, Any], folder: Path) -> None:
    """Make a base the current one of its model, with the records of the inbox beside it, in one transaction.

    Records that the model has not seen yet are read before it, for that takes long.

    Args:
        delta: the project's delta.
        content: linkage model as JSON, with which the base was built.
        folder: the base.
    """
    digest = online.model_digest(content)
    base = Base(folder, digest)
    viewer = RecordViewer(content, base.country)
    try:
        with delta.transaction():
            unseen = _unseen(delta, digest)
        views = {row["sequence"]: viewer.view(row["fields"]) for row in unseen}
        with delta.transaction(write=True):
            model = delta.set_base(digest, folder.name)
            _drop_landed(delta, model)
            for row in _unseen(delta, digest):
                view = views.get(row["sequence"]) or viewer.view(row["fields"])
                delta.put(model, _added(row, view, viewer.stored(view, base)), view.block_keys)
            _hide_replaced(delta, model, base)
    finally:
        viewer.close()


def _unseen(delta: Delta, digest: str) -> list[dict[str, Any]]:
    found = delta.base(digest)
    seen = set(delta.record_ids(found[0])) if found else set()
    return [row for row in delta.inbox() if (row["record_id"], row["sequence"]) not in seen]


def _added(row: Mapping[str, Any], view: View, stored: list[Any]) -> Added:
    return Added(
        row["record_id"],
        row["sequence"],
        row["master_id"],
        json.dumps(row["fields"], sort_keys=True),
        view.standardized,
        stored,
        KNOWN_BY_KEY,
    )


def _drop_landed(delta: Delta, model: int) -> None:
    waiting = {(row["record_id"], row["sequence"]) for row in delta.inbox()}
    for record_id, sequence in delta.record_ids(model):
        if (record_id, sequence) not in waiting:
            delta.remove(model, record_id)


def _hide_replaced(delta: Delta, model: int, base: Base) -> None:
    delta.show_all(model)
    for record_id, _ in delta.record_ids(model):
        position = base.records.find(record_id)
        if position is not None:
            delta.hide(model, position, record_id, base.records[position][1])


def golden_of(master_id: str, records: list[Added], columns: tuple[str, ...]) -> dict[str, Any]:
    """Golden record of a customer whom no run has seen: of each field the newest value."""
    golden: dict[str, Any] = dict.fromkeys(columns)
    for record in records:
        golden |= {name: value for name, value in record.standardized.items() if name in golden and value is not None}
    names = (golden.get(name) for name in ("given_name", "middle_name", "surname", "suffix"))
    full_name = " ".join(name for name in names if name) or golden.get("full_name")
    known = {
        "master_id": master_id,
        "full_name": full_name.title() if full_name else None,
        "records": len(records),
        "sources": sorted({record.record_id.partition(":")[0] for record in records}),
    }
    return golden | {name: value for name, value in known.items() if name in golden}
