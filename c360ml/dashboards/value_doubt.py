"""How sure values are: the total, the customers in doubt, what errors of identity do, what the model believes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml.customer_value.fitting import read_purchase_model
from c360ml.dashboards.asking import Row, ask, ask_one
from c360ml.dashboards.charts import Field, histogram, intervals
from c360ml.dashboards.formats import UNKNOWN, count, measure, plural, share
from c360ml.dashboards.page import Block, Chart, DataTable, Section, Text
from c360ml.dashboards.purchase_charts import alive_chart, alive_rows, belief_grid, belief_rows
from c360ml.lakehouse import day_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from c360ml.dashboards.worth import Terms

_SHARES = """
    with bins as (select unnest(range(20)) as bin),
    known as (
        select least(floor(identity_share * 20), 19)::int as bin from gold.value_uncertainty where identity_share > 0
    )
    select bin / 20 as low, (bin + 1) / 20 as high, count(known.bin) as customers
    from bins left join known using (bin) group by bin order by bin
"""
_WIDEST = """
    select master_id, value, lower, upper, identity_share, len(doubtful_records) as records,
           coalesce(record_id_l || ' and ' || record_id_r, '') as pair, value_at_stake
    from gold.value_uncertainty where identity_share > 0
    order by identity_share * (upper - lower) desc, master_id limit 12
"""
_AGES = "select quantile_cont(age_weeks, 0.5) as age, max(age_weeks) as greatest from gold.customer_value"
# The customer with most repeat purchases who fell silent for at least a quarter of their time.
_LIFE = f"""
    with silent as (
        select customer_id from gold.customer_value
        where age_weeks - first_to_last_purchase_weeks > age_weeks / 4
        order by repeat_purchases desc, customer_id limit 1
    )
    select distinct {day_of("occurred_at")} as day from gold.interactions
    where interaction_type = 'PURCHASE' and coalesce(amount, 0) >= 0 and master_id = (select customer_id from silent)
    order by day
