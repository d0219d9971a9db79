"""Where runs live: the user's own MLflow, or `mlruns/mlflow.db` of the project."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

from c360ml.errors import ProjectError

MLFLOW_FOLDER = "mlruns"


def embedded_uri(folder: Path) -> str:
    """Name a project's own store.

    >>> embedded_uri(Path("/srv/crm"))
    'sqlite:////srv/crm/mlruns/mlflow.db'
    """
    return f"sqlite:///{folder.resolve() / MLFLOW_FOLDER / 'mlflow.db'}"


@contextmanager
def tracking_store(folder: Path) -> Iterator[str]:
    """Point MLflow at the user's store if one is set, else at the project's own; gives its URI.

    A URI set by `mlflow.set_tracking_uri` or `MLFLOW_TRACKING_URI` is left as it is. The project's own is set
    for the length of the `with` block only, so that another project in the same process gets its own.

    Raises:
        ProjectError: the store cannot be reached.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    try:
        yield from _pointed_at(folder)
    except mlflow.exceptions.MlflowException as error:
        raise ProjectError(
            "MLflow must take what a run logs",
            got=f"{type(error).__name__} {error.error_code}",
            hint="check MLFLOW_TRACKING_URI, or unset it to use the project's own store",
        ) from error


def _pointed_at(folder: Path) -> Iterator[str]:
    import mlflow

    if mlflow.is_tracking_uri_set():  # type: ignore[no-untyped-call]  # MLflow has no hints here
        yield mlflow.get_tracking_uri()
        return
    ensure_database(folder / MLFLOW_FOLDER / "mlflow.db")
    mlflow.set_tracking_uri(embedded_uri(folder))
    try:
        yield mlflow.get_tracking_uri()
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None forgets it, and the variable it set


def ensure_database(database: Path) -> None:
    """Make an MLflow database, unless it is there.

    MLflow migrates a new file without a lock, so that two first users of one file crash each other. The schema
    is built aside and published by a link, which is atomic: the slower process finds the file of the faster.
    """
    if database.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database.parent.mkdir(parents=True, exist_ok=True)
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        built = Path(folder) / "built.db"
        with redirect_stderr(StringIO()):  # where MLflow tells of each migration
            SqlAlchemyStore(  # type: ignore[no-untyped-call]  # MLflow has no hints here
                f"sqlite:///{built}", (database.parent / "artifacts").as_uri()
            )
        aside = Path(tempfile.mkstemp(dir=database.parent, suffix=".partial")[1])
        aside.write_bytes(built.read_bytes())
    try:
        os.link(aside, database)
    except FileExistsError:
        pass
    finally:
        aside.unlink()


def ensure_experiment(folder: Path, name: str, uri: str) -> str:
    """Give the id of an experiment, made if it is not there; the embedded store keeps artifacts beside it."""
    import mlflow

    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    place = (folder.resolve() / MLFLOW_FOLDER / "artifacts").as_uri() if uri == embedded_uri(folder) else None
    try:
        return str(mlflow.create_experiment(name, artifact_location=place))
    except mlflow.exceptions.MlflowException:
        # Another process may have made it in between.
        found = mlflow.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
