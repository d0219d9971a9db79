"""Charts of a run as Vega-Lite, drawn to SVG: aggregates only, no customer."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c360ml.pipeline import RunResult

_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
Spec = dict[str, Any]


def _spec(title: str, rows: list[dict[str, Any]], mark: Any, encoding: dict[str, Any]) -> Spec:
    return {
        "$schema": _SCHEMA,
        "title": title,
        "width": 480,
        "data": {"values": rows},
        "mark": mark,
        "encoding": encoding,
    }


def _field(name: str, kind: str, title: str | None = None, **more: Any) -> dict[str, Any]:
    return {"field": name, "type": kind, "title": title or name.replace("_", " "), **more}


def calibration_chart(result: RunResult) -> Spec | None:
    """Do pairs of probability p match in a share p of the cases? None without true ids."""
    bins = result.evaluation.get("calibration")
    if not bins:
        return None
    points = {"mean_probability": 0, "true_share": 0, "pairs": 0}, {"mean_probability": 1, "true_share": 1, "pairs": 0}
    line = {"data": {"values": list(points)}, "mark": {"type": "line", "strokeDash": [4, 4], "color": "grey"}}
    return {
        "$schema": _SCHEMA,
        "title": "Match probability against truth",
        "width": 480,
        "encoding": {
            "x": _field("mean_probability", "quantitative", "mean match probability"),
            "y": _field("true_share", "quantitative", "share of true matches"),
        },
        "layer": [
            line,
            {
                "data": {"values": bins},
                "mark": {"type": "circle"},
                "encoding": {"size": _field("pairs", "quantitative", scale={"type": "log"})},
            },
        ],
    }


def blocking_chart(result: RunResult) -> Spec:
    """Pairs found by each blocking rule."""
    rules = [rule for rule in result.summary("link")["blocking_rules"] if rule["pairs"]]
    encoding = {
        "y": _field("rule", "nominal", "rule", sort="x"),
        "x": _field("pairs", "quantitative", "candidate pairs"),
        "color": _field("chosen", "nominal"),
    }
    return _spec("Candidate pairs by blocking rule", rules, "bar", encoding)


def forecast_chart(result: RunResult) -> Spec | None:
    """Repeat purchases week by week, actual and expected; None without a holdout."""
    weeks = result.summary("value").get("tracking")
    if not weeks:
        return None
    rows = [
        {"week": week["week"], "purchases": week[f"{kind}_cumulative"], "kind": kind}
        for week in weeks
        for kind in ("actual", "expected")
    ]
    encoding = {
        "x": _field("week", "quantitative"),
        "y": _field("purchases", "quantitative", "repeat purchases so far"),
        "color": _field("kind", "nominal"),
    }
    return _spec("Repeat purchases, actual and expected", rows, "line", encoding)


def sizes_chart(result: RunResult, segments: str, title: str) -> Spec:
    """Customers by segment."""
    rows = [{"segment": name, "customers": size} for name, size in result.summary("segment")[segments].items()]
    encoding = {
        "y": _field("segment", "nominal", sort=None),
        "x": _field("customers", "quantitative"),
    }
    return _spec(title, rows, "bar", encoding)


def page_of(title: str, figures: dict[str, str]) -> str:
    """Put figures onto one page that needs nothing else.

    >>> page_of("value", {"forecast": "<svg/>"}).count("<svg/>")
    1
    """
    drawn = "".join(f"<figure>{figure}</figure>" for figure in figures.values())
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>{drawn}</html>\n'


def as_svg(spec: Spec) -> str:
    """Draw a chart.

    >>> as_svg({"$schema": _SCHEMA, "data": {"values": [{"n": 1}]}, "mark": "point",
    ...         "encoding": {"x": {"field": "n", "type": "quantitative"}}}).startswith("<svg")
    True
    """
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec))
