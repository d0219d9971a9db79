"""What a run has done: a fingerprint per step, so that a rerun does only what depends on what changed.

A step's fingerprint covers the version, its room's code, its tables' contracts, its settings, the files these name and
the fingerprints of the steps that wrote its input; the first step's covers the content of the source files. A step is
fresh if its fingerprint is the recorded one and its tables are at the recorded Delta versions; or if all that decides
it but its inputs is as recorded, and the tables that it reads are at the versions that it read: other source files may
change nothing of them. The record is written after the step's last table, so that a run killed in a step does that step
again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from c360ml import __version__
from c360ml.config import INBOX_FOLDER, Config
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline.steps import STEPS, Step
from c360ml.sources.landed_files import Landed, landed_files
from c360ml.tables import LANDED_FILES, TOMBSTONES, Table

MANIFEST_FILE = "data/manifest.json"
UPSERTED = f"{INBOX_FOLDER}/*.jsonl"


class Manifest:
    """The recorded state of a project's steps."""

    def __init__(self, lake: Lakehouse, config: Config) -> None:
        self.lake = lake
        self.config = config
        self._record: dict[str, Any] = lake.read_json(MANIFEST_FILE) or {"steps": {}}
        self._own: dict[str, str] = {}
        self._fingerprints: dict[str, str] = {}

    def fingerprint(self, step: Step) -> str:
        """Digest of everything that decides what a step writes."""
        if step.name not in self._fingerprints:
            writers = sorted({_writer_of(table).name for table in step.reads})
            inputs = [self.fingerprint(_by_name(name)) for name in writers]
            self._fingerprints[step.name] = _digest(json.dumps([self._own_digest(step), inputs]).encode())
        return self._fingerprints[step.name]

    def _own_digest(self, step: Step) -> str:
        """Digest of everything but the tables that a step reads."""
        if step.name not in self._own:
            parts = {
                "version": __version__,
                "code": _code_digest(step),
                "tables": [_contract(table) for table in (*step.reads, *step.writes)],
                "settings": {name: _plain(getattr(self.config, name)) for name in step.settings},
                "files": self._named_file_digests(step) if step.reads else self._file_digests(),
            }
            self._own[step.name] = _digest(json.dumps(parts, sort_keys=True, default=str).encode())
        return self._own[step.name]

    def _file_digests(self) -> list[list[str]]:
        landed = landed_files(self.lake) if self.lake.version(LANDED_FILES) is not None else {}
        return [
            [source.name, name, _landed_digest(path, landed.get((source.name, name)))]
            for source in self.config.sources
            for path in sorted(self.lake.folder.glob(source.files))
            if path.is_file()
            for name in [path.relative_to(self.lake.folder).as_posix()]
        ] + [
            *(["upserted", path.name, _file_digest(path)] for path in sorted(self.lake.folder.glob(UPSERTED))),
            ["tombstones", "", str(self.lake.version(TOMBSTONES))],
        ]

    def _named_file_digests(self, step: Step) -> list[list[str]]:
        """Digests of the files that a step's settings `section.name` name, of those that are there."""
        paths = {setting: self.lake.folder / attrgetter(setting)(self.config) for setting in step.files}
        return [[setting, _file_digest(path)] for setting, path in paths.items() if path.is_file()]

    def is_fresh(self, step: Step) -> bool:
        """Whether a step's tables are what it would write again."""
        entry = self._record["steps"].get(step.name)
        return (
            entry is not None
            and (entry["fingerprint"] == self.fingerprint(step) or self._reads_the_same(step, entry))
            and self._versions(step.writes) == entry["versions"]
        )

    def _reads_the_same(self, step: Step, entry: Mapping[str, Any]) -> bool:
        read = entry.get("read")
        return bool(read) and entry["own"] == self._own_digest(step) and read == self._versions(step.reads)

    def _versions(self, tables: Sequence[Table]) -> dict[str, int | None]:
        return {table.path: self.lake.version(table) for table in tables}

    def summary(self, step: Step) -> dict[str, Any]:
        """What a step said when it last ran."""
        summary: dict[str, Any] = self._record["steps"][step.name]["summary"]
        return summary

    def knows(self, step: Step) -> bool:
        """Whether a run brought the step to its end, whatever has changed since."""
        return step.name in self._record["steps"]

    def forget(self, step: Step) -> None:
        """Note that a step is about to begin anew: what it leaves if it is killed is nothing to append to."""
        if self._record["steps"].pop(step.name, None) is not None:
            self.lake.write_json(MANIFEST_FILE, self._record)

    def record(self, step: Step, summary: dict[str, Any], seconds: float) -> None:
        """Note a finished step."""
        self._record["steps"][step.name] = {
            "fingerprint": self.fingerprint(step),
            "own": self._own_digest(step),
            "read": self._versions(step.reads),
            "versions": self._versions(step.writes),
            "seconds": seconds,
            "summary": summary,
        }
        self.lake.write_json(MANIFEST_FILE, self._record)

    def digest(self, labels: Mapping[str, str]) -> str:
        """Digest of the whole flow and its labels: two runs with the same digest have the same tables and measures."""
        files = {name: _file_digest(self.lake.folder / file) for name, file in sorted(labels.items())}
        return _digest(json.dumps([[self.fingerprint(step) for step in STEPS], files]).encode())


def _by_name(name: str) -> Step:
    return next(step for step in STEPS if step.name == name)


def _writer_of(table: Table) -> Step:
    return next(step for step in STEPS if table in step.writes)


def _code_digest(step: Step) -> str:
    room = Path(inspect.getfile(step.run)).parent
    files = sorted(path for path in room.iterdir() if path.is_file())
    return _digest(b"".join(path.read_bytes() for path in files))


def _contract(table: Table) -> list[Any]:
    return [table.path, table.key, [[name, column.type] for name, column in table.columns.items()]]


def _plain(settings: Any) -> Any:
    if isinstance(settings, tuple):
        return [_plain(each) for each in settings]
    return settings.model_dump(mode="json")


def _landed_digest(path: Path, noted: Landed | None) -> str:
    """Digest of a source file, which is read through unless it is untouched since it was landed."""
    state = path.stat()
    if noted is not None and (state.st_size, state.st_mtime_ns) == (noted.bytes, noted.modified_ns):
        return noted.content_hash
    return _file_digest(path)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
