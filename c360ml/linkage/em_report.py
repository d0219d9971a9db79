"""What can and what cannot be trusted in fitted classes, in plain words, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.class_choice import DroppedClass
from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.dependence import Dependence, dependences
from c360ml.linkage.em_starts import MOST_ITERATIONS, StartResult
from c360ml.linkage.pattern_em import SMALLEST_PROBABILITY, CountedPatterns, EmRun, PatternEm, log_joint, shares_of

Floats = NDArray[np.float64]
Severity = Literal["warning", "note"]

FEW_PAIRS = 20.0
"""Expected pairs of a class below which what it learns of a comparison is a guess."""
CLEAR_FALL = 1.0
"""Bits by which a better level must weigh less than a worse one to be told."""
STRONG_DEPENDENCE = 0.1
"""Bits per pair that one comparison may tell of another inside a class."""
STARTS_APART = 0.02
"""Share by which the person pairs of two starts of about equal likelihood may differ."""
_ABOUT_AS_LIKELY = 10.0
_MOST_NAMED = 4


@dataclass(frozen=True)
class Finding:
    """One thing to know of a fit: a `warning` asks for a look, a `note` does not."""

    severity: Severity
    topic: str
    finding: str
    what_to_do: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class FittedClasses:
    """All that a report reads: the model, where EM ended, what other starts came to, and the classes left out."""

    comparisons: Sequence[Comparison]
    names: Sequence[str]
    em: PatternEm
    run: EmRun
    starts: Sequence[StartResult]
    dropped: Sequence[DroppedClass]

    @property
    def levels(self) -> Floats:
        """Level probabilities of every class."""
        return self.em.levels(self.run.mixture)

    def pairs(self, patterns: CountedPatterns) -> Floats:
        """Expected pairs of each pattern and class."""
        logs = log_joint(patterns.indicators, self.levels, self.em.sizes(self.run.mixture))
        return shares_of(logs)[0] * patterns.counts[:, None]


def report_on(fitted: FittedClasses) -> tuple[Finding, ...]:
    """Write the report of a fit, warnings first."""
    candidates, random = fitted.pairs(fitted.em.candidates), fitted.pairs(fitted.em.random)
    counts = np.vstack(
        [
            fitted.em.candidates.level_counts(candidates[:, :-1]).T,
            fitted.em.random.level_counts(random[:, -1]),
        ]
    )
    findings = [
        *_convergence(fitted),
        *_starts(fitted),
        *_dropped(fitted),
        *_few_pairs(fitted, counts),
        *_levels_on_prior(fitted, counts),
        *_falling_weights(fitted, counts),
        *_dependence(fitted, candidates, random),
    ]
    return tuple(sorted(findings, key=lambda each: each.severity != "warning"))


def _convergence(fitted: FittedClasses) -> Iterator[Finding]:
    run = fitted.run
    if run.converged:
        yield Finding("note", "convergence", f"EM converged in {run.iterations} iterations.", "nothing")
    else:
        yield Finding(
            "warning",
            "convergence",
            f"EM had not converged after {MOST_ITERATIONS} iterations: class sizes still changed.",
            "Do not trust the weights; look at the classes and levels named below, and map more columns to roles.",
        )


def _starts(fitted: FittedClasses) -> Iterator[Finding]:
    if len(fitted.starts) < 2:
        return
    best = max(start.log_likelihood for start in fitted.starts)
    near = [start for start in fitted.starts if best - start.log_likelihood < _ABOUT_AS_LIKELY]
    persons = [start.sizes[0] for start in near]
    apart = (max(persons) - min(persons)) / max(max(persons), 1.0)
    spread = best - min(start.log_likelihood for start in fitted.starts)
    chosen = next(start.name for start in fitted.starts if start.chosen)
    said = (
        f"{len(near)} of {len(fitted.starts)} starts came within {_ABOUT_AS_LIKELY:.0f} of the best log-likelihood"
        f" (the worst is {spread:,.1f} below); their person pairs differ by {apart:.1%}; start in use: {chosen}."
    )
    if apart > STARTS_APART:
        yield Finding(
            "warning",
            "starts",
            said,
            "Answers that are about as likely disagree on how many pairs are one person: check a sample of pairs of"
            " probability 0.3 to 0.9, and map a column that tells people apart (date of birth, national id).",
        )
    else:
        yield Finding("note", "starts", said, "nothing")


def _dropped(fitted: FittedClasses) -> Iterator[Finding]:
    for each in fitted.dropped:
        yield Finding(
            "note",
            "classes",
            f"Class {each.name} is not in use (it would hold {each.pairs:,.1f} candidate pairs): {each.reason}.",
            "nothing, unless the file should hold such pairs: then check that what they share is mapped to its role",
        )


def _few_pairs(fitted: FittedClasses, counts: Floats) -> Iterator[Finding]:
    """Classes, and comparisons of the person class, with too few expected pairs to learn from."""
    for position, name in enumerate(fitted.names[:-1]):
        pairs = float(fitted.run.mixture.sizes[position]) - 1.0
        if fitted.em.in_use[position] and pairs < FEW_PAIRS:
            yield Finding(
                "warning" if position == 0 else "note",
                "classes",
                f"Class {name} rests on {pairs:,.1f} expected pairs: its weights are close to where EM started.",
                "Link more records at once, or trust its probabilities little.",
            )
    for comparison, block in zip(fitted.comparisons, fitted.em.blocks, strict=True):
        pairs = float(counts[0, block].sum())
        if fitted.run.mixture.sizes[0] - 1.0 >= FEW_PAIRS > pairs:
            yield Finding(
                "warning",
                "levels",
                f"Comparison {comparison.name} is filled on both sides in {pairs:,.1f} expected pairs of one person:"
                " its weights are close to where EM started.",
                f"Fill {comparison.name} in more records, or leave it out.",
            )


def _levels_on_prior(fitted: FittedClasses, counts: Floats) -> Iterator[Finding]:
    """Levels whose probability is mostly the prior's (learnt classes) or the floor's (unrelated)."""
    for position, name in enumerate(fitted.names):
        unrelated = position == len(fitted.em.free)
        if not unrelated and not fitted.em.in_use[position]:
            continue
        weak = fitted.levels[-1] <= SMALLEST_PROBABILITY if unrelated else _mostly_prior(fitted, counts, position)
        named = _level_names(fitted, weak)
        if not named:
            continue
        source = "no random pair of two unrelated records shows" if unrelated else "fewer than one expected pair shows"
        yield Finding(
            "note",
            "levels",
            f"Class {name}: {source} {_listed(named)}; {'the floor' if unrelated else 'the prior'} sets "
            f"{'its' if len(named) == 1 else 'their'} probability.",
            "nothing if such pairs are rare; otherwise trust the weight of these levels little",
        )


def _mostly_prior(fitted: FittedClasses, counts: Floats, position: int) -> NDArray[np.bool_]:
    weak: NDArray[np.bool_] = fitted.em.free[position] & (counts[position] < fitted.em.prior[position])
    return weak


def _falling_weights(fitted: FittedClasses, counts: Floats) -> Iterator[Finding]:
    """Levels of better agreement that speak less for one person than a worse one, both seen often enough."""
    levels = np.maximum(fitted.levels, SMALLEST_PROBABILITY)
    weights = np.log2(levels[0] / levels[-1])
    known = (counts[0] >= FEW_PAIRS) & (counts[-1] >= 1.0)
    for comparison, block in zip(fitted.comparisons, fitted.em.blocks, strict=True):
        labels = comparison.labels[::-1]
        seen = np.nonzero(known[block])[0]
        falls = [
            (float(weights[block][worse] - weights[block][better]), labels[better], labels[worse])
            for worse, better in pairwise(seen)
        ]
        for fall, better, worse in falls:
            if fall > CLEAR_FALL:
                yield Finding(
                    "warning" if better == comparison.labels[0] else "note",
                    "levels",
                    f"Comparison {comparison.name}: {better!r} speaks {fall:.1f} bits less for one person than"
                    f" {worse!r}, though it agrees more.",
                    f"Look at pairs with {better!r}: placeholders or shared values may agree without being one person.",
                )


def _dependence(fitted: FittedClasses, candidates: Floats, random: Floats) -> Iterator[Finding]:
    for position, name in enumerate(fitted.names):
        unrelated = position == len(fitted.em.free)
        patterns = fitted.em.random if unrelated else fitted.em.candidates
        pairs = random[:, -1] if unrelated else candidates[:, position]
        if not unrelated and not fitted.em.in_use[position]:
            continue
        for each in dependences(name, fitted.comparisons, fitted.em.blocks, patterns, pairs):
            if each.bits > STRONG_DEPENDENCE:
                yield _dependent(each)


def _dependent(each: Dependence) -> Finding:
    return Finding(
        "warning" if each.pair_class == "person" else "note",
        "dependence",
        f"Class {each.pair_class}: {each.first} and {each.second} go together, {each.bits:.2f} bits per pair, most of"
        f" all {each.first_level!r} with {each.second_level!r}; the model counts that evidence twice.",
        "Trust probabilities near 0 and 1 less, or recalibrate with reviewed pairs; if one column repeats a part of the"
        " other, map only one.",
    )


def _level_names(fitted: FittedClasses, chosen: NDArray[np.bool_]) -> list[str]:
    return [
        f"{comparison.name} {label!r}"
        for comparison, block in zip(fitted.comparisons, fitted.em.blocks, strict=True)
        for label, weak in zip(comparison.labels[::-1], chosen[block], strict=True)
        if weak
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
