"""What an evaluation says of probabilities, thresholds and groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from c360ml.dashboards.charts import Colour, Field, Row, lines
from c360ml.dashboards.evaluation_charts import interval_dots, interval_line
from c360ml.dashboards.formats import UNKNOWN, count, measure, share
from c360ml.dashboards.page import Block, Chart, DataTable

PARTS = ("precision", "recall", "F1")
_RATES = {"false_merge_rate": "false merges", "missed_link_rate": "missed links"}
_LABEL_DOWN = 200  # pixels: below the lines, which lie near 100%

Evaluation = dict[str, Any]


def calibration_answer(evaluation: Evaluation) -> str:
    """Say how far off probabilities are."""
    if not evaluation.get("calibration"):
        return ""
    told = f"Probabilities are off by {100 * evaluation['calibration_error']:.1f} points on average"
    if "brier_score" not in evaluation:
        return f"{told}."
    scores = f"Brier score {measure(evaluation['brier_score'], 4)}, log loss {measure(evaluation['log_loss'], 4)}"
    return f"{told}. {scores}; both are 0 for a perfect matcher."


def calibration_blocks(evaluation: Evaluation) -> list[Block]:
    """Draw the true share against the probability, in two kinds of bins."""
    blocks: list[Block] = []
    for key, error, words in (
        ("calibration", "calibration_error", "bins of equal width"),
        ("calibration_equal_counts", "calibration_error_equal_counts", "bins of about as many pairs"),
    ):
        bins = evaluation.get(key) or []
        if not bins:
            continue
        bins = [{"low": None, "high": None, **each} for each in bins]
        spec = interval_line(
            bins,
            Field("mean_probability", "mean match probability of the pairs", ".1%"),
            Field("true_share", "share that is one person", ".1%"),
            sizes=Field("pairs", "pairs", ","),
        )
        title = f"Calibration, {words}: off by {100 * evaluation[error]:.1f} points on average"
        note = (
            "On the dashed line a probability of 80% is right in 80% of pairs. Larger points stand for more pairs; bars"
            f" are 95% intervals. Expected calibration error {measure(evaluation[error], 4)}."
        )
        if "scored_recall" in evaluation:
            note += " Only pairs that were kept with their probability."
        blocks.append(Chart(title, spec, note=note, numbers=_bins_table(bins), half=True))
    return blocks


def _bins_table(bins: Sequence[Row]) -> DataTable:
    cells = [
        (
            share(each["mean_probability"]),
            count(each["pairs"]),
            share(each["true_share"]),
            f"{share(each['low'])} to {share(each['high'])}",
        )
        for each in bins
    ]
    return DataTable("Calibration", ("mean probability", "pairs", "true share", "95% interval"), cells)


def thresholds_answer(evaluation: Evaluation) -> str:
    """Say what the threshold in use gives, and which would give the highest F1."""
    chosen = [row for row in evaluation.get("thresholds", []) if row["chosen"]]
    if not chosen:
        return ""
    row = chosen[0]
    best = max(evaluation["thresholds"], key=lambda each: each["f1"])
    return (
        f"At the threshold in use, {measure(row['threshold'], 3)}, single pairs have precision"
        f" {share(row['precision'])} and recall {share(row['recall'])}, before they are clustered; F1 would be highest"
        f" at {measure(best['threshold'], 3)}, with {share(best['f1'])}."
    )


def thresholds_blocks(evaluation: Evaluation) -> list[Block]:
    """Draw precision, recall and F1 of single pairs against the threshold."""
    table = evaluation.get("thresholds") or []
    if not table:
        return []
    rows = [
        {"weight": math.log2(row["threshold"] / (1 - row["threshold"])), "measure": part, "value": row[part.lower()]}
        for row in table
        if 0 < row["threshold"] < 1
        for part in PARTS
    ]
    at = next(row["threshold"] for row in table if row["chosen"])
    spec = lines(
        rows,
        Field("weight", "threshold as match weight, log2 of the odds", ".1f"),
        Field("value", "of single pairs", ".1%"),
        colour=Colour("measure", "measure", PARTS),
        mark_x=(math.log2(at / (1 - at)), f"in use: {at:.3g}"),
    )
    spec["layer"][-1]["mark"]["y"] = _LABEL_DOWN
    cells = [
        (
            f"{row['threshold']:.6g}" + (" (in use)" if row["chosen"] else ""),
            count(row["pairs"]),
            *(share(row[part.lower()], 2) for part in PARTS),
        )
        for row in table
    ]
    numbers = DataTable("Thresholds", ("more likely than", "pairs", *PARTS), cells)
    note = "0 is even odds, 10 is a thousand to one. Recall counts all true pairs, also those never compared."
    return [Chart("Precision and recall against the threshold", spec, note=note, numbers=numbers, legend=PARTS)]


# ---------------------------------------------------------------------- groups
def groups_answer(evaluation: Evaluation) -> str:
    """Say which groups are furthest apart, and whether that may be chance."""
    told = []
    for gap in evaluation.get("gaps", []):
        low, high = gap["interval"]
        sure = "more than chance would" if low > 0 else "which may be chance"
        told.append(
            f"{_RATES[gap['rate']].capitalize()} differ most between {gap['worst']} and {gap['best']}, by"
            f" {100 * gap['gap']:.1f} points ({100 * low:.1f} to {100 * high:.1f}), {sure}."
        )
    return " ".join(told) or "No two groups are large enough to be compared."


def groups_blocks(evaluation: Evaluation) -> list[Block]:
    """Draw false merges and missed links of each group."""
    rows = evaluation.get("groups") or []
    if not rows:
        return []
    charts: list[Block] = []
    for rate, title in _RATES.items():
        shown = [
            {
                "group": row["group"],
                "rate": row[rate],
                "low": row[f"{rate}_interval"][0],
                "high": row[f"{rate}_interval"][1],
            }
            for row in rows
            if row[rate] is not None
        ]
        if shown:
            spec = interval_dots(shown, Field("group", "group"), Field("rate", f"share of {title}", ".1%"))
            charts.append(Chart(f"{title.capitalize()} by group", spec, half=True))
    cells = [
        (row["group"], count(row["records"]), count(row["entities"]), *(_rate(row, rate) for rate in _RATES))
        for row in rows
    ]
    note = "Of the links that end in a record of the group, the share that is wrong or is missed; 95% intervals."
    heads = ("group", "records", "true people", "false merges", "missed links")
    return [*charts, DataTable("Errors by group", heads, cells, note=note)]


def _rate(row: Row, rate: str) -> str:
    if row[rate] is None:
        return UNKNOWN
    low, high = row[f"{rate}_interval"]
    return f"{share(row[rate], 2)} ({share(low)} to {share(high)})"
