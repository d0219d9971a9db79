"""What a notebook shows of the story of an ID: what it is now, and what happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from c360ml.display import Displayed, Part, heading, note, table


class StoryDisplay(Displayed):
    """Shows a story; it holds IDs of customers and records, no other personal data."""

    name: str
    state: str
    living_id: str | None
    records: tuple[str, ...]
    events: tuple[Any, ...]

    def _parts(self) -> list[Part]:
        records = [note(f"Records of customer {self.living_id}: {', '.join(self.records)}")] if self.records else []
        rows = [(_moment(event.when), event.run_id, event.told, event.reason) for event in self.events]
        return [heading(f"{self.name}: {self.state}"), *records, table(["when (UTC)", "run", "what", "why"], rows)]


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}"
