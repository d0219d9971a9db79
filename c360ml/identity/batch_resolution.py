"""Many raw records at once: the candidates of all are compared in one query, and each pattern is weighed once.

A record alone is compared by the model's conditions written as Python, which takes microseconds a pair; a query over
many pairs takes a tenth of that, once it is planned. Both are made of the same SQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.identity.base_files import Base
from c360ml.identity.resolution import Decision, best_candidate
from c360ml.identity.store_delta import Delta
from c360ml.identity.store_view import View
from c360ml.lakehouse import connect
from c360ml.linkage import online
from c360ml.linkage.features import DERIVED_LISTS

Ints = NDArray[np.int64]
_MOST_NUMBERS = 1 << 62


class Candidates(NamedTuple):
    """Stored records beside the records of a batch: which of the batch, and each stored record as a JSON array."""

    of_record: Ints
    lines: pa.Array


class _Patterns:
    """What a model says of agreement patterns, worked out once for each."""

    def __init__(self, scorer: online.OnlineScorer, digits: Ints) -> None:
        self._scorer = scorer
        _, first, self._of_pair = np.unique(_numbered(digits), return_index=True, return_inverse=True)
        self._distinct = digits[first]
        self.weights: NDArray[np.float64] = scorer.match_weights(self._distinct)[self._of_pair]

    def steps(self, pairs: Sequence[int]) -> list[tuple[dict[str, float | str], ...]]:
        """Waterfalls of the weights of some pairs; pairs of one pattern share theirs."""
        patterns, of_pair = np.unique(self._of_pair[pairs], return_inverse=True)
        explained = [tuple(steps) for steps in self._scorer.explain_all(self._distinct[patterns])]
        return [explained[place] for place in of_pair.tolist()]


class BatchDecider:
    """Decides who the records of a batch are, as `decide` does of each.

    Args:
        scorer: the model.
    """

    def __init__(self, scorer: online.OnlineScorer) -> None:
        self._scorer = scorer
        self._query = _comparing(scorer)

    def decide_all(self, views: Sequence[View], base: Base, delta: Delta, model: int | None) -> list[Decision]:
        """Decide of records that no source tells of, so that no rule and no reviewer does, among all stored ones.

        Args:
            views: the records.
            base: stored records of the last run.
            delta: those that were added since, in a transaction.
            model: number of the model in the delta; None if it keeps nothing of it.
        """
        if not views:
            return []
        new = [view.standardized for view in views]
        candidates = _candidates(views, base, delta, model)
        decisions = [Decision(None)] * len(new)
        if not len(candidates.of_record):
            return decisions
        masters, digits = self._compared(new, candidates)
        patterns = _Patterns(self._scorer, digits)
        threshold = self._scorer.model.threshold or 0.5
        numbers, starts = np.unique(candidates.of_record, return_index=True)
        ends = [*starts[1:].tolist(), len(masters)]
        best = [
            start + best_candidate(masters[start:end], patterns.weights[start:end].tolist())
            for start, end in zip(starts.tolist(), ends, strict=True)
        ]
        steps = patterns.steps(best)
        for place, number in enumerate(numbers.tolist()):
            probability = online.match_probability(patterns.weights[best[place]])
            known = masters[best[place]] if probability >= threshold else None
            decisions[number] = Decision(known, probability, steps[place], ends[place] - int(starts[place]))
        return decisions

    def _compared(self, new: Sequence[Mapping[str, str | None]], candidates: Candidates) -> tuple[list[str], Ints]:
        """Customer and agreement pattern of each pair, in the order of the candidates."""
        text = pa.string()
        given = {name: pa.array([record.get(name) for record in new], text) for name in self._scorer.named}
        pairs = {"number": pa.array(candidates.of_record), "line": candidates.lines}
        with connect() as con:
            con.register("given_records", pa.table({"number": pa.array(range(len(new)), pa.int64()), **given}))
            con.register("candidate_lines", pa.table({"place": pa.array(range(len(candidates.lines))), **pairs}))
            found = con.sql(self._query).to_arrow_table()
        masters, *digits = found.columns
        return masters.to_pylist(), np.column_stack([column.to_numpy() for column in digits]).astype(np.int64)


def _candidates(views: Sequence[View], base: Base, delta: Delta, model: int | None) -> Candidates:
    """Gather the stored records that share a key with each of a batch, without those that were replaced."""
    positions = base.positions_of_all([view.block_keys for view in views])
    if model is None or not delta.has_added(model):
        return _of_base(base, positions)
    hidden = [list(delta.hidden(model, found.tolist())) for found in positions]
    positions = [found[~np.isin(found, gone)] for found, gone in zip(positions, hidden, strict=True)]
    added = [
        (number, json.dumps(row))
        for number, view in enumerate(views)
        for row in delta.candidates(model, view.block_keys, None)
    ]
    written = _of_base(base, positions)
    of_record = np.append(written.of_record, np.array([number for number, _ in added], np.int64))
    lines = pa.array([line for _, line in added], pa.large_string())
    order = np.argsort(of_record, kind="stable")
    return Candidates(of_record[order], pa.concat_arrays([written.lines, lines]).take(pa.array(order)))


def _of_base(base: Base, positions: Sequence[Ints]) -> Candidates:
    of_record = np.repeat(np.arange(len(positions)), [len(each) for each in positions])
    return Candidates(of_record, base.records.lines(np.concatenate(positions)))


def _numbered(digits: Ints) -> Ints:
    """Give equal patterns equal numbers: faster to sort than rows.

    >>> _numbered(np.array([[1, -1], [0, 2], [1, -1]])).tolist()
    [8, 7, 8]
    """
    numbers, greatest = np.zeros(len(digits), np.int64), 0
    for column in digits.T + 1:
        radix = int(column.max()) + 1
        if (greatest + 1) * radix >= _MOST_NUMBERS:
            numbers = np.unique(numbers, return_inverse=True)[1]
            greatest = int(numbers.max())
        numbers = numbers * radix + column
        greatest = (greatest + 1) * radix - 1
    return numbers


def _comparing(scorer: online.OnlineScorer) -> str:
    """SQL of the customer and the agreement pattern of each candidate."""
    derived = {name: sql for name, (made_of, sql) in DERIVED_LISTS.items() if made_of in scorer.named}
    lists = ", ".join(f"{sql} as {name}" for name, sql in derived.items())
    stored = ", ".join(
        f'stored[{place}]{"::bigint" if column.endswith(online.COUNTED) else ""} as "{column}"'
        for place, column in enumerate(scorer.columns, 3)
    )
    digits = ", ".join(f"({sql})::tinyint as digit_{place}" for place, sql in enumerate(scorer.digits_sql))
    return f"""
        with parsed as (
            select place, number, from_json(line, '["VARCHAR"]') as stored from candidate_lines
        ),
        named as (
            select place, number, stored[2] as master_id, {stored} from parsed
        ),
        left_records as (
            select *{", " + lists if lists else ""} from named
        ),
        right_records as (
            select *{", " + lists if lists else ""} from given_records
        )
        select l.master_id, {digits}
        from left_records as l join right_records as r using (number)
        order by place
    """
