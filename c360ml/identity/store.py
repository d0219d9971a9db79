"""The identity store of a project: who is this record, asked by many processes, told by one.

A record is standardized by the batch code, looked up by the model's block keys in the base that the last run wrote
and in what was upserted since, compared with each candidate on the model's levels, and weighed by its classes.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from c360ml.errors import DataError, ModelError, StoreError
from c360ml.identity.base_files import Base
from c360ml.identity.online_index import read_model
from c360ml.identity.resolution import Decision, Resolution, checked_record, checked_text, decide
from c360ml.identity.store_delta import INDEX_FOLDER, Added, Delta
from c360ml.identity.store_view import KNOWN_BY_KEY, RecordViewer, View
from c360ml.linkage import online

_SOURCE = re.compile(r"[a-z0-9_]+")


class IdentityStore:
    """Resolves raw records to customers, and stores them; safe to call from several threads.

    Any number of processes may read while one writes. Each answer is of one moment: a run that replaces the index,
    or an upsert, is seen whole or not at all. A store does not outlive a fork: open it in each process.

    Args:
        folder: the project's folder, after a run.
        writable: open it to upsert; one program at a time may.
        model: linkage model as JSON; without it the project's newest.

    Raises:
        ModelError: there is no index of the model, or it is damaged.
        StoreError: another program has the store open to write.
    """

    def __init__(self, folder: str | Path, *, writable: bool = False, model: Mapping[str, Any] | None = None) -> None:
        self._folder = Path(folder).resolve()
        content = model if model is not None else read_model(self._folder)
        self._digest = online.model_digest(content)
        self._lock = threading.RLock()
        self._model: int | None = None
        self._writer: FileLock | None = None
        self._delta = Delta(self._folder)
        try:
            self._writer = _only_writer(self._folder) if writable else None
            self._base = self._open_base()
            self._viewer = RecordViewer(content, self._base.country)
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Close the store and let another write."""
        with self._lock:
            self._viewer.close()
            self._release()

    def __enter__(self) -> IdentityStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _release(self) -> None:
        self._delta.close()
        if self._writer is not None:
            self._writer.release()

    # ------------------------------------------------------------------ reading
    def resolve(self, record: Mapping[str, str | None]) -> Resolution:
        """Find the customer of a raw record, given as role = text; the roles are those of `standardize_records`.

        Raises:
            ColumnError: a field is no role.
            DataError: a value is no text, or longer than 10,000 characters.
        """
        given = checked_record(record)
        with self._lock:
            view = self._viewer.view(given)
            with self._moment():
                return self._resolution(self._decide(view))

    def customer(self, master_id: str) -> dict[str, Any] | None:
        """Look up value and segments of a customer; None if the last run knew none of that ID."""
        with self._lock, self._moment():
            return self._known(master_id)[1]

    @contextmanager
    def _moment(self, *, write: bool = False) -> Iterator[None]:
        """See the delta at one moment, and the base it belongs to."""
        while True:
            with self._delta.transaction(write=write):
                found = self._delta.base(self._digest)
                if found is None:
                    # The model was withdrawn: its base is still mapped, but nobody adds to it any more.
                    self._model = None
                    yield
                    return
                if found[1] == self._base.name:
                    self._model = found[0]
                    yield
                    return
            self._base = self._open_base()

    def _open_base(self) -> Base:
        missing = None
        while True:
            with self._delta.transaction():
                found = self._delta.base(self._digest)
            if found is None or found[1] == missing:
                raise ModelError(
                    "a model must have its online index",
                    got="one of another model" if found is None else f"no folder {found[1]}",
                    hint="run `c360ml run`",
                )
            try:
                return Base(self._folder / INDEX_FOLDER / found[1], self._digest)
            except FileNotFoundError:
                # A run may have put another in its place just now.
                missing = found[1]

    def _decide(self, view: View, besides: str | None = None) -> Decision:
        """Decide among all stored records, or all but one."""
        positions = self._base.positions(view.block_keys)
        added: list[list[Any]] = []
        if self._model is not None:
            hidden = self._delta.hidden(self._model, positions)
            positions = [position for position in positions if position not in hidden]
            added = self._delta.candidates(self._model, view.block_keys, besides)
        rows = [row for row in self._base.records.at(positions) if row[0] != besides]
        return decide(self._viewer.scorer, view.standardized, rows + added)

    def _resolution(self, decision: Decision, *, is_new: bool | None = None) -> Resolution:
        master_id = decision.master_id
        golden, customer = (None, None) if master_id is None else self._known(master_id)
        return Resolution(
            master_id,
            master_id is None if is_new is None else is_new,
            decision.match_probability,
            golden.get("household_id") if golden else None,
            decision.explanation,
            decision.candidates,
            golden,
            customer,
        )

    def _known(self, master_id: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Golden record and value of a customer."""
        base = self._base
        position = base.customers.find(master_id)
        if position is not None:
            _, _, golden, customer = base.customers[position]
            return (
                dict(zip(base.golden_columns, golden, strict=True)),
                dict(zip(base.customer_columns, customer, strict=True)),
            )
        added = self._delta.added_of(self._model, master_id) if self._model is not None else []
        return (_golden(master_id, added, base.golden_columns) if added else None), None

    # ------------------------------------------------------------------ writing
    def upsert(self, record: Mapping[str, str | None], *, source: str, source_key: str) -> Resolution:
        """Resolve a raw record and store it with its customer, a new one if need be; on disk when this returns.

        A record of the same source and key is replaced. It stays with its customer if no other record is left there
        or if nothing changed that the model looks at; else it goes where it resolves to. The same content again
        changes nothing and is answered as before. The next run lands the record in the lakehouse.

        Args:
            record: role = text.
            source: name of the source, of a-z, 0-9 and _.
            source_key: the record's key in the source.

        Raises:
            ColumnError: a field is no role.
            DataError: a value, the source or the key is no usable text.
            ModelError: the project was rebuilt with another model; open the store again.
            StoreError: the store was opened to read only, or cannot be written.
        """
        if self._writer is None:
            raise StoreError(
                "a store that upserts must be writable", got="one opened to read", hint="open it with writable=True"
            )
        given = {role: text for role, text in checked_record(record).items() if text is not None}
        source, source_key = _checked_source(source, source_key)
        with self._lock:
            view = self._viewer.view(given)
            with self._moment(write=True):
                return self._store(given, view, source, source_key)

    def _store(self, given: dict[str, str], view: View, source: str, source_key: str) -> Resolution:
        if self._model is None:
            raise ModelError(
                "a store must be of a model that the project keeps", got="one withdrawn", hint="open the store again"
            )
        record_id = f"{source}:{source_key}"
        fields = json.dumps(given, sort_keys=True)
        before = self._delta.added(self._model, record_id)
        if before is not None and before.fields == fields:
            return self._again(before)
        stored = self._viewer.stored(view, self._base)
        position = self._base.records.find(record_id)
        decision = self._kept(before, position, stored) or self._decide(view, besides=record_id)
        decision = self._alone(before, position, decision)
        is_new = decision.master_id is None
        master_id = decision.master_id or new_master_id()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        sequence = self._delta.receive(record_id, source, source_key, fields, master_id, now)
        if position is not None:
            self._delta.hide(self._model, position, record_id, self._base.records[position][1])
        answer = {
            "is_new": is_new,
            "match_probability": decision.match_probability,
            "explanation": decision.explanation,
            "candidates": decision.candidates,
        }
        added = Added(record_id, sequence, master_id, fields, view.standardized, stored, answer)
        self._delta.put(self._model, added, view.block_keys)
        return self._again(added)

    def _again(self, added: Added) -> Resolution:
        answer = added.answer
        decision = Decision(
            added.master_id, answer["match_probability"], tuple(answer["explanation"]), answer["candidates"]
        )
        return self._resolution(decision, is_new=answer["is_new"])

    def _kept(self, before: Added | None, position: int | None, stored: list[Any]) -> Decision | None:
        """Leave a record with its customer if the model sees no change."""
        if before is not None:
            master_id, older = before.master_id, before.stored
        elif position is not None:
            _, master_id, *older = self._base.records[position]
        else:
            return None
        named = self._viewer.named
        return _known_by_key(master_id) if [older[at] for at in named] == [stored[at] for at in named] else None

    def _alone(self, before: Added | None, position: int | None, decision: Decision) -> Decision:
        """Leave a record that matches nobody with its customer if no other record is left there."""
        if decision.master_id is not None or (before is None and position is None):
            return decision
        master_id = before.master_id if before is not None else self._base.records[position or 0][1]
        return _known_by_key(master_id) if self._records_of(master_id) <= 1 else decision

    def _records_of(self, master_id: str) -> int:
        position = self._base.customers.find(master_id)
        written = 0 if position is None else int(self._base.customers[position][1])
        model = self._model or 0
        return written - self._delta.hidden_of(model, master_id) + len(self._delta.added_of(model, master_id))


def new_master_id() -> str:
    """Mint a UUID version 7 (RFC 9562): 48 bits of the clock in milliseconds, 74 random bits.

    The batch makes its IDs from the data, so that the same records give the same IDs; an upsert is minted once, and
    is written down before anybody hears of it.

    >>> new_master_id()[14]
    '7'
    """
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _known_by_key(master_id: str) -> Decision:
    return Decision(master_id, float(str(KNOWN_BY_KEY["match_probability"])))


def _golden(master_id: str, records: list[Added], columns: tuple[str, ...]) -> dict[str, Any]:
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


def _checked_source(source: str, source_key: str) -> tuple[str, str]:
    texts = checked_text("source", source), checked_text("source_key", source_key)
    if texts[0] is None or texts[1] is None or not _SOURCE.fullmatch(texts[0]):
        raise DataError(
            "an upserted record must have a source of a-z, 0-9 and _, and a source_key",
            got="none" if None in texts else "other characters in the source",
            hint='e.g. source="web", source_key="42"',
        )
    return texts[0], texts[1]


def _only_writer(folder: Path) -> FileLock:
    lock = FileLock(folder / INDEX_FOLDER / ".writer.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            "an identity store has one writer at a time", got="another at work", hint="close it, or ask the writer"
        ) from error
    return lock
