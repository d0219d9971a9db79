"""What each level of each comparison is worth: log2 ratios of the learnt probabilities."""

from __future__ import annotations

import math
from typing import Any

from c360ml.dashboards.asking import Row
from c360ml.dashboards.charts import Colour, Field, dots
from c360ml.dashboards.formats import measure
from c360ml.dashboards.page import Block, Chart, DataTable

_RIVALS = {"household": "against a household", "unrelated": "against strangers"}
_WHOM = {"household": "their household", "unrelated": "strangers"}
_FARTHEST = 16.0
_LEAST = 1e-12


def level_weights(classes: dict[str, Any]) -> list[Block]:
    """Draw one small chart a comparison from the classes of a linkage model file.

    >>> levels = {"surname": {"same": 0.5, "different": 0.5}}
    >>> classes = {"levels": {"person": levels, "household": levels, "unrelated": levels}}
    >>> level_weights(classes)[0].numbers.rows[0]
    ('surname', 'same', '50.0%', '0.0', '0.0')
    """
    levels = classes["levels"]
    rivals = {
        name: words for name, words in _RIVALS.items() if name in levels and classes.get("pairs", {}).get(name, 1) > 0
    }
    rows = [
        {"comparison": comparison, "level": level, "m": m}
        | {rival: _worth(m, levels[rival][comparison][level]) for rival in rivals}
        for comparison, by_level in levels["person"].items()
        for level, m in by_level.items()
    ]
    if not rows:
        return []
    table = DataTable(
        "Worth of each level",
        ("comparison", "level", "share among one person's pairs", *(f"log2 {name}" for name in rivals.values())),
        [
            (_words(row["comparison"]), row["level"], f"{row['m']:.1%}", *(measure(row[rival], 1) for rival in rivals))
            for row in rows
        ],
        texts=frozenset({1}),
    )
    names = list(levels["person"])
    charts = [(_words(name), _chart([row for row in rows if row["comparison"] == name], rivals)) for name in names]
    closest = next(iter(rivals))
    best = max(rows, key=lambda row: row["m"] * min(row[closest], _FARTHEST))
    title = (
        f"What is agreement worth? {_words(best['comparison'])} “{best['level']}” does most to tell a person from"
        f" {_WHOM[closest]}"
    )
    note = "Right of zero speaks for one person, left of it against."
    if "household" in rivals:
        note += " Against strangers a shared address says much; against one's own household it says nothing."
    note += f" Dots are cut at ±{_FARTHEST:.0f}."
    return [Chart(title, charts, note=note, numbers=table, legend=tuple(rivals.values()))]


def _worth(person: float, rival: float) -> float:
    return math.log2(max(person, _LEAST) / max(rival, _LEAST))


def _chart(rows: list[Row], rivals: dict[str, str]) -> dict[str, Any]:
    points = [
        {"level": row["level"], "rival": words, "weight": max(-_FARTHEST, min(_FARTHEST, row[rival])), "m": row["m"]}
        for row in rows
        for rival, words in rivals.items()
    ]
    return dots(
        points,
        Field("level", "level"),
        Field("weight", "log2 weight", ".1f"),
        colour=Colour("rival", "", tuple(rivals.values())),
        domain=(-_FARTHEST - 1.5, _FARTHEST + 1.5),
        at=(-16, -8, 0, 8, 16),
        from_zero=True,
        more=(Field("m", "share among one person's pairs", ".1%"),),
    )


def _words(name: str) -> str:
    return name.removeprefix("attribute_").replace("_", " ")
