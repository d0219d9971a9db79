"""Each kind of chart is valid Vega-Lite and draws, also from few and odd rows."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from report_reading import check_spec

from c360ml.dashboards.charts import (
    Colour,
    Field,
    bars,
    columns,
    dots,
    grouped_bars,
    heatmap,
    histogram,
    intervals,
    lines,
    plain,
)
from c360ml.tracking.charts import as_svg

NAME, SIZE, RATE = Field("name", "name"), Field("size", "customers", ","), Field("rate", "share", ".1%")
KIND = Colour("kind", "kind", ("b", "a"))
ROWS = [
    {"name": "</script>", "size": 7, "rate": 0.25, "kind": "a", "low": -1.0, "high": 2.0},
    {"name": "x.y[0]", "size": 0, "rate": None, "kind": "b", "low": 2.0, "high": 4.0},
]
KINDS = {
    "bars": lambda rows: bars(rows, NAME, SIZE, more=(RATE,)),
    "stacked bars": lambda rows: bars(rows, NAME, SIZE, colour=KIND),
    "grouped bars": lambda rows: grouped_bars(rows, NAME, RATE, KIND),
    "columns": lambda rows: columns(rows, NAME, SIZE),
    "histogram": lambda rows: histogram(
        rows, Field("low", "weight", ".0f"), Field("high", "to", ".0f"), SIZE, colour=KIND
    ),
    "heatmap": lambda rows: heatmap(rows, NAME, Field("kind", "kind"), SIZE, text=SIZE),
    "dots": lambda rows: dots(rows, NAME, RATE, colour=KIND, domain=(0, 1), at=(0, 1), from_zero=True),
    "lines": lambda rows: lines(rows, Field("low", "x", ".1%"), RATE, diagonal=True, sizes=SIZE, points=True),
    "intervals": lambda rows: intervals(rows, NAME, RATE, Field("low", "low", ".1%"), Field("high", "high", ".1%")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_charts_are_valid(kind):
    """Every kind of chart is of Vega-Lite's schema and draws."""
    check_spec(KINDS[kind](ROWS))


@pytest.mark.parametrize("kind", KINDS)
def test_charts_of_one_row_are_valid(kind):
    """Every kind of chart draws a single row."""
    check_spec(KINDS[kind](ROWS[:1]))


def test_log_axes_span_whole_powers_of_ten():
    """A log axis names powers of ten around its values, and nothing between."""
    spec = dots([{"name": "a", "size": 30.0}, {"name": "b", "size": 4000.0}], NAME, SIZE, log=True)
    x = spec["layer"][0]["encoding"]["x"]
    assert [10.0, 10000.0] == x["scale"]["domain"]
    assert [10.0, 100.0, 1000.0, 10000.0] == x["axis"]["values"]
    check_spec(spec)


def test_days_are_drawn_and_marked():
    """Lines over days take dates, and a marked day with its words."""
    rows = [{"day": date(2024, 1, day), "size": day, "kind": "a"} for day in (1, 8, 15)]
    spec = lines(rows, Field("day", "week"), SIZE, colour=KIND, dates=True, mark_x=("2024-01-08", "held out"))
    check_spec(spec)
    assert "held out" in json.dumps(spec)


@pytest.mark.parametrize(("marked", "side"), [(2, "left"), (9, "right")])
def test_the_word_of_a_mark_has_room(marked, side):
    """What a mark says starts at a line in the left half, and ends at one in the right: never over the axis."""
    rows = [{"size": size, "rate": size / 10} for size in range(1, 11)]
    spec = lines(rows, SIZE, RATE, mark_x=(marked, "chosen"))
    check_spec(spec)
    assert side == spec["layer"][-1]["mark"]["align"]


def test_fractions_are_written_in_full():
    """An axis says 0.5 and 0.5%, not 500m and 1%."""
    rows = [{"low": low, "rate": low / 100} for low in (0.2, 0.5, 0.8)]
    drawn = as_svg(lines(rows, Field("low", "gap", ".2f"), RATE))
    assert ">0.5<" in drawn and ">0.5%<" in drawn and "00m<" not in drawn


def test_rows_become_plain_json():
    """Dates, decimals and missing numbers become what JSON can hold, with six figures."""
    row = {
        "day": date(2024, 1, 2),
        "sum": Decimal("1234567.89"),
        "nan": float("nan"),
        "infinite": float("inf"),
        "n": 123456789,
    }
    expected = {"day": "2024-01-02", "sum": 1234570.0, "nan": None, "infinite": None, "n": 123456789}
    assert expected == plain(row)
