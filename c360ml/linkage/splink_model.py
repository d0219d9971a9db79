"""A model trained in Splink, run on the user's own table: Splink's scores, our clusters and evaluation.

Term-frequency adjustments depend on values, while everything here counts agreement patterns. So a level with an
adjustment becomes one level for each frequency that a term of the table has: the adjusted weight is then a property
of the pattern, and scoring, clusters and explanations need not know of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from splink import SettingsCreator
from splink.internals.comparison import Comparison as ParsedComparison
from splink.internals.comparison_creator import ComparisonCreator
from splink.internals.comparison_level import ComparisonLevel as ParsedLevel

from c360ml.errors import ColumnError, ConfigError, DataError, ModelError
from c360ml.lakehouse import as_relation, connect
from c360ml.linkage.blocking import BlockedRule, BlockingRule
from c360ml.linkage.comparisons import Comparison, Level, choose_comparisons
from c360ml.linkage.constraints import Constraints, NumberedConstraints
from c360ml.linkage.em_report import Finding
from c360ml.linkage.features import Features
from c360ml.linkage.model import LinkageModel
from c360ml.linkage.model_json import FORMAT_VERSION
from c360ml.linkage.pair_tables import PairTables
from c360ml.linkage.recalibration import Recalibration
from c360ml.linkage.splink_engine import SplinkEngine
from c360ml.linkage.splink_file import SplinkFile, given_classes

if TYPE_CHECKING:
    import duckdb

_MOST_PATTERNS = 2**62
_RESERVED = ("rid", "record_id")


class SplinkModel(LinkageModel):
    """A `LinkageModel` that was trained in Splink; `score` it on a table with the columns that its conditions name.

    Args:
        file: the Splink model.
        threshold: as `LinkageModel` has it.
    """

    def __init__(self, file: SplinkFile, *, threshold: float | None = None) -> None:
        super().__init__(threshold=threshold, classes="two")
        self.file, self._stored_columns = file, frozenset()
        self._use([TermComparison.of(comparison, {}) for comparison in file.settings.comparisons])
        rules = file.settings._blocking_rules_to_generate_predictions
        self.blocking_ = tuple(BlockedRule(BlockingRule((rule.blocking_rule_sql,)), 0, chosen=True) for rule in rules)
        self.recalibration_ = Recalibration.identity()

    def fit(self, records: Any, *, con: duckdb.DuckDBPyConnection | None = None) -> LinkageModel:
        """Refuse: the model is trained.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "a model from Splink is trained", got="fit", hint='score(records), or LinkageModel(classes="two").fit'
        )

    def _use(self, terms: list[TermComparison]) -> None:
        self._terms = terms
        self.comparisons_ = tuple(each.comparison for each in terms)
        levels = np.concatenate([each.levels for each in terms], axis=1)
        self.classes_ = given_classes(self.comparisons_, levels, self.file.prior)
        self.classes_.report_ = tuple(_untrained(self.file))

    def _open(self, records: Any, con: duckdb.DuckDBPyConnection | None, statistics: str | None = None) -> None:
        if statistics is not None:
            raise ConfigError(
                "a model from Splink counts terms in the table it scores",
                got="statistics of another",
                hint="score the whole table",
            )
        self._like = records
        self._con = con if con is not None else connect()
        if not isinstance(records, str):
            as_relation(self._con, records).create_view("linkage_records", replace=True)
            records = "linkage_records"
        self._features = _number_records(self._con, records, self.file)
        frequencies = {
            column: _number_frequencies(self._con, column, name) for column, name in _terms_of(self.file).items()
        }
        self._use([TermComparison.of(comparison, frequencies) for comparison in self.file.settings.comparisons])

    def _start_engine(self, *, given: bool = False) -> None:
        self._engine = OwnTableEngine(self._con, self._features.name, self.file, self._terms)
        numbered = NumberedConstraints(self._con, self._features, self.constraints)
        self._pairs = PairTables(self._con, self._features, self._engine, numbered)
        self.classes_.pairs_ = self.classes_.pairs_ / self.classes_.pairs_.sum() * self._pairs.all_pairs
        self.classes_.near_pairs_ = self.classes_.pairs_

    def to_splink_settings(self) -> dict[str, Any]:
        """The model as it was read."""
        return self.file.content

    @classmethod
    def of_dict(cls, content: Mapping[str, Any]) -> SplinkModel:
        """Rebuild from `to_dict`.

        Raises:
            ModelError: the content is damaged.
        """
        try:
            model = cls(SplinkFile.read(content["splink_settings"]), threshold=content["threshold"])
            model.constraints = Constraints.from_dict(content["constraints"])
            model.recalibration_ = Recalibration.from_dict(content["recalibration"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                "a linkage model must hold what to_dict wrote", got=repr(error), hint="read the Splink model again"
            ) from error
        return model

    def to_dict(self) -> dict[str, Any]:
        """The model as it was read, with our settings."""
        return {
            "format_version": FORMAT_VERSION,
            "threshold": self.threshold,
            "constraints": self.constraints.to_dict(),
            "splink_settings": self.file.content,
            "recalibration": self.recalibration_.to_dict(),
        }


@dataclass(frozen=True)
class WordedComparison(Comparison):
    """A comparison whose levels have the words of the file: `words` from best to worst, `exact` in step with them."""

    words: tuple[str, ...] = ()
    exact: tuple[bool, ...] = ()

    @property
    def full(self) -> tuple[bool, ...]:
        """Which levels are exact agreement, from worst to best."""
        return self.exact[::-1]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels from best to worst."""
        return self.words


@dataclass(frozen=True)
class TermComparison:
    """A comparison of the file, its adjusted levels spread over the frequencies of their terms.

    `digit` is the SQL of its digit over Splink's comparison vectors, with `{gamma}` for its own column; `levels` holds
    m and u, worst level first.
    """

    comparison: Comparison
    digit: str
    levels: NDArray[np.float64]

    @classmethod
    def of(cls, parsed: ParsedComparison, frequencies: Mapping[str, Frequencies]) -> TermComparison:
        """Spread the levels; without frequencies each stays one."""
        levels = parsed._comparison_levels_excluding_null
        words: list[str] = []
        exact: list[bool] = []
        m: list[float] = []
        u: list[float] = []
        cases = ["when {gamma} < 0 then 0"]
        for value, level in enumerate(reversed(levels)):
            term = frequencies.get(_term_column(level)) if _is_adjusted(level) else None
            rank = f" + greatest({term.name}_l, {term.name}_r)" if term else ""
            cases.append(f"when {{gamma}} = {value} then {len(m) + 1}{rank}")
            label = level._label_for_charts_no_duplicates(levels)
            for weight, named in _adjustments(level, levels, term.values if term else []):
                words.append(label + named)
                exact.append(bool(level._is_exact_match))
                m.append(float(level.m_probability))
                u.append(m[-1] * 2.0 ** -(level._match_weight + weight))
        missing = " or ".join(f"({level.sql_condition})" for level in parsed.comparison_levels if level.is_null_level)
        conditions = tuple(Level(level.label_for_charts, level.sql_condition) for level in levels[:-1])
        comparison = WordedComparison(
            parsed.output_column_name, missing or "false", conditions, tuple(words[::-1]), tuple(exact[::-1])
        )
        return cls(comparison, f"case {' '.join(cases)} end", np.array([m, u]))


@dataclass(frozen=True)
class Frequencies:
    """How often terms of a column are there: the feature column with their ranks, the values in that order."""

    name: str
    values: list[float]


def _term_column(level: ParsedLevel) -> str:
    return str(level._tf_adjustment_input_column_name)


def _terms_of(file: SplinkFile) -> dict[str, str]:
    """Columns with term frequencies, and the names of the feature columns that rank them."""
    columns = {
        _term_column(level)
        for comparison in file.settings.comparisons
        for level in comparison.comparison_levels
        if _is_adjusted(level)
    }
    return {column: f"term_rank_{position}" for position, column in enumerate(sorted(columns))}


def _is_adjusted(level: ParsedLevel) -> bool:
    return bool(level._has_tf_adjustments and level._tf_adjustment_weight and not level._is_else_level)


def _adjustments(level: ParsedLevel, levels: list[ParsedLevel], frequencies: list[float]) -> list[tuple[float, str]]:
    """Weight that Splink adds for each frequency, after none for a term without one, and how to name it."""
    adjustments = [(0.0, "")]
    if frequencies:
        expected = math.log2(level._u_probability_corresponding_to_exact_match(levels))
        for frequency in frequencies:
            weight = level._tf_adjustment_weight * (expected - math.log2(max(frequency, level._tf_minimum_u_value)))
            adjustments.append((weight, f", frequency {frequency:.3g}"))
    return _told_apart(adjustments)


def _told_apart(adjustments: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Number names that rounding made equal."""
    seen: dict[str, int] = {}
    answer = []
    for weight, name in adjustments:
        seen[name] = seen.get(name, 0) + 1
        answer.append((weight, f"{name} ({seen[name]})" if seen[name] > 1 else name))
    return answer


class OwnTableEngine(SplinkEngine):
    """Blocks and compares the user's table as the file says."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, features: str, file: SplinkFile, terms: list[TermComparison]
    ) -> None:
        self._file, self._terms = file, terms
        super().__init__(con, features, tuple(each.comparison for each in terms), ())
        sizes = [len(each.comparison.labels) + 1 for each in terms]
        if math.prod(sizes) > _MOST_PATTERNS:
            raise DataError(
                "a Splink model's levels and term frequencies must make fewer than 2**62 patterns",
                got=f"{sizes} levels and frequencies by comparison",
                hint="leave out the term frequencies of a comparison",
            )

    def _settings(self, rules: tuple[BlockingRule, ...]) -> SettingsCreator:
        """The file with our record number for its id, comparisons numbered, and term frequencies left to us."""
        content = self._file.content
        comparisons: list[ComparisonCreator | dict[str, Any]] = [
            {
                **comparison,
                "output_column_name": f"c{position}",
                "comparison_levels": [
                    {name: part for name, part in level.items() if not name.startswith("tf_")}
                    for level in comparison["comparison_levels"]
                ],
            }
            for position, comparison in enumerate(content["comparisons"])
        ]
        return SettingsCreator(
            link_type="dedupe_only",
            unique_id_column_name="rid",
            comparisons=comparisons,
            blocking_rules_to_generate_predictions=content["blocking_rules_to_generate_predictions"],
            additional_columns_to_retain=[*_terms_of(self._file).values()],
            retain_matching_columns=False,
        )

    def _digit(self, position: int) -> str:
        return self._terms[position].digit.format(gamma=f"gamma_c{position}")


def _number_records(con: duckdb.DuckDBPyConnection, records: str, file: SplinkFile) -> Features:
    """Number the user's records in the order of their id, as Splink sorts the two sides of a pair.

    Raises:
        ColumnError: the id is missing or repeats, a column that the model names is missing, or a name is taken.
        DataError: there are fewer than two records.
    """
    columns = [row[0] for row in con.execute(f"describe select * from {records}").fetchall()]
    used = {column.unquote().name for column in file.settings._columns_used_by_comparisons}
    if missing := sorted(used - set(columns)):
        raise ColumnError("records must have the columns of the Splink model", got=f"no {missing}", hint="add them")
    if taken := [name for name in _RESERVED if name in columns and name != file.unique_id]:
        raise ColumnError("records must leave the names rid and record_id to us", got=taken, hint="rename them")
    total, distinct = con.execute(f'select count(*), count(distinct "{file.unique_id}") from {records}').fetchall()[0]
    if total < 2:
        raise DataError("linkage needs at least two records", got=f"{total}", hint="add records")
    if distinct < total:
        raise ColumnError(
            f"{file.unique_id} must be given and different in every row", got=f"{distinct} of {total}", hint="mend it"
        )
    own = [name for name in columns if name not in _RESERVED]
    source = "" if "source" in columns else ", 'records' as source"
    con.execute(f"""
        create or replace temp table linkage_features as
        select row_number() over (order by "{file.unique_id}") as rid, "{file.unique_id}"::varchar as record_id,
               {", ".join(f'"{name}"' for name in own)}{source}
        from {records}
    """).fetchall()
    return Features("linkage_features", int(total), frozenset(own), ())


def _number_frequencies(con: duckdb.DuckDBPyConnection, column: str, name: str) -> Frequencies:
    """Add a column to the features: the rank of the frequency of the record's term, 0 without a term.

    A frequency is what it is to Splink: records with the term by records with any.
    """
    con.execute(f"""
        create or replace temp table term_ranks as
        with counted as (
            select "{column}" as term, count(*) as n from linkage_features where "{column}" is not null group by all
        )
        select term, n, dense_rank() over (order by n) as rank, sum(n) over () as total from counted
    """).fetchall()
    con.execute(f"""
        create or replace temp table linkage_features as
        select linkage_features.*, coalesce(rank, 0) as {name}
        from linkage_features left join term_ranks on term = "{column}"
    """).fetchall()
    frequencies = con.execute("select distinct n::double / total::double as f from term_ranks order by f").fetchall()
    con.execute("drop table term_ranks").fetchall()
    return Frequencies(name, [row[0] for row in frequencies])


def _untrained(file: SplinkFile) -> list[Finding]:
    untrained = file.untrained()
    trained = Finding(
        "note", "convergence", "Trained in Splink; what its training came to is not known here.", "nothing"
    )
    if not untrained:
        return [trained]
    warning = Finding(
        "warning",
        "levels",
        "Splink has learnt no m or u for some levels and takes its defaults: "
        f"{', '.join(untrained[:4])}{' and more' if len(untrained) > 4 else ''}.",
        "Train the model further in Splink, or set m and u of these levels.",
    )
    return [warning, trained]


def read_splink_model(source: Mapping[str, Any] | str | Path, *, threshold: float | None = None) -> LinkageModel:
    """Read a Splink model: one of ours becomes a plain `LinkageModel`, any other runs on the user's table."""
    file = SplinkFile.read(source)
    ours = file.ours()
    if ours is None:
        return SplinkModel(file, threshold=threshold)
    model = LinkageModel(threshold=threshold, classes="two")
    model._stored_columns, model.blocking_ = ours
    model.comparisons_ = choose_comparisons(model._stored_columns)
    model.classes_ = file.classes(model.comparisons_)
    model.recalibration_ = Recalibration.identity()
    return model
