"""Which rules are used: those that find the most matches for the pairs they cost, without labels.

A pilot model is fitted to a sample of the pairs that all candidate rules find; it gives each sampled pair a
probability of being a match, and the sample says which rules find it. Rules are then taken greedily by matches not
yet found per new pair (Khuller, Moss and Naor 1999: budgeted maximum coverage), within a budget of distinct pairs, and
rules that later ones made superfluous are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from c360ml.errors import DataError
from c360ml.linkage.blocking import BlockedRule, measure_rules
from c360ml.linkage.features import Features

if TYPE_CHECKING:
    import duckdb

Floats = NDArray[np.float64]
Judge = Callable[[str, float], Floats]
"""Match probability of each pair of a table `rid_l, rid_r`, in that order, that holds a share of all pairs."""

ANCHORS = 5_000
PAIRS_PER_RECORD = 10
_LEAST_BUDGET = 1_000_000
_LEAST_GAIN = 0.0003
_LEAST_MATCHES_PER_PAIR = 0.001
_RULE_COST_PER_RECORD = 0.05


def choose_rules(
    con: duckdb.DuckDBPyConnection,
    features: Features,
    judge: Judge,
    *,
    max_pairs: int,
    agreeing: Mapping[str, float] | None = None,
) -> tuple[BlockedRule, ...]:
    """Measure the candidate rules on the feature table and choose among them.

    Args:
        con: connection that holds the feature table.
        features: the feature table.
        judge: gives sampled pairs a match probability.
        max_pairs: most distinct pairs that the chosen rules may find.
        agreeing: see `measure_rules`.

    Returns:
        Chosen rules in the order of their choice, then the others, those that find most matches first.

    Raises:
        DataError: no rule finds a pair, so nothing can be compared.
    """
    budget = min(max_pairs, max(_LEAST_BUDGET, PAIRS_PER_RECORD * features.records))
    measured, share = measure_rules(con, features, anchors=ANCHORS, most_pairs=budget, agreeing=agreeing)
    con.execute("""
        create or replace temp table sampled_pairs as
        select distinct rid_l, rid_r from sampled_agreements order by rid_l, rid_r
    """).fetchall()
    if not any(0 < each.pairs <= budget for each in measured):
        raise DataError(
            "blocking must find at least one pair of records that agree on something",
            got=f"none in {features.records} records by {len(measured)} rules",
            hint="map more columns to roles, or check that values are comparable",
        )
    found_by = _found_by(con, len(measured))
    matches = judge("sampled_pairs", share) if found_by.shape[0] else np.zeros(0)
    for table in ("sampled_agreements", "sampled_pairs"):
        con.execute(f"drop table {table}").fetchall()
    return Choice(measured, found_by, matches, share, features.records, budget).rules()


def _found_by(con: duckdb.DuckDBPyConnection, rules: int) -> csc_matrix:
    """One row per sampled pair, one column per rule, 1 where the rule finds the pair."""
    found = con.execute("""
        select numbered.number, rule
        from sampled_agreements
        join (select rid_l, rid_r, row_number() over (order by rid_l, rid_r) - 1 as number from sampled_pairs) numbered
        using (rid_l, rid_r)
    """).fetchnumpy()
    numbers = np.asarray(found["number"], dtype=np.int64)
    pairs = int(numbers.max()) + 1 if len(numbers) else 0
    return csc_matrix((np.ones(len(found["rule"])), (numbers, np.asarray(found["rule"]))), shape=(pairs, rules))


class Choice:
    """A greedy choice of rules under a budget.

    Args:
        measured: candidate rules.
        found_by: which sampled pair (row) is found by which rule (column).
        matches: match probability of each sampled pair.
        share: share of all pairs that was sampled.
        records: number of records of the file.
        budget: most distinct pairs.
    """

    def __init__(
        self,
        measured: tuple[BlockedRule, ...],
        found_by: csc_matrix,
        matches: Floats,
        share: float,
        records: int,
        budget: int,
    ) -> None:
        self._measured = measured
        self._found_by = found_by
        self._matches = matches / share
        self._each = np.full(len(matches), 1 / share)
        self._overhead = _RULE_COST_PER_RECORD * records
        self._budget = budget
        self._total = max(float(self._matches.sum()), 1.0)

    def rules(self) -> tuple[BlockedRule, ...]:
        """The rules with what the choice says of them."""
        chosen = self._without_superfluous(self._greedy())
        return (*self._described(chosen), *self._left_out(set(chosen)))

    def _greedy(self) -> list[int]:
        fits = np.array([0 < each.pairs <= self._budget for each in self._measured])
        new = np.ones(len(self._matches))
        chosen: list[int] = []
        spent = 0.0
        while True:
            gain = self._found_by.T @ (new * self._matches)
            pairs = self._found_by.T @ (new * self._each)
            worth = fits & (spent + pairs <= self._budget)
            worth &= (gain >= _LEAST_GAIN * self._total) & (gain >= _LEAST_MATCHES_PER_PAIR * pairs)
            if not worth.any():
                return chosen or [self._fewest_pairs()]
            best = int(np.argmax(np.where(worth, gain / (pairs + self._overhead), -1.0)))
            chosen.append(best)
            spent += float(pairs[best])
            new = new * (1 - self._column(best))
            fits[best] = False

    def _fewest_pairs(self) -> int:
        """A rule to start from if no sampled pair looks like a match."""
        return min(
            (each.pairs, number) for number, each in enumerate(self._measured) if 0 < each.pairs <= self._budget
        )[1]

    def _without_superfluous(self, chosen: list[int]) -> list[int]:
        """Drop rules, earliest first, whose matches the others find."""
        times: Floats = np.asarray(self._found_by[:, chosen].sum(axis=1), dtype=np.float64).ravel()
        kept = list(chosen)
        for rule in chosen:
            column = self._column(rule)
            lost = float(((times == 1) * column * self._matches).sum())
            if len(kept) > 1 and lost < _LEAST_GAIN * self._total:
                kept.remove(rule)
                times = times - column
        return kept

    def _column(self, rule: int) -> Floats:
        column: Floats = self._found_by[:, [rule]].toarray().ravel()
        return column

    def _described(self, chosen: list[int]) -> list[BlockedRule]:
        new = np.ones(len(self._matches))
        described = []
        for rule in chosen:
            described.append(replace(self._judged(rule, new), chosen=True))
            new = new * (1 - self._column(rule))
        self._rest = new
        return described

    def _left_out(self, chosen: set[int]) -> list[BlockedRule]:
        others = [self._judged(rule, self._rest) for rule in range(len(self._measured)) if rule not in chosen]
        return sorted(others, key=lambda each: (-round(each.new_matches_share, 9), each.pairs, each.rule.parts))

    def _judged(self, rule: int, new: Floats) -> BlockedRule:
        column = self._column(rule)
        return replace(
            self._measured[rule],
            new_pairs=float((column * new * self._each).sum()),
            matches_share=float((column * self._matches).sum()) / self._total,
            new_matches_share=float((column * new * self._matches).sum()) / self._total,
        )
