"""The page on which a person decides pairs: both records side by side, one key a decision, a CSV at the end.

Unlike the reports it holds personal data, so that it stays in the project's folder; a content security policy keeps
it from asking other computers for anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

_TEMPLATE = Path(__file__).parent / "review_page.html"


def write_review_page(file: Path, pairs: Sequence[Mapping[str, Any]], *, title: str, blind: bool = False) -> Path:
    """Write a page to review pairs on, whole or not at all.

    Args:
        file: the page.
        pairs: rows of `ReviewQueue.pairs`: ids, probability, why, sampled, and fields that end in `_l` and `_r`.
        title: whose pairs they are.
        blind: leave out what the model thinks.

    >>> import tempfile
    >>> pair = {"record_id_l": "a:1", "record_id_r": "b:1", "match_probability": 0.5, "why": "apart",
    ...     "sampled": 1, "name_l": "Ann <Lee>", "name_r": None}
    >>> page = write_review_page(Path(tempfile.mkdtemp()) / "review.html", [pair], title="Customers")
    >>> "Ann <Lee>" in page.read_text("utf-8")
    False
    """
    content = json.dumps([_shown(pair, blind) for pair in pairs], ensure_ascii=False, separators=(",", ":"))
    page = Template(_TEMPLATE.read_text("utf-8")).substitute(
        title=escape(title),
        pairs=content.replace("<", "\\u003c"),  # no name can end the script element
    )
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    partial.write_text(page, "utf-8")
    return partial.replace(file)


def _shown(pair: Mapping[str, Any], blind: bool) -> dict[str, Any]:
    names = [name.removesuffix("_l") for name in pair if name.endswith("_l") and name != "record_id_l"]
    return {
        "record_id_l": pair["record_id_l"],
        "record_id_r": pair["record_id_r"],
        "sampled": str(pair["sampled"]),
        "why": "" if blind else f"Match probability {pair['match_probability']:.3f}; {pair['why']}.",
        "fields": [[name.replace("_", " "), pair[f"{name}_l"], pair[f"{name}_r"]] for name in names],
    }
