"""The report of one linked table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from c360ml.dashboards.formats import count, measure, plural, share
from c360ml.dashboards.level_weights import level_weights
from c360ml.dashboards.matches import matches_section
from c360ml.dashboards.page import DataTable, Kpi, Page, Section
from c360ml.dashboards.people import people_section
from c360ml.dashboards.provenance import versions_table
from c360ml.lakehouse import as_relation, connect

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from c360ml.pipeline import LinkedTable

REPORT_FILE = "report.html"

_LINKS = """
    create view silver.links as
    select pairs.*, null::double as household_probability, l.master_id = r.master_id as is_link
    from linked_pairs pairs
    join silver.identities l on l.record_id = pairs.record_id_l
    join silver.identities r on r.record_id = pairs.record_id_r
"""


def write_link_report(linked: LinkedTable) -> Path:
    """Write `report.html` beside the answers of `c360ml link`.

    Args:
        linked: what `link_table` found.
    """
    fit, evaluation = linked.metrics["fit"], linked.metrics["evaluation"]
    with connect() as con:
        _open_answers(con, linked)
        matches, people = matches_section(con, fit, evaluation), people_section(con, project=False)
    classes = json.loads((linked.folder / "model.json").read_text("utf-8"))["classes"]
    page = Page(
        title=f"Linked: {linked.file}",
        subtitle=f"{plural(fit['records'], 'record')}, compared by {', '.join(map(_words, fit['comparisons']))}.",
        kpis=_kpis(linked),
        sections=(
            people,
            Section(matches.anchor, matches.question, matches.answer, [*matches.blocks, *level_weights(classes)]),
            _provenance(linked),
        ),
    )
    return page.write(linked.folder / REPORT_FILE)


def _open_answers(con: DuckDBPyConnection, linked: LinkedTable) -> None:
    """Show the answers under the lakehouse's names, so that the same questions can be asked."""
    con.execute("create schema silver").fetchall()
    as_relation(con, linked.people).create_view("linked_people")
    as_relation(con, linked.pairs).create_view("linked_pairs")
    con.execute("create view silver.identities as from linked_people").fetchall()
    con.execute(_LINKS).fetchall()


def _kpis(linked: LinkedTable) -> tuple[Kpi, ...]:
    fit, evaluation = linked.metrics["fit"], linked.metrics["evaluation"]
    kpis = [
        Kpi("Records", count(fit["records"])),
        Kpi("People", count(fit["customers"]), f"{measure(fit['records_per_customer'], 2)} records each"),
        Kpi("Households", count(fit["households"])),
        Kpi("Links", count(fit["links"]), f"of {count(fit['candidate_pairs'])} candidate pairs"),
    ]
    if "b3_f1" in evaluation:
        kpis.append(Kpi("Match accuracy", share(evaluation["b3_f1"]), "B-cubed F1 against the truth"))
    return tuple(kpis)


def _provenance(linked: LinkedTable) -> Section:
    files = [
        ("people.parquet", "record_id, master_id, household_id"),
        ("pairs.parquet", "record_id_l, record_id_r, match_weight, match_probability"),
        ("model.json", "the linkage model: comparisons, blocking rules, classes"),
        ("metrics.json", "what the fit says, and measures if truth was given"),
    ]
    blocks = [DataTable("Files beside this report", ("file", "what it holds"), files, texts=frozenset({1}), half=True)]
    answer = f"From the table {linked.file}; the answers are in the folder of this report."
    return Section("provenance", "Where do the figures come from?", answer, [*blocks, versions_table()])


def _words(name: str) -> str:
    return name.removeprefix("attribute_").replace("_", " ")
