"""A mixture of kinds of pairs, learnt without labels from counts of agreement patterns.

Two-class Fellegi-Sunter asks "same person or not" and merges households, because members of a household agree
far more often than chance allows. Here each kind of pair is a class of its own:

    person     both records are one person
    household  two people who share surname, address or contacts; first name and birth agree by chance only
    namesake   two people with one name; birth, contacts and street agree by chance only
    contact    two people with one e-mail, phone or address; names and birth agree by chance only
    unrelated  everything agrees by chance only

What a class shares by chance only is not learnt from candidate pairs, which blocking selected for agreeing, but
from pairs drawn at random. This pins the meaning of each class: whatever agrees on birth or identity number
more often than chance must be a person, so classes cannot swap labels, and a file without households simply
leaves that class empty. Class sizes are numbers of pairs among all pairs of the file, so that probabilities
stay calibrated although only blocked pairs are scored.

EM (Dempster, Laird and Rubin 1977) for the Fellegi-Sunter model (1969) with more than two classes, on pattern
counts: the cost does not grow with the number of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c360ml.errors import ModelError, NotFittedError
from c360ml.linkage.comparisons import Comparison

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_ITERATIONS = 1000
_TOLERANCE = 1e-4
_PRIOR_PAIRS = 1.0
_SMALLEST_PROBABILITY = 1e-12
# Twins, names that run in families and mistyped numbers let two people agree a little more often than chance.
_SLACK = {"date_of_birth": 0.01, "given_name": 0.02, "national_id": 0.002}


@dataclass(frozen=True)
class PairClass:
    """One kind of pair: where EM starts from, and the comparisons whose agreement it learns.

    `agreement` is the starting probability of full agreement; a comparison that is not named agrees by chance.
    """

    name: str
    agreement: dict[str, float]

    def learns(self, comparison: str) -> bool:
        """Whether this class has its own level probabilities for a comparison."""
        return comparison in self.agreement or (comparison.startswith("attribute_") and "attribute" in self.agreement)

    def start(self, comparison: str) -> float:
        """Starting probability of full agreement."""
        return self.agreement.get(comparison, self.agreement.get("attribute", 0.0))


PERSON = PairClass(
    "person",
    {
        "given_name": 0.95,
        "surname": 0.92,
        "full_name": 0.9,
        "middle_name": 0.9,
        "suffix": 0.95,
        "date_of_birth": 0.92,
        "national_id": 0.97,
        "email": 0.8,
        "phone": 0.8,
        "street": 0.85,
        "place": 0.9,
        "gender": 0.98,
        "attribute": 0.85,
    },
)
HOUSEHOLD = PairClass(
    "household",
    {
        "surname": 0.9,
        "full_name": 0.05,
        "middle_name": 0.1,
        "suffix": 0.3,
        "email": 0.2,
        "phone": 0.5,
        "street": 0.9,
        "place": 0.95,
        "gender": 0.45,
        "attribute": 0.3,
    },
)
NAMESAKE = PairClass(
    "namesake",
    {
        "given_name": 0.95,
        "surname": 0.95,
        "full_name": 0.6,
        "middle_name": 0.15,
        "place": 0.15,
        "gender": 0.95,
        "attribute": 0.15,
    },
)
CONTACT = PairClass(
    "contact", {"email": 0.6, "phone": 0.6, "street": 0.1, "place": 0.4, "gender": 0.5, "attribute": 0.2}
)
LEARNT_CLASSES = (PERSON, HOUSEHOLD, NAMESAKE, CONTACT)
CLASS_NAMES = (*(pair_class.name for pair_class in LEARNT_CLASSES), "unrelated")


class LatentClasses:
    """Kinds of pairs and how each agrees, learnt from counts of agreement patterns.

    After `fit`: `pairs_` (expected pairs of each class in the file, in the order of `CLASS_NAMES`), `levels_`
    (one row per class: probability of every level of every comparison, from worst to best), `iterations_`,
    `converged_`.
    """

    def __init__(self, comparisons: tuple[Comparison, ...]) -> None:
        self.comparisons = comparisons

    def fit(
        self, digits: Ints, counts: Floats, random_digits: Ints, random_counts: Floats, *, all_pairs: float
    ) -> LatentClasses:
        """Learn from patterns of candidate pairs and of random pairs.

        Args:
            digits: one row per pattern of candidate pairs, one column per comparison; -1 missing, 0 different.
            counts: candidate pairs with that pattern.
            random_digits: the same for pairs drawn at random from the whole file.
            random_counts: random pairs with that pattern.
            all_pairs: number of pairs of the whole file, n (n - 1) / 2.
        """
        observed, random = self._indicators(digits), self._indicators(random_digits)
        candidate_mix = self._normalized(counts @ observed + 0.5)
        chance = self._normalized(random_counts @ random + 0.5)
        start = np.stack([self._start(pair_class, candidate_mix) for pair_class in LEARNT_CLASSES])
        learnt, sizes = start, np.full(len(LEARNT_CLASSES), counts.sum() / (2 * len(LEARNT_CLASSES)))
        self.converged_ = False
        for self.iterations_ in range(1, _MOST_ITERATIONS + 1):
            levels = np.vstack([self._pin_to_chance(learnt, chance), chance])
            shares = _shares(observed, levels, np.append(sizes, all_pairs))[:, :-1] * counts[:, None]
            unrelated = _shares(random, levels, np.append(sizes, all_pairs))[:, -1] * random_counts
            previous, sizes = sizes, shares.sum(axis=0) + 1.0
            learnt = self._normalized(shares.T @ observed + _PRIOR_PAIRS * start)
            chance = self._normalized(unrelated @ random + 0.5 * chance)
            if np.abs(np.log(sizes / previous)).max() < _TOLERANCE:
                self.converged_ = True
                break
        self.levels_ = np.vstack([self._pin_to_chance(learnt, chance), chance])
        self.pairs_ = np.append(sizes, max(all_pairs - sizes.sum(), 1.0))
        return self

    def class_probabilities(self, digits: Ints) -> Floats:
        """Probability of each class for each pattern: shape (patterns, classes), rows sum to one.

        Raises:
            NotFittedError: before `fit`.
        """
        if not hasattr(self, "levels_"):
            raise NotFittedError("LatentClasses")
        return _shares(self._indicators(digits), self.levels_, self.pairs_)

    def match_weights(self, digits: Ints) -> Floats:
        """log2 odds of one person against every other kind of pair, for each pattern."""
        if not hasattr(self, "levels_"):
            raise NotFittedError("LatentClasses")
        logs = _log_joint(self._indicators(digits), self.levels_, self.pairs_)
        weights: Floats = (logs[:, 0] - np.logaddexp.reduce(logs[:, 1:], axis=1)) / np.log(2)
        return weights

    def level_probabilities(self, pair_class: str, comparison: str) -> dict[str, float]:
        """Probability of each level of a comparison in a class, from best to worst."""
        row = self.levels_[CLASS_NAMES.index(pair_class)]
        names = [each.name for each in self.comparisons]
        position = names.index(comparison)
        values = row[self._blocks()[position]][::-1]
        return dict(zip(self.comparisons[position].labels, (float(value) for value in values), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Learnt values as plain JSON."""
        return {
            "pairs": dict(zip(CLASS_NAMES, (float(size) for size in self.pairs_), strict=True)),
            "levels": {
                name: {
                    comparison.name: self.level_probabilities(name, comparison.name) for comparison in self.comparisons
                }
                for name in CLASS_NAMES
            },
            "iterations": self.iterations_,
            "converged": self.converged_,
        }

    @classmethod
    def from_dict(cls, comparisons: tuple[Comparison, ...], content: dict[str, Any]) -> LatentClasses:
        """Rebuild from `to_dict`.

        Raises:
            ModelError: a class, comparison or level is missing.
        """
        model = cls(comparisons)
        try:
            model.pairs_ = np.array([content["pairs"][name] for name in CLASS_NAMES])
            model.levels_ = np.array(
                [
                    [
                        content["levels"][name][comparison.name][label]
                        for comparison in comparisons
                        for label in reversed(comparison.labels)
                    ]
                    for name in CLASS_NAMES
                ]
            )
            model.iterations_, model.converged_ = content["iterations"], content["converged"]
        except KeyError as error:
            raise ModelError(
                "a linkage model must hold every class, comparison and level",
                got=f"no {error.args[0]!r}",
                hint="train it again with this version",
            ) from error
        return model

    # ------------------------------------------------------------------ how patterns become numbers
    def _blocks(self) -> list[slice]:
        ends = np.cumsum([len(comparison.labels) for comparison in self.comparisons])
        return [
            slice(end - len(comparison.labels), end) for end, comparison in zip(ends, self.comparisons, strict=True)
        ]

    def _indicators(self, digits: Ints) -> Floats:
        """One column per level, 1 where the pattern has it; a missing comparison has none."""
        columns = [
            (digits[:, [position]] == np.arange(len(comparison.labels))).astype(float)
            for position, comparison in enumerate(self.comparisons)
        ]
        return np.concatenate(columns, axis=1)

    def _normalized(self, levels: Floats) -> Floats:
        levels = levels.copy()
        for block in self._blocks():
            levels[..., block] /= levels[..., block].sum(axis=-1, keepdims=True)
        return levels

    def _start(self, pair_class: PairClass, candidate_mix: Floats) -> Floats:
        """Spread the starting agreement over the levels as candidate pairs show them."""
        parts = []
        for comparison, block in zip(self.comparisons, self._blocks(), strict=True):
            mix = candidate_mix[block] + 1e-3
            full = np.array(comparison.full)
            partial = ~full
            partial[0] = False
            agreement = pair_class.start(comparison.name)
            near = 0.1 * agreement if partial.any() else 0.0
            apart = np.where(full, 0.02 * mix, mix)
            apart[0] = max(apart[0], 0.3)
            parts.append(
                (agreement - near) * _share(mix, full)
                + near * _share(mix, partial)
                + (1 - agreement) * apart / apart.sum()
            )
        return np.concatenate(parts)

    def _pin_to_chance(self, learnt: Floats, chance: Floats) -> Floats:
        """Put chance, with a little slack, where a class may not learn."""
        pinned = learnt.copy()
        for row, pair_class in enumerate(LEARNT_CLASSES):
            for comparison, block in zip(self.comparisons, self._blocks(), strict=True):
                if not pair_class.learns(comparison.name):
                    slack = _SLACK.get(comparison.name, 0.0)
                    pinned[row, block] = (1 - slack) * chance[block]
                    pinned[row, block.stop - 1] += slack
        return pinned


def _share(mix: Floats, chosen: NDArray[np.bool_]) -> Floats:
    part = np.where(chosen, mix, 0.0)
    return part / part.sum() if chosen.any() else part


def _log_joint(indicators: Floats, levels: Floats, sizes: Floats) -> Floats:
    logs: Floats = indicators @ np.log(np.maximum(levels, _SMALLEST_PROBABILITY)).T + np.log(sizes)
    return logs


def _shares(indicators: Floats, levels: Floats, sizes: Floats) -> Floats:
    logs = _log_joint(indicators, levels, sizes)
    logs -= logs.max(axis=1, keepdims=True)
    joint = np.exp(logs)
    shares: Floats = joint / joint.sum(axis=1, keepdims=True)
    return shares
