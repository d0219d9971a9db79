"""How many matches did blocking never bring together? Capture-recapture over kinds of evidence, without labels.

A match is captured if the parts of some rule agree. Of captured matches it is seen which parts of which kind (names,
birth, place, contact, ...) agree, so the matches that no rule captures can be extrapolated: kinds of evidence are taken
to agree independently of each other within one to three latent groups of matches (clean and less clean records), and
the groups are fitted to the captured region only. It is the truncated log-linear model of capture-recapture (Fienberg
1972) with latent heterogeneity (Norris and Pollock 1996); with one group it is plain independence of the kinds.

What it assumes cannot be checked without labels: matches must differ in kind of evidence within a group
independently, and match probabilities must be right. People who changed their name and moved, or records that are
nearly empty, break it; then recall is lower than estimated. Hence a range over the three fits, and Chao's bound
(1987), which assumes less and gives the least number of matches missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_GROUPS = (1, 2, 3)
_USUAL_GROUPS = 2
_MOST_CELLS = 200_000
_MOST_ITERATIONS = 300
_DIGITS = 9
_TOLERANCE = 1e-6
_MESSIER = 3.0


@dataclass(frozen=True)
class RecallEstimate:
    """Estimated recall of blocking: `recall` with two groups of matches, `low` and `high` over all fits.

    `low` and `high` include the sampling error of 1.96 standard errors; `chao_recall` is an upper bound.
    """

    recall: float
    low: float
    high: float
    matches_found: float
    matches_missed: float
    chao_recall: float

    def to_dict(self) -> dict[str, float]:
        """Plain JSON."""
        return {name: float(value) for name, value in asdict(self).items()}


def chao_total(weights: Floats, captures: Ints) -> float:
    """Chao's lower bound (1987) of the number of matches, from how many rules found each.

    Args:
        weights: expected matches, one entry per capture history.
        captures: by how many rules they were found, at least 1.

    >>> chao_total(np.array([20.0, 10.0, 70.0]), np.array([1, 2, 3]))
    120.0
    """
    once, twice = float(weights[captures == 1].sum()), float(weights[captures == 2].sum())
    missed = once**2 / (2 * twice) if twice > 0 else once * max(once - 1, 0.0) / 2
    return float(weights.sum()) + missed


def estimate_recall(
    agree: Bools, weights: Floats, kinds: Sequence[str], rules: Sequence[tuple[int, ...]]
) -> RecallEstimate | None:
    """Estimate the share of matches that rules find; None if they found none.

    Args:
        agree: one row per pattern of captured matches, one column per part: whether the part agrees.
        weights: expected matches with that pattern.
        kinds: kind of evidence of each part.
        rules: columns of the parts of each rule.
    """
    captures = np.stack([agree[:, list(rule)].all(axis=1) for rule in rules], axis=1).sum(axis=1)
    captured = (captures > 0) & (weights > 0)
    agree, weights, captures = agree[captured], weights[captured], captures[captured]
    found = float(weights.sum())
    if not found:
        return None
    region = _Region.of(agree, weights, kinds, rules)
    recalls = {groups: found / max(region.fitted_total(groups), found) for groups in _GROUPS}
    recall = recalls[_USUAL_GROUPS]
    error = 1.96 * np.sqrt(max(recall * (1 - recall), 1 / found) / found)
    # Rounded, for the last digits of sums hang on the order of their terms.
    return RecallEstimate(
        recall=round(recall, _DIGITS),
        low=round(max(min(recalls.values()) - error, 0.0), _DIGITS),
        high=round(min(max(recalls.values()) + error, 1.0), _DIGITS),
        matches_found=round(found, _DIGITS),
        matches_missed=round(found / recall - found, _DIGITS),
        chao_recall=round(found / chao_total(weights, captures), _DIGITS),
    )


@dataclass(frozen=True)
class _Region:
    """Every combination of states of the kinds of evidence: which can be captured, and the matches seen there."""

    findable: Bools
    seen: Floats

    @classmethod
    def of(cls, agree: Bools, weights: Floats, kinds: Sequence[str], rules: Sequence[tuple[int, ...]]) -> _Region:
        of_kind = {kind: [at for at, each in enumerate(kinds) if each == kind] for kind in dict.fromkeys(kinds)}
        states = {kind: _states(agree[:, columns], weights) for kind, columns in of_kind.items()}
        while prod(len(each) for each in states.values()) > _MOST_CELLS:
            largest = max(states, key=lambda kind: len(states[kind]))
            states[largest] = states[largest][: len(states[largest]) * 3 // 4]
        shape = tuple(len(each) for each in states.values())
        codes = [_nearest(agree[:, of_kind[kind]], each) for kind, each in states.items()]
        counted: Floats = np.bincount(np.ravel_multi_index(codes, shape), weights, minlength=prod(shape)).astype(
            np.float64
        )
        seen = counted.reshape(shape)
        findable = np.zeros(shape, dtype=bool)
        for rule in rules:
            holds = np.ones(shape, dtype=bool)
            for axis, (kind, columns) in enumerate(of_kind.items()):
                asked = [columns.index(part) for part in rule if part in columns]
                have = states[kind][:, asked].all(axis=1)
                holds &= have.reshape([-1 if each == axis else 1 for each in range(len(shape))])
            findable |= holds
        # Folding rare states into nearest ones can move a match out of the region: it was seen, so it is findable.
        return cls(findable | (seen > 0), seen)

    def fitted_total(self, groups: int) -> float:
        """Expected number of matches, captured or not, by EM over the cells that cannot be seen."""
        found, total = float(self.seen.sum()), 0.0
        sizes, levels = np.full(groups, 1 / groups), self._start(groups)
        for _ in range(_MOST_ITERATIONS):
            joint = [size * _outer(level) for size, level in zip(sizes, levels, strict=True)]
            mixture: Floats = np.sum(joint, axis=0)
            previous, total = total, found / float(mixture[self.findable].sum())
            full = np.where(self.findable, self.seen, total * mixture)
            shares = [full * np.divide(each, mixture, out=np.zeros_like(mixture), where=mixture > 0) for each in joint]
            sizes = np.array([share.sum() for share in shares]) / full.sum()
            levels = [_marginals(share) for share in shares]
            if abs(total - previous) < _TOLERANCE * total:
                break
        return total

    def _start(self, groups: int) -> list[list[Floats]]:
        """Start from what is seen; each further group agrees less."""
        seen = _marginals(self.seen)
        start = []
        for group in range(groups):
            apart = [np.where(np.arange(len(level)) == 0, 1 + _MESSIER * group, 1.0) * level for level in seen]
            start.append([level / level.sum() for level in apart])
        return start


def _states(agree: Bools, weights: Floats) -> Bools:
    """Which parts of a kind agree together: none first, then the most common."""
    states, position = np.unique(agree, axis=0, return_inverse=True)
    common = np.bincount(position.ravel(), weights, minlength=len(states))
    nothing = states.sum(axis=1) == 0
    order = np.argsort(-np.where(nothing, -1.0, common), kind="stable")
    order = order[~nothing[order]]
    return np.vstack([np.zeros((1, agree.shape[1]), dtype=bool), states[order]])


def _nearest(agree: Bools, states: Bools) -> Ints:
    """Number of the state of each row: its own, or else the fullest one of which it has all parts."""
    unique, position = np.unique(agree, axis=0, return_inverse=True)
    within = ~(states[None, :, :] & ~unique[:, None, :]).any(axis=2)
    fullest = np.where(within, states.sum(axis=1)[None, :], -1).argmax(axis=1)
    return np.asarray(fullest[position.ravel()], dtype=np.int64)


def _outer(levels: Sequence[Floats]) -> Floats:
    joint = np.ones(())
    for level in levels:
        joint = joint[..., None] * level
    return joint


def _marginals(cells: Floats) -> list[Floats]:
    axes = range(cells.ndim)
    sums = [cells.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes]
    return [each / max(float(each.sum()), 1e-300) for each in sums]
