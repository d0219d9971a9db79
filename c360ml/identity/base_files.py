"""Files of an index base: written once, below a folder of their own, then only mapped into memory and read.

- `keys.u64`, `positions.u32`: block keys in order, and beside each the position of a record that has it;
- `records.jsonl`, `customers.jsonl`, `terms.jsonl` (what the model's statistics say of a value): one JSON array a
  line, in the order of its first item; `*.u64` tells where each line begins;
- `about.json`: what the arrays hold, the model, the country, the versions of the tables that it was built from, and
  the size of every file.

A base that differs little from an older one shares its files, which are never written again, and has a patch beside
them: `gone_records.u32` are the positions of rows that count no more, `added_records.*`, `added_keys.u64` and
`added_positions.u32` are those in their place. Positions of added rows follow on those of the older ones. So it is
with customers.

A record's columns lie side by side, unlike in a columnar file, for a lookup reads some hundred records that lie
anywhere: one page of memory each, and one call of a JSON parser for all. Mapped pages belong to the operating
system, which shares them between all readers and drops them when memory is short.
"""

from __future__ import annotations

import filecmp
import json
import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from c360ml.errors import ModelError
from c360ml.lakehouse import sync_folder

BASE_FORMAT = 4
_READABLE_FORMATS = (3, BASE_FORMAT)
"""Of format 3 no base has a patch."""
_POSITION_BITS = 32
ABOUT = "about.json"
KEYS, POSITIONS, RECORDS, CUSTOMERS, TERMS = "keys.u64", "positions.u32", "records", "customers", "terms"
ADDED = "added_"
"""Prefix of the names of what a patch adds."""


