"""The tables at the end of a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from c360ml.cli.model_screen import model_tables
from c360ml.linkage.review_answers import ReviewAnswers
from c360ml.linkage.review_queue import ReviewQueue
from c360ml.pipeline import LinkedTable, RunResult, ValuedTable
from c360ml.pipeline.one_evaluation import EvaluatedClusters

Rows = list[tuple[str, str]]
_MEASURED_ON = {
    "pairwise": "pairwise, true ids",
    "b3": "B-cubed, true ids",
    "cluster": "whole clusters, true ids",
    "labelled": "pairwise, labelled pairs",
    "estimated_link": "scored pairs, estimated",
    "estimated_pairwise": "pairwise, estimated",
    "estimated_b3": "B-cubed, estimated",
    "estimated_cluster": "whole clusters, estimated",
}


def run_tables(result: RunResult, places: dict[str, str]) -> list[Table]:
    """Tables of a whole run: what came in, who the customers are, what they are worth, where things are."""
    return [
        _table("What came in", _intake(result)),
        _table("Who the customers are", _identity(result) + evaluation_rows(result.evaluation)),
        _table(f"What they are worth ({result.config.project.currency})", _worth(result)),
        _table("Campaigns", _campaigns(result)),
        _table("Where it is", list(places.items())),
    ]


def link_tables(linked: LinkedTable) -> list[Table]:
    """Tables of `c360ml link`."""
    fit = linked.summary
    rows = [
        ("records", f"{fit['records']:,}"),
        ("compared by", ", ".join(fit["comparisons"])),
        ("candidate pairs", f"{fit['candidate_pairs']:,}"),
        ("links", f"{fit['links']:,}"),
        ("people", f"{fit['customers']:,}"),
        ("households", f"{fit['households']:,}"),
        *clustering_rows(fit["clustering"]),
    ]
    return [
        _table(f"Linked {linked.file}", rows + evaluation_rows(linked.metrics["evaluation"])),
        *_warnings(fit["fit_report"]),
        _table("Where it is", [("answers", str(linked.folder)), ("report", str(linked.folder / "report.html"))]),
    ]


def _warnings(report: list[dict[str, str]]) -> list[Table]:
    """What the model warns of, if it does."""
    rows = [
        (each["topic"], f"{each['finding']} {each['what_to_do']}") for each in report if each["severity"] == "warning"
    ]
    return [_table("Warnings of the model", rows)] if rows else []


def value_tables(valued: ValuedTable) -> list[Table]:
    """Tables of `c360ml value`."""
    metrics = valued.metrics
    rows = [
        ("customers", f"{metrics['customers']:,}"),
        ("with repeat purchases", f"{metrics['repeat_buyers']:,}"),
        ("historical value", f"{metrics['historical_value']:,.2f}"),
        *_forecast(metrics),
    ]
    rows += _sizes("RFM", metrics["segments"]["rfm_segment"])
    rows += _sizes("KMeans", metrics["segments"]["kmeans_segment"])
    return [
        _table(f"Valued {valued.file}", rows),
        *model_tables(metrics),
        _table("Where it is", [("answers", str(valued.folder)), ("report", str(valued.folder / "report.html"))]),
    ]


def queue_tables(queue: ReviewQueue, file: Path, page: Path, currency: str) -> list[Table]:
    """Tables of `c360ml review`."""
    counts = queue.counts
    rows = [
        ("pairs to review", f"{counts['pairs']:,}"),
        ("a match would merge", f"{counts['would_merge']:,} pairs of customers"),
        ("a non-match would split", f"{counts['would_split']:,} customers"),
        ("value at stake", f"{counts['value_at_stake']:,.0f} {currency}"),
        ("review band", f"{queue.band.lower:.3f} to {queue.band.upper:.3f}: {queue.band.why}"),
        ("pairs in the band", f"{queue.band.pairs:,}"),
        ("pairs decided before", f"{queue.decided:,}"),
    ]
    places = [("page to decide on", str(page)), ("or the CSV", str(file)), ("then", "c360ml review --read FILE")]
    return [_table("To review", rows), _table("Where it is (personal data: keep it there)", places)]


def answer_tables(answers: ReviewAnswers) -> list[Table]:
    """Tables of `c360ml review --read`."""
    left_out = (("without a decision", "empty"), ("of unknown records", "unknown_ids"), ("contradict", "contradictory"))
    rows = [("rows read", f"{answers.rows:,}")]
    rows += [(f"  left out: {title}", f"{getattr(answers, name):,}") for title, name in left_out]
    rows += [
        ("match", f"{answers.matches:,}"),
        ("non-match", f"{answers.non_matches:,}"),
        ("possible", f"{answers.possible:,}"),
        ("earlier decisions replaced", f"{answers.replaced:,}"),
        ("pairs decided in all", f"{answers.decided:,}"),
    ]
    changes = [
        ("customers that become one", f"{answers.will_merge:,} pairs"),
        ("customers that come apart", f"{answers.will_split:,}"),
        ("decisions are in", str(answers.file)),
    ]
    return [_table("Decisions", rows), _table("What the next `c360ml run` will change", changes)]


def evaluation_rows(evaluation: dict[str, Any]) -> Rows:
    """Rows of precision, recall and F1, as far as labels allowed, with the interval of F1."""
    rows = []
    for name, title in _MEASURED_ON.items():
        if f"{name}_f1" in evaluation:
            values = [evaluation[f"{name}_{measure}"] for measure in ("precision", "recall", "f1")]
            told = "precision {:.4f}  recall {:.4f}  F1 {:.4f}".format(*values)
            rows.append((title, told))
            if ends := evaluation.get("intervals", {}).get(f"{name}_f1"):
                rows.append(("  F1, 95% interval", _span(ends)))
    for name in ("blocking_recall", "scored_recall", "model_recall", "clustering_recall", "calibration_error"):
        if name in evaluation:
            rows.append((name.replace("_", " "), f"{evaluation[name]:.4f}"))
    return rows


def _span(ends: list[float]) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def evaluate_tables(found: EvaluatedClusters, report: Path) -> list[Table]:
    """Tables of `c360ml evaluate`: how right, which errors, which groups, where it is."""
    measured = found.evaluation
    counts = [
        (name.replace("_", " "), f"{measured[name]:,}")
        for name in ("records", "clusters", "true_ids", "labelled_pairs", "unknown_pairs", "possible_pairs")
        if name in measured
    ]
    tables = [_table(f"Evaluated {found.clusters} by {found.truth}", counts + evaluation_rows(measured))]
    for side, kinds in measured.get("errors", {}).items():
        if kinds:
            told = ((kind["kind"], f"{kind['pairs']:,} ({kind['share']:.1%}): {kind['meaning']}") for kind in kinds)
            tables.append(_table(side.replace("_", " ").capitalize(), list(told)))
    gaps = [
        (
            gap["rate"].replace("_", " "),
            f"{gap['gap']:+.4f} in {gap['worst']} over {gap['best']}, {_span(gap['interval'])}",
        )
        for gap in measured.get("gaps", [])
    ]
    if gaps:
        tables.append(_table("Groups furthest apart", gaps))
    places = [("figures", str(found.folder / "evaluation.json")), ("report", str(report))]
    return [*tables, _table("Where it is", places)]


def _intake(result: RunResult) -> Rows:
    landed, checked = result.summary("land"), result.summary("validate")
    rows = [("rows read", f"{landed['rows']:,} from {landed['files']:,} files")]
    rows += [("rows rejected", f"{checked['rejected']:,}")]
    reasons: dict[str, int] = {}
    for key, count in checked["rejected_by_reason"].items():
        reason = key.split(":")[-1]
        reasons[reason] = reasons.get(reason, 0) + count
    return rows + [
        (f"  {reason}", f"{count:,}") for reason, count in sorted(reasons.items(), key=lambda item: -item[1])
    ]


def _identity(result: RunResult) -> Rows:
    link, identify = result.summary("link"), result.summary("identify")
    return [
        ("customer records", f"{link['records']:,}"),
        ("candidate pairs", f"{link['candidate_pairs']:,}"),
        ("links", f"{link['links']:,}"),
        ("master customers", f"{identify['customers']:,}"),
        ("households", f"{identify['households']:,}"),
        *(clustering_rows(link["clustering"]) if "clustering" in link else []),
    ]


def clustering_rows(clustering: dict[str, Any]) -> Rows:
    """Rows of what reviewers, constraints and the budget did to clusters, if they did anything."""
    rows = []
    reviewed = [f"{clustering[f'reviewed_{name}']:,} {name.replace('_', '-')}" for name in ("matches", "non_matches")]
    if clustering["reviewed_matches"] + clustering["reviewed_non_matches"]:
        rows.append(("reviewed pairs", ", ".join(reviewed)))
    if clustering["pairs_with_withheld_evidence"]:
        told = f"{clustering['pairs_with_withheld_evidence']:,} pairs agree on a value that too many people hold"
        rows.append(("withheld evidence", told))
    if clustering["oversize_clusters"]:
        rows.append(("clusters too large", f"{clustering['oversize_clusters']:,}, split at their weakest merges"))
    for each in clustering["largest_oversize_clusters"]:
        width = "" if each["width"] is None else f", {each['width']} links wide"
        rows.append((f"  {each['record_id']}", f"{each['records']:,} records{width}"))
    return rows


def _worth(result: RunResult) -> Rows:
    value, segment = result.summary("value"), result.summary("segment")
    rows = [
        ("buyers", f"{value.get('customers', 0):,}"),
        ("historical CLV", f"{value.get('historical_value') or 0:,.0f}"),
        *_forecast(value),
    ]
    for title, sizes in (("tier", "value_tiers"), ("RFM", "rfm_segments"), ("KMeans", "kmeans_segments")):
        rows += _sizes(title, segment[sizes])
    return rows


def _forecast(metrics: dict[str, Any]) -> Rows:
    if not metrics.get("fitted"):
        return [("forecast", f"none: {metrics.get('reason')}")]
    rows = [("projected CLV", f"{metrics['projected_value']:,.2f}")]
    for name in ("purchase_model", "gamma_gamma"):
        if metrics.get(name):
            title = metrics[name]["model"]
            parameters = "  ".join(f"{key} {value:.4g}" for key, value in metrics[name]["params"].items())
            rows.append((title, f"{parameters}  log-likelihood {metrics[name]['log_likelihood']:,.1f}"))
    rows += [("note", note) for note in metrics.get("notes", [])]
    return rows + _holdout(metrics.get("holdout"))


def _holdout(holdout: dict[str, Any] | None) -> Rows:
    if not holdout or not holdout.get("measured"):
        return []
    told = (
        f"{holdout['holdout_weeks']:.0f} weeks from {holdout['holdout_start']}: "
        f"{holdout['predicted_purchases']:,.0f} purchases forecast, {holdout['actual_purchases']:,} came "
        f"(bias {holdout['bias']:+.1%}, naive {holdout['naive_bias']:+.1%}); "
        f"MAE {holdout['mae']:.3f}, naive {holdout['naive_mae']:.3f}"
    )
    return [("holdout", told)]


def _sizes(title: str, sizes: dict[str, int]) -> Rows:
    return [(f"{title} {name}", f"{count:,}") for name, count in sizes.items()]


def _campaigns(result: RunResult) -> Rows:
    rows = []
    for campaign in result.summary("campaigns")["campaigns"].values():
        told = f"sent {campaign['sent']:,}"
        for name, sign in (("conversion_rate", ""), ("uplift", "+")):
            if campaign[name] is not None:
                told += f"  {name.replace('_', ' ')} " + format(campaign[name], f"{sign}.1%")
        if campaign["roi"] is not None:
            told += f"  ROI {campaign['roi']:,.1f}"
        rows.append((campaign["campaign_name"] or "unnamed", told))
    return rows or [("none", "no campaign in the sources")]


def _table(title: str, rows: Rows) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True, min_width=26)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def places(folder: Path, tracking_uri: str) -> dict[str, str]:
    """Where a run's answers are, as seen from the current folder if they are below it."""
    here = f"{Path.cwd()}/"
    seen = {
        "report": str(folder / "report.html"),
        "tables (Delta)": str(folder / "data"),
        "models": str(folder / "models"),
        "MLflow": tracking_uri,
        "MLflow UI": f"mlflow server --backend-store-uri {tracking_uri} -p 5000",
    }
    return {name: place.replace(here, "") for name, place in seen.items()}
