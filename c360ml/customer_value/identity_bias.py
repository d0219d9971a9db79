"""What wrong identities do to the models: duplicates and false merges put into the project's own data, and refitted.

The customers at hand are taken for the truth. Then each record beyond a customer's first leaves to be a customer of
its own, with the rate of missed links; and each customer is merged into another, drawn at random, with the rate of
false merges. What the refitted parameters and the total value move by is the bias that errors of this rate cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from c360ml.customer_value.fitting import ModelName, fit_models
from c360ml.customer_value.history import history_of
from c360ml.customer_value.saved_models import SavedModels
from c360ml.customer_value.step import MODEL_FILE
from c360ml.customer_value.transactions import Day, Refunds, collect_purchase_days
from c360ml.errors import C360Error, ConfigError, DataError
from c360ml.lakehouse import Lakehouse, as_relation, connect, day_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from c360ml.config import Config

BIAS_FILE = "models/identity_bias.json"
"""What the last run measured, as `bias_of_project` tells it."""

AS_RESOLVED = "as resolved"
REPEATS = 3
MOST_CUSTOMERS = 50_000
"""Customers that a project's simulation looks at: enough for biases above a per cent."""

_PEOPLE = """
    create or replace temp table simulated_people as
    select customer, record,
           row_number() over (partition by customer order by record) > 1 as is_further
    from (select distinct customer, record from simulated_sales where customer is not null)
"""
_UNIT = "hash({what}, $seed) / 18446744073709551616.0"
_KEYS = f"""
    create or replace temp table simulated_keys as
    with customers as (
        select customer, {_UNIT.format(what="customer, 'merged'")} < $false_rate as is_merged
        from (select distinct customer from simulated_people)
    ),
    -- Whoever is merged goes to one who is not.
    kept as (
        select customer, row_number() over (order by customer) - 1 as number from customers where not is_merged
    ),
    targets as (
        select customers.customer, coalesce(kept.customer, customers.customer) as target
        from customers
        left join kept
            on is_merged
            and number = hash(customers.customer, 'into', $seed) % (select greatest(count(*), 1) from kept)
    )
    select customer, record,
           case when is_further and {_UNIT.format(what="customer, record, 'left'")} < $missed_rate
                then concat('alone ', customer, ' ', record) else concat('one ', target) end as simulated
    from simulated_people join targets using (customer)
"""
_SALES = """
    select simulated, occurred_on, amount from simulated_sales join simulated_keys using (customer, record)
"""
_PROJECT_SALES = f"""
    select master_id as customer, record_id as record, {day_of("occurred_at")} as occurred_on, amount
    from gold.interactions
    where interaction_type = 'PURCHASE' and master_id is not null
      and hash(master_id) / 18446744073709551616.0 < $share
    union all
    select master_id, record_id, null, null from silver.identities
    where hash(master_id) / 18446744073709551616.0 < $share
"""


@dataclass(frozen=True)
class _Terms:
    observation_end: Day | None
    refunds: Refunds
    model: ModelName
    horizon_weeks: float
    discount_rate_per_year: float
    factor: float


def identity_bias(
    purchases: Any,
    *,
    customer: str,
    record: str,
    date: str,
    amount: str,
    missed_rate: float,
    false_rate: float,
    repeats: int = REPEATS,
    seed: int = 1,
    observation_end: Day | None = None,
    horizon_weeks: float = 52,
    discount_rate_per_year: float = 0.10,
    refunds: Refunds = "net",
    model: ModelName = "bg_nbd",
) -> list[dict[str, Any]]:
    """Put missed links and false merges into purchases, and refit; one row for each scenario.

    Args:
        purchases: table with a row for each purchase.
        customer: column of the customer, taken for the truth.
        record: column of the record that the purchase came by.
        date: column of the day.
        amount: column of the amount.
        missed_rate: share of the records beyond a customer's first that are taken for somebody else.
        false_rate: share of the customers who are merged with another.
        repeats: how often each scenario is drawn; the mean is told.
        seed: of the draws.
        observation_end: last observed day; without it the latest purchase's.
        horizon_weeks: weeks ahead that value covers.
        discount_rate_per_year: of future spend.
        refunds: what to do with negative amounts.
        model: model of purchases.

    Returns:
        `scenario` (as resolved, missed links, false merges, both), `customers` with a purchase, `params`, `total`
        (projected value), and `total_change` against as resolved; `params_change` likewise.

    Raises:
        ConfigError: a rate is no share.
        DataError: the data cannot carry a forecast.
    """
    for name, rate in (("missed_rate", missed_rate), ("false_rate", false_rate)):
        if not 0 <= rate < 1:
            raise ConfigError(f"{name} must be a share below 1", got=rate, hint="0.05 is 5 %")
    terms = _Terms(observation_end, refunds, model, horizon_weeks, discount_rate_per_year, 1.0)
    with connect() as con:
        given = as_relation(con, purchases)
        sales = given.project(
            f'"{customer}" as customer, "{record}" as record, "{date}" as occurred_on, "{amount}" as amount'
        )
        sales.create("simulated_sales")
        return _scenarios(con, terms, missed_rate, false_rate, repeats, seed)


