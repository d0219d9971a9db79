"""Which files were landed: their size, time of change and digest tell which of them are new or changed."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import cached_property

from c360ml import tables
from c360ml.config import Config, Source
from c360ml.errors import ConfigError
from c360ml.lakehouse import Lakehouse
from c360ml.sources.files import Extract, find_extracts, with_inbox

# A file may change within one tick of its file system's clock and keep its size; ticks are 2 s at most (FAT).
_TICK_NS = 2_000_000_000


@dataclass(frozen=True)
class Landed:
    """What is noted of a landed file."""

    bytes: int
    modified_ns: int | None
    content_hash: str
    rows: int


@dataclass
class LandedFile:
    """A file of a source as it is now, and what was noted of it; `rows` is known once it is read."""

    source: Source
    extract: Extract
    bytes: int
    modified_ns: int | None
    rows: int = 0
    noted: Landed | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Name of the source and name below the project folder."""
        return self.source.name, self.extract.name

    @cached_property
    def content_hash(self) -> str:
        """BLAKE2b of the file, which is read through unless it is untouched since it was noted."""
        if self.noted is not None and self._untouched(self.noted):
            return self.noted.content_hash
        with self.extract.path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()

    @property
    def fresh(self) -> bool:
        """Whether the file is new, or another than was landed."""
        return self.noted is None or self.content_hash != self.noted.content_hash

    def _untouched(self, noted: Landed) -> bool:
        return self.modified_ns is not None and (self.bytes, self.modified_ns) == (noted.bytes, noted.modified_ns)


def find_files(lake: Lakehouse, config: Config) -> list[LandedFile]:
    """List the files of all sources, in the order of sources and of names.

    Raises:
        ConfigError: the project names no source.
        SourceError: a source has no file, or one that is no table.
    """
    if not config.sources:
        raise ConfigError(
            "a project must have at least one source", got="no [[sources]]", hint="add one to c360ml.toml"
        )
    sources = with_inbox(lake.folder, config).sources
    return [_look(source, extract) for source in sources for extract in find_extracts(lake.folder, source)]


def _look(source: Source, extract: Extract) -> LandedFile:
    state = extract.path.stat()
    long_ago = state.st_mtime_ns < time.time_ns() - _TICK_NS
    return LandedFile(source, extract, state.st_size, state.st_mtime_ns if long_ago else None)


def landed_files(lake: Lakehouse) -> dict[tuple[str, str], Landed]:
    """Read what is noted of the landed files, by source and name."""
    rows = lake.rows(
        f"select source, file, bytes, modified_ns, content_hash, rows from {lake.open(tables.LANDED_FILES)}"
    )
    return {(source, file): Landed(*noted) for source, file, *noted in rows}


def note_files(lake: Lakehouse, files: list[LandedFile]) -> None:
    """Write `bronze.landed_files`."""
    columns = {
        "source": ([file.source.name for file in files], "varchar"),
        "file": ([file.extract.name for file in files], "varchar"),
        "bytes": ([file.bytes for file in files], "bigint"),
        "modified_ns": ([file.modified_ns for file in files], "bigint"),
        "content_hash": ([file.content_hash for file in files], "varchar"),
        "rows": ([file.rows for file in files], "bigint"),
    }
    unnested = ", ".join(f"unnest(${name}::{kind}[]) as {name}" for name, (_, kind) in columns.items())
    lake.write(tables.LANDED_FILES, f"select {unnested}", {name: values for name, (values, _) in columns.items()})
