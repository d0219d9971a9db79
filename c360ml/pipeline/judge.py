"""How right a run is: its master IDs against the labels that the config names, if any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import ColumnError, SourceError
from c360ml.lakehouse import EngineError, Lakehouse
from c360ml.linkage import evaluation

_COLUMNS = {
    "labelled_pairs": {"record_id_l": "varchar", "record_id_r": "varchar", "is_match": "boolean"},
    "true_ids": {"record_id": "varchar", "true_id": "varchar"},
}


def open_labels(lake: Lakehouse, config: Config) -> dict[str, str]:
    """Show the label files that the config names as views `judged_<setting>`; done before any step runs.

    Returns:
        The file of each setting that is set.

    Raises:
        SourceError: a label file does not exist, or is no table.
        ColumnError: a label file lacks a column.
    """
    named = {name: getattr(config.evaluation, name) for name in _COLUMNS}
    labels = {name: file for name, file in named.items() if file}
    for name, file in labels.items():
        _open(lake, name, file)
    return labels


def judge(lake: Lakehouse, labels: Mapping[str, str]) -> dict[str, Any]:
    """Measure master IDs against the labels that `open_labels` opened; empty without labels."""
    lake.rows(
        f"create or replace temp view judged_clusters as "
        f"select record_id, master_id as cluster_id from {lake.open(tables.IDENTITIES)}"
    )
    measures: dict[str, Any] = {}
    if "true_ids" in labels:
        measures |= evaluation.cluster_measures(lake.con, "judged_clusters", "judged_true_ids")
        bins = evaluation.calibration(lake.con, lake.open(tables.LINKS), "judged_true_ids")
        measures |= {"calibration_error": evaluation.expected_calibration_error(bins), "calibration": bins}
    if "labelled_pairs" in labels:
        measures |= evaluation.labelled_pair_measures(lake.con, "judged_clusters", "judged_labelled_pairs")
    return measures


def _open(lake: Lakehouse, name: str, file: str) -> None:
    path = lake.folder / file
    rule = f"[evaluation] {name} must name a CSV or Parquet file of the project"
    if not path.is_file():
        raise SourceError(rule, got=f"no file {file}", hint="mend c360ml.toml")
    try:
        columns = lake.sql(f"from {_reader(path)}").columns
        _check_columns(name, file, columns)
        # Without the trim DuckDB 2.0 pushes the cast into the CSV reader, where a bad value is an error.
        values = ", ".join(
            f"try_cast(trim({column}::varchar) as {kind}) as {column}" for column, kind in _COLUMNS[name].items()
        )
        lake.rows(f"create or replace temp view judged_{name} as select {values} from {_reader(path)}")
        rows, *filled = lake.rows(f"select count(*), count(columns(*)) from judged_{name}")[0]
    except EngineError:
        raise SourceError(rule, got=f"{file}, which cannot be read", hint="export it again") from None
    for column, count in zip(_COLUMNS[name], filled, strict=True):
        if count < rows:
            kind = "0 or 1" if column == "is_match" else "an id"
            raise ColumnError(
                f"{column} of {file} must be {kind} in each row",
                got=f"{rows - count} rows where it is not",
                hint="mend those rows",
            )


def _check_columns(name: str, file: str, columns: list[str]) -> None:
    missing = [column for column in _COLUMNS[name] if column not in columns]
    if missing:
        raise ColumnError(
            f"{file} must have the columns {', '.join(_COLUMNS[name])}", got=f"columns {columns}", hint=f"add {missing}"
        )


def _reader(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"read_parquet('{quoted}')" if path.suffix == ".parquet" else f"read_csv('{quoted}', all_varchar = true)"
