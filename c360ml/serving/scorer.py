"""The combined scorer in the registry, and its copy in the project's folder."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml.identity.online_index import build_index, keep_indexes, read_model
from c360ml.linkage.online import model_digest
from c360ml.linkage.step import MODEL_FILE
from c360ml.tracking.exports import export_champion_of
from c360ml.tracking.registry import CHAMPION, LoggedModel, register, run_f1
from c360ml.tracking.run_log import MADE_UP_PERSON
from c360ml.tracking.store import tracking_store

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult
    from c360ml.tracking import TrackedRun

SCORER = "c360-scorer"
PROJECT_VARIABLE = "C360ML_PROJECT"
EXPORT_FOLDER = f"models/{SCORER}"
_CODE = Path(__file__).parent / "scorer_model.py"


def register_scorer(lake: Lakehouse, result: RunResult, tracked: TrackedRun) -> str:
    """Build the online index and register the scorer that answers from it; returns the version.

    The index holds personal data and stays in the project; the model holds the linkage model and the project's
    folder. If the new version is not the champion, the champion's index is rebuilt from the new data too, and the
    indexes of all other versions are deleted.

    Args:
        lake: the project's lakehouse.
        result: what the run did.
        tracked: what `log_run` returned for it.
    """
    newest_index = build_index(lake)
    scorer = LoggedModel(
        SCORER,
        _CODE,
        {"linkage": lake.folder / MODEL_FILE},
        [MADE_UP_PERSON],
        {"project": str(lake.folder)},
    )
    with tracking_store(lake.folder):
        import mlflow

        with mlflow.start_run(run_id=tracked.run_id) as run:
            with mlflow.start_run(experiment_id=run.info.experiment_id, run_name="scorer", nested=True):
                version = register(scorer, run_f1(result.evaluation))
        champion = _champion_model()
    newest = read_model(lake.folder)
    if model_digest(champion) != model_digest(newest):
        build_index(lake, model=champion, beside=newest_index)
    lake.at_publication(lambda: keep_indexes(lake.folder, (newest, champion)))
    return version


def _champion_model() -> dict[str, Any]:
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(
            f"models:/{SCORER}@{CHAMPION}/artifacts/{Path(MODEL_FILE).name}", dst_path=folder
        )
        content: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    return content


def export_champion(lake: Lakehouse) -> Path:
    """Copy the champion scorer to `models/c360-scorer` of the project, from where it is served without a database.

    Raises:
        ModelError: no scorer was registered.
    """
    return export_champion_of(lake.folder, SCORER)
