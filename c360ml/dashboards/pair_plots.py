"""Charts for notebooks on pairs of records: why two are one person, what a threshold gives, calibration.

>>> steps = [{"step": "prior", "level": "any two records", "weight": -12.0, "match_weight": -12.0},
...     {"step": "email", "level": "same", "weight": 15.0, "match_weight": 3.0},
...     {"step": "total", "level": "person", "weight": 3.0, "match_weight": 3.0}]
>>> type(plot_waterfall(steps)).__name__
'LayerChart'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from c360ml.dashboards.charts import Colour, Field, lines
from c360ml.dashboards.evaluation_charts import interval_line
from c360ml.dashboards.plots import as_altair
from c360ml.errors import DataError
from c360ml.lakehouse import as_relation, connect
from c360ml.linkage.pair_probabilities import PairProbabilities

_AGREES, _DIFFERS, _TOTAL = "#2a9d8f", "#e76f51", "#8a94a6"
_MOST_POINTS = 400


def plot_waterfall(steps: Sequence[Mapping[str, Any]]) -> Any:
    """Show why two records are, or are not, one person: the weight (log2 odds) that each comparison adds.

    Args:
        steps: what `LinkageModel.explain` gives, or the explanation of a `Resolution`. What one of the records lacks
            adds nothing and is left out.

    Raises:
        DataError: there is no step.
    """
    if not steps:
        raise DataError("a waterfall must have steps", got="none", hint="explain a pair that was compared")
    rows, so_far = [], 0.0
    for place, step in enumerate(each for each in steps if each["level"] != "missing"):
        whole = step["step"] == "total"
        start = 0.0 if whole else so_far
        so_far = float(step["match_weight"])
        kind = "total" if whole else "adds" if step["weight"] > 0 else "takes"
        words = f"{step['step'].replace('_', ' ')}: {step['level']}"
        rows.append(
            {"place": place, "step": words, "from": start, "to": so_far, "weight": step["weight"], "kind": kind}
        )
    names = alt.Y("step:N", sort=[row["step"] for row in rows], title=None, axis=alt.Axis(labelLimit=320))
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("from:Q", title="match weight so far (log2 odds; above 0 more likely one person than not)"),
            x2="to:Q",
            y=names,
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=["adds", "takes", "total"], range=[_AGREES, _DIFFERS, _TOTAL]),
                legend=None,
            ),
            tooltip=[alt.Tooltip("step:N"), alt.Tooltip("weight:Q", format="+.2f"), alt.Tooltip("to:Q", format=".2f")],
        )
    )
    even = alt.Chart(alt.InlineData(values=[{"even": 0}])).mark_rule(strokeDash=[4, 4], color=_TOTAL).encode(x="even:Q")
    return as_altair((bars + even).properties(height=24 * len(rows)).to_dict())


def plot_thresholds(pairs: Any) -> Any:
    """Show the precision and the recall to expect of the links above each match probability; no labels are needed.

    Args:
        pairs: `match_probability` and `pairs`, as `LinkageModel.pair_counts` gives them, or a row a pair.

    Raises:
        ColumnError: `match_probability` is missing, or no probability.
    """
    with connect() as con:
        spectrum = PairProbabilities.of(as_relation(con, pairs))
    precisions, recalls = spectrum.precisions()[1:].tolist(), spectrum.recalls()[1:].tolist()
    step = max(1, len(precisions) // _MOST_POINTS)
    rows = [
        {"threshold": probability, "kind": kind, "share": share}
        for probability, precision, recall in list(
            zip(spectrum.probability.tolist(), precisions, recalls, strict=True)
        )[::step]
        for kind, share in (("precision", precision), ("recall", recall))
    ]
    spec = lines(
        rows,
        Field("threshold", "least match probability of a link"),
        Field("share", "expected of the links", ".3f"),
        colour=Colour("kind", "kind", ("precision", "recall")),
    )
    return as_altair(spec, legend=True)


def plot_reliability(evaluation: Mapping[str, Any]) -> Any:
    """Show how many pairs of each match probability are one person, with 95 % intervals; right is the diagonal.

    Args:
        evaluation: what `LinkageModel.evaluate` gives.

    Raises:
        DataError: the evaluation has no calibration.
    """
    if not evaluation.get("calibration"):
        raise DataError("an evaluation must have a calibration", got="none", hint="evaluate a fitted model")
    spec = interval_line(
        evaluation["calibration"],
        Field("mean_probability", "mean match probability", ".3f"),
        Field("true_share", "share that is one person", ".3f"),
        sizes=Field("pairs", "pairs", ","),
    )
    return as_altair(spec)
