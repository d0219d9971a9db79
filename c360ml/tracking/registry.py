"""Models into the registry: from code and JSON, no pickle, and which version is the champion."""

from __future__ import annotations

from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

CHAMPION = "champion"
CHALLENGER = "challenger"
_MEASURE = "pairwise_f1"


@dataclass(frozen=True)
class LoggedModel:
    """A model to log: its code file, JSON artifacts, a made-up input, and settings it reads at load."""

    name: str
    code: Path
    artifacts: dict[str, Path]
    input_example: Any
    model_config: dict[str, Any] | None = None


def requirements() -> list[str]:
    """What a model needs to run: the package it was made with, and MLflow.

    The model's code is c360ml itself, named as a requirement and not copied into each model: of several copies in
    one process the first one imported wins, and a challenger would silently run the champion's code.
    """
    return [f"{name}=={version(name)}" for name in ("c360ml", "mlflow")]


def register(model: LoggedModel, measured_f1: float | None) -> str:
    """Log a model to the active run, register it, and give it an alias; returns the version.

    Args:
        model: what to log.
        measured_f1: pairwise F1 of the run against labels; None without labels.
    """
    import mlflow

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
    client = mlflow.MlflowClient()
    champion_f1 = _champion_f1(client, model.name)
    alias, reason = choose_alias(measured_f1, champion_f1)
    if measured_f1 is not None:
        client.set_model_version_tag(model.name, new, _MEASURE, repr(measured_f1))
    client.set_model_version_tag(model.name, new, "alias_decision", f"{alias}: {reason}")
    client.set_registered_model_alias(model.name, alias, new)
    return new


def choose_alias(measured_f1: float | None, champion_f1: float | None) -> tuple[str, str]:
    """Choose the alias of a new version, and say why.

    >>> choose_alias(0.95, 0.97)
    ('challenger', 'pairwise F1 0.9500 is below the 0.9700 of the champion')
    """
    if champion_f1 is None:
        return CHAMPION, "there is no champion with a measured pairwise F1"
    if measured_f1 is None:
        return CHAMPION, "the run has no labels to compare by"
    if measured_f1 >= champion_f1:
        return CHAMPION, f"pairwise F1 {measured_f1:.4f} is not below the {champion_f1:.4f} of the champion"
    return CHALLENGER, f"pairwise F1 {measured_f1:.4f} is below the {champion_f1:.4f} of the champion"


def champion_version(client: Any, name: str) -> Any | None:
    """Look up the champion of a registered model; None if it has none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return None


def _champion_f1(client: Any, name: str) -> float | None:
    champion = champion_version(client, name)
    measured = champion.tags.get(_MEASURE) if champion is not None else None
    return None if measured is None else float(measured)


def run_f1(evaluation: dict[str, Any]) -> float | None:
    """Take the pairwise F1 of a run: against true ids, else over labelled pairs; None without labels.

    >>> run_f1({"labelled_f1": 0.9})
    0.9
    """
    found = evaluation.get("pairwise_f1", evaluation.get("labelled_f1"))
    return None if found is None else float(found)
