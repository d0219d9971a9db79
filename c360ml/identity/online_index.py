"""The online index: what the batch knows of every record and customer, for `IdentityStore` to look up.

A base is a folder `data/index/<digest of the linkage model>-<number>` (see `base_files`), written by SQL over the
whole of the project's tables (`index_filling`), or, where little changed since the model's current base was, over what
did (`index_patch`): both answer alike. It holds personal data, which stays in the project. It becomes the current one
in the same SQLite transaction that drops what the delta held of records that runs have landed: a reader sees the old
base with all upserts, or the new base with those that are still in the inbox.

A base that is built in a run becomes the current one when the run publishes its tables. If the run is killed between
the two, the next store that is opened does it (`finish_publication`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from c360ml.errors import ModelError, StoreError
from c360ml.identity.base_files import ABOUT
from c360ml.identity.index_filling import GIVEN, fill
from c360ml.identity.index_patch import patch
from c360ml.identity.store_delta import INDEX_FOLDER, Delta, delta_path
from c360ml.identity.store_view import bring_up_to_date
from c360ml.lakehouse import PUBLISHED_FILE, Lakehouse, sync_folder
from c360ml.linkage import online
from c360ml.linkage.step import MODEL_FILE

_BUILDING = ".building-"


def read_model(folder: Path, *, published: bool = False) -> dict[str, Any]:
    """Read a project's newest linkage model, or the one that its last finished run published.

    Raises:
        ModelError: there is none, or it is no JSON.
    """
    with Lakehouse(folder, published=published) as lake:
        model = lake.read_json(MODEL_FILE)
    if model is None:
        raise ModelError(f"a project must have {MODEL_FILE}", got=f"none in {folder}", hint="run `c360ml run`")
    return model


def build_index(lake: Lakehouse, *, model: Mapping[str, Any] | None = None, beside: Path | None = None) -> Path:
    """Build the online index of a project's customers and make it the current one of its model; returns its folder.

    In a run it becomes the current one when the run publishes; the first index of a model, which nobody reads yet, is
    that at once. Upserts that no run has landed yet (see `inbox_records`) stay visible beside it. Older bases of the
    same model are deleted; who has one open keeps it.

    Args:
        lake: the project's lakehouse, after a run.
        model: linkage model as JSON; without it the project's newest.
        beside: a base of another model that was built from the same tables just now: what is the same is shared.

    Raises:
        ModelError: there is no linkage model.
        StoreError: another index is being built in the project.
        TableError: a table was never written.
    """
    content = model if model is not None else read_model(lake.folder)
    root = lake.folder / INDEX_FOLDER
    root.mkdir(parents=True, exist_ok=True)
    digest = online.model_digest(content)
    with _one_builder(root):
        partial = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=root))
        try:
            current = _current_bases(lake.folder).get(digest)
            if current is None or not patch(lake, content, partial, root / current):
                fill(lake, content, partial, beside)
            folder = _next_place(root, digest)
            os.replace(partial, folder)
        except BaseException:
            shutil.rmtree(partial)
            raise
        sync_folder(root)
        is_first = digest not in _current_bases(lake.folder)
        if lake.at_publication(lambda: _make_current(lake.folder, content, folder)) and is_first:
            _make_current(lake.folder, content, folder)
    return folder


def is_indexed(folder: Path) -> bool:
    """Whether a model of the project has an online index."""
    return bool(_current_bases(folder))


def bases_of(folder: Path, versions: Mapping[str, int]) -> dict[str, str]:
    """Digest of each model, and the newest of its bases that was built from these versions of the tables."""
    found: dict[str, tuple[int, str]] = {}
    for place in sorted((folder / INDEX_FOLDER).glob(f"[!.]*/{ABOUT}")):
        built_from = json.loads(place.read_text("utf-8")).get("versions")
        digest, number = _parts(place.parent.name)
        if built_from == {table.path: versions.get(table.path) for table in GIVEN}:
            found[digest] = max(found.get(digest, (0, "")), (number, place.parent.name))
    return {digest: name for digest, (_, name) in sorted(found.items())}


def finish_publication(delta: Delta, folder: Path, content: Mapping[str, Any]) -> None:
    """Put a published base in place where the run that published it was killed before it did."""
    digest = online.model_digest(content)
    name = published_index(folder).get(digest)
    found = delta.base(digest)
    if name is None or found is None or _parts(name) <= _parts(found[1]):
        return
    base = folder / INDEX_FOLDER / name
    if base.is_dir():
        bring_up_to_date(delta, content, base)


def published_index(folder: Path) -> dict[str, str]:
    """Name the base of each model that was built from the published tables."""
    file = folder / PUBLISHED_FILE
    index: dict[str, str] = json.loads(file.read_text("utf-8"))["index"] if file.is_file() else {}
    return index


def keep_indexes(folder: Path, models: Iterable[Mapping[str, Any]]) -> None:
    """Delete the online indexes of all models but these; the inbox of upserts stays."""
    kept = {online.model_digest(model) for model in models}
    with _one_builder(folder / INDEX_FOLDER):
        delta = Delta(folder)
        try:
            with delta.transaction(write=True):
                for digest in set(delta.bases()) - kept:
                    delta.drop_base(digest)
        finally:
            delta.close()
        _remove_bases(folder)


def _current_bases(folder: Path) -> dict[str, str]:
    if not delta_path(folder).is_file():
        return {}
    delta = Delta(folder)
    try:
        return delta.bases()
    finally:
        delta.close()


def _parts(base: str) -> tuple[str, int]:
    digest, _, number = base.rpartition("-")
    return digest, int(number)


@contextmanager
def _one_builder(root: Path) -> Iterator[None]:
    try:
        with FileLock(root / ".building.lock", timeout=0):
            for left_over in root.glob(f"{_BUILDING}*"):
                shutil.rmtree(left_over)
            yield
    except Timeout as error:
        raise StoreError(
            "an online index is built by one program at a time", got="another at work", hint="wait for it to end"
        ) from error


def _next_place(root: Path, digest: str) -> Path:
    taken = [_parts(place.name)[1] for place in root.glob(f"{digest}-*")]
    return root / f"{digest}-{max(taken, default=0) + 1}"


def _make_current(folder: Path, content: Mapping[str, Any], base: Path) -> None:
    delta = Delta(folder, create=True)
    try:
        bring_up_to_date(delta, content, base)
    finally:
        delta.close()
    _remove_bases(folder)


def _remove_bases(folder: Path) -> None:
    """Delete the bases that are older than their model's current one, and those of models that have none.

    A newer one is left by a run that is at work, or was killed.
    """
    current = dict(map(_parts, _current_bases(folder).values()))
    for place in (folder / INDEX_FOLDER).glob("[!.]*-*/"):
        digest, number = _parts(place.name)
        if number < current.get(digest, number + 1):
            shutil.rmtree(place, ignore_errors=True)