# ---------------------------------------------------------------------- writing
def write_rows(folder: Path, name: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Write rows that are batches of one text column, each text a line with its end; returns their number."""
    rows, end = 0, 0
    with (folder / f"{name}.jsonl").open("wb") as lines, (folder / f"{name}.u64").open("wb") as offsets:
        offsets.write(np.zeros(1, np.uint64).tobytes())
        for batch in batches:
            column = batch.column(0)
            _, ends, text = column.buffers()
            places = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.uint64)
            if len(column):
                lines.write(memoryview(text)[int(places[0]) : int(places[-1])])
            offsets.write((places[1:] - places[0] + np.uint64(end)).tobytes())
            end += int(places[-1] - places[0])
            rows += len(column)
        _to_disk(lines, offsets)
    return rows


def share_files(source: Path, folder: Path, *names: str) -> None:
    """Give a base files of another, as the same files: they are never written again."""
    for name in names:
        os.link(source / name, folder / name)


def share_rows(source: Path, folder: Path, name: str, *, patched: bool = True) -> None:
    """Give a base the rows of another, with or without what its patch says of them."""
    share_files(source, folder, *_files_of(name))
    if patched and has_patch(source, name):
        share_files(source, folder, *_files_of(f"{ADDED}{name}"), _gone(name))


def has_patch(folder: Path, name: str) -> bool:
    """Whether a base has a patch of these rows."""
    return (folder / _gone(name)).is_file()


def _files_of(name: str) -> tuple[str, str]:
    return f"{name}.jsonl", f"{name}.u64"


def _gone(name: str) -> str:
    return f"gone_{name}.u32"


def write_gone(folder: Path, name: str, positions: Sequence[int]) -> None:
    """Write the positions of rows that count no more."""
    with (folder / _gone(name)).open("wb") as file:
        file.write(np.sort(np.array(positions, np.uint32)).tobytes())
        _to_disk(file)


def share_records(source: Path, folder: Path, columns: tuple[str, ...]) -> bool:
    """Give a base, whose terms are written, the records of another if these are the same; returns whether they are.

    The stored columns of a record are what it says and what the terms tell of it.
    """
    about = json.loads((source / ABOUT).read_text("utf-8"))
    terms = f"{TERMS}.jsonl"
    same = tuple(about["columns"]) == columns and filecmp.cmp(source / terms, folder / terms, shallow=False)
    if has_patch(source, RECORDS) or not same:
        return False
    share_rows(source, folder, RECORDS)
    return True


def write_keys(folder: Path, batches: Iterable[pa.RecordBatch], *, prefix: str = "") -> int:
    """Write batches of `block_key, position`, in that order; returns the number of keys."""
    count = 0
    with (folder / f"{prefix}{KEYS}").open("wb") as keys, (folder / f"{prefix}{POSITIONS}").open("wb") as positions:
        for batch in batches:
            keys.write(batch.column(0).to_numpy().astype(np.uint64, copy=False).tobytes())
            positions.write(batch.column(1).to_numpy().astype(np.uint32, copy=False).tobytes())
            count += batch.num_rows
        _to_disk(keys, positions)
    return count


def write_statistics(path: Path, statistics: pa.Table) -> None:
    """Write the statistics of a model whose records are all in the base."""
    with path.open("wb") as file:
        parquet.write_table(statistics, file)
        _to_disk(file)


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write what a base holds, and the sizes of the files that are there by now."""
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    with (folder / ABOUT).open("w", encoding="utf-8") as file:
        json.dump({"format": BASE_FORMAT, **about, "sizes": sizes}, file, indent=1)
        _to_disk(file)
    sync_folder(folder)


def _to_disk(*files: Any) -> None:
    for file in files:
        file.flush()
        os.fsync(file.fileno())


# ---------------------------------------------------------------------- reading
class Base:
    """The base in a folder, mapped; it goes on answering when the folder is deleted, and is shared by threads.

    Args:
        folder: where `about.json` is.
        model_digest: the model it must have been built with.

    Raises:
        FileNotFoundError: there is no such folder.
        ModelError: it was built by another model or format, or files are damaged.
    """

    def __init__(self, folder: Path, model_digest: str) -> None:
        self.name = folder.name
        about = _read_about(folder, model_digest)
        self.country: str = about["country"]
        self.columns: tuple[str, ...] = tuple(about["columns"])
        self.golden_columns: tuple[str, ...] = tuple(about["golden_columns"])
        self.customer_columns: tuple[str, ...] = tuple(about["customer_columns"])
        self.records = open_rows(folder, RECORDS)
        self.customers = open_rows(folder, CUSTOMERS)
        self._terms = Rows(folder, TERMS)
        prefixes = ("", ADDED) if isinstance(self.records, PatchedRows) else ("",)
        self._keys = [_KeyTable(folder, prefix) for prefix in prefixes]

    def number_of(self, term: str) -> int | None:
        """Number that the model's statistics give to `kind|value`, e.g. `rarity:surname|lee`."""
        position = self._terms.find(term)
        return None if position is None else int(self._terms[position][1])

    def positions(self, block_keys: Sequence[int]) -> list[int]:
        """Positions of the records that have any of the keys, in order."""
        return self.positions_of_all([block_keys])[0].tolist() if block_keys else []

    def positions_of_all(self, block_keys: Sequence[Sequence[int]]) -> list[NDArray[np.int64]]:
        """Positions of the records that have any of the keys, in order, for each of many lists of keys."""
        wanted = np.array([key for keys in block_keys for key in keys], np.uint64)
        of_list = np.repeat(np.arange(len(block_keys)), [len(keys) for keys in block_keys])
        found = [each.find(wanted) for each in self._keys]
        pairs = np.unique(np.concatenate([of_list[of_key] << _POSITION_BITS | at for of_key, at in found]))
        at = pairs & ((1 << _POSITION_BITS) - 1)
        if isinstance(self.records, PatchedRows):
            stands = self.records.stand(at)
            pairs, at = pairs[stands], at[stands]
        return np.split(at, np.searchsorted(pairs >> _POSITION_BITS, np.arange(1, len(block_keys))))


class _KeyTable:
    """Block keys in order, and beside each the position of a record that has it."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._keys = np.frombuffer(_mapped(folder / f"{prefix}{KEYS}"), np.uint64)
        self._positions = np.frombuffer(_mapped(folder / f"{prefix}{POSITIONS}"), np.uint32)

    def find(self, wanted: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find each position that has one of the keys; gives the place of the key, and the position."""
        starts = np.searchsorted(self._keys, wanted, "left")
        counts = np.searchsorted(self._keys, wanted, "right") - starts
        # The place of each found key among all that were found, less that of the first one of its kind.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found = self._positions[np.repeat(starts, counts) + within].astype(np.int64)
        return np.repeat(np.arange(len(wanted)), counts), found


class Rows:
    """JSON arrays in the order of their first item, by position or by that item."""

    def __init__(self, folder: Path, name: str) -> None:
        self._lines = _mapped(folder / f"{name}.jsonl")
        self._ends: NDArray[np.uint64] = np.frombuffer(_mapped(folder / f"{name}.u64"), np.uint64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, position: int) -> list[Any]:
        return self.at([position])[0]

    def at(self, positions: Sequence[int]) -> list[list[Any]]:
        """Read the rows at positions."""
        starts = self._ends[np.array(positions, np.int64)].tolist()
        ends = self._ends[np.array(positions, np.int64) + 1].tolist()
        lines = [self._lines[start : end - 1] for start, end in zip(starts, ends, strict=True)]
        rows: list[list[Any]] = json.loads(b"[" + b",".join(lines) + b"]")
        return rows

    def lines(self, positions: NDArray[np.int64]) -> pa.Array:
        """Texts of the rows at positions."""
        starts, ends = self._ends[positions], self._ends[positions + 1] - np.uint64(1)
        text = b"".join([self._lines[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)])
        offsets = np.append(0, np.cumsum(ends - starts)).astype(np.int64)
        return pa.LargeStringArray.from_buffers(len(positions), pa.py_buffer(offsets), pa.py_buffer(text))

    def find(self, first: str) -> int | None:
        """Position of the row whose first item this is."""
        wanted = first.encode()
        position = bisect_left(range(len(self)), wanted, key=self._first)
        return position if position < len(self) and self._first(position) == wanted else None

    def standing(self) -> int:
        """Count the rows that count."""
        return len(self)

    def _first(self, position: int) -> bytes:
        """First item of a row, in UTF-8, whose order is that of the characters; the row is not read any further."""
        start = int(self._ends[position]) + 2
        item = self._lines[start : self._lines.find(b'"', start)]
        return str(self[position][0]).encode() if b"\\" in item else item


class PatchedRows:
    """Rows of an older base, of which some count no more, and those in their place, which follow on them."""

    def __init__(self, folder: Path, name: str) -> None:
        self._older, self._added = Rows(folder, name), Rows(folder, f"{ADDED}{name}")
        self._gone = np.frombuffer(_mapped(folder / _gone(name)), np.uint32).astype(np.int64)

    def __len__(self) -> int:
        return len(self._older) + len(self._added)

    def __getitem__(self, position: int) -> list[Any]:
        return self.at([position])[0]

    def standing(self) -> int:
        """Count the rows that count."""
        return len(self) - len(self._gone)

    def stand(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which positions count."""
        if not len(self._gone):
            return np.ones(len(positions), np.bool_)
        nearest = np.minimum(np.searchsorted(self._gone, positions), len(self._gone) - 1)
        return np.asarray(self._gone[nearest] != positions)

    def at(self, positions: Sequence[int]) -> list[list[Any]]:
        """Read the rows at positions."""
        first = len(self._older)
        older = iter(self._older.at([each for each in positions if each < first]))
        added = iter(self._added.at([each - first for each in positions if each >= first]))
        return [next(older if each < first else added) for each in positions]

    def lines(self, positions: NDArray[np.int64]) -> pa.Array:
        """Texts of the rows at positions."""
        is_added = positions >= len(self._older)
        order = np.argsort(np.argsort(is_added, kind="stable"), kind="stable")
        added = self._added.lines(positions[is_added] - len(self._older))
        return pa.concat_arrays([self._older.lines(positions[~is_added]), added]).take(pa.array(order))

    def find(self, first: str) -> int | None:
        """Position of the row whose first item this is."""
        added = self._added.find(first)
        if added is not None:
            return len(self._older) + added
        older = self._older.find(first)
        return None if older is None or not self.stand(np.array([older]))[0] else older


def open_rows(folder: Path, name: str) -> Rows | PatchedRows:
    """Open rows of a base, with its patch if it has one."""
    return PatchedRows(folder, name) if has_patch(folder, name) else Rows(folder, name)


def _read_about(folder: Path, model_digest: str) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
        sizes = {name: (folder / name).stat().st_size for name in about["sizes"]}
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, type(error).__name__) from error
    if about.get("format") not in _READABLE_FORMATS or about.get("model_digest") != model_digest:
        raise ModelError(
            "an online index must be built by the model and the c360ml that read it",
            got=f"format {about.get('format')}, model {about.get('model_digest')}",
            hint="run `c360ml run` again, or give the folder of the model's own project",
        )
    wrong = sorted(name for name, size in about["sizes"].items() if sizes[name] != size)
    if wrong:
        raise _damaged(folder, f"{', '.join(wrong)} of another size")
    return about


def _damaged(folder: Path, got: str) -> ModelError:
    return ModelError(f"the online index {folder.name} must be whole", got=got, hint="run `c360ml run` again")


def _mapped(file: Path) -> mmap.mmap | bytes:
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) if file.stat().st_size else b""
