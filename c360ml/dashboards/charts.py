"""The kinds of charts that reports are drawn with: rows of numbers in, a Vega-Lite specification out.

Specifications hold no colour but names of the page's style; widths follow the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

from c360ml.dashboards.page import Spec

Row = dict[str, Any]
Domain = tuple[float, float]

_ROW_HEIGHT = 25
_PLOT_HEIGHT = 240
_FIGURES = 6
_FEW = 4
_SHORT_LABEL = 6  # letters of 10.2M, 31.6% and the like
_WORDS_BELOW_EACH_OTHER = alt.Axis(labelAngle=0, labelExpr="split(datum.label, ' ')")


@dataclass(frozen=True)
class Field:
    """A column of a chart's rows: its title with the unit, and its number format (d3); none for text."""

    name: str
    title: str
    format: str = ""


@dataclass(frozen=True)
class Colour:
    """A column whose values are told apart by colour, with the values in order of the palette."""

    name: str
    title: str
    values: tuple[str, ...]


def bars(
    rows: Sequence[Row],
    category: Field,
    value: Field,
    *,
    colour: Colour | None = None,
    more: Sequence[Field] = (),
) -> Spec:
    """Lay one bar a row, in the order of the rows, its number beside it; coloured bars are stacked.

    >>> spec = bars([{"source": "crm", "rows": 7}], Field("source", "source"), Field("rows", "rows", ","))
    >>> spec["layer"][0]["mark"]["type"], spec["width"]
    ('bar', 'container')
    """
    y = alt.Y(field=category.name, type="nominal", sort=None, title=None)
    x = alt.X(field=value.name, type="quantitative", title=value.title, axis=_axis(value))
    encodings: dict[str, Any] = {"y": y, "x": x, "tooltip": _tooltips(category, colour, value, *more)}
    if colour:
        encodings |= {"color": _colour(colour), "order": alt.Order(field="order", type="quantitative")}
        rows = [{**row, "order": colour.values.index(row[colour.name])} for row in rows]
    chart: Any = _chart(rows).mark_bar(height={"band": 0.72}).encode(**encodings)
    if colour:
        return _finished(chart, _rows_high(rows, category))
    labelled = alt.layer(chart, _value_labels(rows, y, value))
    return _finished(labelled, _rows_high(rows, category), right=_label_width(rows, value))


def _value_labels(rows: Sequence[Row], y: alt.Y, value: Field) -> Any:
    return (
        _chart(rows)
        .mark_text(align="left", baseline="middle", dx=4)
        .encode(y=y, x=alt.X(field=value.name, type="quantitative"), text=_text(value))
    )


def grouped_bars(rows: Sequence[Row], category: Field, value: Field, colour: Colour) -> Spec:
    """Lay bars side by side within each category, in the order of the rows."""
    chart = (
        _chart(rows)
        .mark_bar()
        .encode(
            y=alt.Y(field=category.name, type="nominal", sort=None, title=None),
            yOffset=alt.YOffset(field=colour.name, type="nominal", sort=list(colour.values)),
            x=alt.X(field=value.name, type="quantitative", title=value.title, axis=_axis(value)),
            color=_colour(colour),
            tooltip=_tooltips(category, colour, value),
        )
    )
    return _finished(chart, _rows_high(rows, category, per_row=16 * len(colour.values) + 12))


def columns(rows: Sequence[Row], category: Field, value: Field, *, more: Sequence[Field] = ()) -> Spec:
    """Stand one column a row, in the order of the rows."""
    chart = (
        _chart(rows)
        .mark_bar(width={"band": 0.8} if len(rows) > _FEW else 60)
        .encode(
            x=alt.X(field=category.name, type="nominal", sort=None, title=category.title, axis=alt.Axis(labelAngle=0)),
            y=alt.Y(field=value.name, type="quantitative", title=value.title, axis=_axis(value)),
            tooltip=_tooltips(category, value, *more),
        )
    )
    return _finished(chart, _PLOT_HEIGHT)


