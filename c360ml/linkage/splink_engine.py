"""Splink's part: candidate pairs by blocking, and the comparison vector of each pair. The only home of splink.

A comparison vector is kept as one integer, its agreement pattern: a mixed-radix number with one digit per
comparison (0 missing, 1 different, and so on up to the best level).
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from splink import DuckDBAPI, Linker, SettingsCreator
from splink.internals.comparison_level_creator import ComparisonLevelCreator
from splink.internals.comparison_library import CustomComparison
from splink.internals.comparison_vector_values import compute_comparison_vector_values_from_id_pairs_sqls
from splink.internals.pipeline import CTEPipeline
from splink.internals.vertically_concatenate import enqueue_df_concat_with_tf

from c360ml.linkage.blocking import BlockingRule
from c360ml.linkage.comparisons import Comparison

if TYPE_CHECKING:
    import duckdb


class Patterns:
    """Agreement patterns of some comparisons: one integer says how a pair agrees, the first in the lowest digit."""

    def __init__(self, comparisons: tuple[Comparison, ...]) -> None:
        self.comparisons = comparisons

    @property
    def radices(self) -> list[int]:
        """Place value of each comparison's digit in an agreement pattern."""
        sizes = [len(comparison.labels) + 1 for comparison in self.comparisons]
        return [1, *accumulate(sizes, lambda product, size: product * size)][:-1]

    @property
    def near(self) -> int:
        """Place value of the last digit of a pattern: whether the pair shares a linked neighbour."""
        return int(np.prod([len(comparison.labels) + 1 for comparison in self.comparisons], dtype=object))

    def are_near(self, patterns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether patterns are of pairs that share a linked neighbour."""
        near: NDArray[np.bool_] = patterns >= self.near
        return near

    def digits(self, patterns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Split patterns into one column per comparison: -1 missing, 0 different, up to the best level."""
        columns = [
            patterns // radix % (len(comparison.labels) + 1) - 1
            for comparison, radix in zip(self.comparisons, self.radices, strict=True)
        ]
        return np.stack(columns, axis=1)


class SplinkEngine(Patterns):
    """Blocks and compares the records of a feature table."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        features: str,
        comparisons: tuple[Comparison, ...],
        rules: tuple[BlockingRule, ...],
    ) -> None:
        super().__init__(comparisons)
        self.con = con
        self._api = DuckDBAPI(con)
        settings = self._settings(rules)
        # Splink's check parses every expression, a second a time; ours are made here and columns are checked before.
        self._linker = Linker(self._api.register(features), settings, log_level=None, validate_settings=False)

    def _settings(self, rules: tuple[BlockingRule, ...]) -> SettingsCreator:
        return splink_settings(self.comparisons, rules)

    def _digit(self, position: int) -> str:
        """SQL of a comparison's digit over Splink's comparison vectors."""
        return f"gamma_{self.comparisons[position].name} + 1"

    def block(self) -> str:
        """Find the candidate pairs; returns the name of a table `rid_l, rid_r` with rid_l < rid_r."""
        pairs = self._linker.inference.compute_blocked_pairs_for_predict()
        self.con.execute(f"""
            create or replace temp table candidate_pairs as
            select least(join_key_l, join_key_r) as rid_l, greatest(join_key_l, join_key_r) as rid_r
            from {pairs.physical_name}
        """).fetchall()
        pairs.drop_table_from_database_and_remove_from_cache()
        return "candidate_pairs"

    def compare(self, pairs: str, into: str) -> str:
        """Compare the pairs `rid_l, rid_r`; writes the table `into` with `rid_l, rid_r, pattern`."""
        settings = self._linker._settings_obj
        self.con.execute(f"""
            create or replace view compared_pairs as
            select rid_l as join_key_l, rid_r as join_key_r, '0' as match_key from {pairs}
        """).fetchall()
        blocked = self._api.table_to_splink_dataframe("__splink__blocked_id_pairs", "compared_pairs")
        pipeline = CTEPipeline([blocked])
        enqueue_df_concat_with_tf(self._linker, pipeline)
        pipeline.enqueue_list_of_sqls(
            compute_comparison_vector_values_from_id_pairs_sqls(
                settings._columns_to_select_for_blocking,
                settings._columns_to_select_for_comparison_vector_values,
                input_tablename_l="__splink__df_concat_with_tf",
                input_tablename_r="__splink__df_concat_with_tf",
                source_dataset_input_column=settings.column_info_settings.source_dataset_input_column,
                unique_id_input_column=settings.column_info_settings.unique_id_input_column,
                link_type=settings._link_type,
                sql_dialect_str="duckdb",
            )
        )
        digits = " + ".join(
            f"({self._digit(position)})::bigint * {radix}" for position, radix in enumerate(self.radices)
        )
        pipeline.enqueue_sql(
            f"select rid_l, rid_r, cast({digits} as bigint) as pattern from __splink__df_comparison_vectors",
            "c360ml_patterns",
        )
        answer = self._api.sql_pipeline_to_splink_dataframe(pipeline)
        self.con.execute(f"create or replace temp table {into} as from {answer.physical_name}").fetchall()
        answer.drop_table_from_database_and_remove_from_cache()
        return into


def splink_settings(comparisons: tuple[Comparison, ...], rules: tuple[BlockingRule, ...]) -> SettingsCreator:
    """Say comparisons and blocking rules in Splink's words."""
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="rid",
        comparisons=[_splink_comparison(comparison) for comparison in comparisons],
        blocking_rules_to_generate_predictions=[
            {"blocking_rule": f"l.{rule.column} = r.{rule.column}", "sql_dialect": "duckdb"} for rule in rules
        ],
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=False,
    )


def _splink_comparison(comparison: Comparison) -> CustomComparison:
    levels: list[ComparisonLevelCreator | dict[str, Any]] = [
        {"sql_condition": comparison.missing, "label_for_charts": "missing", "is_null_level": True}
    ]
    levels += [{"sql_condition": level.condition, "label_for_charts": level.label} for level in comparison.levels]
    levels.append({"sql_condition": "ELSE", "label_for_charts": comparison.labels[-1]})
    return CustomComparison(output_column_name=comparison.name, comparison_levels=levels)