def bias_of_project(lake: Lakehouse, config: Config, rates: tuple[float, float] | None) -> dict[str, Any]:
    """Measure the bias at the error rates that the draws of identity expect; `rows` are as of `identity_bias`.

    Args:
        lake: the project.
        config: its settings.
        rates: of missed links and false merges; None if there are no draws.
    """
    if rates is None:
        return {"missed_rate": 0.0, "false_rate": 0.0, "rows": []}
    missed_rate, false_rate = rates
    content = lake.read_json(MODEL_FILE) or {}
    saved = SavedModels.read(content)
    customers = lake.one("select count(*) from gold.customer_value")
    share = min(1.0, MOST_CUSTOMERS / max(customers, 1))
    names: Mapping[str, ModelName] = {"BG/NBD": "bg_nbd", "MBG/NBD": "mbg_nbd", "Pareto/NBD": "pareto_nbd"}
    terms = _Terms(
        lake.one("select observation_end from gold.observation"),
        config.value.refunds,
        names[saved.models.purchases.kind],
        saved.horizon_weeks,
        saved.discount_rate_per_year,
        saved.factor,
    )
    lake.rows(f"create or replace temp table simulated_sales as {_PROJECT_SALES}", {"share": share})
    try:
        rows = _scenarios(lake.con, terms, missed_rate, false_rate, 1, 1)
    except C360Error as error:
        return {"missed_rate": missed_rate, "false_rate": false_rate, "rows": [], "reason": error.rule}
    finally:
        lake.rows("drop table simulated_sales")
    return {"missed_rate": missed_rate, "false_rate": false_rate, "share_of_customers": share, "rows": rows}


def identity_bias_table(lake: Lakehouse) -> pa.Table:
    """Read what the last run measured at its own error rates: a row for each scenario and measure.

    Columns: `scenario` (as resolved, missed links, false merges, both), `measure` (customers, total, and the
    parameters of both models), `value`, and `change` against as resolved (null for customers).

    Raises:
        DataError: nothing was measured: no run, no forecast, or value.identity_draws is 0.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> row = {"scenario": "both", "customers": 10.0, "total": 50.0, "total_change": 0.02, "params": {"r": 0.5},
    ...     "params_change": {"r": 0.1}}
    >>> _ = lake.write_json(BIAS_FILE, {"rows": [row]})
    >>> identity_bias_table(lake).to_pydict()["change"]
    [None, 0.02, 0.1]
    """
    content = lake.read_json(BIAS_FILE) or {}
    rows = content.get("rows", [])
    if not rows:
        raise DataError(
            "the effect of identity errors must have been measured",
            got=content.get("reason", "no run with records in doubt"),
            hint="run with value.identity_draws above 0",
        )
    flat = [
        {"scenario": row["scenario"], "measure": measure, "value": float(value), "change": change}
        for row in rows
        for measure, value, change in (
            ("customers", row["customers"], None),
            ("total", row["total"], row["total_change"]),
            *((name, value, row["params_change"][name]) for name, value in row["params"].items()),
        )
    ]
    kinds = [("scenario", pa.string()), ("measure", pa.string()), ("value", pa.float64()), ("change", pa.float64())]
    return pa.Table.from_pylist(flat, schema=pa.schema(kinds))


def _scenarios(
    con: DuckDBPyConnection, terms: _Terms, missed_rate: float, false_rate: float, repeats: int, seed: int
) -> list[dict[str, Any]]:
    con.execute(_PEOPLE).fetchall()
    truth = _measure(con, terms, {"missed_rate": 0.0, "false_rate": 0.0, "seed": seed})
    rows = [_row(AS_RESOLVED, [truth], truth)]
    for scenario, missed, false in (
        ("missed links", missed_rate, 0.0),
        ("false merges", 0.0, false_rate),
        ("both", missed_rate, false_rate),
    ):
        found = [
            _measure(con, terms, {"missed_rate": missed, "false_rate": false, "seed": seed + turn})
            for turn in range(repeats)
        ]
        rows.append(_row(scenario, found, truth))
    for table in ("simulated_people", "simulated_keys"):
        con.execute(f"drop table {table}").fetchall()
    return rows


def _measure(con: DuckDBPyConnection, terms: _Terms, parameters: Mapping[str, Any]) -> dict[str, float]:
    """Refit under simulated identities: number of customers, total value, parameters."""
    con.execute(_KEYS, dict(parameters)).fetchall()
    days = collect_purchase_days(
        con,
        con.sql(_SALES).filter("occurred_on is not null"),
        customer="simulated",
        date="occurred_on",
        amount="amount",
        observation_end=terms.observation_end,
    )
    try:
        history = history_of(days, refunds=terms.refunds).to_arrow_table()
    finally:
        days.drop()
    models = fit_models(history, terms.model)
    saved = SavedModels(models, terms.horizon_weeks, terms.discount_rate_per_year, terms.factor)
    spend = models.gamma_gamma.params_ if models.gamma_gamma else {}
    return {
        "customers": history.num_rows,
        "total": float(saved.project(history).sum()),
        **models.purchases.params_,
        **spend,
    }


def _row(scenario: str, found: list[dict[str, float]], truth: Mapping[str, float]) -> dict[str, Any]:
    mean = {name: float(np.mean([each.get(name, np.nan) for each in found])) for name in truth}
    change = {name: mean[name] / truth[name] - 1 if truth[name] else 0.0 for name in truth}
    params = [name for name in truth if name not in ("customers", "total")]
    return {
        "scenario": scenario,
        "customers": mean["customers"],
        "total": mean["total"],
        "total_change": change["total"],
        "params": {name: mean[name] for name in params},
        "params_change": {name: change[name] for name in params},
    }