def histogram(
    rows: Sequence[Row],
    low: Field,
    high: Field,
    value: Field,
    *,
    colour: Colour | None = None,
    log: bool = False,
    more: Sequence[Field] = (),
) -> Spec:
    """Stand a bar from the low to the high end of each bin; coloured bars are stacked."""
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(nice=False, zero=False)
    y = alt.Y(field=value.name, type="quantitative", title=value.title, axis=_axis(value), stack="zero")
    encodings: dict[str, Any] = {
        "x": alt.X(
            field=low.name,
            type="quantitative",
            title=low.title,
            scale=scale,
            axis=_axis(low, grid=False),
        ),
        "x2": alt.X2(field=high.name),
        "y": y,
        "tooltip": _tooltips(
            colour, Field(low.name, "from", low.format), Field(high.name, "to", high.format), value, *more
        ),
    }
    if colour:
        encodings["color"] = _colour(colour)
    chart = _chart(rows).mark_bar(orient="vertical", stroke="var(--card)", strokeWidth=1).encode(**encodings)
    return _finished(chart, _PLOT_HEIGHT)


def heatmap(rows: Sequence[Row], x: Field, y: Field, value: Field, *, text: Field, more: Sequence[Field] = ()) -> Spec:
    """Fill a grid: the greater the value, the stronger the colour; the text stands in each cell."""
    greatest = max((row[value.name] or 0 for row in rows), default=0) or 1
    base = _chart(rows).encode(
        x=alt.X(field=x.name, type="nominal", sort=None, title=x.title or None, axis=_WORDS_BELOW_EACH_OTHER),
        y=alt.Y(field=y.name, type="nominal", sort=None, title=y.title or None),
        tooltip=_tooltips(y, x, value, *more),
    )
    cells = base.mark_rect(stroke="var(--card)", strokeWidth=2).encode(
        opacity=alt.Opacity(
            field=value.name, type="quantitative", legend=None, scale=alt.Scale(domain=[0, greatest], range=[0.06, 1])
        )
    )
    strong = alt.datum[value.name] > 0.6 * greatest
    words = base.mark_text().encode(
        text=_text(text), color=alt.when(strong).then(alt.value("var(--on-strong)")).otherwise(alt.value("var(--ink)"))
    )
    return _finished(alt.layer(cells, words), _rows_high(rows, y, per_row=34) + 30)


def dots(
    rows: Sequence[Row],
    category: Field,
    value: Field,
    *,
    colour: Colour | None = None,
    domain: Domain | None = None,
    log: bool = False,
    at: Sequence[float] | None = None,
    from_zero: bool = False,
    more: Sequence[Field] = (),
) -> Spec:
    """Put dots on each category's line.

    Args:
        rows: one row a dot.
        category: the lines, in the order of the rows.
        value: the axis along.
        colour: tells dots apart.
        domain: ends of the axis.
        log: whether the axis is logarithmic.
        at: values that the axis names.
        from_zero: mark zero, and set dots of one line apart so that none hides another.
        more: columns that the tooltip adds.
    """
    scale, ticks = _log_scale(rows, value) if log else _linear_scale(domain)
    ticks = ticks if at is None else list(at)
    x = alt.X(field=value.name, type="quantitative", title=value.title, scale=scale, axis=_axis(value, values=ticks))
    encodings: dict[str, Any] = {
        "y": alt.Y(field=category.name, type="nominal", sort=None, title=None, axis=alt.Axis(grid=True)),
        "x": x,
        "tooltip": _tooltips(category, colour, value, *more),
    }
    if colour:
        encodings["color"] = _colour(colour)
    layers = [_chart(rows).mark_point().encode(**encodings)]
    if from_zero:
        layers[0] = layers[0].encode(yOffset=alt.YOffset(field=colour.name, type="nominal")) if colour else layers[0]
        zero = alt.Chart(alt.InlineData(values=[{}])).mark_rule(style="reference").encode(x=alt.datum(0))
        layers.insert(0, zero)
    return _finished(alt.layer(*layers), _rows_high(rows, category))


