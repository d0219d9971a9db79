"""Why two records are, or are not, one person: the weight that each comparison adds, as a waterfall."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.latent_classes import LatentClasses
from c360ml.linkage.recalibration import RecalibratedClasses

_LEAST_LIKELIHOOD = 1e-12
_RARITIES = ("rare", "uncommon", "common", "shared by a few", "shared by many")


def waterfall(
    scorer: RecalibratedClasses,
    comparisons: tuple[Comparison, ...],
    digits: NDArray[np.int64],
    *,
    near: bool = False,
) -> list[dict[str, float | str]]:
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
    known = np.full((len(comparisons) + 1, len(comparisons)), -1)
    for position in range(len(comparisons)):
        known[position + 1 :, position] = digits[position]
    nearness = np.full(len(known), near)
    so_far = scorer.classes.match_weights(known, nearness)
    sizes = scorer.classes.near_pairs_ if near else scorer.classes.pairs_
    steps: list[dict[str, float | str]] = [
        {
            "step": "prior",
            "level": "records with a linked neighbour in common" if near else "any two records",
            "weight": float(so_far[0]),
            "match_weight": float(so_far[0]),
            **_class_weights(dict(zip(scorer.class_names, sizes, strict=True))),
        }
    ]
    for position, comparison in enumerate(comparisons):
        digit = int(digits[position])
        level = "missing" if digit < 0 else comparison.labels[len(comparison.labels) - 1 - digit]
        steps.append(
            {
                "step": comparison.name,
                "level": level,
                "weight": float(so_far[position + 1] - so_far[position]),
                "match_weight": float(so_far[position + 1]),
                **_evidence(scorer.classes, comparison.name, level),
            }
        )
    total, form = float(scorer.match_weights(known[-1:], nearness[-1:])[0]), scorer.recalibration.form_
    if form != "identity":
        added = total - float(so_far[-1])
        steps.append({"step": "recalibration", "level": form, "weight": added, "match_weight": total})
    likely = scorer.class_names[int(scorer.class_probabilities(known[-1:], nearness[-1:])[0].argmax())]
    steps.append({"step": "total", "level": likely, "weight": total, "match_weight": total})
    return steps


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
