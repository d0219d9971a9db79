"""The report of one valued table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.dashboards.formats import count, plural, ratio, share
from c360ml.dashboards.page import DataTable, Kpi, Page, Section
from c360ml.dashboards.provenance import versions_table
from c360ml.dashboards.worth import Terms, worth_section
from c360ml.lakehouse import as_relation, connect

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from c360ml.pipeline import ValuedTable

REPORT_FILE = "report.html"

_COUNTED = {
    "rows": "rows read",
    "without_customer": "without customer",
    "without_date": "without date",
    "without_amount": "without amount",
    "after_observation_end": "after the observation end",
    "refunds": "refunds",
    "cancelled_purchases": "purchases paid back on the same day",
    "customers_with_refunds": "customers with refunds",
    "customers_with_refunds_only": "customers with refunds only",
}


def write_value_report(valued: ValuedTable, currency: str | None = None) -> Path:
    """Write `report.html` beside the answers of `c360ml value`.

    Args:
        valued: what `value_table` found.
        currency: code of the amounts, if it is known.
    """
    summary = valued.metrics | _curves(valued)
    terms = Terms(currency, valued.model["customer_value"]["horizon_weeks"])
    with connect() as con:
        _open_answers(con, valued)
        worth = worth_section(con, summary, terms, tiers=False, clusters=valued.model["kmeans"])
    page = Page(
        title=f"Customer value: {valued.file}",
        subtitle=f"Observed until {valued.metrics['transactions']['observation_end']}."
        + (f" Amounts in {currency}." if currency else ""),
        kpis=_kpis(valued, terms),
        sections=(_incoming(valued), worth, _provenance(valued)),
    )
    return page.write(valued.folder / REPORT_FILE)


def _curves(valued: ValuedTable) -> dict[str, Any]:
    tested = valued.valuation.backtest
    return {} if tested is None else tested.curves()


def _open_answers(con: DuckDBPyConnection, valued: ValuedTable) -> None:
    """Show the answers under the lakehouse's names, so that the same questions can be asked."""
    con.execute("create schema gold").fetchall()
    as_relation(con, valued.customers).create_view("valued_customers")
    columns = ", ".join(tables.CUSTOMER_VALUE.columns)
    con.execute(f"create view gold.customer_value as select {columns} from valued_customers").fetchall()
    con.execute("""
        create view gold.customer_segments as
        select customer_id as master_id, rfm_score, rfm_segment, kmeans_segment from valued_customers
    """).fetchall()


def _kpis(valued: ValuedTable, terms: Terms) -> tuple[Kpi, ...]:
    metrics = valued.metrics
    repeat = share(ratio(metrics["repeat_buyers"], metrics["customers"]), 0)
    kpis = [
        Kpi("Customers", count(metrics["customers"]), f"{repeat} bought again"),
        Kpi("Historical value", terms.money(metrics["historical_value"])),
    ]
    if metrics.get("projected_value") is not None:
        kpis.append(
            Kpi("Projected value", terms.money(metrics["projected_value"]), f"next {terms.horizon_weeks:g} weeks")
        )
        kpis.append(
            Kpi("Expected purchases", count(metrics["expected_purchases"]), f"next {terms.horizon_weeks:g} weeks")
        )
    return tuple(kpis)


def _incoming(valued: ValuedTable) -> Section:
    counts = valued.metrics["transactions"]
    rows = [(title, count(counts[name])) for name, title in _COUNTED.items() if name in counts]
    answer = (
        f"{plural(counts['rows'], 'transaction')} of {plural(valued.metrics['customers'], 'buyer')} until"
        f" {counts['observation_end']}."
    )
    table = DataTable("Transactions", ("what", "number"), rows, note=counts["refund_policy"], half=True)
    return Section("incoming", "What came in?", answer, [table])


def _provenance(valued: ValuedTable) -> Section:
    model = valued.model["customer_value"]
    terms = [
        ("observation end", model["observation_end"]),
        ("horizon, weeks", f"{model['horizon_weeks']:g}"),
        ("discount rate per year", share(model["discount_rate_per_year"])),
        ("margin", share(model["margin"])),
        ("refunds", model["refunds"]),
        ("time unit", model["time_unit"]),
        ("purchases merged by", model["grain"]),
    ]
    files = [
        ("customer_value.parquet", "one row a customer"),
        ("model.json", "the fitted models"),
        ("metrics.json", "counts, parameters, holdout errors"),
    ]
    blocks = [
        DataTable("Settings", ("setting", "value"), terms, texts=frozenset({1}), half=True),
        DataTable("Files beside this report", ("file", "what it holds"), files, texts=frozenset({1}), half=True),
        versions_table(),
    ]
    answer = f"From the table {valued.file}; the answers are in the folder of this report."
    return Section("provenance", "Where do the figures come from?", answer, blocks)
