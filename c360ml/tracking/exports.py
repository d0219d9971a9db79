"""Champions as folders: `models/NAME/`, with a manifest of hashes that is checked when a model is loaded.

A folder is whole: it can be copied anywhere and needs no MLflow database. Its hashes tell a damaged or changed file
from the one that was exported; they do not prove who exported it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from c360ml.errors import ModelError
from c360ml.tracking.drift_profile import PROFILE_FILE
from c360ml.tracking.registry import CHAMPION, PARENT_RUN, champion_version
from c360ml.tracking.store import tracking_store

EXPORTS = "models"
MANIFEST = "manifest.json"
CARD_FILE = "README.md"


def export_champion_of(folder: Path, name: str) -> Path:
    """Copy a registered model's champion to `models/NAME` of a project, whole or not at all; returns the place.

    Args:
        folder: the project's folder.
        name: registered model.

    Raises:
        ModelError: the model has no champion.
    """
    with tracking_store(folder):
        import mlflow

        client = mlflow.MlflowClient()
        champion = champion_version(client, name)
        if champion is None:
            raise ModelError(f"a champion of {name} must be registered", got="none", hint="run `c360ml run`")
        target = folder / EXPORTS / name
        if _is_exported(target, str(champion.version), str(champion.run_id)):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".exporting-") as aside:
            new = Path(aside) / "new"
            mlflow.artifacts.download_artifacts(f"models:/{name}@{CHAMPION}", dst_path=str(new))
            _add_run_artifacts(client, champion.tags.get(PARENT_RUN), name, new)
            about = {"name": name, "version": str(champion.version), "run_id": str(champion.run_id)}
            write_manifest(new, about)
            if target.exists():
                os.replace(target, Path(aside) / "old")
            os.replace(new, target)
    return target


def _is_exported(target: Path, version: str, run_id: str) -> bool:
    if not (target / MANIFEST).is_file():
        return False
    try:
        about = verify_export(target)
    except ModelError:
        return False
    return (about["version"], about["run_id"]) == (version, run_id)


def _add_run_artifacts(client: Any, run_id: str | None, name: str, place: Path) -> None:
    """Add what drift is measured on and the model's card, if the run that made it kept them."""
    if run_id is None:
        return
    for path in (PROFILE_FILE, f"cards/{name}/{CARD_FILE}"):
        listed = {file.path for file in client.list_artifacts(run_id, os.path.dirname(path) or None)}
        if path in listed:
            with tempfile.TemporaryDirectory(dir=place.parent) as got:
                shutil.copyfile(client.download_artifacts(run_id, path, got), place / Path(path).name)


def write_manifest(folder: Path, about: dict[str, Any]) -> None:
    """Write the hashes of a folder's files into its manifest."""
    content = {**about, "sha256": _hashes(folder)}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", "utf-8")


def verify_export(folder: Path) -> dict[str, Any]:
    """Check a model's folder against its manifest, and give the manifest.

    Raises:
        ModelError: there is no manifest, or a file is not what was exported.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "model.json").write_text("{}")
    ...     write_manifest(Path(folder), {"name": "c360-linkage"})
    ...     verify_export(Path(folder))["name"]
    'c360-linkage'
    """
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        expected: dict[str, str] = content["sha256"]
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise ModelError(
            f"an exported model must have a {MANIFEST}", got=type(error).__name__, hint="export it again: `c360ml run`"
        ) from None
    got = _hashes(folder)
    changed = sorted(path for path in expected.keys() | got.keys() if expected.get(path) != got.get(path))
    if changed:
        raise ModelError(
            f"files of {folder.name} must be those that were exported",
            got=f"{len(changed)} changed, missing or added: {', '.join(changed[:3])}",
            hint="export it again: delete the folder, then `c360ml run`",
        )
    return content


def verify_if_exported(artifact: str | Path) -> None:
    """Check the folder of a model that is being loaded, if that folder was exported; a registry has no manifest.

    Args:
        artifact: a file of the model, two folders below its root, as MLflow tells it.

    Raises:
        ModelError: a file is not what was exported.
    """
    root = Path(artifact).parent.parent
    if (root / MANIFEST).is_file():
        verify_export(root)


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    kept = (path for path in files if "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(kept)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
