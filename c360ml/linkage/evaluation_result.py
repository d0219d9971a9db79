"""What an evaluation says: a dict of measures that shows itself as a table in a notebook."""

from __future__ import annotations

from typing import Any

from c360ml.display import Displayed, Part, facts, table

MEASURED_ON = {
    "pairwise": "pairs of records",
    "b3": "B-cubed, by record",
    "cluster": "whole clusters",
    "labelled": "labelled pairs",
    "estimated_pairwise": "pairs of records, estimated",
    "estimated_b3": "B-cubed, estimated",
    "estimated_cluster": "whole clusters, estimated",
    "estimated_link": "scored pairs, estimated",
}
"""Kinds of precision and recall, by the prefix of their keys."""
PARTS = ("precision", "recall", "f1")


class Evaluation(dict[str, Any], Displayed):
    """Measures by name, of plain JSON; intervals of 95 % are `intervals[name] = [low, high]`.

    >>> found = Evaluation(b3_precision=1.0, b3_recall=0.5, b3_f1=2 / 3, intervals={"b3_f1": [0.6, 0.7]})
    >>> found["b3_recall"], [row[0] for row in found.rows()]
    (0.5, ['B-cubed, by record'])
    """

    def to_dict(self) -> dict[str, Any]:
        """Give the measures as a plain dict."""
        return dict(self)

    def rows(self) -> list[tuple[str, ...]]:
        """Write what was measured on, precision, recall and F1, each with its interval, as text."""
        kinds = {kind: title for kind, title in MEASURED_ON.items() if f"{kind}_precision" in self}
        return [(title, *(self._cell(f"{kind}_{part}") for part in PARTS)) for kind, title in kinds.items()]

    def _cell(self, name: str) -> str:
        value, interval = self.get(name), self.get("intervals", {}).get(name)
        if value is None:
            return "-"
        return f"{value:.4f}" + (f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else "")

    def _parts(self) -> list[Part]:
        shown = {f"{kind}_{part}" for kind in MEASURED_ON for part in PARTS}
        single = {
            name.replace("_", " "): value
            for name, value in self.items()
            if isinstance(value, int | float) and name not in shown
        }
        return [table(("measured on", "precision", "recall", "F1"), self.rows()), facts(single)]
