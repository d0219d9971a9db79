"""How right a run is: its master IDs against the labels that the config names, if any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import ColumnError, SourceError
from c360ml.lakehouse import Lakehouse
from c360ml.linkage import evaluation


def judge(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Measure master IDs against true ids and labelled pairs; empty without labels.

    Raises:
        SourceError: a label file does not exist.
        ColumnError: a label file lacks a column.
    """
    lake.rows(
        f"create or replace temp view judged_clusters as "
        f"select record_id, master_id as cluster_id from {lake.open(tables.IDENTITIES)}"
    )
    measures: dict[str, Any] = {}
    if config.evaluation.true_ids:
        _open_labels(lake, config.evaluation.true_ids, "true_ids", ("record_id", "true_id"))
        measures |= evaluation.cluster_measures(lake.con, "judged_clusters", "judged_true_ids")
        bins = evaluation.calibration(lake.con, lake.open(tables.LINKS), "judged_true_ids")
        measures |= {"calibration_error": evaluation.expected_calibration_error(bins), "calibration": bins}
    if config.evaluation.labelled_pairs:
        columns = ("record_id_l", "record_id_r", "is_match")
        _open_labels(lake, config.evaluation.labelled_pairs, "labelled_pairs", columns)
        measures |= evaluation.labelled_pair_measures(lake.con, "judged_clusters", "judged_labelled_pairs")
    return measures


def _open_labels(lake: Lakehouse, file: str, name: str, columns: tuple[str, ...]) -> None:
    path = lake.folder / file
    if not path.is_file():
        raise SourceError(f"[evaluation] {name} must name a file of the project", got=file, hint="mend c360ml.toml")
    view = lake.sql(f"from {_reader(path)}")
    missing = [column for column in columns if column not in view.columns]
    if missing:
        raise ColumnError(f"{file} must have the columns {list(columns)}", got=view.columns, hint=f"add {missing}")
    lake.rows(f"create or replace temp view judged_{name} as from {_reader(path)}")


def _reader(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"read_parquet('{quoted}')" if path.suffix == ".parquet" else f"read_csv('{quoted}')"
