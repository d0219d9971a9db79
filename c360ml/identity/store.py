"""The identity store of a project: who is this record, asked by many processes, told by one.

A record is standardized by the batch code, looked up by the model's block keys in the base that the last run wrote
and in what was upserted since, compared with each candidate on the model's levels, and weighed by its classes.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from c360ml.errors import ModelError, StoreError
from c360ml.identity.base_files import Base
from c360ml.identity.batch_resolution import BatchDecider
from c360ml.identity.online_index import finish_publication, read_model
from c360ml.identity.resolution import Decision, Known, Resolution, checked_record, checked_source, decide, resolved
from c360ml.identity.store_append import answer_table, raw_records
from c360ml.identity.store_delta import INDEX_FOLDER, Added, Delta
from c360ml.identity.store_rules import MATCH, NON_MATCH, StoreRules
from c360ml.identity.store_view import KNOWN_BY_KEY, RecordViewer, View, golden_of
from c360ml.linkage import online

if TYPE_CHECKING:
    import pyarrow as pa


class IdentityStore:
    """Resolves raw records to customers, and stores them; safe to call from several threads.

    Any number of processes may read while one writes. Each answer is of one moment: a run that replaces the index,
    or an upsert, is seen whole or not at all. A store does not outlive a fork: open it in each process.

    Args:
        folder: the project's folder, after a run.
        writable: open it to upsert; one program at a time may.
        model: linkage model as JSON; without it the project's published one.

    Raises:
        ModelError: there is no index of the model, or it is damaged.
        StoreError: another program has the store open to write.
    """

    def __init__(self, folder: str | Path, *, writable: bool = False, model: Mapping[str, Any] | None = None) -> None:
        self._folder = Path(folder).resolve()
        content = model if model is not None else read_model(self._folder, published=True)
        self._digest = online.model_digest(content)
        self._lock = threading.RLock()
        self._model: int | None = None
        self._writer: FileLock | None = None
        self._delta = Delta(self._folder)
        try:
            self._writer = _only_writer(self._folder) if writable else None
            finish_publication(self._delta, self._folder, content)
            self._base = self._open_base()
            self._viewer = RecordViewer(content, self._base.country)
            self._batches = BatchDecider(self._viewer.scorer)
            self._rules = StoreRules(self._folder, self._viewer.scorer.model.constraints)
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
    def resolve(
        self, record: Mapping[str, str | None], *, source: str | None = None, source_key: str | None = None
    ) -> Resolution:
        """Find the customer of a raw record, given as role = text; the roles are those of `standardize_records`.

        Args:
            record: role = text.
            source: name of its source: a record of a source that declares its customers distinct never resolves to a
                customer whom that source knows already.
            source_key: its key in the source: what reviewers decided of `source:source_key` is obeyed.

        Raises:
            ColumnError: a field is no role.
            DataError: a value is no text, or longer than 10,000 characters.
        """
        given = checked_record(record)
        if source_key is not None:
            source, source_key = checked_source(source, source_key)
        record_id = None if source_key is None else f"{source}:{source_key}"
        with self._lock:
            view = self._viewer.view(given)
            with self._moment():
                return self._resolution(self._decide(view, source, record_id))

    def resolve_all(self, records: Sequence[Mapping[str, str | None]]) -> list[Resolution]:
        """Find the customers of many raw records at one moment, of each as `resolve` does, several times as fast.

        Raises:
            ColumnError: a field is no role.
            DataError: a value is no text, or longer than 10,000 characters.
        """
        given = [checked_record(record) for record in records]
        with self._lock:
            views = [self._viewer.view(record) for record in given]
            with self._moment():
                decisions = self._batches.decide_all(views, self._base, self._delta, self._model)
                known: dict[str | None, Known] = {None: (None, None)}
                for decision in decisions:
                    if decision.master_id is not None and decision.master_id not in known:
                        known[decision.master_id] = self._known(decision.master_id)
                return [resolved(decision, known[decision.master_id]) for decision in decisions]

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

    def _decide(self, view: View, source: str | None = None, besides: str | None = None) -> Decision:
        """Decide among all stored records, or all but this one, as far as constraints and reviewers allow."""
        joined = self._reviewed(besides, MATCH) - self._reviewed(besides, NON_MATCH)
        if joined:
            return _known_by_key(min(joined))
        positions = self._base.positions(view.block_keys)
        added: list[list[Any]] = []
        if self._model is not None:
            hidden = self._delta.hidden(self._model, positions)
            positions = [position for position in positions if position not in hidden]
            added = self._delta.candidates(self._model, view.block_keys, besides)
        rows = [row for row in self._base.records.at(positions) if row[0] != besides] + added
        barred = self._barred(source, besides, {row[1] for row in rows})
        return decide(self._viewer.scorer, view.standardized, [row for row in rows if row[1] not in barred])

    # ------------------------------------------------------------------ rules
    def _reviewed(self, record_id: str | None, decision: str) -> set[str]:
        """Customers of the records of which reviewers said this beside a record."""
        partners = self._rules.partners(record_id)
        masters = [self._master_of(partner) for partner, said in partners.items() if said == decision]
        return {master_id for master_id in masters if master_id is not None}

    def _master_of(self, record_id: str) -> str | None:
        added = self._delta.added(self._model, record_id) if self._model is not None else None
        if added is not None:
            return added.master_id
        position = self._base.records.find(record_id)
        return None if position is None else str(self._base.records[position][1])

    def _barred(self, source: str | None, record_id: str | None, masters: set[str]) -> set[str]:
        """Which of these customers a record of a source may not be."""
        forbidden = self._rules.forbidden(source)
        barred = {master for master in masters if forbidden and forbidden & self._sources_of(master, record_id)}
        return barred | (masters & self._reviewed(record_id, NON_MATCH))

    def _sources_of(self, master_id: str, besides: str | None) -> set[str]:
        """Sources of a customer's records but one; of a record that was replaced only if its source may have others."""
        position = self._base.customers.find(master_id)
        sources: set[str] = set()
        if position is not None:
            golden = dict(zip(self._base.golden_columns, self._base.customers[position][2], strict=True))
            sources = set(golden["sources"] or ())
        gone = [besides] if besides is not None and self._master_of(besides) == master_id else []
        added = []
        if self._model is not None:
            gone += self._delta.hidden_of(self._model, master_id)
            added = [record.record_id for record in self._delta.added_of(self._model, master_id)]
        sources -= {source for source in map(_source_of, gone) if self._rules.is_duplicate_free(source)}
        return sources | {_source_of(record_id) for record_id in added if record_id != besides}

    def _resolution(self, decision: Decision, *, is_new: bool | None = None) -> Resolution:
        known = (None, None) if decision.master_id is None else self._known(decision.master_id)
        return resolved(decision, known, is_new=is_new)

    def _known(self, master_id: str) -> Known:
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
        return (golden_of(master_id, added, base.golden_columns) if added else None), None

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
        self._check_writable()
        given = {role: text for role, text in checked_record(record).items() if text is not None}
        source, source_key = checked_source(source, source_key)
        with self._lock:
            view = self._viewer.view(given)
            with self._moment(write=True):
                return self._store(given, view, source, source_key)

    def append(self, records: Iterable[Mapping[str, str | None]] | Any, *, source: str) -> pa.Table:
        """Upsert a batch of records of one source, in their order; all are on disk when this returns, or none is.

        Args:
            records: mappings, or a table, with `source_key` and roles; at most 10,000.
            source: name of the source, of a-z, 0-9 and _.

        Returns:
            `record_id, master_id, is_new, match_probability` of each record, as `upsert` answers it.

        Raises:
            ColumnError: a field is no role.
            DataError: it is no batch or too large a one, or a value, the source or a key is no usable text.
            ModelError: the project was rebuilt with another model; open the store again.
            StoreError: the store was opened to read only, or cannot be written.
        """
        self._check_writable()
        given = raw_records(records)
        for record in given:
            checked_source(source, record.source_key)
        with self._lock:
            views = [self._viewer.view(record.fields) for record in given]
            with self._moment(write=True):
                answers = [
                    self._store(record.fields, view, source, record.source_key)
                    for record, view in zip(given, views, strict=True)
                ]
        return answer_table(source, given, answers)

    def _check_writable(self) -> None:
        if self._writer is None:
            raise StoreError(
                "a store that upserts must be writable", got="one opened to read", hint="open it with writable=True"
            )

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
        kept = self._kept(before, position, stored)
        if kept is not None and self._barred(source, record_id, {str(kept.master_id)}):
            kept = None
        decision = kept or self._decide(view, source, record_id)
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
        return written - len(self._delta.hidden_of(model, master_id)) + len(self._delta.added_of(model, master_id))


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


def _source_of(record_id: str) -> str:
    return record_id.partition(":")[0]


def _only_writer(folder: Path) -> FileLock:
    lock = FileLock(folder / INDEX_FOLDER / ".writer.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            "an identity store has one writer at a time", got="another at work", hint="close it, or ask the writer"
        ) from error
    return lock
