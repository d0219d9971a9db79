"""What a notebook shows of an answer to "who is this?": the answer, its reasons, and what is known of the customer."""

from __future__ import annotations

from typing import Any

from c360ml.display import Displayed, Part, facts, heading, note, weights


class ResolutionDisplay(Displayed):
    """Shows a resolution; like its `repr`, it holds the golden record's personal data."""

    master_id: str | None
    is_new: bool
    match_probability: float
    household_id: str | None
    explanation: tuple[dict[str, float | str], ...]
    candidates: int
    golden_record: dict[str, Any] | None
    customer: dict[str, Any] | None

    def _parts(self) -> list[Part]:
        who = f"Customer {self.master_id}" if self.master_id else "Nobody who is known"
        found = f"{self.candidates:,} candidates; the best pair matches with probability {self.match_probability:.4f}."
        parts = [heading(f"{who}{' (new)' if self.is_new and self.master_id else ''}"), note(found)]
        if self.explanation:
            steps = [(str(step["step"]), str(step["level"]), float(step["weight"])) for step in self.explanation]
            parts.append(weights(steps, caption="Why: the best pair"))
        known = {"golden record": self.golden_record, "value and segments": self.customer}
        return parts + [facts(fields, caption=caption) for caption, fields in known.items() if fields]
