"""Where EM starts from: the anchored values first, then others, to see whether a better answer was missed.

The first start runs to its end. The others run a little, with its chance, so that their log-likelihoods can be
compared with its own; only one that passes it is run to the end. Classes keep their names from any start, as each is
held by what it may not learn.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.pattern_em import EmRun, Mixture, PatternEm, normalized

Floats = NDArray[np.float64]

MOST_ITERATIONS = 1000
TOLERANCE = 1e-4
_COARSE_ITERATIONS = 60
_COARSE_TOLERANCE = 1e-3
_WORTH_CHANGING = 1.0
"""Log-likelihood, in nats, by which another start must be better."""
_JITTER = 1.0


@dataclass(frozen=True)
class StartResult:
    """What EM came to from one start; `sizes` are the pairs of each learnt class."""

    name: str
    log_likelihood: float
    sizes: tuple[float, ...]
    iterations: int
    chosen: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "sizes": list(self.sizes)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> StartResult:
        """Rebuild from `to_dict`."""
        return cls(**{**content, "sizes": tuple(content["sizes"])})


def run_to_end(em: PatternEm, mixture: Mixture) -> EmRun:
    """Iterate until the class sizes stand still."""
    return em.run(mixture, most_iterations=MOST_ITERATIONS, tolerance=TOLERANCE)


def other_starts(em: PatternEm, anchored: Mixture, candidate_mix: Floats) -> dict[str, Mixture]:
    """Starts of other class sizes, of shaken agreement, and of no agreement but that of all candidates."""
    total = em.candidates.counts.sum()
    many, few = np.full(len(anchored.sizes), 0.02), np.full(len(anchored.sizes), 0.1)
    many[0], few[0] = 0.45, 0.02
    noise = np.exp(_JITTER * np.random.default_rng(1).normal(size=anchored.learnt.shape))
    flat = np.tile(candidate_mix, (len(anchored.sizes), 1))
    return {
        "many persons": Mixture(many * total, anchored.learnt, anchored.chance),
        "few persons": Mixture(few * total, anchored.learnt, anchored.chance),
        "shaken": Mixture(anchored.sizes, normalized(anchored.learnt * noise, em.blocks), anchored.chance),
        "all alike": Mixture(anchored.sizes, flat, anchored.chance),
    }


def best_start(em: PatternEm, anchored: Mixture, candidate_mix: Floats) -> tuple[EmRun, tuple[StartResult, ...]]:
    """Run EM from all starts; returns the best run and what each start came to."""
    first = run_to_end(em, anchored)
    chance = first.mixture.chance
    reached = em.log_likelihood(first.mixture)
    given_chance = replace(em, learn_chance=False)
    coarse = {
        name: given_chance.run(
            Mixture(start.sizes, start.learnt, chance),
            most_iterations=_COARSE_ITERATIONS,
            tolerance=_COARSE_TOLERANCE,
        )
        for name, start in other_starts(em, anchored, candidate_mix).items()
    }
    ends = {"anchored": reached} | {name: em.log_likelihood(run.mixture) for name, run in coarse.items()}
    best = max(ends, key=lambda name: ends[name])
    if ends[best] < reached + _WORTH_CHANGING:
        best = "anchored"
    runs = {"anchored": first, **coarse}
    results = tuple(
        StartResult(
            name,
            round(ends[name], 6),
            tuple(float(size) for size in run.mixture.sizes),
            run.iterations,
            chosen=name == best,
        )
        for name, run in runs.items()
    )
    return (first if best == "anchored" else run_to_end(em, coarse[best].mixture)), results
