"""Why two records are, or are not, one person: the weight that each comparison adds, as a waterfall."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.latent_classes import LatentClasses
from c360ml.linkage.recalibration import RecalibratedClasses

Step = dict[str, float | str]
_LEAST_LIKELIHOOD = 1e-12
_RARITIES = ("rare", "uncommon", "common", "shared by a few", "shared by many")


def waterfall(
    scorer: RecalibratedClasses,
    comparisons: tuple[Comparison, ...],
    digits: NDArray[np.int64],
    *,
    near: bool = False,
) -> list[Step]:
    """Split a pair's match weight into the prior and one step per comparison.

    With more than two classes the evidence of one comparison depends on what the others say; a step is the change
    of the match weight when the comparison is added after those before it, so that the steps sum to the weight.

    Args:
        scorer: fitted classes and their recalibration.
        comparisons: the comparisons, in the order of `digits`.
        digits: agreement pattern of the pair: -1 missing, 0 different, up to the best level.
        near: whether the records share a linked neighbour, so that the prior is that of such pairs.

    Returns:
        One step per row: `step`, `level`, `weight` (log2) and `match_weight` so far; what a recalibration adds, if
        there is one; then the class the pair is most likely of. The prior and each comparison also tell, as
        `person_weight`, `household_weight` and so on, how much more often (log2) pairs of that class agree so than
        unrelated pairs do; and the `rarity` of the value, if the level knows it.
    """
    return waterfalls(scorer, comparisons, digits[None, :], near=near)[0]


def waterfalls(
    scorer: RecalibratedClasses,
    comparisons: tuple[Comparison, ...],
    patterns: NDArray[np.int64],
    *,
    near: bool = False,
) -> list[list[Step]]:
    """Split the match weights of many patterns, one a row, as `waterfall` does one."""
    pairs, steps = len(patterns), len(comparisons) + 1
    told = np.arange(steps)[:, None] > np.arange(len(comparisons))
    known = np.where(told, patterns[:, None, :], -1).reshape(pairs * steps, len(comparisons))
    so_far = scorer.classes.match_weights(known, np.full(len(known), near)).reshape(pairs, steps)
    nearness = np.full(pairs, near)
    totals = scorer.match_weights(patterns, nearness).tolist()
    likely = scorer.class_probabilities(patterns, nearness).argmax(axis=1).tolist()
    sizes = scorer.classes.near_pairs_ if near else scorer.classes.pairs_
    prior = {
        "level": "records with a linked neighbour in common" if near else "any two records",
        **_class_weights(dict(zip(scorer.class_names, sizes, strict=True))),
    }
    evidence = _Evidence(scorer.classes, comparisons)
    found: list[list[Step]] = []
    for digits, weights, total, kind in zip(patterns.tolist(), so_far.tolist(), totals, likely, strict=True):
        one: list[Step] = [{"step": "prior", "weight": weights[0], "match_weight": weights[0], **prior}]
        for place, (comparison, digit) in enumerate(zip(comparisons, digits, strict=True)):
            before, after = weights[place : place + 2]
            level = evidence.of(place, digit)
            one.append({"step": comparison.name, "weight": after - before, "match_weight": after, **level})
        form = scorer.recalibration.form_
        if form != "identity":
            one.append({"step": "recalibration", "level": form, "weight": total - weights[-1], "match_weight": total})
        one.append({"step": "total", "level": scorer.class_names[kind], "weight": total, "match_weight": total})
        found.append(one)
    return found


class _Evidence:
    """What the levels of the comparisons say, each looked up once."""

    def __init__(self, classes: LatentClasses, comparisons: tuple[Comparison, ...]) -> None:
        self._classes, self._comparisons = classes, comparisons
        self._known: dict[tuple[int, int], dict[str, float | str]] = {}

    def of(self, place: int, digit: int) -> dict[str, float | str]:
        """Level of a comparison, and what it says."""
        if (place, digit) not in self._known:
            comparison = self._comparisons[place]
            level = "missing" if digit < 0 else comparison.labels[len(comparison.labels) - 1 - digit]
            self._known[place, digit] = {"level": level, **_evidence(self._classes, comparison.name, level)}
        return self._known[place, digit]


def _evidence(classes: LatentClasses, comparison: str, level: str) -> dict[str, float | str]:
    """What a level says for each class, and how rare the value is that both records have."""
    if level == "missing":
        return _class_weights(dict.fromkeys(classes.class_names, 1.0))
    weights = _class_weights(
        {name: classes.level_probabilities(name, comparison)[level] for name in classes.class_names}
    )
    rarity = level.rpartition(", ")[2]
    return {**weights, "rarity": rarity} if rarity in _RARITIES else weights


def _class_weights(likelihoods: dict[str, float]) -> dict[str, float | str]:
    """log2 ratio of each class's likelihood to that of unrelated pairs."""
    unrelated = max(likelihoods["unrelated"], _LEAST_LIKELIHOOD)
    return {
        f"{name}_weight": math.log2(max(likelihood, _LEAST_LIKELIHOOD) / unrelated)
        for name, likelihood in likelihoods.items()
        if name != "unrelated"
    }
