"""What a notebook shows of a run: what it did, and how right it was where labels are. Progress has shown the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c360ml.display import Displayed, Part, heading, note, table

_MEASURED_ON = {
    "pairwise": "pairwise, true ids",
    "b3": "B-cubed, true ids",
    "cluster": "whole clusters, true ids",
    "labelled": "pairwise, labelled pairs",
}
_SHOWN = 3
_PARTS = ("precision", "recall", "f1")


class RunDisplay(Displayed):
    """Shows a run; times, counts and measures, no record."""

    folder: Path
    run_id: str
    steps: tuple[Any, ...]
    evaluation: dict[str, Any]

    def _parts(self) -> list[Part]:
        done = [step for step in self.steps if not step.skipped]
        longest = sorted(done, key=lambda step: -step.seconds)[:_SHOWN]
        said = f"{len(done)} of {len(self.steps)} steps ran, {sum(step.seconds for step in done):.1f} s; longest: " + (
            ", ".join(f"{step.title} {step.seconds:.1f}" for step in longest)
        )
        return [
            heading(f"Run {self.run_id} of {self.folder.name}"),
            note(said if done else "Nothing changed since the last run."),
            *self._accuracy(),
        ]

    def _accuracy(self) -> list[Part]:
        found = {
            title: [self.evaluation.get(f"{kind}_{part}") for part in _PARTS] for kind, title in _MEASURED_ON.items()
        }
        rows = [(title, *(f"{value:.4f}" for value in values)) for title, values in found.items() if None not in values]
        return [table(["measured on", "precision", "recall", "F1"], rows, caption="How right it is")] if rows else []
