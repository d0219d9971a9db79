"""How right a run is: its master IDs against the labels that the config names, if any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import ColumnError, DataError, SourceError
from c360ml.lakehouse import EngineError, Lakehouse
from c360ml.linkage.error_comparison import ErrorComparison
from c360ml.linkage.evaluation import EVEN_ODDS, Judging
from c360ml.linkage.evaluation_tables import number_pairs, number_records
from c360ml.linkage.labels import read_labels
from c360ml.linkage.step import MODEL_FILE

_COLUMNS = {
    "labelled_pairs": {"record_id_l": "varchar", "record_id_r": "varchar", "is_match": "boolean"},
    "true_ids": {"record_id": "varchar", "true_id": "varchar"},
}
_DECISIONS = {"record_id_l": "varchar", "record_id_r": "varchar", "decision": "varchar"}


def open_labels(lake: Lakehouse, config: Config) -> dict[str, str]:
    """Show the label files that the config names as views `judged_<setting>`; done before any step runs.

    Returns:
        The file of each setting that is set.

    Raises:
        SourceError: a label file does not exist, or is no table.
        ColumnError: a label file lacks a column.
        DataError: labels contradict each other.
    """
    named = {name: getattr(config.evaluation, name) for name in _COLUMNS}
    labels = {name: file for name, file in named.items() if file}
    for name, file in labels.items():
        _open(lake, name, file)
        try:
            read_labels(lake.con, lake.sql(f"from judged_{name}"))
        except DataError as error:
            raise DataError(f"{error.rule}: {file}", got=error.got, hint=error.hint) from None
    return labels


def judge(lake: Lakehouse, labels: Mapping[str, str]) -> dict[str, Any]:
    """Measure master IDs against the labels that `open_labels` opened; empty without labels.

    Pairs are those that the linkage kept, so `scored_recall` takes the place of blocking recall.
    """
    if not labels:
        return {}
    lake.rows(
        f"create or replace temp view judged_clusters as "
        f"select record_id, master_id as cluster_id from {lake.open(tables.IDENTITIES)}"
    )
    judging = _judging(lake)
    measures: dict[str, Any] = {}
    for name in ("labelled_pairs", "true_ids"):
        if name in labels:
            found = judging.measure(read_labels(lake.con, lake.sql(f"from judged_{name}")))
            intervals = measures.get("intervals", {}) | found.get("intervals", {})
            measures |= {**found, "intervals": intervals}
    for table in {judging.scored, judging.numbered}:
        lake.rows(f"drop table if exists {table}")
    return measures


def _judging(lake: Lakehouse) -> Judging:
    """Take the run's links, its records and its comparisons, as far as they are there."""
    saved = lake.read_json(MODEL_FILE)
    numbered = number_records(lake.con, "judged_clusters")
    threshold, engine, records = EVEN_ODDS, None, None
    if saved is not None and lake.version(tables.RECORDS) is not None:
        told = lake.open(tables.TERM_STATISTICS) if lake.version(tables.TERM_STATISTICS) is not None else None
        records = lake.open(tables.RECORDS)
        engine = ErrorComparison(lake.con, records, numbered, saved, told)
        threshold = saved["fit"]["threshold"]
    return Judging(
        lake.con,
        "judged_clusters",
        numbered,
        threshold=threshold,
        scored=number_pairs(lake.con, lake.open(tables.LINKS), numbered),
        sources=records,
        engine=engine,
    )


def _open(lake: Lakehouse, name: str, file: str) -> None:
    path = lake.folder / file
    rule = f"[evaluation] {name} must name a CSV or Parquet file of the project"
    if not path.is_file():
        raise SourceError(rule, got=f"no file {file}", hint="mend c360ml.toml")
    try:
        columns = lake.sql(f"from {_reader(path)}").columns
        kinds = _DECISIONS if name == "labelled_pairs" and "decision" in columns else _COLUMNS[name]
        _check_columns(kinds, file, columns)
        # Without the trim DuckDB 2.0 pushes the cast into the CSV reader, where a bad value is an error.
        values = ", ".join(f"try_cast(trim({column}::varchar) as {kind}) as {column}" for column, kind in kinds.items())
        lake.rows(f"create or replace temp view judged_{name} as select {values} from {_reader(path)}")
        rows, *filled = lake.rows(f"select count(*), count(columns(*)) from judged_{name}")[0]
    except EngineError:
        raise SourceError(rule, got=f"{file}, which cannot be read", hint="export it again") from None
    for column, count in zip(kinds, filled, strict=True):
        if count < rows:
            word = {"is_match": "0 or 1", "decision": "a decision"}.get(column, "an id")
            raise ColumnError(
                f"{column} of {file} must be {word} in each row",
                got=f"{rows - count} rows where it is not",
                hint="mend those rows",
            )


def _check_columns(kinds: Mapping[str, str], file: str, columns: list[str]) -> None:
    missing = [column for column in kinds if column not in columns]
    if missing:
        raise ColumnError(
            f"{file} must have the columns {', '.join(kinds)}", got=f"columns {columns}", hint=f"add {missing}"
        )


def _reader(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"read_parquet('{quoted}')" if path.suffix == ".parquet" else f"read_csv('{quoted}', all_varchar = true)"
