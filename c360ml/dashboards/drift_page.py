"""Has the world moved away from the champion? A section of the run's report, and a page of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from c360ml.dashboards.charts import Colour, Field, bars
from c360ml.dashboards.formats import count, measure, plural
from c360ml.dashboards.page import Chart, DataTable, Kpi, Page, Section, Text

if TYPE_CHECKING:
    from c360ml.tracking import Drift, Shift

DRIFT_PAGE = "drift.html"
_WHAT_TO_DO = {
    "fine": "Nothing moved beyond what chance explains. The champion may stay.",
    "source changed": "Look at the source first: a model trained on a broken source learns the break.",
    "retrain": "Sources are as they were, people are not: `c360ml run` trains anew, `c360ml promote` decides.",
}
_MEANS = {"source changed": "the source changed", "retrain": "train anew", "fine": "to know"}
_MOVED = Colour("moved", "moved", ("moved", "within its limit"))
_MOST_BARS = 20


def drift_section(drift: Drift) -> Section:
    """Show what moved since the champion's run, and what the verdict rests on.

    Args:
        drift: what `drift_of_run` measured.
    """
    question = "Has the world moved away from the champion?"
    if drift.champion_run_id is None:
        return Section("drift", question, drift.why_not)
    moved = sum(shift.moved for shift in drift.shifts)
    answer = (
        f"Verdict: {drift.verdict}. {plural(moved, 'quantity', 'quantities')} of {count(len(drift.shifts))} moved"
        f" since the champion's run {drift.champion_run_id}. {_WHAT_TO_DO[drift.verdict]}"
    )
    reasons = [Text(f"{reason}.") for reason in drift.reasons]
    return Section("drift", question, answer, [*reasons, _chart(drift), _table(drift)])


def write_drift_page(drift: Drift, folder: Path) -> Path:
    """Write `drift.html` into a project.

    Args:
        drift: what `drift_since_champion` measured.
        folder: the project's folder.
    """
    moved = [shift for shift in drift.shifts if shift.moved]
    page = Page(
        title="Drift",
        subtitle=f"Run {drift.run_id} against the champion's run {drift.champion_run_id or 'that is to come'}.",
        kpis=(
            Kpi("Verdict", drift.verdict, _WHAT_TO_DO[drift.verdict]),
            *(
                Kpi(f"Moved: {told}", count(sum(shift.kind == kind for shift in moved)), "quantities")
                for kind, told in _MEANS.items()
            ),
        ),
        sections=(drift_section(drift),),
    )
    return page.write(folder / DRIFT_PAGE)


def _by_size(drift: Drift) -> list[Shift]:
    return sorted(drift.shifts, key=lambda shift: (-shift.times_limit, shift.quantity))


def _chart(drift: Drift) -> Chart:
    rows = [
        {
            "quantity": shift.quantity,
            "size": max(shift.times_limit, 0.0),
            "moved": _MOVED.values[not shift.moved],
        }
        for shift in _by_size(drift)[:_MOST_BARS]
    ]
    spec = bars(rows, Field("quantity", "quantity"), Field("size", "times its limit", ".2f"), colour=_MOVED)
    note = "1 is the limit beyond which a quantity counts as moved; the largest are shown."
    return Chart("Each quantity by its limit", spec, note, legend=_MOVED.values)


def _table(drift: Drift) -> DataTable:
    rows = [
        (
            shift.quantity,
            "moved" if shift.moved else "as before",
            _MEANS[shift.kind],
            shift.statistic,
            measure(shift.value),
            measure(shift.limit),
        )
        for shift in _by_size(drift)
    ]
    return DataTable(
        "All quantities",
        ("quantity", "now", "a move means", "statistic", "value", "limit"),
        rows,
        texts=frozenset({1, 2, 3}),
        note="PSI: population stability index, 0.1 is moderate, 0.25 large; limits rise where samples are small or come"
        " in clumps. Without a limit: learnt anew in each run, so that what moves it by chance is not known; it decides"
        " nothing.",
    )
