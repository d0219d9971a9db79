"""Charts of an evaluation: the common charts with the 95 % interval of each point drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from c360ml.dashboards.charts import Colour, Domain, Field, Row, dots, lines, plain
from c360ml.dashboards.page import Spec

_INTERVAL = {"type": "rule", "strokeWidth": 3, "opacity": 0.45}


def interval_dots(
    rows: Sequence[Row], category: Field, value: Field, *, colour: Colour | None = None, domain: Domain | None = None
) -> Spec:
    """Put a dot, a share, on each category's line, with its interval from `low` to `high`.

    >>> rows = [{"name": "recall", "share": 0.9, "low": 0.8, "high": 0.95}]
    >>> spec = interval_dots(rows, Field("name", "measure"), Field("share", "share", ".1%"))
    >>> [layer["mark"]["type"] for layer in spec["layer"]]
    ['rule', 'point']
    """
    more = (Field("low", "from", value.format), Field("high", "to", value.format))
    spec = dots(rows, category, value, colour=colour, domain=domain, more=more)
    own = spec["layer"][0]["encoding"]
    own["x"]["axis"]["format"] = f".{_decimals(rows, value)}%"
    encoding: dict[str, Any] = {
        "y": own["y"],
        "x": {**own["x"], "field": "low"},
        "x2": {"field": "high"},
        **({"color": own["color"]} if colour else {}),
    }
    return _with_intervals(spec, rows, encoding)


def _decimals(rows: Sequence[Row], value: Field) -> int:
    """Decimals of per cent that tell the axis' marks apart."""
    ends = [row[name] for row in rows for name in (value.name, "low", "high") if row[name] is not None]
    span = max(ends) - min(ends)
    return 0 if span > 0.05 else 1 if span > 0.005 else 2


def interval_line(rows: Sequence[Row], x: Field, y: Field, *, sizes: Field) -> Spec:
    """Draw points against the line of x = y, with their intervals from `low` to `high`."""
    more = (sizes, Field("low", "from", y.format), Field("high", "to", y.format))
    spec = lines(rows, x, y, diagonal=True, points=True, sizes=sizes, more=more)
    encoding = {
        "x": {"field": x.name, "type": "quantitative"},
        "y": {"field": "low", "type": "quantitative"},
        "y2": {"field": "high"},
    }
    return _with_intervals(spec, rows, encoding)


def _with_intervals(spec: Spec, rows: Sequence[Row], encoding: dict[str, Any]) -> Spec:
    known = [plain(row) for row in rows if row["low"] is not None]
    layer = {"data": {"values": known}, "mark": _INTERVAL, "encoding": encoding}
    return {**spec, "layer": [layer, *spec["layer"]]}
