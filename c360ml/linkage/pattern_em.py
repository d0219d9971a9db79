"""Expectation-maximization on counts of agreement patterns, for any number of kinds of pairs.

The intensity of a pattern among candidate pairs is sum_k N_k P_k(pattern): N_k pairs of class k in the file, each
comparison independent within a class. A class either learns the levels of a comparison, or shares them with pairs of
any two records ("chance"). A step maximizes the expected log-likelihood (Dempster, Laird and Rubin 1977) with a prior
of one pair a class and of `prior` pairs a level, so for given chance it never lowers the log-likelihood, but for what
other classes take from the first one, which a step takes as given. Chance is learnt from random pairs alone, as
candidate pairs were chosen for agreeing.

All sums are single-threaded and in the order of the patterns: the same numbers at any thread count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from c360ml.linkage.comparisons import Comparison

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SMALLEST_PROBABILITY = 1e-12
_SMALLEST_SIZE = 1e-300
_SIZE_ITERATIONS = 1000
_SIZE_TOLERANCE = 1e-7


def level_blocks(comparisons: Sequence[Comparison]) -> list[slice]:
    """Columns of each comparison's levels, side by side."""
    ends = np.cumsum([len(comparison.labels) for comparison in comparisons])
    return [slice(end - len(comparison.labels), end) for end, comparison in zip(ends, comparisons, strict=True)]


def normalized(levels: Floats, blocks: Sequence[slice]) -> Floats:
    """Scale the levels of each comparison to sum to one.

    >>> normalized(np.array([1.0, 3.0, 2.0, 2.0]), [slice(0, 2), slice(2, 4)]).tolist()
    [0.25, 0.75, 0.5, 0.5]
    """
    levels = levels.copy()
    for block in blocks:
        levels[..., block] /= levels[..., block].sum(axis=-1, keepdims=True)
    return levels


def level_indicators(comparisons: Sequence[Comparison], digits: Ints) -> csr_matrix:
    """One row per pattern, 1 in the column of each level it shows; a missing comparison has none."""
    starts = np.array([block.start for block in level_blocks(comparisons)])
    known = digits >= 0
    columns = (digits + starts)[known]
    ends = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    width = sum(len(comparison.labels) for comparison in comparisons)
    return csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(digits), width))


def log_joint(indicators: csr_matrix, levels: Floats, sizes: Floats, smallest: float = SMALLEST_PROBABILITY) -> Floats:
    """Logs of N_k P_k of each pattern and class; no level counts as less probable than `smallest`."""
    logs = indicators @ np.log(np.maximum(levels, smallest)).T
    joint: Floats = np.asarray(logs) + np.log(np.maximum(sizes, _SMALLEST_SIZE))
    return joint


def shares_of(logs: Floats) -> tuple[Floats, Floats]:
    """Share of each class in each pattern, and the log of the sum over classes."""
    by_class = np.ascontiguousarray(logs.T)  # few classes, many patterns: four times as fast this way round
    top = by_class.max(axis=0)
    by_class = np.exp(by_class - top)
    total = by_class.sum(axis=0)
    return (by_class / total).T, np.log(total) + top


def class_sizes(logs: Floats, counts: Floats, in_use: Flags) -> Floats:
    """Expected pairs of each class by EM, its levels given, with a prior of one pair a class.

    Args:
        logs: log P_k(pattern), one row per pattern.
        counts: pairs with that pattern.
        in_use: classes that may hold pairs.
    """
    sizes = np.where(in_use, counts.sum() / in_use.sum() + 1.0, 0.0)
    for _ in range(_SIZE_ITERATIONS):
        shares, _ = shares_of(logs + np.log(np.maximum(sizes, _SMALLEST_SIZE)))
        before, sizes = sizes, np.where(in_use, (shares * counts[:, None]).sum(axis=0) + 1.0, 0.0)
        if np.abs(sizes - before).max() < _SIZE_TOLERANCE * max(counts.sum(), 1.0):
            break
    return sizes


class CountedPatterns:
    """Agreement patterns and the number of pairs that have each."""

    def __init__(self, comparisons: Sequence[Comparison], digits: Ints, counts: Floats) -> None:
        self.indicators = level_indicators(comparisons, digits)
        self.counts = counts
        self._transposed = self.indicators.T.tocsr()

    def level_counts(self, pairs: Floats) -> Floats:
        """Pairs with each level: one column per column of `pairs`, or a single one."""
        return np.asarray(self._transposed @ pairs)

    def joint_counts(self, pairs: Floats) -> Floats:
        """Pairs with each two levels."""
        return np.asarray((self._transposed @ csr_matrix(self.indicators.multiply(pairs[:, None]))).toarray())


