"""Two kinds of pairs, one person or not: the model of Fellegi and Sunter (1969), as Splink has it.

m is learnt by EM from candidate pairs, u is how often pairs drawn at random agree, and the prior is the share of all
pairs that are one person. It merges people who live together, as they agree far more often than chance: the reason
for `latent_classes`. It is here for who comes from Splink, goes to Splink, or wants to compare.
"""

from __future__ import annotations

from c360ml.linkage.latent_classes import PERSON, Floats, Ints, LatentClasses


class TwoClasses(LatentClasses):
    """One person or unrelated; `levels_` holds m and u, `pairs_` how many pairs are of each kind."""

    kind = "two"
    class_names = ("person", "unrelated")
    learnt_classes = (PERSON,)
    learns_chance = False
    smallest_probability = 1e-300

    def fit_near(self, digits: Ints, counts: Floats) -> LatentClasses:
        """Weigh pairs that share a linked neighbour as all others, as Splink does."""
        return self

    @property
    def probability_two_random_records_match_(self) -> float:
        """Splink's prior."""
        return float(self.pairs_[0] / self.pairs_.sum())


PAIR_CLASSES = {each.kind: each for each in (LatentClasses, TwoClasses)}
"""Models of pairs by the name that configs and model files give them."""
