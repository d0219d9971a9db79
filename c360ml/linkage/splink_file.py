"""Splink's settings JSON, both ways: a two-class model written for Splink, a trained Splink model read.

A model written here reads the table `linkage_features`, which `LinkageModel.fit` leaves in its connection. A model
read here is understood by Splink's own classes, so that defaults and older files mean what they mean there. Its
columns are the user's; `splink_model` runs it on the user's table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from splink import SettingsCreator
from splink.internals.comparison import Comparison as ParsedComparison
from splink.internals.settings import Settings

from c360ml.errors import ModelError
from c360ml.linkage.blocking import BlockedRule, BlockingRule
from c360ml.linkage.comparisons import Comparison, choose_comparisons
from c360ml.linkage.pattern_em import level_blocks
from c360ml.linkage.splink_engine import splink_settings
from c360ml.linkage.two_classes import TwoClasses

_OUR_RULE = re.compile(r'l\."?block_(\w+)"? = r\."?block_\1"?')
_COLUMN_OF = {"place": "city"}


def write_settings(
    classes: TwoClasses, comparisons: tuple[Comparison, ...], rules: tuple[BlockingRule, ...]
) -> dict[str, Any]:
    """Say a two-class model in Splink's words, as plain JSON."""
    settings = splink_settings(comparisons, rules).create_settings_dict("duckdb")
    for comparison, written in zip(comparisons, settings["comparisons"], strict=True):
        m, u = (classes.level_probabilities(name, comparison.name) for name in classes.class_names)
        known = [level for level in written["comparison_levels"] if not level.get("is_null_level")]
        for label, level in zip(comparison.labels, known, strict=True):
            level["m_probability"], level["u_probability"] = m[label], u[label]
    prior = classes.probability_two_random_records_match_
    written_settings: dict[str, Any] = {
        **settings,
        "sql_dialect": "duckdb",
        "probability_two_random_records_match": prior,
    }
    return written_settings


@dataclass(frozen=True)
class SplinkFile:
    """A Splink model as it was given, and as Splink understands it."""

    content: dict[str, Any]
    settings: Settings

    @classmethod
    def read(cls, source: Mapping[str, Any] | str | Path) -> SplinkFile:
        """Read a settings dictionary or JSON file of Splink 4 or 5.

        Raises:
            ModelError: it is no such JSON, not trained, or asks for what is not supported; the message names it.
        """
        content = _as_dict(source)
        _check_kind(content)
        plain = {**content, "blocking_rules_to_generate_predictions": _rules(content)}
        try:
            settings = SettingsCreator.from_path_or_dict(plain).get_settings("duckdb")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                "a Splink model must be a settings dictionary that Splink 5 reads",
                got=repr(error),
                hint="save it anew with linker.misc.save_model_to_json",
            ) from error
        for comparison in settings.comparisons:
            _check_levels(comparison)
        return cls(plain, settings)

    @property
    def unique_id(self) -> str:
        """The user's column that tells records apart."""
        return self.settings.column_info_settings.unique_id_column_name

    @property
    def prior(self) -> float:
        """Probability that two random records match."""
        return float(self.settings.core_model_settings.probability_two_random_records_match)

    def untrained(self) -> list[str]:
        """Levels for which Splink takes its default m or u."""
        return [
            f"{comparison.output_column_name} {level.label_for_charts!r}"
            for comparison in self.settings.comparisons
            for level in comparison.comparison_levels
            if not level._is_trained
        ]

    def ours(self) -> tuple[frozenset[str], tuple[BlockedRule, ...]] | None:
        """Columns that choose the comparisons, and blocking rules, if `write_settings` wrote this file."""
        names = [comparison.output_column_name for comparison in self.settings.comparisons]
        columns = frozenset(_COLUMN_OF.get(name, name) for name in names)
        comparisons = choose_comparisons(columns)
        rules = [rule.blocking_rule_sql for rule in self.settings._blocking_rules_to_generate_predictions]
        found = [_OUR_RULE.fullmatch(rule) for rule in rules]
        if self.unique_id != "rid" or _conditions(self.settings) != _conditions_of(comparisons) or not all(found):
            return None
        ours = [BlockingRule.of_column(match[1]) for match in found if match]
        return columns, tuple(BlockedRule(rule, 0, chosen=True) for rule in ours)

    def classes(self, comparisons: tuple[Comparison, ...]) -> TwoClasses:
        """Take m and u of the file for its comparisons."""
        m: list[float] = []
        u: list[float] = []
        for comparison in self.settings.comparisons:
            levels = comparison._comparison_levels_excluding_null
            m += [float(level.m_probability) for level in reversed(levels)]
            u += [float(level.u_probability) for level in reversed(levels)]
        return given_classes(comparisons, np.array([m, u]), self.prior)