def lines(
    rows: Sequence[Row],
    x: Field,
    y: Field,
    *,
    colour: Colour | None = None,
    dates: bool = False,
    diagonal: bool = False,
    mark_x: tuple[Any, str] | None = None,
    points: bool = False,
    sizes: Field | None = None,
    more: Sequence[Field] = (),
) -> Spec:
    """Draw lines over a measured axis, or over time.

    Args:
        rows: one row a point.
        x: the axis along.
        y: the axis up.
        colour: tells lines apart.
        dates: whether x holds days.
        diagonal: draw the line of x = y from 0 to 1.
        mark_x: a value of x to mark by a line, and what it says.
        points: mark the points.
        sizes: column that the size of the points shows.
        more: columns that the tooltip adds.
    """
    kind: Any = "temporal" if dates else "quantitative"
    scale = alt.Scale(type="utc") if dates else alt.Scale(nice=False)
    x_axis = alt.Axis(format="%b %Y", tickCount=5, grid=False) if dates else _axis(x, grid=False)
    encodings: dict[str, Any] = {
        "x": alt.X(field=x.name, type=kind, title=x.title, scale=scale, axis=x_axis),
        "y": alt.Y(field=y.name, type="quantitative", title=y.title, axis=_axis(y)),
    }
    if colour:
        encodings["color"] = _colour(colour)
    tooltip = _tooltips(colour, x, y, *more)
    layers = [_chart(rows).mark_line().encode(**encodings)]
    size = {"size": _size(sizes)} if sizes else {}
    layers.append(_chart(rows).mark_point(opacity=1 if points else 0).encode(**encodings, **size, tooltip=tooltip))
    if diagonal:
        layers.insert(0, _diagonal(x, y))
    if mark_x is not None:
        layers.extend(_marked(rows, x, kind, *mark_x))
    return _finished(alt.layer(*layers), _PLOT_HEIGHT)


def _diagonal(x: Field, y: Field) -> Any:
    return (
        _chart([{x.name: 0, y.name: 0}, {x.name: 1, y.name: 1}])
        .mark_line(style="reference")
        .encode(x=alt.X(field=x.name, type="quantitative"), y=alt.Y(field=y.name, type="quantitative"))
    )


def _marked(rows: Sequence[Row], x: Field, kind: Any, value: Any, label: str) -> list[Any]:
    base = _chart([{x.name: value, "label": label}]).encode(x=alt.X(field=x.name, type=kind))
    # On the side with more room, or it would lie over the axis.
    mark = _plain_cell(value)
    points = [cell for row in rows if (cell := _plain_cell(row[x.name])) is not None]
    at_right = 2 * sum(point < mark for point in points) < len(points)
    text = base.mark_text(align="left" if at_right else "right", dx=6 if at_right else -6, baseline="top", y=2).encode(
        text=alt.Text(field="label", type="nominal")
    )
    return [base.mark_rule(style="reference"), text]


def intervals(rows: Sequence[Row], category: Field, value: Field, low: Field, high: Field) -> Spec:
    """Draw an estimate with its interval a row, against zero."""
    y = alt.Y(field=category.name, type="nominal", sort=None, title=None)
    x = alt.X(field=value.name, type="quantitative", title=value.title, axis=_axis(value))
    tooltip = _tooltips(category, value, low, high)
    bar = (
        _chart(rows)
        .mark_rule(strokeWidth=3, color="var(--series-1)", opacity=0.5)
        .encode(
            y=y,
            x=alt.X(field=low.name, type="quantitative", title=value.title),
            x2=alt.X2(field=high.name),
            tooltip=tooltip,
        )
    )
    dot = _chart(rows).mark_point(size=90).encode(y=y, x=x, tooltip=tooltip)
    zero = alt.Chart(alt.InlineData(values=[{}])).mark_rule(style="reference").encode(x=alt.datum(0))
    return _finished(alt.layer(zero, bar, dot), _rows_high(rows, category, per_row=40))


