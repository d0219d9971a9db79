"""What an identity store has been told since its base was built: one SQLite file beside the bases.

- `bases` names the current base of each linkage model: what a reader sees is this file's, whole, at one moment;
- `inbox` holds raw upserted records until a run has landed them, the newest of each record id;
- `records`, `keys` hold the same records as a model sees them, with the customer each was given;
- `hidden` names the positions in the base that these records replace.

SQLite's write-ahead log lets any number of processes read while one writes, and a commit is on disk when it
returns (`synchronous = full`). Deleted rows are overwritten, for they are personal data.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c360ml.errors import ModelError, StoreError

INDEX_FOLDER = "data/index"
DELTA_FILE = "delta.sqlite"
DELTA_FORMAT = 1
MOST_RECORDS_PER_KEY = 100
"""A key that more added records share is hot, as in `blocking`: it is not looked up, only what splits it."""
_WAIT_SECONDS = 30
_SIGN = 1 << 63

_SCHEMA = f"""
    begin immediate;
    create table if not exists bases (model integer primary key, digest text not null unique, base text not null);
    create table if not exists inbox (
        sequence integer primary key autoincrement, record_id text not null unique, source text not null,
        source_key text not null, fields text not null, master_id text not null, created_at text not null,
        updated_at text not null
    );
    create table if not exists records (
        number integer primary key, model integer not null, record_id text not null, sequence integer not null,
        master_id text not null, fields text not null, standardized text not null, stored text not null,
        answer text not null, unique (model, record_id)
    );
    create index if not exists records_of_customer on records (model, master_id);
    create table if not exists keys (
        model integer not null, block_key integer not null, number integer not null,
        primary key (model, block_key, number)
    ) without rowid;
    create index if not exists keys_of_record on keys (number);
    create table if not exists hidden (
        model integer not null, position integer not null, record_id text not null, master_id text not null,
        primary key (model, position)
    ) without rowid;
    create index if not exists hidden_of_customer on hidden (model, master_id);
    pragma user_version = {DELTA_FORMAT};
    commit;
"""


@dataclass(frozen=True)
class Added:
    """A record that was added since the base was built, as one model sees it.

    `fields` is the raw record as JSON, `standardized` its `RECORD_COLUMNS`, `stored` the scorer's columns, and
    `answer` what the writer was told.
    """

    record_id: str
    sequence: int
    master_id: str
    fields: str
    standardized: dict[str, str | None]
    stored: list[Any]
    answer: dict[str, Any]


def delta_path(folder: Path) -> Path:
    """Place of a project's delta."""
    return folder / INDEX_FOLDER / DELTA_FILE


