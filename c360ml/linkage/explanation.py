"""Why two records are, or are not, one person: the weight that each comparison adds, as a waterfall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.latent_classes import CLASS_NAMES, LatentClasses


def waterfall(
    classes: LatentClasses, comparisons: tuple[Comparison, ...], digits: NDArray[np.int64]
) -> list[dict[str, float | str]]:
    """Split a pair's match weight into the prior and one step per comparison.

    With more than two classes the evidence of one comparison depends on what the others say; a step is the change
    of the match weight when the comparison is added after those before it, so that the steps sum to the weight.

    Args:
        classes: fitted classes.
        comparisons: the comparisons, in the order of `digits`.
        digits: agreement pattern of the pair: -1 missing, 0 different, up to the best level.

    Returns:
        One step per row: `step`, `level`, `weight` (log2) and `match_weight` so far; then the class the pair is
        most likely of.
    """
    known = np.full((len(comparisons) + 1, len(comparisons)), -1)
    for position in range(len(comparisons)):
        known[position + 1 :, position] = digits[position]
    so_far = classes.match_weights(known)
    steps: list[dict[str, float | str]] = [
        {"step": "prior", "level": "any two records", "weight": float(so_far[0]), "match_weight": float(so_far[0])}
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
            }
        )
    likely = CLASS_NAMES[int(classes.class_probabilities(known[-1:])[0].argmax())]
    steps.append({"step": "total", "level": likely, "weight": float(so_far[-1]), "match_weight": float(so_far[-1])})
    return steps
