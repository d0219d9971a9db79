"""Latent classes for a handful of patterns at a time: the logs of all levels in one table, looked up by digit.

A sparse product is the faster way for the patterns of a file, and takes longer to set up than a few patterns take to
weigh.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from c360ml.linkage.latent_classes import Floats, Ints, LatentClasses
from c360ml.linkage.pattern_em import level_blocks

_SMALLEST_SIZE = 1e-300


class TabledClasses(LatentClasses):
    """Fitted classes that weigh a few patterns fast, the same to the last digits.

    Args:
        classes: fitted classes, of two kinds of pairs or more.
    """

    def __init__(self, classes: LatentClasses) -> None:
        super().__init__(classes.comparisons)
        fitted: dict[str, Any] = vars(classes)
        vars(self).update(fitted)
        self.kind, self.class_names = classes.kind, classes.class_names
        self.smallest_probability = classes.smallest_probability
        self._places = np.arange(len(self.comparisons))
        # The last level of each is that of a missing value, -1, which says nothing.
        most_levels = max((len(comparison.labels) for comparison in self.comparisons), default=0)
        self._table = np.zeros((len(self.comparisons), most_levels + 1, len(self.class_names)))
        logs = np.log(np.maximum(self.levels_, self.smallest_probability)).T
        for place, block in enumerate(level_blocks(self.comparisons)):
            self._table[place, : block.stop - block.start] = logs[block]
        self._levels: dict[tuple[str, str], dict[str, float]] = {}

    def _logs(self, digits: Ints, sizes: Floats) -> Floats:
        joint: Floats = self._table[self._places, digits].sum(axis=1) + np.log(np.maximum(sizes, _SMALLEST_SIZE))
        return joint

    def level_probabilities(self, pair_class: str, comparison: str) -> dict[str, float]:
        """Probability of each level of a comparison in a class, from best to worst."""
        key = pair_class, comparison
        if key not in self._levels:
            self._levels[key] = super().level_probabilities(*key)
        return self._levels[key]
