"""One HTML file that works offline: what a report is made of, and how it becomes text.

All text is escaped here and nowhere else; a chart is a Vega-Lite specification with its numbers inside, drawn by
the Vega libraries that the page carries. The page asks no other computer for anything.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from html import escape
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

Spec = dict[str, Any]
"""A Vega-Lite specification."""

_HERE = Path(__file__).parent
_EMBED = "window.vegaEmbed = vegaEmbed;"


@dataclass(frozen=True)
class Kpi:
    """One key figure of the page's head."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; `muted` for remarks."""

    text: str
    muted: bool = False

    def html(self) -> str:
        """Write the paragraph."""
        return f'<p class="{"note" if self.muted else "say"}">{escape(self.text)}</p>'


@dataclass(frozen=True)
class DataTable:
    """A table of ready-made text; the first column names the row, `texts` are other columns set left.

    >>> print(DataTable("Rows", ("source", "rows"), [("crm <1>", "7")]).grid())
    <div class="table"><table aria-label="Rows">
    <thead><tr><th scope="col" class="text">source</th><th scope="col">rows</th></tr></thead>
    <tbody><tr><th scope="row" class="text">crm &lt;1&gt;</th><td>7</td></tr></tbody>
    </table></div>
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    texts: frozenset[int] = frozenset()
    note: str = ""
    half: bool = False

    def html(self) -> str:
        """Write the table as a card of its own."""
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        return f'<figure class="{_card(self.half)}"><h3>{escape(self.title)}</h3>\n{self.grid()}{note}</figure>'

    def grid(self) -> str:
        """Write the table alone."""
        head = "".join(f'<th scope="col"{self._style(at)}>{escape(name)}</th>' for at, name in enumerate(self.columns))
        body = "\n".join(f"<tr>{self._row(row)}</tr>" for row in self.rows)
        label = escape(self.title)
        return (
            f'<div class="table"><table aria-label="{label}">\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>{body}</tbody>\n</table></div>"
        )

    def _row(self, row: tuple[str, ...]) -> str:
        first, *others = row
        cells = "".join(f"<td{self._style(at)}>{escape(cell)}</td>" for at, cell in enumerate(others, 1))
        return f'<th scope="row" class="text">{escape(first)}</th>{cells}'

    def _style(self, column: int) -> str:
        return ' class="text"' if column == 0 or column in self.texts else ""


@dataclass(frozen=True)
class Chart:
    """A chart under a title that says what it shows, or several small ones of one kind, each with its name."""

    title: str
    spec: Spec | Sequence[tuple[str, Spec]]
    note: str = ""
    numbers: DataTable | None = None
    half: bool = False
    legend: tuple[str, ...] = ()

    def html(self) -> str:
        """Write the chart's place, its specification and its numbers."""
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        numbers = f"<details><summary>The numbers</summary>{self.numbers.grid()}</details>" if self.numbers else ""
        head = f"<h3>{escape(self.title)}</h3>{self._key()}"
        return f'<figure class="{_card(self.half)}">{head}{self._drawn()}{note}{numbers}</figure>'

    def specs(self) -> list[Spec]:
        """List the specifications."""
        return [self.spec] if isinstance(self.spec, dict) else [spec for _, spec in self.spec]

    def _key(self) -> str:
        items = [f'<li class="series-{number}">{escape(name)}</li>' for number, name in enumerate(self.legend, 1)]
        return f'<ul class="legend">{"".join(items)}</ul>' if items else ""

    def _drawn(self) -> str:
        if isinstance(self.spec, dict):
            return _place(self.title, self.spec)
        parts = [
            f"<div><h4>{escape(name)}</h4>{_place(f'{self.title} {name}', spec)}</div>" for name, spec in self.spec
        ]
        return f'<div class="multiples">{"".join(parts)}</div>'


Block = Text | DataTable | Chart


@dataclass(frozen=True)
class Section:
    """One question of the reader, its answer in a sentence, and what shows it."""

    anchor: str
    question: str
    answer: str
    blocks: Sequence[Block] = ()

    def html(self, number: int) -> str:
        """Write the section."""
        blocks = "\n".join(block.html() for block in _pair_halves(self.blocks))
        return (
            f'<section id="{escape(self.anchor)}"><h2>{number}. {escape(self.question)}</h2>\n'
            f'<p class="answer">{escape(self.answer)}</p>\n<div class="blocks">\n{blocks}\n</div></section>'
        )


