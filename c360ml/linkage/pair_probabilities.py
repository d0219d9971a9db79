"""How many scored pairs have which match probability, and what is expected of those above a threshold.

Pairs are grouped by probability in SQL, so that all that follows costs the same for a thousand pairs and a billion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from c360ml.errors import ColumnError, DataError

if TYPE_CHECKING:
    import duckdb

Floats = NDArray[np.float64]

_NUMBER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL")
_PROBABILITY = "try_cast(match_probability as double)"


@dataclass(frozen=True)
class PairProbabilities:
    """Distinct match probabilities from high to low, and how many pairs have each.

    >>> some = PairProbabilities(np.array([0.9, 0.5]), np.array([2.0, 1.0]))
    >>> some.precisions().round(3).tolist(), some.recalls().round(3).tolist()
    ([1.0, 0.9, 0.767], [0.0, 0.783, 1.0])
    """

    probability: Floats
    pairs: Floats

    @classmethod
    def of(cls, pairs: duckdb.DuckDBPyRelation) -> PairProbabilities:
        """Count a table with `match_probability`, and with `pairs` if a row stands for several.

        Raises:
            ColumnError: `match_probability` is missing, or no probability.
        """
        _require(pairs, "match_probability")
        found = pairs.aggregate(f"{_PROBABILITY} as probability, sum({_times(pairs)})::double as pairs", _PROBABILITY)
        columns = found.order("probability desc").fetchnumpy()
        probability, counts = _floats(columns["probability"]), _floats(columns["pairs"])
        wrong = int(counts[~((probability >= 0) & (probability <= 1))].sum())
        if wrong:
            raise ColumnError(
                "match_probability must be a number from 0 to 1 in each row",
                got=f"{wrong} rows where it is not",
                hint="give the pairs as LinkageModel.predict does",
            )
        return cls(probability, counts)

    def precisions(self) -> Floats:
        """Expected precision if the first 0, 1, 2, ... probabilities are linked; nothing linked is never wrong."""
        linked = np.cumsum(self.pairs)
        return np.append(1.0, np.cumsum(self.pairs * self.probability) / np.maximum(linked, 1.0))

    def recalls(self) -> Floats:
        """Expected recall if the first 0, 1, 2, ... probabilities are linked."""
        matches = np.append(0.0, np.cumsum(self.pairs * self.probability))
        return matches / matches[-1] if matches[-1] > 0 else np.ones(len(matches))

    def linked_above(self, probability: float) -> int:
        """Count the distinct probabilities above one."""
        return int((self.probability > probability).sum())

    def cut(self, linked: int) -> float:
        """Probability half way between the last that is linked and the first that is not."""
        ends = np.concatenate([[1.0], self.probability, [0.0]])
        return float(ends[linked] + ends[linked + 1]) / 2


def summed_costs(pairs: duckdb.DuckDBPyRelation, cost: float | str) -> Floats:
    """Sum a cost, one for all pairs or a column of them, over the pairs of each probability, from high to low.

    Raises:
        ColumnError: the column is missing, or does not hold numbers.
    """
    if isinstance(cost, str):
        _require(pairs, cost)
        kind = str(pairs.types[pairs.columns.index(cost)])
        if not kind.startswith(_NUMBER_TYPES):
            raise ColumnError(f"{cost} must hold money", got=kind, hint="make it a number")
        each = '"' + cost.replace('"', '""') + '"'
    else:
        each = repr(cost)
    summed = f"{_PROBABILITY} as probability, sum({_times(pairs)} * {each})::double as cost"
    return _floats(pairs.aggregate(summed, _PROBABILITY).order("probability desc").fetchnumpy()["cost"])


def labelled_counts(
    con: duckdb.DuckDBPyConnection, scored: duckdb.DuckDBPyRelation, labels: duckdb.DuckDBPyRelation
) -> tuple[Floats, Floats, Floats]:
    """Count labelled pairs by match probability, from high to low: probability, pairs, matches among them.

    Raises:
        ColumnError: a column is missing.
        DataError: no label says match.
    """
    for given, column in ((scored, "match_probability"), (labels, "is_match")):
        _require(given, "record_id_l", "record_id_r", column)
    scored.create_view("scored_for_labels", replace=True)
    labels.create_view("labels_for_scored", replace=True)
    found = con.execute("""
        with scored as (
            select least(record_id_l::varchar, record_id_r::varchar) as first,
                   greatest(record_id_l::varchar, record_id_r::varchar) as last, match_probability
            from scored_for_labels
        ),
        labels as (
            select distinct least(record_id_l::varchar, record_id_r::varchar) as first,
                   greatest(record_id_l::varchar, record_id_r::varchar) as last, is_match::integer as is_match
            from labels_for_scored
        )
        select coalesce(match_probability, 0.0)::double as probability, count(*)::double as pairs,
               sum(is_match)::double as matches
        from labels left join scored using (first, last)
        group by all order by probability desc
    """).fetchnumpy()
    matches = _floats(found["matches"])
    if not matches.sum():
        raise DataError("labelled pairs must hold a match", got="none", hint="label some pairs of high probability")
    return _floats(found["probability"]), _floats(found["pairs"]), matches


def _times(pairs: duckdb.DuckDBPyRelation) -> str:
    return "pairs" if "pairs" in pairs.columns else "1"


def _require(pairs: duckdb.DuckDBPyRelation, *columns: str) -> None:
    missing = [column for column in columns if column not in pairs.columns]
    if missing:
        raise ColumnError(
            f"the table must have the columns {list(columns)}", got=f"{pairs.columns}", hint=f"add {missing}"
        )


def _floats(values: Any) -> Floats:
    return np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