# ---------------------------------------------------------------------- parts
# Vega writes zero in the unit of its neighbours, 0k, and half as 500m.
_TICK = "datum.value === 0 ? '0' : abs(datum.value) < 1 ? format(datum.value, '~g') : datum.label"


def plain(row: Row) -> Row:
    """Make a row of numbers that JSON can hold, with six figures.

    >>> plain({"a": 0.123456789, "b": float("nan"), "c": "x", "d": 7})
    {'a': 0.123457, 'b': None, 'c': 'x', 'd': 7}
    """
    return {name: _plain_cell(cell) for name, cell in row.items()}


def _plain_cell(cell: Any) -> Any:
    if cell is None or isinstance(cell, str | bool | int):
        return cell
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    number = float(cell)
    if not math.isfinite(number):
        return None
    return float(f"{number:.{_FIGURES}g}")


def _chart(rows: Sequence[Row]) -> Any:
    # Rows are plain by then: to hold each against Vega's schema takes longer than all the rest. Tests check the schema.
    with debug_mode(False):
        data = alt.InlineData(values=[plain(row) for row in rows])
    return alt.Chart(data)


def _tooltips(*fields: Field | Colour | None) -> list[alt.Tooltip]:
    tooltips = []
    for each in fields:
        if isinstance(each, Field) and each.format:
            tooltips.append(alt.Tooltip(field=each.name, type="quantitative", title=each.title, format=each.format))
        elif each is not None:
            tooltips.append(alt.Tooltip(field=each.name, type="nominal", title=each.title))
    return tooltips


def _colour(colour: Colour) -> alt.Color:
    return alt.Color(
        field=colour.name,
        type="nominal",
        title=None,
        scale=alt.Scale(domain=list(colour.values)),
        legend=None,
    )


def _size(field: Field) -> alt.Size:
    return alt.Size(field=field.name, type="quantitative", legend=None, scale=alt.Scale(type="sqrt", range=[20, 400]))


def _text(field: Field) -> alt.Text:
    if not field.format:
        return alt.Text(field=field.name, type="nominal")
    return alt.Text(field=field.name, type="quantitative", format=field.format)


def _axis(field: Field, *, grid: bool = True, values: list[float] | None = None) -> alt.Axis:
    ticks = alt.Undefined if values is None else values
    if field.format.endswith("%"):
        return alt.Axis(format="~%", grid=grid, values=ticks)
    return alt.Axis(format="~s", labelExpr=_TICK, grid=grid, values=ticks)


def _label_width(rows: Sequence[Row], value: Field) -> int:
    """Pixels to keep free at the right for the longest number."""
    longest = max(len(f"{row[value.name] or 0:,.0f}") for row in rows) if value.format == "," else _SHORT_LABEL
    return 12 + 7 * longest


def _linear_scale(domain: Domain | None) -> tuple[alt.Scale, list[float] | None]:
    return (alt.Scale(domain=list(domain), nice=False) if domain else alt.Scale()), None


def _log_scale(rows: Sequence[Row], value: Field) -> tuple[alt.Scale, list[float]]:
    """Span whole powers of ten and mark only these."""
    numbers = [float(row[value.name]) for row in rows]
    low, high = math.floor(math.log10(min(numbers))), math.ceil(math.log10(max(numbers)))
    ticks = [10.0**power for power in range(low, max(high, low + 1) + 1)]
    return alt.Scale(type="log", domain=[ticks[0], ticks[-1]], nice=False), ticks


def _rows_high(rows: Sequence[Row], category: Field, *, per_row: int = _ROW_HEIGHT) -> int:
    return max(len({row[category.name] for row in rows}), 1) * per_row


def _finished(chart: Any, height: int, *, right: int = 4) -> Spec:
    sized = chart.properties(
        width="container",
        height=height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        padding={"left": 4, "top": 4, "bottom": 4, "right": right},
    )
    spec: Spec = sized.to_dict(validate=False)
    # the page's glue gives theme and kind; a schema address would be the only URL in the page
    return {name: part for name, part in spec.items() if name not in ("$schema", "config")}
