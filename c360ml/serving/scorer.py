"""The combined scorer in the registry, and its copy in the project's folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml.identity.index_filling import GIVEN
from c360ml.identity.online_index import build_index, keep_indexes, read_model
from c360ml.lakehouse import LakehouseBeside
from c360ml.linkage.online import model_digest
from c360ml.linkage.step import MODEL_FILE
from c360ml.tracking.exports import export_champion_of
from c360ml.tracking.registry import CHAMPION, MADE_UP_PERSON, LoggedModel, register, run_f1
from c360ml.tracking.store import tracking_store

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult
    from c360ml.tracking import TrackedRun

SCORER = "c360-scorer"
PROJECT_VARIABLE = "C360ML_PROJECT"
EXPORT_FOLDER = f"models/{SCORER}"
_CODE = Path(__file__).parent / "scorer_model.py"


@contextmanager
def index_in_the_making(lake: Lakehouse) -> Iterator[Future[Path]]:
    """Build the online index in a thread of its own for the length of a `with` block, over a connection of its own.

    After an error in the block the build is stopped, and leaves the index as it was.

    Args:
        lake: the project's lakehouse; no table may be written meanwhile.
    """
    # DuckDB loads it when it is asked for Arrow. While one thread does, another may meet half of it.
    import_module("pandas")
    with ThreadPoolExecutor(1, "index") as pool, LakehouseBeside(lake, GIVEN) as beside:
        beside.say = lambda message: None
        building = pool.submit(build_index, beside)
        try:
            yield building
            building.result()
        except BaseException:
            while not building.done():
                beside.con.interrupt()
                wait([building], timeout=0.1)
            raise


def register_scorer(
    lake: Lakehouse, result: RunResult, tracked: TrackedRun, *, index: Future[Path] | None = None
) -> str:
    """Build the online index and register the scorer that answers from it; returns the version.

    The index holds personal data and stays in the project; the model holds the linkage model and the project's
    folder. If the new version is not the champion, the champion's index is rebuilt from the new data too, and the
    indexes of all other versions are deleted.

    Args:
        lake: the project's lakehouse.
        result: what the run did.
        tracked: what `log_run` returned for it.
        index: the index that is being built already, see `index_in_the_making`.
    """
    newest_index = build_index(lake) if index is None else index.result()
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
