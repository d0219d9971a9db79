"""Files in, an evaluation out: the clusters of any tool against labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from c360ml.errors import SourceError
from c360ml.lakehouse import connect
from c360ml.linkage.evaluation import EVEN_ODDS, evaluate_clusters
from c360ml.linkage.evaluation_result import Evaluation
from c360ml.sources import read_table

CLUSTERS_FILE, PAIRS_FILE, METRICS_FILE = "people.parquet", "pairs.parquet", "metrics.json"
EVALUATION_FILE = "evaluation.json"


@dataclass(frozen=True)
class EvaluatedClusters:
    """What `evaluate_files` found, and of what."""

    folder: Path
    clusters: str
    truth: str
    evaluation: Evaluation


def evaluate_files(
    clusters: Path,
    truth: Path,
    *,
    out: Path,
    pairs: Path | None = None,
    groups: Path | None = None,
    threshold: float | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> EvaluatedClusters:
    """Compare a file of clusters with a file of labels; writes `evaluation.json` below `out`.

    Args:
        clusters: table with `record_id` and `cluster_id` or `master_id`, or the folder that `c360ml link` wrote,
            whose pairs and threshold are then taken.
        truth: labels of any form, see `linkage.labels.read_labels`.
        out: folder of the answer; made if it is not there.
        pairs: table with `record_id_l`, `record_id_r` and `match_probability`.
        groups: table with `record_id` and `group`.
        threshold: pairs more likely than this count as links.
        say: hears of progress.

    Raises:
        SourceError: a file cannot be read.
        ColumnError: a table lacks a column.
        DataError: the tables have no record in common, or labels contradict each other.
    """
    name = clusters.name or str(clusters.resolve().name)
    if clusters.is_dir():
        pairs = pairs or clusters / PAIRS_FILE
        threshold = threshold or _threshold_of(clusters)
        clusters = clusters / CLUSTERS_FILE
    with connect() as con:
        say("reading")
        tables = {
            role: read_table(con, file).to_arrow_table() if file else None
            for role, file in {"clusters": clusters, "truth": truth, "pairs": pairs, "groups": groups}.items()
        }
    say("measuring")
    evaluation = evaluate_clusters(
        tables["clusters"],
        tables["truth"],
        pairs=tables["pairs"],
        groups=tables["groups"],
        threshold=threshold or EVEN_ODDS,
    )
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f".{EVALUATION_FILE}.partial"
    partial.write_text(json.dumps(evaluation, indent=1, allow_nan=False) + "\n", "utf-8")
    partial.replace(out / EVALUATION_FILE)
    return EvaluatedClusters(out, name, truth.name, evaluation)


def _threshold_of(folder: Path) -> float | None:
    """Threshold that `c360ml link` noted in its metrics."""
    path = folder / METRICS_FILE
    if not path.is_file():
        return None
    try:
        return float(json.loads(path.read_text("utf-8"))["fit"]["threshold"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise SourceError(
            f"{METRICS_FILE} must be what c360ml link wrote", got=repr(error), hint="link again, or name the files"
        ) from error
