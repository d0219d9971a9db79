"""The linkage model: learn how records of one person agree, score pairs, cluster, evaluate, explain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from c360ml.errors import ConfigError, DataError, NotFittedError
from c360ml.lakehouse import as_relation, connect, same_kind
from c360ml.linkage.blocking import BlockingRule, add_block_keys
from c360ml.linkage.blocking_choice import choose_rules
from c360ml.linkage.blocking_report import report_blocking
from c360ml.linkage.comparisons import choose_comparisons
from c360ml.linkage.constraints import Constraints, NumberedConstraints
from c360ml.linkage.evaluation import EVEN_ODDS, Judging, show_groups
from c360ml.linkage.evaluation_result import Evaluation
from c360ml.linkage.explanation import waterfall
from c360ml.linkage.features import Features, build_features
from c360ml.linkage.labels import REVIEW_BAND, read_labels
from c360ml.linkage.model_display import LinkageDisplay
from c360ml.linkage.model_json import read_model, write_model
from c360ml.linkage.pair_tables import PairTables
from c360ml.linkage.pilot import Pilot
from c360ml.linkage.recalibration import RecalibratedClasses, Recalibration
from c360ml.linkage.splink_engine import SplinkEngine
from c360ml.linkage.splink_exchange import SplinkExchange
from c360ml.linkage.thresholds import default_merge_weight
from c360ml.linkage.two_classes import PAIR_CLASSES

if TYPE_CHECKING:
    import duckdb


class LinkageModel(SplinkExchange, LinkageDisplay):
    """Probabilistic record linkage that tells people from households, without labels and without tuning.

    Candidate pairs come from blocking rules chosen by the columns at hand; Splink compares them; a latent-class
    mixture (see `latent_classes`) scores them; average linkage clusters them.

    Args:
        threshold: least match probability, on average over the pairs of two clusters, that merges them; without it
            the odds of `clusters.MERGE_WEIGHT`. Single pairs count as links from this probability, or from 0.5.
        max_pairs: most candidate pairs that blocking may produce.
        seed: seed of the random pairs that show what agrees by chance.
        classes: `latent` tells people from households; `two` is Fellegi and Sunter's model as Splink has it, see
            `two_classes`.
        constraints: what a cluster may not hold, and reviewers' decisions, see `constraints`.

    >>> import pandas as pd
    >>> from c360ml import standardize_records
    >>> people = pd.DataFrame({"id": range(6), "first": ["Ann", "Anne", "Bob", "Robert", "Cy", "Di"],
    ...     "last": ["Lee", "Lee", "Ray", "Ray", "Orr", "Fox"],
    ...     "mail": ["al@x.org", "al@x.org", "bob@y.org", "bob@y.org", "cy@z.org", "di@z.org"]})
    >>> records = standardize_records(people, id="id",
    ...     columns={"given_name": "first", "surname": "last", "email": "mail"})
    >>> LinkageModel().fit(records).cluster()["cluster_id"].nunique()
    4
    """

    def __init__(
        self,
        *,
        threshold: float | None = None,
        max_pairs: int = 100_000_000,
        seed: int = 1,
        classes: str = "latent",
        constraints: Constraints | None = None,
    ) -> None:
        if threshold is not None and not 0 < threshold < 1:
            raise ConfigError(
                "threshold must be a probability between 0 and 1", got=threshold, hint="leave it out for the default"
            )
        if classes not in PAIR_CLASSES:
            raise ConfigError(f"classes must be one of {sorted(PAIR_CLASSES)}", got=classes, hint="leave it out")
        self.threshold = threshold
        self.max_pairs = max_pairs
        self.seed = seed
        self.classes = classes
        self.constraints = constraints or Constraints()

    # ------------------------------------------------------------------ learning
    def fit(self, records: Any, *, con: duckdb.DuckDBPyConnection | None = None) -> LinkageModel:
        """Learn from standardized records and score their candidate pairs.

        Args:
            records: table of `standardize_records`, or the name of one in `con`.
            con: DuckDB connection to work in; without it a new one in memory.

        Raises:
            ColumnError: `record_id` is missing or repeats.
            DataError: fewer than two records, nothing to compare, or no candidate pair.
        """
        self._open(records, con)
        self.comparisons_ = choose_comparisons(self._features.filled)
        self._use_rules(())
        self._pairs.numbered.require_sources()
        pilot = Pilot(self._con, self._engine, self._pairs, self.seed)
        self.blocking_ = choose_rules(self._con, self._features, pilot, max_pairs=self.max_pairs)
        self._start_engine()
        self._engine.compare(self._pairs.block(), into="scored_candidates")
        patterns, counts = self._pairs.count_patterns("scored_candidates")
        random_patterns, random_counts = self._pairs.count_patterns("random_vectors")
        self.classes_ = PAIR_CLASSES[self.classes](self.comparisons_).fit(
            self._engine.digits(patterns),
            counts,
            self._engine.digits(random_patterns),
            random_counts,
            all_pairs=self._pairs.all_pairs,
        )
        self._con.execute("drop table random_vectors").fetchall()
        self.recalibration_ = Recalibration.identity()
        self._pairs.compare_neighbours(self.classes_)
        self._pairs.learn_nearness(self.classes_)
        self._pairs.score(self.scorer_)
        return self

    def recalibrate(self, decisions: Any) -> LinkageModel:
        """Learn from decided pairs what match weights mean; `predict`, `cluster`, `explain` then answer with it.

        Args:
            decisions: file or table `record_id_l, record_id_r, decision` (match, non-match or possible), or labelled
                pairs with `is_match`. Pairs of each match weight must be a fair sample; where a column `sampled` tells
                which are, only those count. With few decisions, or where it would not predict them better, nothing
                changes: see `recalibration_`.

        Raises:
            ColumnError: a column is missing.
            DataError: a decision is unknown, or one pair is decided both ways.
        """
        self._require_fitted()
        self.recalibration_ = self._pairs.recalibrate(decisions)
        return self

    @property
    def scorer_(self) -> RecalibratedClasses:
        """What weighs agreement patterns: the classes and their recalibration."""
        return RecalibratedClasses(self.classes_, self.recalibration_)

    def _open(self, records: Any, con: duckdb.DuckDBPyConnection | None, statistics: str | None = None) -> None:
        self._like = records
        self._con = con if con is not None else connect()
        if not isinstance(records, str):
            as_relation(self._con, records).create_view("linkage_records", replace=True)
            records = "linkage_records"
        self._features = build_features(self._con, records, statistics)

    def _start_engine(self, *, given: bool = False) -> None:
        self.blocking_ = add_block_keys(self._con, self.blocking_, given=given)
        self._use_rules(self.rules_)

    def _use_rules(self, rules: tuple[BlockingRule, ...]) -> None:
        self._engine = SplinkEngine(self._con, self._features.name, self.comparisons_, rules)
        numbered = NumberedConstraints(self._con, self._features, self.constraints)
        self._pairs = PairTables(self._con, self._features, self._engine, numbered)

    @property
    def rules_(self) -> tuple[BlockingRule, ...]:
        """Blocking rules in use."""
        return tuple(each.rule for each in self.blocking_ if each.chosen)

    # ------------------------------------------------------------------ scoring
    def predict(self) -> Any:
        """Scored pairs of the fitted records, of the kind of table that was given.

        Returns:
            `record_id_l, record_id_r, match_weight, match_probability, household_probability`: pairs with a match
            weight of at least -6 (probability 0.015), or more likely than not of one household.
        """
        self._require_fitted()
        return same_kind(self._con.sql(f"{self.pairs_query()} order by record_id_l, record_id_r"), self._like)

    def pair_counts(self) -> Any:
        """How many scored pairs have which match probability, as `choose_threshold` takes it; all pairs, however low.

        Returns:
            `match_probability, pairs`, of the kind of table that was given.
        """
        self._require_fitted()
        counts = self._con.sql("""
            select match_probability, count(*) as pairs from scored_pairs join pattern_weights using (pattern)
            group by all order by match_probability
        """)
        return same_kind(counts, self._like)

    def pairs_query(self) -> str:
        """SQL of the scored pairs, for use in the connection that `fit` was given."""
        return self._pairs.pairs_query()

    # ------------------------------------------------------------------ clusters
    def cluster(self) -> Any:
        """Cluster the fitted records into people, of the kind of table that was given.

        Returns:
            `record_id, cluster_id, cohesion`: the cluster's least record id, and the mean match probability of the
            record to the others of its cluster (1 if alone).
        """
        self._require_fitted()
        return same_kind(self._con.sql(f"from {self.cluster_table()} order by record_id"), self._like)

    def cluster_table(self) -> str:
        """Write the clusters as a temporary table in the connection that `fit` was given; returns its name."""
        return self._pairs.cluster(self.merge_weight_)

    def clustering_summary(self) -> dict[str, Any]:
        """Count what constraints, reviewers and the budget did to the clusters."""
        self._require_fitted()
        return self._pairs.clustering_summary(self.merge_weight_)

    @property
    def merge_weight_(self) -> float:
        """Mean match weight above which clusters merge; the default means the same before and after recalibration."""
        if self.threshold is not None:
            return log2_odds(self.threshold)
        return default_merge_weight(self.recalibration_)

    # ------------------------------------------------------------------ judging and explaining
    def evaluate(
        self, labels: Any, *, groups: Any = None, review_band: tuple[float, float] = REVIEW_BAND
    ) -> Evaluation:
        """Compare with labels: accuracy with intervals, where recall is lost, errors by kind, calibration, thresholds.

        Args:
            labels: any form that `labels.read_labels` takes: `record_id, true_id` (records of null truth are left
                out); or labelled pairs `record_id_l, record_id_r` with `is_match` or `decision`.
            groups: `record_id, group`, to compare errors between groups.
            review_band: probabilities between which pairs labelled `possible` should be.

        Raises:
            ColumnError: the labels have no such form.
            DataError: labels are empty or contradict each other.
        """
        self._require_fitted()
        given = read_labels(self._con, as_relation(self._con, labels))
        self._con.execute("""
            create or replace temp view judged_pairs as
            select rid_l, rid_r, match_probability, blocked from scored_pairs join pattern_weights using (pattern)
        """).fetchall()
        judging = Judging(
            self._con,
            self.cluster_table(),
            self._features.name,
            threshold=self.threshold or EVEN_ODDS,
            scored="judged_pairs",
            candidates=True,
            groups=show_groups(self._con, groups),
            sources=self._features.name,
            engine=self._engine,
            band=review_band,
            seed=self.seed,
        )
        return judging.measure(given)

    def explain(self, left: str, right: str) -> list[dict[str, float | str]]:
        """Say why two records are, or are not, one person: a waterfall of match weights.

        Raises:
            DataError: a record id is not among the fitted records.
        """
        self._require_fitted()
        found = self._con.execute(
            f"select rid from {self._features.name} where record_id in ($left, $right) order by rid",
            {"left": str(left), "right": str(right)},
        ).fetchall()
        if len(found) != 2:
            raise DataError(
                "explain needs two different record ids of the fitted records",
                got=f"{len(found)} found",
                hint="check them",
            )
        self._con.execute(
            f"create or replace temp table asked_pair as select {found[0][0]} as rid_l, {found[1][0]} as rid_r"
        ).fetchall()
        self._engine.compare("asked_pair", into="asked_vector")
        pattern = self._pairs.weighed_pattern("asked_vector")
        near = bool(self._engine.are_near(pattern)[0])
        return waterfall(self.scorer_, self.comparisons_, self._engine.digits(pattern)[0], near=near)

    def explain_cluster(self, record_id: str) -> dict[str, Any]:
        """Say how the cluster of a record holds together, and which links out of it were cut.

        Returns:
            `cluster_id`, `record_ids`, `merges` in order, and `cut`: see `cluster_explanation.explain_cluster`.
        """
        self._require_fitted()
        return self._pairs.explain_cluster(self.merge_weight_, str(record_id))

    def explain_path(self, left: str, right: str) -> dict[str, Any]:
        """Say by which links two records are joined, or why they are not: see `cluster_explanation.explain_path`.

        Returns:
            What it answers, and the `waterfall` of the pair itself.
        """
        self._require_fitted()
        answer = self._pairs.explain_path(self.merge_weight_, str(left), str(right))
        return {**answer, "waterfall": self.explain(left, right)}

    def blocking_report(self, truth: Any = None) -> dict[str, Any]:
        """Say what each blocking rule finds and costs, what was skipped, and how many matches are missed, estimated.

        Args:
            truth: `record_id, true_id`; only compared with.

        Raises:
            ColumnError: the truth lacks a column.
        """
        self._require_fitted()
        return report_blocking(self._con, self._features, self.blocking_, truth)

    def summary(self) -> dict[str, Any]:
        """Counts and parameters of the fit, without any record."""
        self._require_fitted()
        threshold = self.threshold or 0.5
        candidates, links = self._pairs.count_pairs(log2_odds(threshold))
        return {
            "records": self._features.records,
            "candidate_pairs": candidates,
            "links": links,
            "threshold": threshold,
            "comparisons": [comparison.name for comparison in self.comparisons_],
            "blocking_rules": [each.summary() for each in self.blocking_],
            **self.classes_.summary(),
        }

    def fit_report(self) -> list[dict[str, str]]:
        """Say what can and what cannot be trusted in the fit, warnings first.

        Returns:
            Findings: `severity` (warning or note), `topic`, `finding`, `what_to_do`.

        Raises:
            NotFittedError: before `fit`.
        """
        if not hasattr(self, "classes_"):
            raise NotFittedError("LinkageModel")
        return [finding.to_dict() for finding in self.classes_.report_]

    def _require_fitted(self) -> None:
        if not hasattr(self, "_engine"):
            raise NotFittedError("LinkageModel")

    # ------------------------------------------------------------------ the model as JSON
    def to_dict(self) -> dict[str, Any]:
        """Everything learnt, as plain JSON: comparisons and blocking as data, classes; no record.

        Raises:
            NotFittedError: before `fit`.
        """
        if not hasattr(self, "classes_"):
            raise NotFittedError("LinkageModel")
        return write_model(self)

    def _columns(self) -> frozenset[str]:
        return self._features.filled if hasattr(self, "_features") else self._stored_columns

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> LinkageModel:
        """Rebuild a model from `to_dict`, ready to `score` records.

        Raises:
            ModelError: the content is of another format version, or damaged.
        """
        return read_model(cls, content)

    def score(
        self, records: Any, *, con: duckdb.DuckDBPyConnection | None = None, statistics: str | None = None
    ) -> LinkageModel:
        """Block and score other records with what was learnt; `predict` and `cluster` then answer for them.

        Args:
            records: as `fit` takes them.
            con: DuckDB connection to work in; without it a new one in memory.
            statistics: table in `con` of what the model's own file told of its values, as `fit` left it in
                `term_statistics`: for more records of that file. Without it these records tell, as a file of their own.

        Raises:
            NotFittedError: before `fit`.
        """
        if not hasattr(self, "classes_"):
            raise NotFittedError("LinkageModel")
        self._stored_columns = self._columns()
        self._open(records, con, statistics)
        self._start_engine(given=statistics is not None)
        self._engine.compare(self._pairs.block_permitted(), into="scored_candidates")
        self._pairs.compare_neighbours(self.classes_)
        self._pairs.score(self.scorer_)
        return self

    _features: Features
    _stored_columns: frozenset[str]


def log2_odds(probability: float) -> float:
    """Match weight of a match probability."""
    return math.log2(probability / (1 - probability))
