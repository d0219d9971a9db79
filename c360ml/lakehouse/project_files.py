"""A project's JSON files, and the one of them that publishes all tables of a run at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from c360ml.errors import ModelError, ProjectError

PUBLISHED_FILE = "data/published.json"
"""What the last finished run left: `run_id, digest, versions` by table, `models` by file name, `index` by model."""

_UNUSABLE = "*?[]%\\"


def usable(folder: Path) -> Path:
    """Refuse folders that delta-rs takes for URLs with escapes, or DuckDB for patterns."""
    found = sorted(set(_UNUSABLE) & set(str(folder)))
    if found:
        raise ProjectError(
            "a project's path must be without " + " ".join(_UNUSABLE), got=f"{folder}", hint="rename that folder"
        )
    return folder


def sync_folder(folder: Path) -> None:
    """Have the names of a folder's files survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class ProjectFiles:
    """JSON files below a project's folder, each written whole or not at all.

    Args:
        folder: the project's folder.
        published: read models as the last finished run published them.
    """

    def __init__(self, folder: str | Path, *, published: bool = False) -> None:
        self.folder = usable(Path(folder).resolve())
        self._pinned = self.publication() if published else None
        self._at_publication: list[Callable[[], object]] | None = None

    # ------------------------------------------------------------------ publication
    def publication(self) -> dict[str, Any] | None:
        """Read what the last finished run published; None if none did."""
        return self._read_file(PUBLISHED_FILE)

    def at_publication(self, work: Callable[[], object]) -> bool:
        """Do what must not be seen before the tables are: at once, or in a run put off until it publishes: true."""
        if self._at_publication is None:
            work()
            return False
        self._at_publication.append(work)
        return True

    @contextmanager
    def unpublished(self) -> Iterator[None]:
        """Put off what is said `at_publication` to `publish`; after an error it is not done at all."""
        self._at_publication = []
        try:
            yield
        finally:
            self._at_publication = None

    def publish(self, content: Mapping[str, Any]) -> None:
        """Publish by replacing one file, then do what was put off; nothing is written if it is published already."""
        if self.publication() != content:
            self.write_json(PUBLISHED_FILE, content)
            sync_folder((self.folder / PUBLISHED_FILE).parent)
        put_off, self._at_publication = self._at_publication or [], None
        for work in put_off:
            work()

    # ------------------------------------------------------------------ JSON files
    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file below the project folder, whole or not at all."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        return path

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read a JSON file below the project folder, a model as it was published if so opened; None if there is none.

        Raises:
            ModelError: the file is not valid JSON.
        """
        if self._pinned is not None and name in self._pinned["models"]:
            model: dict[str, Any] = self._pinned["models"][name]
            return model
        return self._read_file(name)

    def _read_file(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise ModelError(f"{name} must be JSON", got=str(error), hint="delete it and run again") from error
        return content
