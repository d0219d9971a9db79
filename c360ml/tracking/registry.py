"""Models into the registry: from code and JSON, no pickle, and which version is the champion."""

from __future__ import annotations

import hashlib
import json
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

CHAMPION = "champion"
CHALLENGER = "challenger"
PARENT_RUN = "c360ml.run"
"""Tag of a version: the MLflow run of the pipeline run that made it."""
DECISION = "alias_decision"
"""Tag of a version: why it bears its alias."""
MADE_UP_PERSON = {
    "given_name": "Ada",
    "surname": "Lovelace",
    "email": "ada.lovelace@analytical-engine.org",
    "phone": "(415) 555-2671",
    "date_of_birth": "1815-12-10",
    "address": "12 Saint James Square",
    "city": "Springfield",
    "state": "IL",
    "postcode": "62701",
}
"""A record to show what a model takes: of nobody."""
_MEASURE = "pairwise_f1"
_DIGEST = "c360ml.digest"
_WHY = {CHAMPION: "there was none", CHALLENGER: "`c360ml promote` decides"}


@dataclass(frozen=True)
class LoggedModel:
    """A model to log: its code file, JSON artifacts, a made-up input, and settings it reads at load."""

    name: str
    code: Path
    artifacts: dict[str, Path]
    input_example: Any
    model_config: dict[str, Any] | None = None

    def digest(self) -> str:
        """Digest of all that decides its answers: code, artifacts, settings and the package's version."""
        files = [self.code, *(self.artifacts[name] for name in sorted(self.artifacts))]
        parts = [path.read_bytes() for path in files]
        told = json.dumps([self.model_config, requirements()], sort_keys=True).encode()
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in (*parts, told))).hexdigest()


def requirements() -> list[str]:
    """What a model needs to run: the package it was made with, and MLflow.

    The model's code is c360ml itself, named as a requirement and not copied into each model: of several copies in
    one process the first one imported wins, and a challenger would silently run the champion's code.
    """
    return [f"{name}=={version(name)}" for name in ("c360ml", "mlflow")]


def register(model: LoggedModel, measured_f1: float | None) -> str:
    """Log a model to the active run and register it, unless the same is there already; returns the version.

    The first version of a model is its champion. A later one is the challenger, whatever it measures: `promote`
    decides. A model that is to the last byte the champion or the challenger is no new version.

    Args:
        model: what to log.
        measured_f1: pairwise F1 of the run against labels; None without labels.
    """
    import mlflow

    client, digest = mlflow.MlflowClient(), model.digest()
    held = {alias: version_by_alias(client, model.name, alias) for alias in (CHAMPION, CHALLENGER)}
    for known in held.values():
        if known is not None and known.tags.get(_DIGEST) == digest:
            return str(known.version)
    with redirect_stderr(StringIO()):  # where MLflow tells of each version
        logged = mlflow.pyfunc.log_model(
            name=model.name,
            python_model=str(model.code),
            artifacts={name: str(path) for name, path in model.artifacts.items()},
            model_config=model.model_config,
            pip_requirements=requirements(),
            input_example=model.input_example,
            registered_model_name=model.name,
            model_type=model.name,
        )
    new = str(logged.registered_model_version)
    alias = CHAMPION if held[CHAMPION] is None else CHALLENGER
    tags = {_DIGEST: digest, DECISION: f"{alias}: {_WHY[alias]}", PARENT_RUN: _parent_run()}
    if measured_f1 is not None:
        tags[_MEASURE] = repr(measured_f1)
    for name, value in tags.items():
        client.set_model_version_tag(model.name, new, name, value)
    client.set_registered_model_alias(model.name, alias, new)
    return new


def _parent_run() -> str:
    import mlflow

    run: Any = mlflow.active_run()
    return str(run.data.tags.get("mlflow.parentRunId", run.info.run_id))


def champion_version(client: Any, name: str) -> Any | None:
    """Look up the champion of a registered model; None if it has none."""
    return version_by_alias(client, name, CHAMPION)


def version_by_alias(client: Any, name: str, alias: str) -> Any | None:
    """Look up the version of a registered model that bears an alias; None if none does."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException:
        return None


def run_f1(evaluation: dict[str, Any]) -> float | None:
    """Take the pairwise F1 of a run: against true ids, else over labelled pairs; None without labels.

    >>> run_f1({"labelled_f1": 0.9})
    0.9
    """
    found = evaluation.get("pairwise_f1", evaluation.get("labelled_f1"))
    return None if found is None else float(found)
