"""The report of a project's run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.dashboards.campaign_results import campaigns_section
from c360ml.dashboards.drift_page import drift_section
from c360ml.dashboards.formats import count, measure, ratio, share
from c360ml.dashboards.incoming import incoming_section
from c360ml.dashboards.level_weights import level_weights
from c360ml.dashboards.matches import matches_section
from c360ml.dashboards.page import Kpi, Page, Section
from c360ml.dashboards.people import people_section
from c360ml.dashboards.provenance import provenance_section
from c360ml.dashboards.value_doubt import doubt_section
from c360ml.dashboards.worth import Terms, worth_section

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult
    from c360ml.tracking import Drift

REPORT_FILE = "report.html"
VEGA_FOLDER = "data"
"""Folder of the project that keeps the Vega libraries."""
LINKAGE_FILE = "models/linkage.json"
SEGMENTS_FILE = "models/segments.json"
VALUE_FILE = "models/customer_value.json"


def write_run_report(lake: Lakehouse, result: RunResult, *, drift: Drift | None = None) -> Path:
    """Write `report.html` into the project: what came in, who the customers are, what they are worth.

    Args:
        lake: the project's open lakehouse.
        result: what the run said of itself.
        drift: the run against the champion's; without it the report does not tell.
    """
    lake.say("writing the report")
    for table in tables.ALL:
        lake.open(table)
    config, value = result.config, result.summary("value")
    terms = Terms(config.project.currency, config.value.horizon_weeks)
    page = Page(
        title=f"Customer 360: {config.project.name}",
        subtitle=_subtitle(lake, result),
        kpis=_kpis(lake, result, terms),
        sections=(
            incoming_section(lake.con),
            _matches(lake, result),
            people_section(lake.con),
            worth_section(lake.con, value, terms, clusters=(lake.read_json(SEGMENTS_FILE) or {}).get("kmeans")),
            doubt_section(lake.con, result.summary("value_doubt"), terms, lake.read_json(VALUE_FILE)),
            campaigns_section(
                lake.con,
                config.project.currency,
                config.campaigns.conversion_window_days,
                config.campaigns.attribution,
            ),
            *(() if drift is None else (drift_section(drift),)),
            provenance_section(lake, result),
        ),
    )
    return page.write(result.folder / REPORT_FILE, kept=result.folder / VEGA_FOLDER)


def _matches(lake: Lakehouse, result: RunResult) -> Section:
    section = matches_section(lake.con, result.summary("link"), result.evaluation)
    model = lake.read_json(LINKAGE_FILE)
    worth = level_weights(model["classes"]) if model else []
    return Section(section.anchor, section.question, section.answer, [*section.blocks, *worth])


def _subtitle(lake: Lakehouse, result: RunResult) -> str:
    seen = lake.rows("select observation_start, observation_end from gold.observation")
    span = f"Interactions from {seen[0][0]} to {seen[0][1]}. " if seen and seen[0][0] else ""
    return f"{span}Amounts in {result.config.project.currency}. Run {result.run_id}."


def _kpis(lake: Lakehouse, result: RunResult, terms: Terms) -> tuple[Kpi, ...]:
    validate, link, identify = (result.summary(name) for name in ("validate", "link", "identify"))
    value: dict[str, Any] = result.summary("value")
    kpis = [
        Kpi("Rows read", count(validate["read"]), f"{share(ratio(validate['rejected'], validate['read']))} refused"),
        Kpi("Customers", count(identify["customers"]), f"from {count(link['records'])} records"),
        Kpi("Households", count(identify["households"]), f"{_per_household(identify)} customers each"),
        _accuracy(result),
        Kpi("Historical value", terms.money(value["historical_value"]), f"{count(value['customers'])} buyers"),
    ]
    if value["projected_value"] is not None:
        kpis.append(
            Kpi("Projected value", terms.money(value["projected_value"]), f"next {terms.horizon_weeks:g} weeks")
        )
    return tuple(kpis)


def _per_household(identify: dict[str, Any]) -> str:
    return measure(ratio(identify["customers"], identify["households"]), 2)


def _accuracy(result: RunResult) -> Kpi:
    evaluation = result.evaluation
    if "b3_f1" in evaluation:
        return Kpi("Match accuracy", share(evaluation["b3_f1"]), "B-cubed F1 against true people")
    if "labelled_f1" in evaluation:
        return Kpi("Match accuracy", share(evaluation["labelled_f1"]), "F1 on labelled pairs")
    return Kpi("Links", count(result.summary("link")["links"]), "no labels to measure against")