"""


def doubt_section(
    con: DuckDBPyConnection, summary: dict[str, Any], terms: Terms, model: dict[str, Any] | None
) -> Section:
    """Show how far identity and parameters leave values open, and what the model of purchases believes.

    Args:
        con: holds `gold.value_uncertainty`, `gold.customer_value`, `gold.interactions` and `gold.observation`.
        summary: what the step `value_doubt` said.
        terms: currency and horizon.
        model: the saved models of value.
    """
    question = "How sure are the values?"
    if "total" not in summary:
        return Section("doubt", question, f"No intervals were worked out: {summary.get('reason', 'no forecast')}.")
    total = summary["total"]
    answer = (
        f"All customers together are worth {terms.money(total['lower'])} to {terms.money(total['upper'])} within"
        f" {plural(terms.horizon_weeks, 'week')} (90% interval); {share(total['identity_share'])} of that doubt is"
        f" about who is who. {plural(summary['customers_in_doubt'], 'customer')} have records in doubt."
    )
    blocks: list[Block] = [*_totals(total, terms), *_widest(con, terms), *_shares(con), *_bias(summary["bias"], terms)]
    if model and model.get("fitted"):
        blocks += _beliefs(con, model)
    return Section("doubt", question, answer, blocks)


def _totals(total: Row, terms: Terms) -> list[Block]:
    kinds = {
        "both doubts": total,
        "parameters alone": total["parameters_alone"],
        "identity alone": total["identity_alone"],
    }
    rows: list[Row] = [
        {"kind": kind, "change": one["mean"] / total["value"] - 1, "low": one["lower"] / total["value"] - 1,
         "high": one["upper"] / total["value"] - 1, "said": one}
        for kind, one in kinds.items()
    ]  # fmt: skip
    spec = intervals(
        [{name: cell for name, cell in row.items() if name != "said"} for row in rows],
        Field("kind", "doubt about"),
        Field("change", "total value against the estimate", ".2%"),
        Field("low", "low end (90%)", ".2%"),
        Field("high", "high end (90%)", ".2%"),
    )
    table = DataTable(
        "Total projected value",
        ("doubt", "mean", "from", "to"),
        [(row["kind"], *(terms.money(row["said"][name]) for name in ("mean", "lower", "upper"))) for row in rows],
    )
    note = (
        f"Zero is the estimate, {terms.money(total['value'])}. Intervals are of the expected total, not of what comes."
    )
    return [Chart("How far the total may be off", spec, note=note, numbers=table, half=True)]


def _shares(con: DuckDBPyConnection) -> list[Block]:
    rows = ask(con, _SHARES)
    if not any(row["customers"] for row in rows):
        return []
    spec = histogram(
        rows,
        Field("low", "share of the variance that is doubt about identity", ".0%"),
        Field("high", "to", ".0%"),
        Field("customers", "customers", ","),
    )
    mostly = sum(row["customers"] for row in rows if row["low"] >= 0.5)
    title = f"For {plural(mostly, 'customer')} identity is the greater doubt"
    return [Chart(title, spec, note="Customers with records in doubt only.", half=True)]


def _widest(con: DuckDBPyConnection, terms: Terms) -> list[Block]:
    rows = ask(con, _WIDEST)
    if not rows:
        return [Text("No record is in doubt.")]
    cells = [
        (row["master_id"], terms.money(row["value"]), f"{terms.money(row['lower'])} to {terms.money(row['upper'])}",
         share(row["identity_share"], 0), count(row["records"]), row["pair"] or UNKNOWN,
         terms.money(row["value_at_stake"]))
        for row in rows
    ]  # fmt: skip
    columns = (
        "customer",
        "projected value",
        "90% interval",
        "identity",
        "records in doubt",
        "pair to look at",
        "at stake",
    )
    note = (
        "`c360ml review` asks for pairs by what is at stake. At stake: past and projected value that the answer moves."
    )
    return [DataTable("Where doubt about identity costs most", columns, cells, texts=frozenset({5}), note=note)]


def _bias(bias: Row, terms: Terms) -> list[Block]:
    rows = bias["rows"]
    if not rows:
        return []
    cells = [
        ("buyers", *(count(row["customers"]) for row in rows)),
        ("total value", *(f"{terms.money(row['total'])} ({_change(row['total_change'])})" for row in rows)),
        *(
            (name, *(f"{measure(row['params'][name])} ({_change(row['params_change'][name])})" for row in rows))
            for name in rows[0]["params"]
        ),
    ]
    note = (
        f"Errors put into the project's own customers, and refitted: {share(bias['missed_rate'])} of further records"
        f" split off, {share(bias['false_rate'])} of customers merged with another, the rates that the calibrated match"
        " probabilities expect. Pairs that blocking never compared are not in them."
    )
    columns = ("measure", *(row["scenario"] for row in rows))
    return [DataTable("What errors of identity do to the models", columns, cells, note=note)]


def _change(change: float) -> str:
    return "as is" if change == 0 else f"{100 * change:+.1f}%"


def _beliefs(con: DuckDBPyConnection, content: dict[str, Any]) -> list[Block]:
    model = read_purchase_model(content["purchase_model"])
    age = round(ask_one(con, _AGES)["age"])
    if age < 4:
        return []
    horizon = content["horizon_weeks"]
    rows = belief_rows(model, age_weeks=float(age), weeks_ahead=horizon)
    grids: list[Block] = [
        Chart(
            f"Who is still a customer, {count(age)} weeks after the first purchase?",
            belief_grid(rows, Field("probability_alive", "probability of still being a customer", ".0%")),
            note=f"{model.kind}: the longer a frequent buyer is silent, the likelier they have left.",
            half=True,
        ),
        Chart(
            f"Purchases expected within {plural(horizon, 'week')}",
            belief_grid(rows, Field("expected_purchases", "purchases expected", ".2f")),
            note=f"Of customers whose first purchase was {count(age)} weeks ago, the median.",
            half=True,
        ),
    ]
    days = [row["day"] for row in ask(con, _LIFE)]
    end = ask_one(con, "select observation_end from gold.observation")["observation_end"]
    if days and days[0] <= end:
        spec = alive_chart(alive_rows(model, days, end))
        title = "One customer's life: each purchase brings the probability of being one back"
        grids.append(Chart(title, spec, note="Points are purchases of a frequent buyer who fell silent."))
    return grids
