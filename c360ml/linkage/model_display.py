"""What a notebook shows of a linkage model: its settings, or kinds of pairs, what agreement weighs, and blocking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from c360ml.display import DisplayedEstimator, Part, note, table
from c360ml.linkage.blocking import BlockedRule
from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.latent_classes import LatentClasses

_LEAST_LIKELIHOOD = 1e-12


class LinkageDisplay(DisplayedEstimator):
    """Shows a linkage model; of records only counts."""

    classes_: LatentClasses
    comparisons_: tuple[Comparison, ...]
    blocking_: tuple[BlockedRule, ...]
    constraints: Constraints

    def _settings(self) -> dict[str, tuple[Any, bool]]:
        settings = super()._settings()
        if "constraints" in settings:
            declared = self.constraints.to_dict()
            told = {name: value for name, value in declared.items() if value != Constraints().to_dict()[name]}
            if self.constraints.reviewed_pairs is not None:
                told["reviewed_pairs"] = "given"
            settings["constraints"] = (str(told) if told else None, not told)
        return settings

    def _learned_parts(self) -> list[Part]:
        if not hasattr(self, "classes_"):
            return []
        pairs = self.classes_.pairs_by_class_
        known = sum(pairs[name] for name in pairs if name != "unrelated")
        findings = [each for each in self.classes_.report_ if each.severity == "warning"]
        return [
            note(f"Fitted: {known:,.0f} of {sum(pairs.values()):,.0f} pairs of records are of some kind."),
            table(["kind of pair", "expected pairs"], pairs.items(), caption="What the file holds"),
            table(
                ["comparison", "levels", "best level", "weight, log2", "worst level", "weight, log2"],
                [_weights_of(self.classes_, comparison) for comparison in self.comparisons_],
                caption="One person against unrelated: what agreement and disagreement weigh",
            ),
            table(["rule", "pairs"], _rules(self.blocking_), caption="Pairs that are compared"),
            *(note(f"{each.topic}: {each.finding} {each.what_to_do}") for each in findings),
        ]


def _weights_of(classes: LatentClasses, comparison: Comparison) -> tuple[str, int, str, str, str, str]:
    alike, other = (classes.level_probabilities(name, comparison.name) for name in (_first(classes), _last(classes)))
    best, worst = comparison.labels[0], comparison.labels[-1]
    found = [
        math.log2(max(alike[level], _LEAST_LIKELIHOOD) / max(other[level], _LEAST_LIKELIHOOD))
        for level in (best, worst)
    ]
    return comparison.name, len(comparison.labels), best, f"{found[0]:+.2f}", worst, f"{found[1]:+.2f}"


def _first(classes: LatentClasses) -> str:
    return classes.class_names[0]


def _last(classes: LatentClasses) -> str:
    return classes.class_names[-1]


def _rules(blocking: Sequence[BlockedRule]) -> list[tuple[str, int | None]]:
    return [(each.rule.name, each.pairs or None) for each in blocking if each.chosen]
