"""The report of `c360ml blocking`: which rules find the matches, what they cost, what is missed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml.dashboards.charts import Field, Row, bars, lines
from c360ml.dashboards.formats import count, plural, share
from c360ml.dashboards.page import Block, Chart, DataTable, Kpi, Page, Section, Text

if TYPE_CHECKING:
    from c360ml.pipeline.one_blocking import BlockedTable

REPORT_FILE = "report.html"
_MOST_BARS = 25
_LEFT_OUT_SHOWN = 30
_ASSUMES = (
    "The estimate needs no labels: kinds of evidence (names, birth, place, contact) are taken to agree independently "
    "of each other within groups of cleaner and messier records, and what agrees on too little to be found is "
    "extrapolated from what was found. The range spans models with one to three such groups. People who changed name "
    "and address at once, and nearly empty records, make true recall lower than this."
)


def write_blocking_report(blocked: BlockedTable) -> Path:
    """Write `report.html` beside the answer of `c360ml blocking`.

    Args:
        blocked: what `block_table` found.
    """
    report = blocked.report
    chosen = [rule for rule in report["rules"] if rule["chosen"]]
    page = Page(
        title=f"Blocked: {blocked.file}",
        subtitle=f"{plural(report['records'], 'record')}, {plural(len(report['rules']), 'candidate rule')} measured.",
        kpis=_kpis(report, chosen),
        sections=(_rules(report, chosen), _recall(report, chosen), _hot(chosen), _hubs(report)),
        footer="Made by c360ml. Counts and record ids only: no name, e-mail, phone or address is in this file.",
    )
    return page.write(blocked.folder / REPORT_FILE)


def _kpis(report: dict[str, Any], chosen: list[dict[str, Any]]) -> tuple[Kpi, ...]:
    estimate, true = report["estimated_recall"], report["true_recall"]
    kpis = [
        Kpi("Candidate pairs", count(report["candidate_pairs"]), f"of {count(report['all_pairs'])} pairs"),
        Kpi("Rules chosen", count(len(chosen)), f"of {count(len(report['rules']))}"),
        Kpi("Matches expected", count(report["expected_matches"]), "among the candidate pairs"),
    ]
    if estimate:
        between = f"{share(estimate['low'])} to {share(estimate['high'])}"
        kpis.append(Kpi("Estimated recall", share(estimate["recall"]), between))
    if true:
        kpis.append(Kpi("True recall", share(true["recall"]), f"{count(true['found'])} of {count(true['true_pairs'])}"))
    return tuple(kpis)


def _rules(report: dict[str, Any], chosen: list[dict[str, Any]]) -> Section:
    rows = [{"rule": _words(rule["rule"]), "new": rule["new_pairs"], "share": rule["matches_share"]} for rule in chosen]
    blocks: list[Block] = [
        Chart(
            "Estimated share of matches that each rule finds",
            bars(rows[:_MOST_BARS], Field("rule", "records that share"), Field("share", "share of matches", ".1%")),
            half=True,
        ),
        Chart(
            "Pairs that each rule adds",
            bars(rows[:_MOST_BARS], Field("rule", "records that share"), Field("new", "new pairs", ",")),
            half=True,
        ),
        _table("Rules chosen, in the order of their choice", chosen),
    ]
    others = [rule for rule in report["rules"] if not rule["chosen"]][:_LEFT_OUT_SHOWN]
    if others:
        blocks.append(_table("Rules left out that would add most", others))
    answer = f"Agreement on {_words(chosen[0]['rule'])} finds most matches for its pairs."
    return Section("rules", "Which records are compared?", answer, blocks)


def _table(title: str, rules: list[dict[str, Any]]) -> DataTable:
    cells = [
        (
            _words(rule["rule"]),
            count(rule["pairs"]),
            count(rule["new_pairs"]),
            share(rule["matches_share"]),
            share(rule["new_matches_share"], 2),
            count(rule["hot_pairs"]),
        )
        for rule in rules
    ]
    names = ("records that share", "pairs", "new pairs", "matches found", "new matches", "hot pairs skipped")
    return DataTable(title, names, cells, note="New: not found by the rules chosen before. Matches are estimated.")


def _recall(report: dict[str, Any], chosen: list[dict[str, Any]]) -> Section:
    estimate, true = report["estimated_recall"], report["true_recall"]
    pairs, found = 0.0, 0.0
    points: list[Row] = [{"pairs": pairs, "found": found, "rule": "none"}]
    for rule in chosen:
        pairs, found = pairs + rule["first_found_pairs"], found + rule["first_found_matches"]
        points.append({"pairs": pairs, "found": found, "rule": _words(rule["rule"])})
    total = found / estimate["recall"] if estimate else max(found, 1.0)
    spec = lines(
        [{**point, "found": point["found"] / total} for point in points],
        Field("pairs", "candidate pairs", ","),
        Field("found", "estimated recall", ".1%"),
        points=True,
        more=(Field("rule", "with the rule"),),
    )
    chart = Chart("Estimated recall against candidate pairs, rule by rule", spec)
    if not estimate:
        return Section("recall", "How many matches are missed?", "No likely match was found.", [chart])
    answer = f"About {count(estimate['matches_missed'])} matches were never brought together, as estimated."
    if true:
        answer += f" Labels say: {count(true['true_pairs'] - true['found'])}."
    chao = f"Chao's bound, which assumes less: recall is at most about {share(estimate['chao_recall'])}."
    return Section("recall", "How many matches are missed?", answer, [chart, Text(_ASSUMES, True), Text(chao, True)])


def _hot(chosen: list[dict[str, Any]]) -> Section:
    hot = [rule for rule in chosen if rule["hot_keys"]]
    cells = [
        (
            _words(rule["rule"]),
            count(rule["hot_keys"]),
            count(rule["hottest_records"]),
            str(rule["hottest_example"]),
            _words(rule["split_by"] or "-"),
            count(rule["split_pairs"]),
            count(rule["hot_pairs"]),
        )
        for rule in hot
    ]
    names = ("records that share", "hot keys", "records of the hottest", "one of them", "split by", "kept", "skipped")
    skipped = sum(rule["hot_pairs"] for rule in hot)
    if not hot:
        return Section("hot", "Which keys are shared by too many?", "None.", [])
    answer = f"{plural(skipped, 'pair')} on keys that are shared by too many were skipped; some come by other rules."
    return Section(
        "hot", "Which keys are shared by too many?", answer, [DataTable("Hot keys", names, cells, frozenset({3, 4}))]
    )


def _hubs(report: dict[str, Any]) -> Section:
    hubs = report["hubs"]
    if not hubs["largest"]:
        return Section("hubs", "Which values belong to no single person?", "None stands out.", [])
    kinds = [{"kind": _words(kind), "values": number} for kind, number in sorted(hubs["values_by_kind"].items())]
    cells = [
        (
            _words(hub["kind"]),
            hub["record_id"],
            count(hub["records"]),
            count(hub["names"]),
            count(hub["births"]),
            hub["why"],
        )
        for hub in hubs["largest"]
    ]
    names = ("kind", "a record that has it", "records", "names", "births", "why")
    blocks: list[Block] = [
        Chart("Hub values by kind", bars(kinds, Field("kind", "kind"), Field("values", "values", ","))),
        DataTable("The largest", names, cells, frozenset({1, 5})),
    ]
    values = plural(sum(hubs["values_by_kind"].values()), "value")
    answer = f"{values} shared by far more names than usual; none blocks alone."
    return Section("hubs", "Which values belong to no single person?", answer, blocks)


def _words(name: str) -> str:
    return name.replace("attribute_", "").replace("+", " + ").replace("_", " ")
