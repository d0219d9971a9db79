"""Append: values of the customers whose purchases changed, by the models of the last run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.customer_value.history import describe_origin, history_of
from c360ml.customer_value.lifetime_value import add_value
from c360ml.customer_value.origin import with_origin
from c360ml.customer_value.saved_models import SavedModels
from c360ml.customer_value.step import MODEL_FILE, PURCHASES, settings_of, value_customers
from c360ml.customer_value.transactions import Refunds, collect_purchase_days
from c360ml.customer_value.valuation import VALUE_COLUMNS
from c360ml.customer_value.value_inputs import note_valued, to_value_again
from c360ml.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from c360ml.config import Config
    from c360ml.lakehouse import Lakehouse

_MONEY = ("historical_value", "projected_value", "value_year_1", "value_year_2", "value_year_3", "value_all_years")
_SUMS = f"""
    select
        count(*) as customers,
        count(*) filter (where repeat_purchases > 0) as repeat_buyers,
        count(*) filter (where repeat_purchases = 0) as one_time_buyers,
        coalesce(sum(repeat_purchases), 0)::bigint as repeat_purchases,
        sum(expected_purchases::decimal(38, 9))::double as expected_purchases,
        {", ".join(f"sum({name}::decimal(38, 6))::double as {name}" for name in _MONEY)}
    from {tables.CUSTOMER_VALUE.path}
"""


def append_values(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Value touched customers with the models as they are; row for row what valuing all of them would give.

    When the end of observation moved, all customers are older, so that all are valued. Without a fitted model, or
    with other settings than it was fitted under, models are learned: `value_customers`.

    Returns:
        What `value_customers` told of its fit, with today's counts and sums, and `valued_again`: how many customers.
    """
    content = lake.read_json(MODEL_FILE)
    fit = (content or {}).get("fit", {})
    if content is None or not content["fitted"] or fit.get("settings") != settings_of(config):
        return value_customers(lake, config)
    touched = to_value_again(lake, content)
    if touched is None:
        lake.say("valuing all customers with the models as they are")
        again = _write_all(lake, content, config)
    else:
        lake.open(tables.CUSTOMER_VALUE)
        with lake.scratch("touched_buyers", f"select master_id as customer_id from ({touched})"):
            again = int(lake.one("select count(*) from touched_buyers"))
            lake.say(f"valuing {again:,} touched customers")
            if again:
                _write_touched(lake, content, config)
    note_valued(lake, content)
    sums = lake.sql(_SUMS).to_arrow_table().to_pylist()[0]
    return {**fit["summary"], **sums, "valued_again": again}


def _write_all(lake: Lakehouse, content: Mapping[str, Any], config: Config) -> int:
    with _valued(lake, content, config, PURCHASES) as valued:
        return lake.write(tables.CUSTOMER_VALUE, f"{valued} order by customer_id")


def _write_touched(lake: Lakehouse, content: Mapping[str, Any], config: Config) -> None:
    theirs = f"from ({PURCHASES}) semi join touched_buyers using (customer_id)"
    with _valued(lake, content, config, theirs) as valued:
        lake.amend(tables.CUSTOMER_VALUE, f"{valued} order by customer_id", lost="touched_buyers")


@contextmanager
def _valued(lake: Lakehouse, content: Mapping[str, Any], config: Config, purchases: str) -> Iterator[str]:
    """Give SQL of the values of those who made some purchases, for the length of a `with` block."""
    try:
        history = _history(lake, purchases, config.value.refunds)
    except DataError:  # nobody of them has a purchase any more
        yield f"select {', '.join(f'null as {name}' for name in VALUE_COLUMNS)} where false"
        return
    models = SavedModels.read(content).models
    valued = add_value(
        models.purchases,
        models.expected_spend(history),
        history,
        **{name: content[name] for name in ("horizon_weeks", "discount_rate_per_year", "margin", "recalibration")},
    )
    lake.con.register("valued_customers", valued)
    try:
        yield f"select {', '.join(VALUE_COLUMNS)} from valued_customers"
    finally:
        lake.con.unregister("valued_customers")


def _history(lake: Lakehouse, purchases: str, refunds: Refunds) -> pa.Table:
    days = collect_purchase_days(
        lake.con,
        lake.sql(purchases),
        customer="customer_id",
        date="occurred_on",
        amount="amount",
        observation_end=lake.one("select observation_end from gold.observation"),
    )
    try:
        return with_origin(history_of(days, refunds=refunds).to_arrow_table(), describe_origin(days, refunds))
    finally:
        days.drop()
