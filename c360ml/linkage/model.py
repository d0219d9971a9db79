"""The linkage model: learn how records of one person agree, score pairs, cluster, evaluate, explain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from c360ml.errors import ConfigError, DataError, ModelError, NotFittedError
from c360ml.lakehouse import as_relation, connect, same_kind
from c360ml.linkage import evaluation
from c360ml.linkage.blocking import BlockedRule, BlockingRule, add_block_keys, candidate_rules, choose_rules
from c360ml.linkage.clusters import MERGE_WEIGHT
from c360ml.linkage.comparisons import choose_comparisons
from c360ml.linkage.explanation import waterfall
from c360ml.linkage.features import Features, build_features
from c360ml.linkage.latent_classes import CLASS_NAMES, LatentClasses
from c360ml.linkage.pair_tables import PairTables
from c360ml.linkage.splink_engine import SplinkEngine

if TYPE_CHECKING:
    import duckdb

FORMAT_VERSION = 1


class LinkageModel:
    """Probabilistic record linkage that tells people from households, without labels and without tuning.

    Candidate pairs come from blocking rules chosen by the columns at hand; Splink compares them; a latent-class
    mixture (see `latent_classes`) scores them; average linkage clusters them.

    Args:
        threshold: least match probability, on average over the pairs of two clusters, that merges them; without it
            the odds of `clusters.MERGE_WEIGHT`. Single pairs count as links from this probability, or from 0.5.
        max_pairs: most candidate pairs that blocking may produce.
        seed: seed of the random pairs that show what agrees by chance.

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

    def __init__(self, *, threshold: float | None = None, max_pairs: int = 100_000_000, seed: int = 1) -> None:
        if threshold is not None and not 0 < threshold < 1:
            raise ConfigError(
                "threshold must be a probability between 0 and 1", got=threshold, hint="leave it out for the default"
            )
        self.threshold = threshold
        self.max_pairs = max_pairs
        self.seed = seed

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
        self.blocking_ = choose_rules(
            self._con, candidate_rules(self._features.filled), records=self._features.records, max_pairs=self.max_pairs
        )
        self._start_engine()
        self._engine.compare(self._engine.block(), into="scored_candidates")
        self._engine.compare(self._pairs.draw_random_pairs(self.seed), into="random_vectors")
        patterns, counts = self._pairs.count_patterns("scored_candidates")
        random_patterns, random_counts = self._pairs.count_patterns("random_vectors")
        self.classes_ = LatentClasses(self.comparisons_).fit(
            self._engine.digits(patterns),
            counts,
            self._engine.digits(random_patterns),
            random_counts,
            all_pairs=self._pairs.all_pairs,
        )
        self._con.execute("drop table random_vectors").fetchall()
        self._pairs.score(self.classes_)
        return self

    def _open(self, records: Any, con: duckdb.DuckDBPyConnection | None) -> None:
        self._like = records
        self._con = con if con is not None else connect()
        if isinstance(records, str):
            self._features = build_features(self._con, records)
        else:
            as_relation(self._con, records).create_view("linkage_records", replace=True)
            self._features = build_features(self._con, "linkage_records")

    def _start_engine(self) -> None:
        add_block_keys(self._con, self.blocking_)
        self._engine = SplinkEngine(self._con, self._features.name, self.comparisons_, self.rules_)
        self._pairs = PairTables(self._con, self._features, self._engine)

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
        return self._pairs.cluster(MERGE_WEIGHT if self.threshold is None else _log2_odds(self.threshold))

    # ------------------------------------------------------------------ judging and explaining
    def evaluate(self, labels: Any) -> dict[str, Any]:
        """Compare with truth: pairwise and B-cubed measures, blocking recall, calibration.

        Args:
            labels: either `record_id, true_id` (records of null truth are left out), or labelled pairs
                `record_id_l, record_id_r, is_match`.

        Raises:
            ColumnError: the labels have neither form.
        """
        self._require_fitted()
        given = as_relation(self._con, labels)
        self.cluster_table()
        if "is_match" in given.columns:
            evaluation.require_columns(given, "labelled pairs", ("record_id_l", "record_id_r", "is_match"))
            given.create_view("labelled_pairs", replace=True)
            return dict(evaluation.labelled_pair_measures(self._con, "clusters", "labelled_pairs"))
        evaluation.require_columns(given, "labels", ("record_id", "true_id"))
        known = given.filter("true_id is not null").project("cast(record_id as varchar) as record_id, true_id")
        known.create_view("true_ids", replace=True)
        self._con.execute(f"""
            create or replace temp view scored_by_id as
            select l.record_id as record_id_l, r.record_id as record_id_r, match_probability, blocked
            from scored_pairs join pattern_weights using (pattern)
            join {self._features.name} l on l.rid = rid_l join {self._features.name} r on r.rid = rid_r
        """).fetchall()
        blocked = "(select record_id_l, record_id_r from scored_by_id where blocked)"
        bins = evaluation.calibration(self._con, "(from scored_by_id where blocked)", "true_ids")
        return {
            **evaluation.cluster_measures(self._con, "clusters", "true_ids"),
            "blocking_recall": evaluation.blocking_recall(self._con, blocked, "true_ids"),
            "calibration_error": evaluation.expected_calibration_error(bins),
            "calibration": bins,
        }

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
        pattern, _ = self._pairs.count_patterns("asked_vector")
        return waterfall(self.classes_, self.comparisons_, self._engine.digits(pattern)[0])

    def summary(self) -> dict[str, Any]:
        """Counts and parameters of the fit, without any record."""
        self._require_fitted()
        threshold = self.threshold or 0.5
        candidates, links = self._con.execute(f"""
            select count(*) filter (blocked), count(*) filter (match_weight > {_log2_odds(threshold)})
            from scored_pairs join pattern_weights using (pattern)
        """).fetchall()[0]
        return {
            "records": self._features.records,
            "candidate_pairs": int(candidates),
            "links": int(links),
            "threshold": threshold,
            "comparisons": [comparison.name for comparison in self.comparisons_],
            "blocking_rules": [
                {
                    "rule": "+".join(each.rule.parts),
                    "pairs": each.pairs,
                    "hot_pairs": each.hot_pairs,
                    "chosen": each.chosen,
                }
                for each in self.blocking_
            ],
            "pairs_by_class": dict(zip(CLASS_NAMES, (float(size) for size in self.classes_.pairs_), strict=True)),
            "iterations": self.classes_.iterations_,
            "converged": self.classes_.converged_,
        }

    def _require_fitted(self) -> None:
        if not hasattr(self, "_engine"):
            raise NotFittedError("LinkageModel")

    # ------------------------------------------------------------------ the model as JSON
    def to_dict(self) -> dict[str, Any]:
        """Everything learnt, as plain JSON: comparisons and blocking as data, classes; no record."""
        if not hasattr(self, "classes_"):
            raise NotFittedError("LinkageModel")
        return {
            "format_version": FORMAT_VERSION,
            "threshold": self.threshold,
            "max_pairs": self.max_pairs,
            "seed": self.seed,
            "columns": sorted(self._columns()),
            "blocking_rules": [list(rule.parts) for rule in self.rules_],
            "classes": self.classes_.to_dict(),
        }

    def _columns(self) -> frozenset[str]:
        return self._features.filled if hasattr(self, "_features") else self._stored_columns

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> LinkageModel:
        """Rebuild a model from `to_dict`, ready to `score` records.

        Raises:
            ModelError: the content is of another format version, or damaged.
        """
        if content.get("format_version") != FORMAT_VERSION:
            raise ModelError(
                f"a linkage model must have format_version {FORMAT_VERSION}",
                got=content.get("format_version"),
                hint="train it again with this version",
            )
        try:
            model = cls(threshold=content["threshold"], max_pairs=content["max_pairs"], seed=content["seed"])
            model._stored_columns = frozenset(content["columns"])
            model.comparisons_ = choose_comparisons(model._stored_columns)
            model.blocking_ = tuple(
                BlockedRule(BlockingRule(tuple(parts)), 0, 0, chosen=True) for parts in content["blocking_rules"]
            )
            model.classes_ = LatentClasses.from_dict(model.comparisons_, content["classes"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                "a linkage model must hold what to_dict wrote", got=repr(error), hint="train it again with this version"
            ) from error
        return model

    def score(self, records: Any, *, con: duckdb.DuckDBPyConnection | None = None) -> LinkageModel:
        """Block and score other records with what was learnt; `predict` and `cluster` then answer for them."""
        if not hasattr(self, "classes_"):
            raise NotFittedError("LinkageModel")
        self._stored_columns = self._columns()
        self._open(records, con)
        self._start_engine()
        self._engine.compare(self._engine.block(), into="scored_candidates")
        self._pairs.score(self.classes_)
        return self

    _features: Features
    _stored_columns: frozenset[str]


def _log2_odds(probability: float) -> float:
    return math.log2(probability / (1 - probability))
