"""How sure the matches are: candidate pairs, weights, kinds of pairs, and measures against labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml.dashboards.asking import Row, ask, ask_one
from c360ml.dashboards.charts import Colour, Field, bars, dots, histogram
from c360ml.dashboards.evaluation_page import evaluation_blocks, verdict
from c360ml.dashboards.formats import count, measure, plural, ratio, share
from c360ml.dashboards.page import Block, Chart, DataTable, Section, Text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BIN = 2
_LOW, _HIGH = -6, 40
_WEIGHTS = """
    with pairs as (
        select
            least(floor(match_weight / $bin) * $bin, $high) as low,
            case
                when is_link then 'joined'
                when household_probability >= 0.5 then 'apart: one household'
                else 'apart'
            end as decision
        from silver.links
        where match_weight >= $low
    )
    select low, low + $bin as high, decision, count(*) as pairs from pairs group by all order by low, decision
"""
_DECISIONS = ("joined", "apart", "apart: one household")
_CLASS_MEANINGS = {
    "person": "both records are one person",
    "household": "two people of one household",
    "namesake": "two people with one name",
    "contact": "two people with one e-mail, phone or address",
    "unrelated": "two people with nothing in common but chance",
}
_MOST_RULES = 20
_HARDLY_ANY = 0.05


def matches_section(con: DuckDBPyConnection, summary: dict[str, Any], evaluation: dict[str, Any]) -> Section:
    """Show how records were linked and how right that is.

    Args:
        con: holds `silver.links`.
        summary: what the linkage said of its fit.
        evaluation: measures against labels; empty without labels.
    """
    links, candidates = summary["links"], summary["candidate_pairs"]
    answer = (
        f"Of {plural(candidates, 'candidate pair')}, {count(links)} are more likely one person than not"
        f" (match probability above {measure(summary['threshold'], 2)})."
    )
    if evaluation:
        answer += f" {verdict(evaluation)}"
    blocks = [*evaluation_blocks(evaluation), *_weights(con), *_classes(summary), *_rules(summary)]
    return Section("matches", "How sure are the matches?", answer, blocks)


def _weights(con: DuckDBPyConnection) -> list[Block]:
    rows = ask(con, _WEIGHTS, bin=_BIN, low=_LOW, high=_HIGH - _BIN)
    below = ask_one(con, "select count(*) as pairs from silver.links where match_weight < $low", low=_LOW)["pairs"]
    if not rows:
        return [Text("No pair of records was alike enough to be kept.")]
    total = sum(row["pairs"] for row in rows)
    unsure = sum(row["pairs"] for row in rows if -4 <= row["low"] < 4)
    present = tuple(name for name in _DECISIONS if any(row["decision"] == name for row in rows))
    spec = histogram(
        rows,
        Field("low", "match weight, log2 of the odds", ".0f"),
        Field("high", "to", ".0f"),
        Field("pairs", "pairs", ","),
        colour=Colour("decision", "decision", present),
    )
    table = DataTable(
        "Match weights",
        ("weight from", "to", "decision", "pairs"),
        [(measure(row["low"], 0), measure(row["high"], 0), row["decision"], count(row["pairs"])) for row in rows],
        texts=frozenset({2}),
    )
    title = f"{share(ratio(unsure, total))} of the scored pairs are unsure, with a weight between -4 and 4"
    note = f"0 is even odds, 10 is a thousand to one. The last bar holds all from {_HIGH - _BIN} on."
    if below:
        note += f" Not drawn: {plural(below, 'pair')} below {_LOW}, kept as likely two people of one household."
    return [Chart(title, spec, note=note, numbers=table, legend=present, half=True)]


def _classes(summary: dict[str, Any]) -> list[Block]:
    rows = [
        {"kind": kind, "meaning": _CLASS_MEANINGS.get(kind, ""), "pairs": pairs}
        for kind, pairs in summary["pairs_by_class"].items()
        if pairs >= 1
    ]
    if not rows:
        return []
    table = DataTable(
        "Pairs of each kind",
        ("kind", "meaning", "pairs"),
        [(row["kind"], row["meaning"], count(row["pairs"])) for row in rows],
        texts=frozenset({1}),
    )
    spec = dots(
        rows,
        Field("kind", "kind of pair"),
        Field("pairs", "pairs in the whole file (log scale)", ",.0f"),
        log=True,
        more=(Field("meaning", "meaning"),),
    )
    sizes = {row["kind"]: row["pairs"] for row in rows}
    title = "Which kinds of pairs are there?"
    if "household" in sizes and "person" in sizes:
        shared = sizes["household"] / sizes["person"]
        title = f"For each pair that is one person, {measure(shared, 2)} pairs only share a household"
        if shared < _HARDLY_ANY:
            title = "Hardly any pair is of two people who only share a household"
    note = f"Estimated by the model in {plural(summary['iterations'], 'iteration')}."
    if not summary["converged"]:
        note += " The estimation did not converge."
    return [Chart(title, spec, note=note, numbers=table, half=True)]


def _rules(summary: dict[str, Any]) -> list[Block]:
    chosen: list[Row] = [rule for rule in summary["blocking_rules"] if rule["chosen"]]
    if not chosen:
        return []
    chosen.sort(key=lambda rule: (-rule["pairs"], rule["rule"]))
    table = DataTable(
        "Blocking rules", ("records that share", "pairs"), [(rule["rule"], count(rule["pairs"])) for rule in chosen]
    )
    rows = [{"rule": rule["rule"].replace("+", " + ").replace("_", " "), "pairs": rule["pairs"]} for rule in chosen]
    spec = bars(rows[:_MOST_RULES], Field("rule", "records that share"), Field("pairs", "pairs", ","))
    left_out = len(summary["blocking_rules"]) - len(chosen)
    note = "A pair may come by several rules." + (
        f" The {_MOST_RULES} largest of {len(rows)}." if len(rows) > _MOST_RULES else ""
    )
    note += f" {plural(left_out, 'rule')} would have added too few matches for their pairs." if left_out else ""
    title = f"Which pairs were compared? Most come by {rows[0]['rule']}"
    return [Chart(title, spec, note=note, numbers=table)]
