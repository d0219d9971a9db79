"""How right the clusters and links are, against any form of labels. Truth is never a model input.

Pairwise measures count pairs of records; B-cubed (Bagga and Baldwin 1998) averages over records, so that one huge
wrong cluster does not hide a thousand small right ones, nor the other way round; cluster measures count clusters
that are exactly one person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c360ml.errors import ConfigError
from c360ml.lakehouse import as_relation, connect
from c360ml.linkage.calibration import (
    calibration_bins,
    equal_count_bins,
    expected_calibration_error,
    probability_scores,
    threshold_table,
)
from c360ml.linkage.error_comparison import ErrorComparison
from c360ml.linkage.error_kinds import (
    FALSE_MERGES,
    MISSED_LINKS,
    error_kinds,
    find_error_pairs,
    label_error_pairs,
    recall_steps,
)
from c360ml.linkage.evaluation_intervals import (
    ENTITY_SUMS,
    MEASURES,
    cluster_intervals,
    cluster_measures_of,
    counted_rows,
    entity_sums_query,
)
from c360ml.linkage.evaluation_result import Evaluation
from c360ml.linkage.evaluation_tables import (
    JUDGED,
    count_pairs,
    join_truth,
    number_pairs,
    number_records,
    require_columns,
)
from c360ml.linkage.group_errors import group_measures, source_pair_measures
from c360ml.linkage.labels import (
    LABELLED,
    PAIRS,
    REVIEW_BAND,
    Labels,
    measure_labelled_pairs,
    possible_in_band,
    read_labels,
)
from c360ml.linkage.sampled_evaluation import estimate_from_pairs, estimate_from_people
from c360ml.linkage.splink_engine import SplinkEngine

if TYPE_CHECKING:
    import duckdb

EVEN_ODDS = 0.5
_MEASURED_TABLES = (JUDGED, LABELLED)


def evaluate_clusters(
    clusters: Any,
    truth: Any,
    *,
    pairs: Any = None,
    groups: Any = None,
    sources: Any = None,
    threshold: float = EVEN_ODDS,
    review_band: tuple[float, float] = REVIEW_BAND,
    seed: int = 1,
) -> Evaluation:
    """Compare clusters, of any tool, with labels.

    Args:
        clusters: table with `record_id` and `cluster_id` (or `master_id`).
        truth: labels of any form, see `labels.read_labels`: `record_id, true_id` (records it does not name, or with
            null, are left out), labelled pairs, clerical decisions, or a weighted sample of either.
        pairs: `record_id_l, record_id_r, match_probability`, for calibration and thresholds.
        groups: `record_id, group`, to compare errors between groups.
        sources: `record_id, source`, to measure per pair of sources.
        threshold: pairs more likely than this count as links.
        review_band: probabilities between which pairs labelled `possible` should be.
        seed: seed of the bootstrap.

    Returns:
        Measures by name; `intervals` holds 95 % intervals, by bootstrap over true identities.

    Raises:
        ConfigError: the threshold is not between 0 and 1.
        ColumnError: a column is missing.
        DataError: no record is in both tables, or labels contradict each other.

    >>> import pandas as pd
    >>> clusters = pd.DataFrame({"record_id": ["a", "b", "c"], "cluster_id": [1, 1, 2]})
    >>> truth = pd.DataFrame({"record_id": ["a", "b", "c"], "true_id": ["x", "x", "x"]})
    >>> evaluate_clusters(clusters, truth)["pairwise_recall"]
    0.3333333333333333
    """
    if not 0 < threshold < 1:
        raise ConfigError(
            "threshold must be a probability between 0 and 1", got=threshold, hint="leave it out for even odds"
        )
    with connect() as con:
        given = as_relation(con, clusters)
        column = "master_id" if "master_id" in given.columns else "cluster_id"
        require_columns(given, "clusters", ("record_id", column))
        given.project(f"cast(record_id as varchar) as record_id, {column} as cluster_id").create_view(
            "evaluated_clusters"
        )
        labels = read_labels(con, as_relation(con, truth))
        numbered = number_records(con, "evaluated_clusters")
        scored = None
        if pairs is not None:
            _show(con, pairs, "evaluated_pairs", ("record_id_l", "record_id_r", "match_probability"))
            scored = number_pairs(con, "evaluated_pairs", numbered)
        judging = Judging(
            con,
            "evaluated_clusters",
            numbered,
            threshold=threshold,
            scored=scored,
            groups=show_groups(con, groups),
            sources=None if sources is None else _show(con, sources, "evaluated_sources", ("record_id", "source")),
            band=review_band,
            seed=seed,
        )
        return judging.measure(labels)


def show_groups(con: duckdb.DuckDBPyConnection, groups: Any) -> str | None:
    """Show a table `record_id, group` in a connection; None stays None.

    Raises:
        ColumnError: a column is missing.
    """
    return None if groups is None else _show(con, groups, "evaluated_groups", ("record_id", "group"))


def _show(con: duckdb.DuckDBPyConnection, table: Any, name: str, columns: tuple[str, ...]) -> str:
    relation = as_relation(con, table)
    require_columns(relation, name.removeprefix("evaluated_"), columns)
    relation.create_view(name, replace=True)
    return name


@dataclass(frozen=True)
class Judging:
    """What there is to judge in one DuckDB connection.

    Attributes:
        con: holds the tables.
        clusters: `record_id` (text), `cluster_id`, each record once.
        numbered: `rid, record_id` of at least these records.
        threshold: pairs more likely than this are links.
        scored: `rid_l, rid_r, match_probability, blocked`, each pair once, rid_l < rid_r.
        candidates: whether `scored` holds every pair that blocking brought together.
        groups: `record_id, group`.
        sources: `record_id, source`.
        engine: compares pairs, so that errors can be told apart by what agrees.
        band: probabilities between which a person should look.
        seed: seed of the bootstrap.
    """

    con: duckdb.DuckDBPyConnection
    clusters: str
    numbered: str
    threshold: float = EVEN_ODDS
    scored: str | None = None
    candidates: bool = False
    groups: str | None = None
    sources: str | None = None
    engine: SplinkEngine | ErrorComparison | None = None
    band: tuple[float, float] = REVIEW_BAND
    seed: int = 1

    def measure(self, labels: Labels) -> Evaluation:
        """Measure all that labels and tables allow."""
        if labels.kind == PAIRS:
            measures = self._by_labelled_pairs(labels)
        elif "weight" in labels.sampling:
            join_truth(self.con, self.clusters, labels.table, self.numbered)
            measures = estimate_from_people(self.con, self.clusters, labels.table)
        else:
            join_truth(self.con, self.clusters, labels.table, self.numbered)
            measures = self._by_true_ids()
        for table in _MEASURED_TABLES:
            self.con.execute(f"drop table if exists {table}").fetchall()
        return Evaluation(measures)

    # ------------------------------------------------------------------ true identities
    def _by_true_ids(self) -> dict[str, Any]:
        sums = counted_rows(self.con, entity_sums_query(JUDGED), ENTITY_SUMS)
        totals = dict(zip(ENTITY_SUMS, sums.totals.tolist(), strict=True))
        entities = float(sums.units.sum())
        values = cluster_measures_of(sums.totals, entities)
        measures: dict[str, Any] = {
            "records": round(totals["records"]),
            "clusters": round(totals["clusters"]),
            "true_ids": round(entities),
            **dict(zip(MEASURES, values.tolist(), strict=True)),
            "intervals": cluster_intervals(sums, seed=self.seed),
        }
        measures |= self._probabilities(totals) if self.scored else {}
        errors = {
            FALSE_MERGES: totals["found_pairs"] - totals["right_pairs"],
            MISSED_LINKS: totals["true_pairs"] - totals["right_pairs"],
        }
        find_error_pairs(self.con, false_pairs=errors[FALSE_MERGES], missed_pairs=errors[MISSED_LINKS])
        return measures | self._errors(errors) | self._by_source_and_group()

    def _probabilities(self, totals: dict[str, float]) -> dict[str, Any]:
        """Say where recall is lost, how good probabilities are, and what other thresholds would give."""
        counted = count_pairs(self.con, str(self.scored), threshold=self.threshold)
        steps = recall_steps(counted, true_pairs=totals["true_pairs"], right_pairs=totals["right_pairs"])
        blocked = counted.only(counted.blocked.astype(bool))
        bins = calibration_bins(blocked)
        equal = equal_count_bins(blocked)
        return {
            "blocking_recall" if self.candidates else "scored_recall": steps["compared_share"],
            "model_recall": steps["linked_share"],
            "clustering_recall": steps["kept_share"],
            "recall_steps": steps,
            "calibration_error": expected_calibration_error(bins),
            "calibration_error_equal_counts": expected_calibration_error(equal),
            **probability_scores(blocked),
            "calibration": bins,
            "calibration_equal_counts": equal,
            "thresholds": threshold_table(blocked, threshold=self.threshold, true_pairs=totals["true_pairs"]),
        }

    def _errors(self, totals: dict[str, float]) -> dict[str, Any]:
        kinds = error_kinds(
            self.con,
            self.scored,
            totals,
            threshold=self.threshold,
            numbered=self.numbered,
            engine=self.engine,
        )
        return {"errors": kinds}

    def _by_source_and_group(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.sources:
            found["source_pairs"] = source_pair_measures(self.con, self.sources)
        if self.groups:
            found |= group_measures(self.con, self.groups, seed=self.seed)
        return found

    # ------------------------------------------------------------------ labelled pairs
    def _by_labelled_pairs(self, labels: Labels) -> dict[str, Any]:
        measures = measure_labelled_pairs(self.con, self.clusters, labels.table)
        if "possible_pairs" in measures and self.scored:
            by_id = f"""(
                select l.record_id as record_id_l, r.record_id as record_id_r, match_probability from {self.scored}
                join {self.numbered} l on l.rid = rid_l join {self.numbered} r on r.rid = rid_r
            )"""
            measures |= possible_in_band(self.con, by_id, self.band, labels.table)
        if labels.sampling:
            estimates = estimate_from_pairs(self.con, self.clusters, labels.table, labels.sampling)
            intervals = measures.get("intervals", {}) | estimates["intervals"]
            measures |= {**estimates, "intervals": intervals}
        label_error_pairs(self.con, labels.table, self.clusters, self.numbered)
        counts = dict(self.con.execute("select side, count(*) from error_pairs group by side").fetchall())
        return measures | self._errors({side: float(counts.get(side, 0)) for side in (FALSE_MERGES, MISSED_LINKS)})
