"""Find the files of a source and tell from their first bytes how they are to be read."""

from __future__ import annotations

import codecs
import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from c360ml.config import INBOX_FOLDER, Config, Source
from c360ml.errors import SourceError

Layout = Literal["csv", "lines", "documents", "parquet"]
"""lines: a JSON object a line; documents: whole JSON, i.e. pages, arrays, pretty-printed objects."""

HEAD_BYTES = 1 << 16
_MUST_BE = "must be a table: CSV with a header, JSON, NDJSON or Parquet, in UTF-8"
# First bytes of files that are often mistaken for tables, and how to get a table out of them.
_FOREIGN = (
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8, e.g. iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8, e.g. iconv -f UTF-16 -t UTF-8"),
    (b"PK\x03\x04", "a ZIP archive or Excel workbook", "unpack it, or save the sheet as CSV UTF-8"),
    (b"\x1f\x8b", "a gzip archive", "unpack it with gunzip"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it with unzstd"),
    (b"%PDF", "a PDF", "export the data as CSV or JSON"),
)
# A page of Salesforce's REST API ({"records": [...]}) or of Dataverse's OData API ({"value": [...]}).
_PAGE = re.compile(r'"(records|value)"\s*:\s*\[')


@dataclass(frozen=True)
class Extract:
    """One input file: where it is, how messages call it, how it is laid out."""

    path: Path
    name: str
    layout: Layout
    head: str


class Shape(Protocol):
    """What files must share to be read with one call."""

    def numbered_sql(self, paths: list[Path]) -> str:
        """Write a query for each row's unit, number and JSON text: columns `unit, n, raw`."""


@dataclass(frozen=True)
class Reading:
    """A file that was read through once: how to read it again, and how far its numbers go.

    `path` may be a mended copy, `name` is always the file's own. A unit is what rows are counted in:
    the file, or each of its documents.
    """

    path: Path
    name: str
    shape: Shape
    rows: int
    numbers_by_unit: tuple[int, ...]


def with_inbox(folder: Path, config: Config) -> Config:
    """Add the sources of upserted records that the config does not name with the kind `customers`."""
    named = {source.name for source in config.sources if source.kind == "customers"}
    upserted = {path.name.rpartition("-")[0] for path in (folder / INBOX_FOLDER).glob("*.jsonl")}
    more = tuple(
        Source(name=name, kind="customers", files=f"{INBOX_FOLDER}/{name}-*.jsonl") for name in sorted(upserted - named)
    )
    return config.model_copy(update={"sources": (*config.sources, *more)}) if more else config


def find_extracts(folder: Path, source: Source) -> list[Extract]:
    """List a source's files in the order of their names, then what was upserted for it.

    Raises:
        SourceError: no file matches, or one is no table.
    """
    pattern = os.path.join(glob.escape(str(folder)), source.files)
    paths = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    if source.kind == "customers":
        inbox = (folder / INBOX_FOLDER).glob(f"{source.name}-*.jsonl")
        paths += sorted(str(path) for path in inbox if str(path) not in paths)
    if not paths:
        raise SourceError(
            f"source {source.name} must have at least one file",
            got=f"nothing matches {source.files} below {folder}",
            hint="put the extract there, or mend `files` in c360ml.toml",
        )
    return [look(Path(path), Path(os.path.relpath(path, folder)).as_posix()) for path in paths]


def look(path: Path, name: str) -> Extract:
    """Tell from the first bytes of a file how it is to be read.

    >>> import tempfile; from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "events.ndjson"
    >>> _ = path.write_text('{"event": "open"}')
    >>> look(path, path.name).layout
    'lines'

    Raises:
        SourceError: the file is missing, empty, binary, or not in UTF-8.
    """
    try:
        with path.open("rb") as file:
            start = file.read(HEAD_BYTES)
    except OSError as error:
        raise SourceError(
            f"{name} must be a file that can be read", got=str(error.strerror), hint="check its path"
        ) from error
    if start.startswith(b"PAR1"):
        return Extract(path, name, "parquet", "")
    _refuse_foreign(start, name)
    head = _decode(start, name)
    return Extract(path, name, _layout(head, name), head)


def _refuse_foreign(start: bytes, name: str) -> None:
    if not start.removeprefix(codecs.BOM_UTF8).strip():
        raise SourceError(
            f"{name} {_MUST_BE}",
            got=f"an empty file ({len(start)} bytes)",
            hint="export it again, or take it out of `files`",
        )
    for magic, what, hint in _FOREIGN:
        if start.startswith(magic):
            raise SourceError(f"{name} {_MUST_BE}", got=what, hint=hint)
    if b"\0" in start:
        line = start[: start.index(b"\0")].count(b"\n") + 1
        raise SourceError(
            f"{name} {_MUST_BE}",
            got=f"a zero byte in line {line}: binary data, or UTF-16 text",
            hint="export it again as UTF-8 text",
        )


def _decode(start: bytes, name: str) -> str:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        return decoder.decode(start, final=len(start) < HEAD_BYTES)
    except UnicodeDecodeError as error:
        raise wrong_encoding(name, start[: error.start].count(b"\n") + 1) from None


def wrong_encoding(name: str, line: int | None) -> SourceError:
    """Say that a file is not UTF-8.

    >>> wrong_encoding("sales.csv", 3).got
    'bytes that are not UTF-8 in line 3'
    """
    where = f" in line {line}" if line else ""
    return SourceError(
        f"{name} must be UTF-8 text",
        got=f"bytes that are not UTF-8{where}",
        hint="save it as UTF-8; a Western Windows file: iconv -f WINDOWS-1252 -t UTF-8",
    )


def _layout(head: str, name: str) -> Layout:
    text = head.lstrip()
    if text.startswith("<"):
        raise SourceError(f"{name} {_MUST_BE}", got="XML or a web page", hint="export the data as CSV or JSON")
    if text.startswith("["):
        return "documents"
    if text.startswith("{"):
        first_line = text.partition("\n")[0].rstrip()
        one_a_line = first_line.endswith("}") or len(first_line) >= HEAD_BYTES // 2
        return "lines" if one_a_line and not _PAGE.search(first_line) else "documents"
    if Path(name).suffix.lower() in {".json", ".ndjson", ".jsonl"}:
        raise SourceError(f"{name} must be JSON", got="text that starts with neither { nor [", hint="export it again")
    return "csv"


def sql_path(path: Path) -> str:
    """Write a path as an SQL string that DuckDB does not take for a glob.

    >>> from pathlib import Path
    >>> sql_path(Path("/tmp/what's [new].csv"))
    "'/tmp/what''s [[]new].csv'"
    """
    return sql_text(re.sub(r"([*?\[])", r"[\1]", str(path)))


def sql_text(text: str) -> str:
    """Write a text as an SQL string.

    >>> sql_text("O'Brien")
    "'O''Brien'"
    """
    return "'" + text.replace("'", "''") + "'"


def sql_name(name: str) -> str:
    """Write a column's name as SQL.

    >>> sql_name("first name")
    '"first name"'
    """
    return '"' + name.replace('"', '""') + '"'