def given_classes(comparisons: tuple[Comparison, ...], levels: Any, prior: float) -> TwoClasses:
    """Two classes with given m and u, worst level first, that nothing is known of but those."""
    classes = TwoClasses(comparisons)
    width = level_blocks(comparisons)[-1].stop
    if levels.shape[1] != width:
        raise ModelError(
            "a Splink model must have m and u for each level",
            got=f"{levels.shape[1]} of {width}",
            hint="train it again in Splink",
        )
    classes.levels_, classes.pairs_ = levels, np.array([prior, 1 - prior])
    classes.near_pairs_ = classes.pairs_
    classes.iterations_, classes.converged_, classes.starts_, classes.report_ = 0, True, (), ()
    return classes


def _as_dict(source: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    if isinstance(source, Mapping):
        # By way of its text, so that it is a copy to its depth, and nothing but JSON.
        copied: dict[str, Any] = json.loads(json.dumps(dict(source)))
        return copied
    try:
        content = json.loads(Path(source).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            "a Splink model must be a settings dictionary or the path of its JSON file",
            got=repr(error),
            hint="save it with linker.misc.save_model_to_json",
        ) from error
    if not isinstance(content, dict):
        raise ModelError("a Splink model must be a JSON object", got=type(content).__name__, hint="check the file")
    return content


def _check_kind(content: Mapping[str, Any]) -> None:
    if (link_type := content.get("link_type")) != "dedupe_only":
        raise ModelError(
            "a Splink model must have link_type dedupe_only",
            got=repr(link_type),
            hint="put the sources below each other in one table with one unique id, and set dedupe_only;"
            " Constraints(duplicate_free_sources=...) keeps records of one source apart",
        )
    if (dialect := content.get("sql_dialect") or "duckdb") != "duckdb":
        raise ModelError(
            "a Splink model must hold conditions in DuckDB's SQL",
            got=f"sql_dialect {dialect!r}",
            hint="write its conditions for DuckDB, e.g. by building it anew with splink.DuckDBAPI",
        )
    if not content.get("comparisons") or not content.get("blocking_rules_to_generate_predictions"):
        raise ModelError(
            "a Splink model must have comparisons and blocking_rules_to_generate_predictions",
            got=sorted(content),
            hint="save a whole model with linker.misc.save_model_to_json",
        )


def _rules(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Blocking rules without what only steered older engines: salting changes no answer."""
    given = content["blocking_rules_to_generate_predictions"]
    rules = [{"blocking_rule": rule} if isinstance(rule, str) else dict(rule) for rule in given]
    return [
        {name: part for name, part in rule.items() if name not in ("salting_partitions", "sql_dialect")}
        for rule in rules
    ]


def _check_levels(comparison: ParsedComparison) -> None:
    last = comparison.comparison_levels[-1]
    if not last._is_else_level:
        raise ModelError(
            "the last level of each comparison must be ELSE",
            got=f"{comparison.output_column_name} ends with {last.label_for_charts!r}",
            hint="add an ELSE level with its m and u",
        )


def _conditions(settings: Settings) -> list[tuple[str, list[str]]]:
    return [
        (comparison.output_column_name, [level.sql_condition for level in comparison.comparison_levels])
        for comparison in settings.comparisons
    ]


def _conditions_of(comparisons: tuple[Comparison, ...]) -> list[tuple[str, list[str]]]:
    return [
        (comparison.name, [comparison.missing, *(level.condition for level in comparison.levels), "ELSE"])
        for comparison in comparisons
    ]
