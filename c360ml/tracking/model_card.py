"""Model cards: what a model is for, what it was made from, how right it is and where it fails; Markdown and HTML.

After Mitchell et al., Model Cards for Model Reporting (2019). Counts, parameters and measures only, no record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from c360ml.tracking.drift import Drift

if TYPE_CHECKING:
    from c360ml.pipeline import RunResult

Rows = list[tuple[str, str]]
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{border-bottom:1px solid #ddd;padding:.3rem .6rem;"
    "text-align:left;vertical-align:top}h2{margin-top:2rem}"
)


@dataclass(frozen=True)
class Part:
    """A heading, paragraphs, and a table of two columns if there is one."""

    title: str
    paragraphs: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ModelCard:
    """A card, to be written either way.

    >>> print(ModelCard("c360-value", (Part("Limits", ("None | known.",), (("a", "1"),)),)).markdown())
    # Model card: c360-value
    <BLANKLINE>
    ## Limits
    <BLANKLINE>
    None | known.
    <BLANKLINE>
    | what | value |
    |---|---|
    | a | 1 |
    <BLANKLINE>
    """

    name: str
    parts: tuple[Part, ...]

    def markdown(self) -> str:
        """Write it as Markdown."""
        lines = [f"# Model card: {self.name}", ""]
        for part in self.parts:
            lines += [f"## {part.title}", ""]
            for paragraph in part.paragraphs:
                lines += [paragraph, ""]
            if part.rows:
                lines += ["| what | value |", "|---|---|", *map(_markdown_row, part.rows), ""]
        return "\n".join(lines)

    def html(self) -> str:
        """Write it as a page that needs nothing else."""
        body = "".join(_html_part(part) for part in self.parts)
        title = escape(f"Model card: {self.name}")
        head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>{body}</body></html>\n'


def _markdown_row(row: tuple[str, str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _html_part(part: Part) -> str:
    told = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in part.paragraphs)
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in part.rows)
    return f"<h2>{escape(part.title)}</h2>{told}" + (f"<table>{rows}</table>" if rows else "")


# ---------------------------------------------------------------------- the cards
def model_cards(result: RunResult, drift: Drift) -> list[ModelCard]:
    """Write a card of each model that a run made.

    Args:
        result: what the run said of itself.
        drift: the run against its champion's.
    """
    made = ["c360-linkage", "c360-segments", "c360-scorer"]
    if result.summary("value").get("fitted"):
        made.append("c360-value")
    return [ModelCard(name, (*_MAKERS[name](result), *_common(result, drift))) for name in made]


def _common(result: RunResult, drift: Drift) -> Iterable[Part]:
    links = result.summary("link")
    yield Part(
        "Data",
        ("The project's own records; labels are never a model's input.",),
        (
            ("project", result.config.project.name),
            ("run", result.run_id),
            ("data digest", result.digest),
            ("sources", ", ".join(source.name for source in result.config.sources)),
            ("customer records", f"{links['records']:,}"),
            ("customers", f"{result.summary('identify')['customers']:,}"),
            ("purchases", f"{result.summary('collect')['purchases']:,}"),
        ),
    )
    if drift.champion_run_id is None:
        told: tuple[str, ...] = (drift.why_not,)
    else:
        told = (f"Against the champion's run {drift.champion_run_id}: {drift.verdict}.", *drift.reasons)
    yield Part("Drift", told)


def _linkage(result: RunResult) -> list[Part]:
    summary = result.summary("link")
    rows: Rows = [("comparisons", ", ".join(summary["comparisons"])), ("classes", summary["classes"])]
    rows += [(f"pairs of class {name}", f"{number:,.0f}") for name, number in (summary["pairs_by_class"] or {}).items()]
    rows += [("iterations", f"{summary['iterations']}"), ("converged", str(summary["converged"]))]
    return [
        Part(
            "What it is for",
            (
                "Says how probable it is that two customer records are one person, and why. Made for records like "
                "those it learnt from; not for decisions about a person that nobody reviews.",
            ),
        ),
        Part(
            "How it works",
            (
                "A mixture over pairs (Fellegi and Sunter 1969; latent classes as in Larsen and Rubin 2001): "
                "one person, one household, namesakes, a shared contact, unrelated. In each class a comparison agrees "
                "to a level with a probability of its own (m for one person, u for the others); the match weight adds "
                "log2 of their ratios. Learnt without labels, by expectation maximization on counted agreement "
                "patterns; agreement by chance comes from random pairs.",
                "It assumes that comparisons are independent given the class.",
            ),
        ),
        Part("Parameters", (), tuple(rows)),
        *_accuracy(result),
        Part("Limits", tuple(f"{each['finding']} {each['what_to_do']}" for each in summary["fit_report"]) or _NO_LIMIT),
    ]


_NO_LIMIT = ("The fit met nothing to warn of.",)


def _accuracy(result: RunResult) -> list[Part]:
    measured = result.evaluation
    if not measured:
        return [Part("Accuracy", ("Not measured: the project names no labels in [evaluation].",))]
    intervals = measured.get("intervals", {})
    rows = [
        (name.replace("_", " "), _with_interval(measured[name], intervals.get(name)))
        for name in measured
        if name.endswith(("_precision", "_recall", "_f1")) and isinstance(measured[name], float)
    ]
    told = ("Shares with 95 % intervals, master IDs against the project's labels.",)
    parts = [Part("Accuracy", told, tuple(rows))]
    if "calibration" in measured:
        bins = [
            (f"probability {each['mean_probability']:.3f}", f"{each['true_share']:.3f} of {each['pairs']:,} pairs true")
            for each in measured["calibration"]
        ]
        errors = f"calibration error {measured['calibration_error']:.4f}, Brier score {measured['brier_score']:.4f}"
        parts.append(Part("Calibration", (f"Expected {errors}.",), tuple(bins)))
    return parts


def _with_interval(value: float, ends: list[float] | None) -> str:
    return f"{value:.4f}" + (f" ({ends[0]:.4f} to {ends[1]:.4f})" if ends else "")


def _value(result: RunResult) -> list[Part]:
    summary = result.summary("value")
    rows: Rows = [("model of purchases", summary["why_this_model"])]
    for name in ("purchase_model", "gamma_gamma"):
        fitted = summary.get(name) or {"params": {}}
        for parameter, value in fitted["params"].items():
            error = (fitted.get("standard_errors") or {}).get(parameter)
            rows.append((f"{fitted['model']} {parameter}", f"{value:.5g}" + (f" (s.e. {error:.2g})" if error else "")))
    return [
        Part(
            "What it is for",
            (
                "Says from a customer's purchases how probable it is that they are still a customer, how often they "
                "will buy within the horizon and what that is worth. For planning over many customers; a single "
                "customer's forecast is uncertain.",
            ),
        ),
        Part(
            "How it works",
            (
                "A customer buys at a rate of their own and may leave after any purchase; rates and chances of leaving "
                "vary over customers (BG/NBD: Fader, Hardie and Lee 2005; its kin where a backtest chose them). Spend "
                "varies around a mean of each customer (Gamma-Gamma: Fader and Hardie 2013). Maximum likelihood.",
                "It assumes that purchase rates do not drift, and that spend and rate of buying are independent.",
            ),
        ),
        Part("Parameters", (), tuple(rows)),
        _backtest(summary.get("holdout")),
        Part("Limits", _value_limits(summary)),
    ]


def _value_limits(summary: dict[str, Any]) -> tuple[str, ...]:
    guards = [each["words"] for each in (summary.get("guard_rails") or {}).values() if each and "words" in each]
    return (*summary.get("notes", []), *guards) or _NO_LIMIT


def _backtest(holdout: dict[str, Any] | None) -> Part:
    if not holdout or not holdout.get("measured"):
        return Part("Accuracy", ("Not measured: no weeks were held out.",))
    return Part(
        "Accuracy",
        (f"Forecast of {holdout['holdout_weeks']:.0f} held-out weeks from {holdout['holdout_start']}.",),
        (
            ("purchases that came", f"{holdout['actual_purchases']:,}"),
            ("purchases forecast", f"{holdout['predicted_purchases']:,.0f}"),
            ("bias", f"{holdout['bias']:+.1%}, of the naive forecast {holdout['naive_bias']:+.1%}"),
            ("mean absolute error", f"{holdout['mae']:.3f}, of the naive forecast {holdout['naive_mae']:.3f}"),
        ),
    )


def _segments(result: RunResult) -> list[Part]:
    summary = result.summary("segment")
    kmeans = summary.get("kmeans") or {}
    rows: Rows = [(f"RFM {name}", f"{size:,}") for name, size in summary["rfm_segments"].items()]
    rows += [(f"KMeans {name}", f"{size:,}") for name, size in summary["kmeans_segments"].items()]
    rows += [(f"value tier {name}", f"{size:,}") for name, size in summary["value_tiers"].items()]
    stability = [
        (f"{name.replace('_', ' ')}", f"{kmeans[name]:.3f}")
        for name in ("silhouette", "ari_mean", "ari_least")
        if kmeans.get(name) is not None
    ]
    return [
        Part(
            "What it is for",
            ("Puts customers into segments that mean the same from run to run, to decide what to do with whom.",),
        ),
        Part(
            "How it works",
            (
                "RFM: fifths of days since the last purchase, purchases and spend, named by rule (Hughes 1994). KMeans "
                "on the logarithms of the same, standardized; the number of clusters is the one that resamples agree "
                "on best. Value tiers: percentiles of customer value.",
            ),
        ),
        Part("Parameters", (), tuple(rows)),
        Part("Stability", ("Adjusted Rand index over resamples: 1 is the same clusters each time.",), tuple(stability)),
        Part("Limits", tuple(summary.get("notes", [])) or ("Segments describe what customers did, not why.",)),
    ]


def _scorer(result: RunResult) -> list[Part]:
    return [
        Part(
            "What it is for",
            (
                "One raw customer record in; master ID or new, match probability with its explanation, household, "
                "value and segment out. It answers from the project's online index, which holds personal data and "
                "stays in the project; this model holds none.",
            ),
        ),
        Part(
            "How it works",
            (
                "The linkage model of this run decides who it is; value and segment are those of the customer's row "
                "in the project's tables. See the cards of c360-linkage, c360-value and c360-segments.",
            ),
        ),
        *_accuracy(result),
        Part("Limits", ("An answer is as new as the project's last run, upserts apart.",)),
    ]


_MAKERS: dict[str, Callable[[RunResult], list[Part]]] = {
    "c360-linkage": _linkage,
    "c360-value": _value,
    "c360-segments": _segments,
    "c360-scorer": _scorer,
}