def _pair_halves(blocks: Sequence[Block]) -> list[Block]:
    """Widen each half card that has no other half beside it."""
    paired: list[Block] = []
    for half, run in groupby(blocks, key=lambda block: not isinstance(block, Text) and block.half):
        cards = list(run)
        if half and len(cards) % 2:
            cards.append(_widened(cards.pop()))
        paired += cards
    return paired


def _widened(block: Block) -> Block:
    return block if isinstance(block, Text) else replace(block, half=False)


@dataclass(frozen=True)
class Page:
    """A whole report.

    >>> page = Page("Customers", "of a test", (Kpi("customers", "7"),), (Section("who", "Who?", "Seven."),))
    >>> "<h2>1. Who?</h2>" in page.html()
    True
    """

    title: str
    subtitle: str
    kpis: tuple[Kpi, ...]
    sections: tuple[Section, ...]
    footer: str = field(
        default="Made by c360ml. Counts and sums only: no name, e-mail, phone or address is in this file."
    )

    def html(self, kept: Path | None = None) -> str:
        """Write the page, Vega libraries included, which are kept in the folder `kept` if one is given."""
        return Template((_HERE / "page.html").read_text("utf-8")).substitute(
            title=escape(self.title),
            subtitle=escape(self.subtitle),
            style=(_HERE / "style.css").read_text("utf-8"),
            kpis="\n".join(_kpi(kpi) for kpi in self.kpis),
            contents="\n".join(_entry(number, section) for number, section in enumerate(self.sections, 1)),
            sections="\n".join(section.html(number) for number, section in enumerate(self.sections, 1)),
            footer=escape(self.footer),
            bundle=vega_bundle(kept),
            glue=(_HERE / "charts.js").read_text("utf-8"),
        )

    def write(self, path: Path, *, kept: Path | None = None) -> Path:
        """Write the page to a file, whole or not at all.

        Args:
            path: the file.
            kept: folder that keeps the Vega libraries for the next page; without it they are made for each program.
        """
        return _write(path, self.html(kept))


def _write(path: Path, text: str) -> Path:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, "utf-8")
    return partial.replace(path)


@cache
def vega_bundle(kept: Path | None = None) -> str:
    """Give Vega, Vega-Lite and vega-embed as one script, which takes vl-convert about two seconds.

    Args:
        kept: folder that keeps it, by the version of vl-convert and a digest of itself.
    """
    import vl_convert

    for file in sorted(kept.glob(_script_name("*"))) if kept is not None else []:
        script = file.read_text("utf-8")
        if file.name == _script_name(_digest(script)):
            return script
    bundle: str = vl_convert.javascript_bundle(_EMBED)
    if kept is not None:
        _write(kept / _script_name(_digest(bundle)), bundle)
    return bundle


def _script_name(digest: str) -> str:
    return f"vega-{version('vl-convert-python')}-{digest}.js"


def _digest(script: str) -> str:
    return hashlib.blake2b(script.encode(), digest_size=8).hexdigest()


def _card(half: bool) -> str:
    return "card half" if half else "card"


def _kpi(kpi: Kpi) -> str:
    detail = f'<span class="detail">{escape(kpi.detail)}</span>' if kpi.detail else ""
    label, value = f'<span class="label">{escape(kpi.label)}</span>', f'<span class="value">{escape(kpi.value)}</span>'
    return f"<li>{label} {value} {detail}</li>"


def _entry(number: int, section: Section) -> str:
    return f'<li><a href="#{escape(section.anchor)}">{number}. {escape(section.question)}</a></li>'


def _place(label: str, spec: Spec) -> str:
    # "<" is written as \u003c: no text of a chart can end the script element
    content = json.dumps(spec, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        f'<div class="chart" role="img" aria-label="{escape(label)}"></div>'
        f'<script type="application/vnd.vegalite+json">{content}</script>'
    )