@dataclass(frozen=True)
class Mixture:
    """Expected pairs of each learnt class, its own level probabilities, and those of any two records."""

    sizes: Floats
    learnt: Floats
    chance: Floats


@dataclass(frozen=True)
class EmRun:
    """Where EM ended: `log_likelihoods` has one value per iteration, each of the mixture before its step."""

    mixture: Mixture
    log_likelihoods: tuple[float, ...]
    iterations: int
    converged: bool


@dataclass(frozen=True)
class PatternEm:
    """EM for one file.

    Args:
        candidates: patterns of candidate pairs.
        random: patterns of pairs drawn at random.
        all_pairs: pairs of the whole file.
        blocks: columns of each comparison.
        free: one row per learnt class: levels that it learns.
        kept: the same shape: share of chance where a class does not learn; for the rest it agrees as the first class.
        prior: the same shape: prior pairs of each level.
        in_use: learnt classes that may hold pairs.
        learn_chance: whether chance is learnt, or stays as the first mixture has it.
    """

    candidates: CountedPatterns
    random: CountedPatterns
    all_pairs: float
    blocks: Sequence[slice]
    free: Flags
    kept: Floats
    prior: Floats
    in_use: Flags
    learn_chance: bool = True

    def without(self, position: int) -> PatternEm:
        """The same with one class less."""
        in_use = self.in_use.copy()
        in_use[position] = False
        return replace(self, in_use=in_use)

    def levels(self, mixture: Mixture) -> Floats:
        """Level probabilities of every class, the unrelated last."""
        pinned = self.kept * mixture.chance + (1 - self.kept) * mixture.learnt[0]
        learnt = normalized(np.where(self.free, mixture.learnt, pinned), self.blocks)
        return np.vstack([learnt, mixture.chance])

    def sizes(self, mixture: Mixture) -> Floats:
        """Pairs of every class; the unrelated count as all."""
        return np.append(np.where(self.in_use, mixture.sizes, 0.0), self.all_pairs)

    def log_likelihood(self, mixture: Mixture) -> float:
        """Penalized log-likelihood of the candidate pairs, chance given."""
        return self._expect(mixture)[1]

    def _expect(self, mixture: Mixture) -> tuple[Floats, float]:
        shares, totals = shares_of(log_joint(self.candidates.indicators, self.levels(mixture), self.sizes(mixture)))
        used = mixture.sizes[self.in_use]
        learnt = np.log(np.maximum(mixture.learnt, _SMALLEST_SIZE))
        priors = np.where(self.free & self.in_use[:, None], self.prior * learnt, 0.0)
        likelihood = (self.candidates.counts * totals).sum() - used.sum() + np.log(used).sum() + priors.sum()
        return shares[:, :-1] * self.candidates.counts[:, None], float(likelihood)

    def step(self, mixture: Mixture) -> tuple[Mixture, float]:
        """One iteration; also the log-likelihood before it."""
        pairs, likelihood = self._expect(mixture)
        learnt = normalized(self.candidates.level_counts(pairs).T + self.prior, self.blocks)
        chance = self._chance(mixture) if self.learn_chance else mixture.chance
        return Mixture(pairs.sum(axis=0) + 1.0, learnt, chance), likelihood

    def _chance(self, mixture: Mixture) -> Floats:
        shares, _ = shares_of(log_joint(self.random.indicators, self.levels(mixture), self.sizes(mixture)))
        unrelated = shares[:, -1] * self.random.counts
        return normalized(self.random.level_counts(unrelated) + 0.5 * mixture.chance, self.blocks)

    def run(self, mixture: Mixture, *, most_iterations: int, tolerance: float) -> EmRun:
        """Iterate until no class in use changes its size by more than `tolerance`, in logs."""
        likelihoods: list[float] = []
        for iteration in range(1, most_iterations + 1):
            before, (mixture, likelihood) = mixture, self.step(mixture)
            likelihoods.append(likelihood)
            change = np.abs(np.log(mixture.sizes / before.sizes))[self.in_use]
            if change.max(initial=0.0) < tolerance:
                return EmRun(mixture, tuple(likelihoods), iteration, converged=True)
        return EmRun(mixture, tuple(likelihoods), most_iterations, converged=False)
