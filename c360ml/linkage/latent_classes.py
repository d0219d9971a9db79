"""A mixture of kinds of pairs, learnt without labels from counts of agreement patterns.

Two-class Fellegi-Sunter asks "same person or not" and merges households, because members of a household agree
far more often than chance allows. Here each kind of pair is a class of its own:

    person     both records are one person
    household  two people who share surname, address or contacts; first name and birth agree by chance only
    namesake   two people with one name; birth, contacts and street agree by chance only, though e-mail addresses
               made of that name look alike
    contact    two people with one e-mail, phone or address; names and birth agree by chance only
    unrelated  everything agrees by chance only

What a class shares by chance only is not learnt from candidate pairs, which blocking selected for agreeing, but
from pairs drawn at random. This pins the meaning of each class: whatever agrees on birth or identity number
more often than chance must be a person, so classes cannot swap labels, and a file without households simply
leaves that class empty. Class sizes are numbers of pairs among all pairs of the file, so that probabilities
stay calibrated although only blocked pairs are scored.

In a family two people may bear one name (father and son): a household shares its first names by chance, but for a
small share of pairs that agree on them as one person does.

Pairs of records that share a linked neighbour are another population: most of them are one person, whatever little
they agree on. They keep the levels of each class; how many of them are of each class is learnt from them.

A class that the data do not hold is dropped (`class_choice`); EM is run from several starts (`em_starts`); what can
and what cannot be trusted is told in words (`em_report`).

EM (Dempster, Laird and Rubin 1977) for the Fellegi-Sunter model (1969) with more than two classes, on pattern
counts: the cost does not grow with the number of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from c360ml.errors import ModelError, NotFittedError
from c360ml.linkage.class_choice import drop_empty, drop_unlearnable
from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.em_report import Finding, FittedClasses, report_on
from c360ml.linkage.em_starts import StartResult, best_start
from c360ml.linkage.pattern_em import (
    SMALLEST_PROBABILITY,
    CountedPatterns,
    Mixture,
    PatternEm,
    class_sizes,
    level_blocks,
    level_indicators,
    log_joint,
    normalized,
    shares_of,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Without a firm prior a class that is rare in a small file takes after the odd pairs of another.
_PRIOR_PAIRS = 20.0
# Twins, names that run in families and mistyped numbers let two people agree a little more often than chance.
_SLACK = {"date_of_birth": 0.01, "given_name": 0.02, "national_id": 0.002}


@dataclass(frozen=True)
class PairClass:
    """One kind of pair: where EM starts from, and the comparisons whose agreement it learns.

    `agreement` is the starting probability of full agreement; a comparison that is not named agrees by chance. One
    of `alike` agrees in full by chance only, but may be alike to any degree.
    """

    name: str
    agreement: dict[str, float]
    alike: frozenset[str] = frozenset()

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
    alike=frozenset({"email"}),
)
CONTACT = PairClass(
    "contact", {"email": 0.6, "phone": 0.6, "street": 0.1, "place": 0.4, "gender": 0.5, "attribute": 0.2}
)
LEARNT_CLASSES = (PERSON, HOUSEHOLD, NAMESAKE, CONTACT)
CLASS_NAMES = (*(pair_class.name for pair_class in LEARNT_CLASSES), "unrelated")


class LatentClasses:
    """Kinds of pairs and how each agrees, learnt from counts of agreement patterns.

    After `fit`: `pairs_` (expected pairs of each class in the file, in the order of `class_names`; 0 for a class that
    is not in use), `near_pairs_` (the same among pairs that share a linked neighbour, see `fit_near`), `levels_` (one
    row per class: probability of every level of every comparison, from worst to best), `iterations_`, `converged_`,
    `starts_` (what each start came to), `report_` (findings in words).
    """

    kind = "latent"
    class_names: tuple[str, ...] = CLASS_NAMES
    learnt_classes: tuple[PairClass, ...] = LEARNT_CLASSES
    learns_chance = True
    smallest_probability = SMALLEST_PROBABILITY

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
        candidates = CountedPatterns(self.comparisons, digits, counts)
        random = CountedPatterns(self.comparisons, random_digits, random_counts)
        mix = normalized(candidates.level_counts(counts) + 0.5, self._blocks)
        chance = normalized(random.level_counts(random_counts) + 0.5, self._blocks)
        start = np.stack([self._start(pair_class, mix) for pair_class in self.learnt_classes])
        em, dropped = drop_unlearnable(self._em(candidates, random, start, all_pairs), self.class_names)
        sizes = np.full(len(start), counts.sum() / (2 * len(start)))
        run, self.starts_ = best_start(em, Mixture(sizes, start, chance), mix)
        em, run, empty = drop_empty(em, run, self.class_names)
        self.iterations_, self.converged_ = run.iterations, run.converged
        self.levels_ = em.levels(run.mixture)
        used = em.sizes(run.mixture)[:-1]
        self.pairs_ = np.append(used, max(all_pairs - used.sum(), 1.0))
        self.near_pairs_ = self.pairs_
        fitted = FittedClasses(self.comparisons, self.class_names, em, run, self.starts_, (*dropped, *empty))
        self.report_ = report_on(fitted)
        return self

    def _em(self, candidates: CountedPatterns, random: CountedPatterns, start: Floats, all_pairs: float) -> PatternEm:
        free, kept = np.zeros_like(start, dtype=bool), np.ones_like(start)
        for row, pair_class in enumerate(self.learnt_classes):
            learnable = any(pair_class.learns(comparison.name) for comparison in self.comparisons)
            for comparison, block in zip(self.comparisons, self._blocks, strict=True):
                free[row, block] = pair_class.learns(comparison.name)
                if learnable and comparison.name in pair_class.alike:
                    free[row, block] = ~np.array(comparison.full)
                kept[row, block] = 1 - _SLACK.get(comparison.name, 0.0)
        in_use = np.ones(len(start), dtype=bool)
        return PatternEm(
            candidates,
            random,
            all_pairs,
            self._blocks,
            free,
            kept,
            _PRIOR_PAIRS * start,
            in_use,
            self.learns_chance,
        )

    def fit_near(self, digits: Ints, counts: Floats) -> LatentClasses:
        """Learn how many pairs of records that share a linked neighbour are of each class; levels stay as they are.

        Args:
            digits: one row per pattern of such pairs, one column per comparison.
            counts: such pairs with that pattern.
        """
        logs = self._logs(digits, np.where(self.pairs_ > 0, 1.0, 0.0))
        self.near_pairs_ = class_sizes(logs, counts, self.pairs_ > 0)
        return self

    def class_probabilities(self, digits: Ints, near: Flags | None = None) -> Floats:
        """Probability of each class for each pattern: shape (patterns, classes), rows sum to one.

        Args:
            digits: one row per pattern.
            near: which patterns are of pairs that share a linked neighbour; without it none.

        Raises:
            NotFittedError: before `fit`.
        """
        return shares_of(self._joint(digits, near))[0]

    def match_weights(self, digits: Ints, near: Flags | None = None) -> Floats:
        """log2 odds of one person against every other kind of pair, for each pattern."""
        logs = self._joint(digits, near)
        weights: Floats = (logs[:, 0] - np.logaddexp.reduce(logs[:, 1:], axis=1)) / np.log(2)
        return weights

    def _joint(self, digits: Ints, near: Flags | None) -> Floats:
        if not hasattr(self, "levels_"):
            raise NotFittedError(type(self).__name__)
        far = self._logs(digits, self.pairs_)
        return far if near is None else np.where(near[:, None], self._logs(digits, self.near_pairs_), far)

    def _logs(self, digits: Ints, sizes: Floats) -> Floats:
        return log_joint(level_indicators(self.comparisons, digits), self.levels_, sizes, self.smallest_probability)

    @property
    def pairs_by_class_(self) -> dict[str, float]:
        """Expected pairs of each class in the file."""
        return dict(zip(self.class_names, (float(size) for size in self.pairs_), strict=True))

    @property
    def classes_in_use_(self) -> tuple[str, ...]:
        """Classes that the data hold."""
        return tuple(name for name, pairs in self.pairs_by_class_.items() if pairs > 0)

    def level_probabilities(self, pair_class: str, comparison: str) -> dict[str, float]:
        """Probability of each level of a comparison in a class, from best to worst."""
        row = self.levels_[self.class_names.index(pair_class)]
        names = [each.name for each in self.comparisons]
        position = names.index(comparison)
        values = row[self._blocks[position]][::-1]
        return dict(zip(self.comparisons[position].labels, (float(value) for value in values), strict=True))

    def summary(self) -> dict[str, Any]:
        """What a fit came to: class sizes, convergence, report."""
        return {
            "classes": self.kind,
            "pairs_by_class": self.pairs_by_class_,
            "classes_in_use": list(self.classes_in_use_),
            "iterations": self.iterations_,
            "converged": self.converged_,
            "fit_report": [each.to_dict() for each in self.report_],
        }

    def to_dict(self) -> dict[str, Any]:
        """Learnt values as plain JSON."""
        return {
            "kind": self.kind,
            "pairs": self.pairs_by_class_,
            "near_pairs": self.near_pairs_.tolist(),
            "levels": {
                name: {
                    comparison.name: self.level_probabilities(name, comparison.name) for comparison in self.comparisons
                }
                for name in self.class_names
            },
            "iterations": self.iterations_,
            "converged": self.converged_,
            "starts": [each.to_dict() for each in self.starts_],
            "report": [each.to_dict() for each in self.report_],
        }

    @classmethod
    def from_dict(cls, comparisons: tuple[Comparison, ...], content: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`.

        Raises:
            ModelError: a class, comparison or level is missing.
        """
        model = cls(comparisons)
        try:
            model.pairs_ = np.array([content["pairs"][name] for name in cls.class_names])
            model.levels_ = np.array(
                [
                    [
                        content["levels"][name][comparison.name][label]
                        for comparison in comparisons
                        for label in reversed(comparison.labels)
                    ]
                    for name in cls.class_names
                ]
            )
            model.near_pairs_ = np.array([float(size) for size in content["near_pairs"]])
            model.iterations_, model.converged_ = content["iterations"], content["converged"]
            model.starts_ = tuple(StartResult.from_dict(each) for each in content.get("starts", ()))
            model.report_ = tuple(Finding(**each) for each in content.get("report", ()))
        except KeyError as error:
            raise ModelError(
                "a linkage model must hold every class, comparison and level",
                got=f"no {error.args[0]!r}",
                hint="train it again with this version",
            ) from error
        return model

    @property
    def _blocks(self) -> list[slice]:
        return level_blocks(self.comparisons)

    def _start(self, pair_class: PairClass, candidate_mix: Floats) -> Floats:
        """Spread the starting agreement over the levels as candidate pairs show them."""
        parts = []
        for comparison, block in zip(self.comparisons, self._blocks, strict=True):
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


def _share(mix: Floats, chosen: NDArray[np.bool_]) -> Floats:
    part = np.where(chosen, mix, 0.0)
    return part / part.sum() if chosen.any() else part
