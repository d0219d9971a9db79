"""What a run read, for MLflow: datasets by digest, Delta versions, and the hashes of the source files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from c360ml import tables
from c360ml.sources.landed_files import Landed, landed_files
from c360ml.tables import Table

if TYPE_CHECKING:
    from mlflow.data.dataset_source import DatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult

READ_BY: dict[str, tuple[Table, ...]] = {
    "blocking": (tables.RECORDS,),
    "linkage": (tables.RECORDS,),
    "identity": (tables.LINKS, tables.CLUSTERS),
    "value": (tables.INTERACTIONS,),
    "segments": (tables.CUSTOMER_ACTIVITY, tables.CUSTOMER_VALUE),
    "campaigns": (tables.CAMPAIGN_SENDS, tables.INTERACTIONS),
}


def log_inputs(lake: Lakehouse, result: RunResult, child: str) -> None:
    """Log the tables that a child run read, by name, Delta version and digest: no row of them, nor their schema.

    Args:
        lake: the project's open lakehouse.
        result: what the run did.
        child: name of the active child run.
    """
    import mlflow
    from mlflow.data.delta_dataset_source import DeltaDatasetSource

    for table in READ_BY[child]:
        version = lake.version(table)
        source = DeltaDatasetSource(path=str(lake.path(table)), delta_table_version=version)
        dataset = _dataset(source, table.path, f"{result.digest[:20]}-v{version}")
        mlflow.log_input(dataset, context="training", tags={"delta_version": str(version)})


def log_labels(result: RunResult) -> None:
    """Log the label files that the run was judged by, each by the hash of its content."""
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource

    for file in _labels(result):
        source = CodeDatasetSource(tags={"mlflow.source.name": file})
        dataset = _dataset(source, Path(file).stem, digest_of_file(result.folder / file, None)[:32])
        mlflow.log_input(dataset, context="evaluation")


def _dataset(source: DatasetSource, name: str, digest: str) -> MetaDataset:
    """Describe data by where it is and its digest alone."""
    from mlflow.data.meta_dataset import MetaDataset

    return MetaDataset(source, name=name, digest=digest)  # type: ignore[abstract]  # it is not, when it runs


def _labels(result: RunResult) -> list[str]:
    named = (result.config.evaluation.labelled_pairs, result.config.evaluation.true_ids)
    return [file for file in named if file and (result.folder / file).is_file()]


def table_versions(lake: Lakehouse) -> dict[str, int | None]:
    """Delta version of every table."""
    return {table.path: lake.version(table) for table in tables.ALL}


def file_hashes(lake: Lakehouse, result: RunResult) -> dict[str, str]:
    """BLAKE2b of every file that the run read, extracts and labels, by their path below the project.

    Of an extract that is untouched since it was landed, it is the one that was noted then: to read gigabytes again
    takes longer than all else that is logged.
    """
    landed = landed_files(lake)
    hashes = {
        path.relative_to(result.folder).as_posix(): digest_of_file(
            path, landed.get((source.name, path.relative_to(result.folder).as_posix()))
        )
        for source in result.config.sources
        for path in sorted(result.folder.glob(source.files))
        if path.is_file()
    }
    return hashes | {file: digest_of_file(result.folder / file, None) for file in _labels(result)}


def digest_of_file(path: Path, noted: Landed | None) -> str:
    """BLAKE2b of a file, which is read through unless it is untouched since it was noted."""
    state = path.stat()
    if noted is not None and (state.st_size, state.st_mtime_ns) == (noted.bytes, noted.modified_ns):
        return noted.content_hash
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
