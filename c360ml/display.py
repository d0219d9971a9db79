"""What a notebook shows of an object: headings, facts and tables as HTML, all text escaped.

A class shows itself with `Displayed` and a method that lists the parts:

>>> class Pair(Displayed):
...     def _parts(self) -> list[Part]:
...         return [heading("A <pair>"), table(["record", "weight"], [["a", 3.25]])]
>>> "A &lt;pair&gt;" in Pair()._repr_html_(), "<td>3.25</td>" in Pair()._repr_html_()
(True, True)
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from numbers import Integral, Real
from typing import Any

Part = str
"""A piece of HTML that is safe to show: made by the functions of this module only."""

_LONGEST_TEXT = 200
_PLAIN = (str, bool, int, float, type(None))
_NUMBER = ' style="text-align:right"'


def heading(text: str) -> Part:
    """Write what is shown.

    >>> heading("BgNbd()")
    '<p style="margin:.3em 0"><b>BgNbd()</b></p>'
    """
    return f'<p style="margin:.3em 0"><b>{escape(text)}</b></p>'


def note(text: str) -> Part:
    """Write a sentence."""
    return f'<p style="margin:.3em 0">{escape(text)}</p>'


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str = "") -> Part:
    """Write a table; numbers are rounded for reading, long texts cut.

    >>> table(["n"], [[1234567]])
    '<table><thead><tr><th>n</th></tr></thead><tbody><tr><td>1,234,567</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(as_text(cell))}</td>' for cell in row)}</tr>" for row in rows)
    title = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts(pairs: Mapping[str, Any], *, caption: str = "") -> Part:
    """Write names and what they are, a row each; what is None is left out."""
    return table(["", ""], [(name, value) for name, value in pairs.items() if value is not None], caption=caption)


def weights(steps: Iterable[tuple[str, str, float]], *, caption: str = "") -> Part:
    """Write steps of a waterfall: name, level, and the weight (log2 odds) as a number and as a bar."""
    steps = list(steps)
    longest = max((abs(weight) for _, _, weight in steps), default=0.0) or 1.0
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(level)}</td><td{_NUMBER}>{weight:+.2f}</td>"
        f"<td>{_bar(weight / longest)}</td></tr>"
        for name, level, weight in steps
    )
    title = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    head = "<th>step</th><th>level</th><th>weight, log2</th><th></th>"
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _bar(share: float) -> Part:
    colour = "#2a9d8f" if share > 0 else "#e76f51"
    return f'<div style="width:{abs(share) * 120:.0f}px;height:.8em;background:{colour}"></div>'


def as_text(value: Any) -> str:
    """Write a value for reading.

    >>> [as_text(value) for value in (0.123456, 12345678.9, 3, True, None, ["a", 2])]
    ['0.1235', '12,345,679', '3', 'yes', '', 'a, 2']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        number = float(value)
        return f"{number:,.0f}" if abs(number) >= 10_000 else f"{number:,.4g}"
    if isinstance(value, list | tuple):
        value = ", ".join(as_text(each) for each in value)
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


class Displayed:
    """Shows itself in a notebook by the parts that it lists."""

    def _parts(self) -> list[Part]:
        """List what is shown, made by this module's functions."""
        return []

    def _repr_html_(self) -> str:
        return f"<div>{''.join(self._parts())}</div>"


class DisplayedEstimator(Displayed):
    """A model that shows its settings before `fit`, and what it learned after.

    >>> class Mean(DisplayedEstimator):
    ...     def __init__(self, *, share: float = 0.5, seed: int = 1) -> None:
    ...         self.share, self.seed = share, seed
    >>> Mean(share=0.25)
    Mean(share=0.25)
    """

    def _learned_parts(self) -> list[Part]:
        """List what the model learned; nothing before `fit`."""
        return []

    def _parts(self) -> list[Part]:
        learned = self._learned_parts()
        settings = facts({name: as_setting(value) for name, (value, _) in self._settings().items()}, caption="settings")
        return [heading(repr(self)), *(learned or [settings, note("Not fitted yet.")])]

    def _settings(self) -> dict[str, tuple[Any, bool]]:
        """Arguments of the constructor: what was given, and whether that is the default."""
        given = inspect.signature(type(self).__init__).parameters.values()
        return {
            each.name: (value, as_setting(value) == as_setting(each.default))
            for each in given
            if each.name != "self"
            for value in [getattr(self, each.name)]
        }

    def __repr__(self) -> str:
        changed = {name: value for name, (value, is_default) in self._settings().items() if not is_default}
        shown = ", ".join(f"{name}={as_setting(value)}" for name, value in changed.items())
        return f"{type(self).__name__}({shown})"


def as_setting(value: Any) -> str:
    """Write a setting as code; of what is no plain value only the kind, for it may hold records.

    >>> as_setting(("a", "b")), as_setting({"x": 1.5}), as_setting(object())
    ("('a', 'b')", "{'x': 1.5}", 'object(...)')
    """
    held: Iterable[Any] = [value]
    if isinstance(value, Mapping):
        held = value.values()
    elif isinstance(value, list | tuple):
        held = value
    plain = all(isinstance(each, _PLAIN) for each in held)
    return repr(value) if plain else f"{type(value).__name__}(...)"
