"""The pipeline's step: value every buying customer of the lakehouse."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.customer_value.transactions import collect_purchase_days
from c360ml.customer_value.valuation import FORMAT, VALUE_COLUMNS, Terms, Valuation, value_days
from c360ml.customer_value.value_inputs import note_valued
from c360ml.errors import DataError
from c360ml.lakehouse import day_of

if TYPE_CHECKING:
    from c360ml.config import Config
    from c360ml.lakehouse import Lakehouse

MODEL_FILE = "models/customer_value.json"

PURCHASES = f"""
select master_id as customer_id, {day_of("occurred_at")} as occurred_on, amount
from gold.interactions
where interaction_type = 'PURCHASE' and master_id is not null
"""


def value_customers(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Value the customers who bought: gold.interactions to gold.customer_value and the model file.

    Without purchases the table is empty; with too few to forecast, past values stand alone.
    """
    observation_end = lake.one("select observation_end from gold.observation")
    try:
        days = collect_purchase_days(
            lake.con,
            lake.sql(PURCHASES),
            customer="customer_id",
            date="occurred_on",
            amount="amount",
            observation_end=observation_end,
        )
    except DataError as error:
        return _write_nothing(lake, f"{error.rule}. Got {error.got}.")
    try:
        valuation = value_days(
            days,
            holdout_start=_holdout_start(observation_end, config.value.holdout_weeks),
            terms=Terms(**config.value.model_dump(exclude={"holdout_weeks", "identity_draws"})),
        )
    except DataError as error:
        return _write_nothing(lake, f"{error.rule}. Got {error.got}.")
    finally:
        days.drop()
    summary = valuation.metrics | _curves(valuation)
    _write(lake, valuation, {"settings": settings_of(config), "summary": summary})
    return summary


def settings_of(config: Config) -> dict[str, Any]:
    """Give the settings that models are fitted and customers valued under, as plain JSON."""
    return config.value.model_dump(mode="json", exclude={"identity_draws"})


def _holdout_start(observation_end: date, weeks: int) -> date | None:
    return observation_end - timedelta(days=7 * weeks - 1) if weeks else None


def _write(lake: Lakehouse, valuation: Valuation, fit: dict[str, Any]) -> None:
    lake.con.register("valued_customers", valuation.table)
    columns = ", ".join(VALUE_COLUMNS)
    lake.write(tables.CUSTOMER_VALUE, f"select {columns} from valued_customers order by customer_id")
    lake.con.unregister("valued_customers")
    lake.write_json(MODEL_FILE, valuation.model | {"fit": fit})
    note_valued(lake, lake.read_json(MODEL_FILE))


def _curves(valuation: Valuation) -> dict[str, Any]:
    return {} if valuation.backtest is None else valuation.backtest.curves()


def _write_nothing(lake: Lakehouse, reason: str) -> dict[str, Any]:
    columns = ", ".join(f"null as {name}" for name in VALUE_COLUMNS)
    lake.write(tables.CUSTOMER_VALUE, f"select {columns} where false")
    lake.write_json(MODEL_FILE, {"format": FORMAT, "fitted": False, "reason": reason})
    note_valued(lake, lake.read_json(MODEL_FILE))
    return {
        "fitted": False,
        "reason": reason,
        "customers": 0,
        "repeat_buyers": 0,
        "historical_value": 0.0,
        "projected_value": None,
        "holdout": None,
    }