class Delta:
    """A connection to a project's delta; not for several threads at once.

    Args:
        folder: the project's folder.
        create: make the file if there is none.

    Raises:
        ModelError: there is no file, for no index was ever built.
        StoreError: the file is damaged, or of another version.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        path = delta_path(folder)
        if not create and not path.is_file():
            raise ModelError("a model must have its online index", got=f"no file {path}", hint="run `c360ml run`")
        with _told():
            self._con = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                self._open()
            except BaseException:
                self._con.close()
                raise

    def _open(self) -> None:
        self._con.execute("pragma synchronous = full")
        self._con.execute("pragma secure_delete = on")
        version = self._con.execute("pragma user_version").fetchone()[0]
        if version == 0:
            self._con.execute("pragma journal_mode = wal")
            self._con.executescript(_SCHEMA)
        elif version != DELTA_FORMAT:
            raise StoreError(
                "an identity store must be of this version of c360ml",
                got=f"version {version}",
                hint=f"land its inbox with the c360ml that wrote it, then delete {INDEX_FOLDER}/{DELTA_FILE}*",
            )

    def close(self) -> None:
        """Close the connection."""
        self._con.close()

    @contextmanager
    def transaction(self, *, write: bool = False) -> Iterator[None]:
        """See one state for the length of a `with` block; what was written is committed, or after an error not."""
        with _told():
            self._con.execute("begin immediate" if write else "begin")
        try:
            yield
            with _told():
                self._con.execute("commit")
        except BaseException:
            if self._con.in_transaction:
                self._con.execute("rollback")
            raise

    # ------------------------------------------------------------------ bases
    def base(self, digest: str) -> tuple[int, str] | None:
        """Number of a model, and the name of its current base."""
        row = self._row("select model, base from bases where digest = ?", digest)
        return (row[0], row[1]) if row else None

    def bases(self) -> dict[str, str]:
        """Digest of each model that has a base, and the base's name."""
        return dict(self._rows("select digest, base from bases"))

    def set_base(self, digest: str, name: str) -> int:
        """Make a base the current one of its model; returns the model's number."""
        self._run(
            "insert into bases (digest, base) values (?, ?) on conflict (digest) do update set base = excluded.base",
            digest,
            name,
        )
        return int(self._row("select model from bases where digest = ?", digest)[0])

    def drop_base(self, digest: str) -> None:
        """Forget a model, and its view of the added records; the inbox stays."""
        found = self.base(digest)
        if found:
            for table in ("keys", "records", "hidden", "bases"):
                self._run(f"delete from {table} where model = ?", found[0])

    # ------------------------------------------------------------------ reading
    def candidates(self, model: int, block_keys: Sequence[int], besides: str | None) -> list[list[Any]]:
        """Added records that share a key: record_id, master_id, then the scorer's columns."""
        found = self._rows(
            """
            select (
                select group_concat(number)
                from (select number from keys where model = ?1 and block_key = wanted.value limit ?3)
            )
            from json_each(?2) as wanted
            """,
            model,
            json.dumps([_signed(key) for key in block_keys]),
            MOST_RECORDS_PER_KEY + 1,
        )
        of_keys = [numbers.split(",") for (numbers,) in found if numbers]
        numbers = sorted({int(each) for of_key in of_keys if len(of_key) <= MOST_RECORDS_PER_KEY for each in of_key})
        if not numbers:
            return []
        rows = self._rows(
            """
            select record_id, master_id, stored from records
            where number in (select value from json_each(?)) and record_id is not ? order by record_id
            """,
            json.dumps(numbers),
            besides,
        )
        return [[record_id, master_id, *json.loads(stored)] for record_id, master_id, stored in rows]

    def has_added(self, model: int) -> bool:
        """Whether any record was added since the base was built."""
        return bool(self._row("select exists (select 1 from records where model = ?)", model)[0])

    def hidden(self, model: int, positions: Sequence[int]) -> set[int]:
        """Which of these positions of the base hold a record that was replaced."""
        rows = self._rows(
            "select position from hidden where model = ? and position in (select value from json_each(?))",
            model,
            json.dumps(positions),
        )
        return {position for (position,) in rows}

    def added(self, model: int, record_id: str) -> Added | None:
        """Look up an added record."""
        found = self._added("model = ? and record_id = ?", model, record_id)
        return found[0] if found else None

    def added_of(self, model: int, master_id: str) -> list[Added]:
        """List the added records of a customer, oldest first."""
        return self._added("model = ? and master_id = ? order by sequence", model, master_id)

    def record_ids(self, model: int) -> list[tuple[str, int]]:
        """List the id and sequence of every added record."""
        return self._rows("select record_id, sequence from records where model = ? order by sequence", model)

    def hidden_of(self, model: int, master_id: str) -> list[str]:
        """List the records of a customer in the base that were replaced."""
        rows = self._rows("select record_id from hidden where model = ? and master_id = ?", model, master_id)
        return [record_id for (record_id,) in rows]

    def _added(self, condition: str, *values: Any) -> list[Added]:
        rows = self._rows(
            "select record_id, sequence, master_id, fields, standardized, stored, answer from records "
            f"where {condition}",
            *values,
        )
        return [Added(*row[:4], *map(json.loads, row[4:])) for row in rows]

    # ------------------------------------------------------------------ writing
    def put(self, model: int, record: Added, block_keys: Sequence[int]) -> None:
        """Add a record, in the place of an older one of its id."""
        self.remove(model, record.record_id)
        number = self._con.execute(
            "insert into records (model, record_id, sequence, master_id, fields, standardized, stored, answer) "
            "values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                model,
                *(record.record_id, record.sequence, record.master_id, record.fields),
                *map(json.dumps, (record.standardized, record.stored, record.answer)),
            ),
        ).lastrowid
        self._con.executemany(
            "insert into keys values (?, ?, ?)", [(model, _signed(key), number) for key in block_keys]
        )

    def remove(self, model: int, record_id: str) -> None:
        """Remove an added record as a model sees it."""
        self._run(
            "delete from keys where number = (select number from records where model = ? and record_id = ?)",
            model,
            record_id,
        )
        self._run("delete from records where model = ? and record_id = ?", model, record_id)

    def hide(self, model: int, position: int, record_id: str, master_id: str) -> None:
        """Replace the record at a position of the base."""
        self._run("insert or ignore into hidden values (?, ?, ?, ?)", model, position, record_id, master_id)

    def show_all(self, model: int) -> None:
        """Hide nothing any more."""
        self._run("delete from hidden where model = ?", model)

    # ------------------------------------------------------------------ inbox
    def receive(self, record_id: str, source: str, source_key: str, fields: str, master_id: str, now: str) -> int:
        """Put a raw record into the inbox, in the place of an older one of its id; returns its sequence."""
        older = self._row("select created_at from inbox where record_id = ?", record_id)
        sequence = self._con.execute(
            "insert or replace into inbox "
            "(record_id, source, source_key, fields, master_id, created_at, updated_at) values (?, ?, ?, ?, ?, ?, ?)",
            (record_id, source, source_key, fields, master_id, older[0] if older else now, now),
        ).lastrowid
        return int(sequence or 0)

    def inbox(self, *, after: int = 0) -> list[dict[str, Any]]:
        """List the inbox, oldest first."""
        columns = "sequence, record_id, source, source_key, fields, master_id, created_at, updated_at"
        rows = self._rows(f"select {columns} from inbox where sequence > ? order by sequence", after)
        names = columns.split(", ")
        return [{**dict(zip(names, row, strict=True)), "fields": json.loads(row[4])} for row in rows]

    def clear_inbox(self, up_to: int) -> int:
        """Delete what the inbox holds up to a sequence; returns how many records."""
        return self._con.execute("delete from inbox where sequence <= ?", (up_to,)).rowcount

    def forget(self, record_ids: Sequence[str]) -> int:
        """Delete records from the inbox and every model's view; returns how many the inbox held."""
        held = 0
        for record_id in record_ids:
            held += self._con.execute("delete from inbox where record_id = ?", (record_id,)).rowcount
            for (model,) in self._rows("select model from bases"):
                self.remove(model, record_id)
        return held

    def shrink_log(self) -> None:
        """Empty the write-ahead log, which may still quote deleted rows."""
        with _told():
            self._con.execute("pragma wal_checkpoint(truncate)").fetchall()

    # ------------------------------------------------------------------ statements
    def _rows(self, query: str, *values: Any) -> list[Any]:
        with _told():
            return self._con.execute(query, values).fetchall()

    def _row(self, query: str, *values: Any) -> Any:
        rows = self._rows(query, *values)
        return rows[0] if rows else None

    def _run(self, statement: str, *values: Any) -> None:
        with _told():
            self._con.execute(statement, values)


def _signed(key: int) -> int:
    """Fit an unsigned 64-bit number into SQLite's signed integer.

    >>> _signed(2**64 - 1)
    -1
    """
    return key - 2 * _SIGN if key >= _SIGN else key


@contextmanager
def _told() -> Iterator[None]:
    """Turn SQLite's errors into ours, without the values they may quote."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(
            "an identity store must be readable and, to write, free within 30 seconds",
            got=f"{type(error).__name__} {getattr(error, 'sqlite_errorname', '')}".strip(),
            hint="check the folder's rights and space, and that no program holds the store",
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{DELTA_FILE} must be a whole SQLite file",
            got=f"{type(error).__name__} {getattr(error, 'sqlite_errorname', '')}".strip(),
            hint="restore it from a backup: it holds upserted records that no run has landed yet",
        ) from error
