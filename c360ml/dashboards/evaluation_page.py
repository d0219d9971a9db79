"""The evaluation for a sceptic: how right the clusters are, where links are lost, which errors, whom they hit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from c360ml.dashboards.charts import Colour, Field, Row, bars
from c360ml.dashboards.evaluation_charts import interval_dots
from c360ml.dashboards.evaluation_curves import (
    PARTS,
    Evaluation,
    calibration_answer,
    calibration_blocks,
    groups_answer,
    groups_blocks,
    thresholds_answer,
    thresholds_blocks,
)
from c360ml.dashboards.formats import count, plural, share
from c360ml.dashboards.page import Block, Chart, DataTable, Kpi, Page, Section, Text
from c360ml.dashboards.provenance import versions_table
from c360ml.linkage.evaluation_result import MEASURED_ON

_MOST_SOURCE_PAIRS = 30
_SIDES = {"false_merges": "False merges", "missed_links": "Missed links"}
_FOOTER = "Made by c360ml. Counts, shares and record ids only: no name, e-mail, phone or address is in this file."


def write_evaluation_page(evaluation: Evaluation, folder: Path, *, clusters: str, truth: str) -> Path:
    """Write `report.html`: one page with all that an evaluation found.

    Args:
        evaluation: what `evaluate_clusters` or `LinkageModel.evaluate` gave.
        folder: where to write; it must be there.
        clusters: name of what was judged.
        truth: name of what it was judged by.
    """
    page = Page(
        title=f"Evaluation: {clusters}",
        subtitle=f"Judged by {truth}. Ranges in brackets hold the true figure in 95 of 100 such samples.",
        kpis=_kpis(evaluation),
        sections=(*evaluation_sections(evaluation), _provenance(clusters, truth)),
        footer=_FOOTER,
    )
    return page.write(folder / "report.html")


def evaluation_sections(evaluation: Evaluation) -> list[Section]:
    """Answer the questions that an evaluation can answer, one section each."""
    sections = [
        Section("accuracy", "How right are the clusters?", verdict(evaluation), _accuracy(evaluation)),
        Section("recall", "Where are true links lost?", _recall_answer(evaluation), _recall(evaluation)),
        Section("errors", "Which errors are there?", _errors_answer(evaluation), _errors(evaluation)),
        Section("sources", "Which sources go wrong?", _sources_answer(evaluation), _sources(evaluation)),
        Section(
            "calibration",
            "Can the probabilities be believed?",
            calibration_answer(evaluation),
            calibration_blocks(evaluation),
        ),
        Section(
            "thresholds",
            "What would other thresholds give?",
            thresholds_answer(evaluation),
            thresholds_blocks(evaluation),
        ),
        Section("groups", "Are all groups served alike?", groups_answer(evaluation), groups_blocks(evaluation)),
    ]
    return [section for section in sections if section.blocks]


def evaluation_blocks(evaluation: Evaluation) -> list[Block]:
    """Show an evaluation inside a section of a larger report."""
    if not evaluation:
        return [Text("No labels were given, so how right the matches are is not measured here.")]
    return [block for section in evaluation_sections(evaluation) for block in section.blocks]


def verdict(evaluation: Evaluation) -> str:
    """Say in a sentence how right the clusters are."""
    for kind, words in (
        ("b3", "Against true identities, B-cubed"),
        ("estimated_b3", "Estimated from sampled people, B-cubed"),
        ("estimated_link", "Estimated from reviewed pairs,"),
        ("labelled", f"Against {plural(evaluation.get('labelled_pairs', 0), 'labelled pair')},"),
    ):
        if f"{kind}_precision" in evaluation:
            told = [f"{part} is {_with_interval(evaluation, f'{kind}_{part.lower()}')}" for part in PARTS]
            return f"{words} {', '.join(told)}."
    return f"{plural(evaluation.get('possible_pairs', 0), 'pair')} labelled possible, none match or non-match."


def _with_interval(evaluation: Evaluation, name: str) -> str:
    ends = evaluation.get("intervals", {}).get(name)
    return share(evaluation[name]) + (f" ({share(ends[0])} to {share(ends[1])})" if ends else "")


# ---------------------------------------------------------------------- accuracy
def _kpis(evaluation: Evaluation) -> tuple[Kpi, ...]:
    kpis = [
        Kpi(name, count(evaluation[key]))
        for name, key in (
            ("Records", "records"),
            ("Clusters", "clusters"),
            ("True people", "true_ids"),
            ("Labelled pairs", "labelled_pairs"),
        )
        if key in evaluation
    ]
    for kind, title in MEASURED_ON.items():
        name = f"{kind}_f1"
        if name in evaluation:
            ends = evaluation.get("intervals", {}).get(name)
            kpis.append(
                Kpi(f"F1, {title}", share(evaluation[name]), f"{share(ends[0])} to {share(ends[1])}" if ends else "")
            )
    return tuple(kpis)


def _accuracy(evaluation: Evaluation) -> list[Block]:
    kinds = [kind for kind in MEASURED_ON if f"{kind}_precision" in evaluation]
    if not kinds:
        return [Text(note) for note in [_labels_note(evaluation)] if note]
    rows = []
    for kind in kinds:
        for part in PARTS:
            name = f"{kind}_{part.lower()}"
            low, high = evaluation.get("intervals", {}).get(name, (None, None))
            rows.append(
                {
                    "name": f"{MEASURED_ON[kind]}: {part}",
                    "part": part,
                    "value": evaluation[name],
                    "low": low,
                    "high": high,
                }
            )
    least = min(row["value"] if row["low"] is None else row["low"] for row in rows)
    spec = interval_dots(
        rows,
        Field("name", "measure"),
        Field("value", "score, 100% is perfect", ".1%"),
        colour=Colour("part", "measure", PARTS),
        domain=(max(0.0, math.floor(least * 20) / 20), 1.0),
    )
    table = DataTable(
        "Accuracy against labels",
        ("measured on", *PARTS),
        [
            (MEASURED_ON[kind], *(_with_interval(evaluation, f"{kind}_{part.lower()}") for part in PARTS))
            for kind in kinds
        ],
        note=_labels_note(evaluation),
    )
    missed = evaluation[f"{kinds[0]}_recall"] < evaluation[f"{kinds[0]}_precision"]
    title = "Matches miss more than they wrongly join" if missed else "Matches wrongly join more than they miss"
    note = "Bars are 95% intervals." if evaluation.get("intervals") else ""
    return [table, Chart(title, spec, note=note, legend=PARTS)]


def _labels_note(evaluation: Evaluation) -> str:
    notes = []
    if "true_ids" in evaluation:
        notes.append(
            f"{plural(evaluation['records'], 'record')} of {count(evaluation['true_ids'])} true people were found to be"
            f" {count(evaluation['clusters'])}. A whole cluster counts as right if it is exactly one person."
        )
    if "labelled_pairs" in evaluation:
        notes.append(f"{plural(evaluation['labelled_pairs'], 'labelled pair')}, which need not be a random sample.")
    if "unknown_pairs" in evaluation:
        notes.append(f"{plural(evaluation['unknown_pairs'], 'labelled pair')} of records that are not here.")
    if "sampled_from_pairs" in evaluation:
        notes.append(
            f"{plural(evaluation['reviewed_pairs'], 'reviewed pair')} stand for"
            f" {count(evaluation['sampled_from_pairs'])} scored pairs; pairs that were never scored are not seen."
        )
    if "sampled_people" in evaluation:
        notes.append(f"{plural(evaluation['sampled_people'], 'sampled person', 'sampled people')} stand for all.")
    if "possible_pairs" in evaluation:
        notes.append(_possible_note(evaluation))
    return " ".join(notes)


def _possible_note(evaluation: Evaluation) -> str:
    told = (
        f"{plural(evaluation['possible_pairs'], 'pair')} labelled possible, of which"
        f" {share(evaluation['possible_joined'])} are in one cluster; they count neither as right nor as wrong."
    )
    if "possible_in_review_band" in evaluation:
        told += f" {share(evaluation['possible_in_review_band'])} of them fall into the review band."
    return told


# ---------------------------------------------------------------------- recall and errors
def _recall_answer(evaluation: Evaluation) -> str:
    if "recall_steps" not in evaluation:
        return ""
    steps = evaluation["recall_steps"]
    return (
        f"Of {plural(steps['true_pairs'], 'true pair')}, {share(steps['compared_share'])} were brought together; of"
        f" these {share(steps['linked_share'])} were scored as links; of these {share(steps['kept_share'])} stayed in"
        f" one cluster. Clusters joined another {share(steps['gained_share'], 2)} of true pairs without such a link."
    )


def _recall(evaluation: Evaluation) -> list[Block]:
    steps = evaluation.get("recall_steps")
    if not steps:
        return []
    names = {"true": "true pairs", "compared": "brought together", "linked": "scored as links", "kept": "kept together"}
    rows: list[Row] = [{"step": title, "pairs": steps[f"{name}_pairs"]} for name, title in names.items()]
    rows.append({"step": "with those gained", "pairs": steps["kept_pairs"] + steps["gained_pairs"]})
    before = [None, *(row["pairs"] for row in rows[:3]), None]
    table = DataTable(
        "True pairs on their way",
        ("step", "pairs", "of the step before"),
        [
            (row["step"], count(row["pairs"]), share(row["pairs"] / last if last else None, 2))
            for row, last in zip(rows, before, strict=True)
        ],
    )
    lost = {
        "before they are compared": 1 - steps["compared_share"],
        "when they are scored": steps["compared_share"] * (1 - steps["linked_share"]),
        "when they are clustered": steps["compared_share"] * steps["linked_share"] * (1 - steps["kept_share"]),
    }
    most = max(lost, key=lambda name: lost[name])
    note = ""
    if "scored_recall" in evaluation:
        note = (
            "Brought together means: among the pairs that were kept with their probability, not all that were compared."
        )
    title = f"Most true links are lost {most}" if lost[most] > 0 else "No true link is lost on the way"
    return [Chart(title, bars(rows, Field("step", "step"), Field("pairs", "pairs", ",")), note=note, numbers=table)]


def _errors_answer(evaluation: Evaluation) -> str:
    told = []
    for side, title in _SIDES.items():
        kinds = evaluation.get("errors", {}).get(side, [])
        if kinds:
            total = sum(kind["pairs"] for kind in kinds)
            told.append(
                f"{title}: {plural(total, 'pair')}, most often {kinds[0]['kind']} ({share(kinds[0]['share'])})."
            )
    return " ".join(told) or "None was found."


def _errors(evaluation: Evaluation) -> list[Block]:
    errors = evaluation.get("errors")
    if not errors:
        return []
    charts: list[Block] = []
    tables: list[Block] = []
    for side, title in _SIDES.items():
        kinds = errors.get(side, [])
        if not kinds:
            continue
        rows = [{name: kind[name] for name in ("kind", "pairs", "meaning")} for kind in kinds]
        spec = bars(rows, Field("kind", "kind"), Field("pairs", "pairs", ","), more=(Field("meaning", "meaning"),))
        charts.append(Chart(f"{title}: {kinds[0]['kind']} comes first", spec, half=True))
        tables.append(_kinds_table(title, kinds))
    return [*charts, *tables] or [Text("No two people were joined, and no pair of one person was missed.")]


def _kinds_table(title: str, kinds: Sequence[Row]) -> DataTable:
    rows = [
        (
            kind["kind"],
            kind["meaning"],
            count(kind["pairs"]),
            share(kind["share"]),
            count(kind["never_compared"]),
            count(kind["not_linked"]),
            ";  ".join(f"{left} / {right}" for left, right in kind["examples"]),
        )
        for kind in kinds
    ]
    heads = ("kind", "what it is", "pairs", "share", "never compared", "compared, no link", "examples: record ids")
    note = "Each pair has one kind, the first that fits. Never compared: blocking did not bring the pair together."
    return DataTable(f"{title} by kind", heads, rows, texts=frozenset({1, 6}), note=note)


def _sources_answer(evaluation: Evaluation) -> str:
    rows = [row for row in evaluation.get("source_pairs", []) if row["true_pairs"]]
    if not rows:
        return ""
    worst = min(rows, key=lambda row: (row["f1"], -row["true_pairs"]))
    return f"Least right are pairs of {worst['source_l']} and {worst['source_r']}, with F1 {share(worst['f1'])}."


def _sources(evaluation: Evaluation) -> list[Block]:
    rows = evaluation.get("source_pairs", [])
    if len(rows) < 2:
        return []
    rows = sorted(rows, key=lambda row: (-max(row["true_pairs"], row["found_pairs"]), row["source_l"], row["source_r"]))
    cells = [
        (
            f"{row['source_l']} + {row['source_r']}",
            count(row["true_pairs"]),
            count(row["found_pairs"]),
            *(share(row[name], 2) for name in ("precision", "recall", "f1")),
        )
        for row in rows[:_MOST_SOURCE_PAIRS]
    ]
    note = f"The {_MOST_SOURCE_PAIRS} largest of {len(rows)}." if len(rows) > _MOST_SOURCE_PAIRS else ""
    heads = ("sources of the pair", "true pairs", "found pairs", *PARTS)
    return [DataTable("Pairs of records by their sources", heads, cells, note=note)]


def _provenance(clusters: str, truth: str) -> Section:
    files = [("clusters", clusters), ("labels", truth)]
    blocks = [DataTable("Files", ("what", "file"), files, texts=frozenset({1}), half=True), versions_table()]
    answer = "From the files below; all figures are also in evaluation.json beside this report."
    return Section("provenance", "Where do the figures come from?", answer, blocks)
