"""How many kinds of pairs the data hold: a class that does not pay for its parameters is dropped.

A class stays if the log-likelihood it gains is at least half a log of *its own* expected pairs for each of its free
parameters. This is the Bayesian information criterion (Schwarz 1978) with the sample size that Figueiredo and Jain
(2002, "Unsupervised learning of finite mixture models", IEEE PAMI 24) charge a component: only the pairs of a class
inform its parameters. A class of fewer than `CHARGED_PAIRS` pairs is charged as if it had so many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from c360ml.linkage.em_starts import run_to_end
from c360ml.linkage.pattern_em import EmRun, Mixture, PatternEm, log_joint

CHARGED_PAIRS = 10.0


@dataclass(frozen=True)
class DroppedClass:
    """A class not in use: the candidate pairs it would hold, and why it was dropped."""

    name: str
    pairs: float
    reason: str


def drop_unlearnable(em: PatternEm, names: Sequence[str]) -> tuple[PatternEm, list[DroppedClass]]:
    """Drop classes that learn nothing of what is compared, or the very same comparisons as one before them."""
    dropped = []
    for position, free in enumerate(em.free):
        twins = [names[other] for other in range(position) if (em.free[other] == free).all()]
        if free.any() and not twins:
            continue
        reason = (
            f"what is compared cannot tell it from {twins[0]}"
            if free.any()
            else "nothing that its pairs would share is compared"
        )
        em = em.without(position)
        dropped.append(DroppedClass(names[position], 0.0, reason))
    return em, dropped


def drop_empty(em: PatternEm, run: EmRun, names: Sequence[str]) -> tuple[PatternEm, EmRun, list[DroppedClass]]:
    """Drop classes that do not pay, the least paying first, and run EM again without each; the first class stays."""
    dropped: list[DroppedClass] = []
    while True:
        paying = {position: _surplus(em, run.mixture, position) for position in np.nonzero(em.in_use)[0][1:]}
        if not paying or min(paying.values()) >= 0:
            return em, run, dropped
        least = min(paying, key=lambda position: paying[position])
        pairs = float(run.mixture.sizes[least] - 1.0)
        dropped.append(DroppedClass(names[least], pairs, "the data are explained well enough without it"))
        em = em.without(int(least))
        again = run_to_end(em, run.mixture)
        run = replace(again, iterations=run.iterations + again.iterations)


def _surplus(em: PatternEm, mixture: Mixture, position: int) -> float:
    """Log-likelihood that a class gains over what it must; the other classes are not refitted, which flatters it."""
    logs = log_joint(em.candidates.indicators, em.levels(mixture), em.sizes(mixture))
    totals = np.logaddexp.reduce(logs, axis=1)
    without = np.logaddexp.reduce(np.delete(logs, position, axis=1), axis=1)
    pairs = mixture.sizes[position] - 1.0  # the prior's pair is not of the data
    gain = (em.candidates.counts * (totals - without)).sum() - mixture.sizes[position]
    learnt = [block for block in em.blocks if em.free[position, block.start]]
    parameters = 1 + sum(block.stop - block.start - 1 for block in learnt)
    return float(gain - parameters / 2 * np.log(max(pairs, CHARGED_PAIRS)))
