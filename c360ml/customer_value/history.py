"""Purchase histories: what each customer's transactions say, one row per customer.

The words of the papers are x (repeat purchase occasions), t_x (time of the last one) and T (age). Here they
are columns with a unit: `repeat_purchases`, `first_to_last_purchase_weeks`, `age_weeks`.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, get_args

from c360ml.customer_value.origin import with_origin
from c360ml.customer_value.transactions import Day, Grain, PurchaseDays, Refunds, collect_purchase_days
from c360ml.errors import DataError
from c360ml.lakehouse import as_relation, connect, same_kind

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_HISTORY = """
with
observed as not materialized (
    select * from {days} where day <= $until
),
purchase_days as not materialized (
    select customer_id, day, spend from observed where purchases > 0
),
-- A refund lowers the latest purchase day at or before it.
refunds_of_days as (
    select refund.customer_id, purchase.day, sum(refund.refunded) as refunded
    from (select customer_id, day, refunded from observed where refunded < 0 and $net) refund
    asof join purchase_days purchase
        on refund.customer_id = purchase.customer_id and refund.day >= purchase.day
    group by refund.customer_id, purchase.day
),
net_days as not materialized (
    select customer_id, day, purchase.spend + coalesce(refund.refunded, 0) as spend
    from purchase_days purchase
    left join refunds_of_days refund using (customer_id, day)
),
customers as (
    select
        customer_id,
        count(*)                                       as purchases,
        min(day)                                       as first_purchase_on,
        max(day)                                       as last_purchase_on,
        sum(spend)                                     as spend,
        count(spend)                                   as days_with_spend,
        arg_min_null(spend, day)                       as first_spend
    from net_days
    group by customer_id
),
-- A refund before the first purchase we saw belongs to no purchase day, but was paid all the same.
early_refunds as (
    select customer_id, sum(refunded) as refunded
    from observed
    join customers using (customer_id)
    where refunded < 0 and day < first_purchase_on and $net
    group by customer_id
)
select
    customer_id,
    purchases - 1                                                             as repeat_purchases,
    (last_purchase_on - first_purchase_on) / 7.0::double                      as first_to_last_purchase_weeks,
    (cast($until as date) - first_purchase_on) / 7.0::double                  as age_weeks,
    (spend - coalesce(first_spend, 0))::double
        / nullif(days_with_spend - (first_spend is not null)::int, 0)         as mean_spend,
    first_purchase_on,
    last_purchase_on,
    purchases,
    (spend + coalesce(refunded, 0))::double                                   as total_spend
from customers
left join early_refunds using (customer_id)
order by customer_id
"""


def purchase_history(
    transactions: Any,
    *,
    customer: str,
    date: str,
    amount: str | None = None,
    observation_end: Day | None = None,
    grain: Grain = "day",
    refunds: Refunds = "net",
) -> Any:
    """Summarise transactions to one row per customer, ordered by customer.

    All transactions of a customer on one day (or week, by `grain`) are one purchase. Columns:

    - `customer_id`: as it came;
    - `repeat_purchases`: purchase days after the first;
    - `first_to_last_purchase_weeks`: from the first to the last purchase day, days / 7;
    - `age_weeks`: from the first purchase day to the observation end, days / 7;
    - `mean_spend`: mean spend of the *repeat* purchase days, as in Fader and Hardie's Gamma-Gamma note
      025 (the first purchase is left out); null for customers who bought once;
    - `first_purchase_on`, `last_purchase_on`, `purchases` (purchase days);
    - `total_spend`: spend on all purchase days; under `refunds="net"` less all refunds.

    A pandas or Arrow answer also holds its time unit, grain, refunds and observation end, and a model fitted on
    it refuses histories of another unit or grain.

    A negative amount is a refund and never a purchase. Under `refunds="net"` it lowers the spend of the
    customer's latest purchase day at or before it; under `refunds="drop"` it is left out. An amount of
    zero, or none, is a purchase. A customer with refunds only has no row.

    Args:
        transactions: pandas frame, Arrow table or DuckDB relation; one row a transaction or line.
        customer: Column with the customer.
        date: Column with dates, timestamps, ISO text or YYYYMMDD.
        amount: Column with the amounts, if there is one.
        observation_end: Last observed day, the last date if left out; later rows are left out.
        grain: Purchases within one day, or one week from Monday, are one.
        refunds: What to do with negative amounts.

    Returns:
        A table of the kind that came in.

    Raises:
        ColumnError: a column is missing, or cannot hold dates or amounts.
        DataError: dates or amounts cannot be read, or nothing is left.

    >>> import pandas
    >>> sales = pandas.DataFrame({
    ...     "who": ["ann", "ann", "ann", "bob"],
    ...     "day": ["2024-01-01", "2024-01-15", "2024-01-29", "2024-01-08"],
    ...     "paid": [10.0, 20.0, 40.0, 5.0]})
    >>> history = purchase_history(sales, customer="who", date="day", amount="paid")
    >>> list(history.columns[:5])
    ['customer_id', 'repeat_purchases', 'first_to_last_purchase_weeks', 'age_weeks', 'mean_spend']
    >>> history.iloc[:, :5].values.tolist()
    [['ann', 2, 4.0, 4.0, 30.0], ['bob', 0, 0.0, 3.0, nan]]
    """
    con = connect()
    days = collect_purchase_days(
        con,
        as_relation(con, transactions),
        customer=customer,
        date=date,
        amount=amount,
        observation_end=observation_end,
        grain=grain,
    )
    history = same_kind(history_of(days, refunds=refunds), transactions)
    return with_origin(history, describe_origin(days, refunds))


def describe_origin(days: PurchaseDays, refunds: Refunds) -> dict[str, str]:
    """Say what the numbers of a history mean, for `with_origin`."""
    return {
        "time_unit": "week",
        "grain": days.grain,
        "refunds": refunds,
        "observation_end": str(days.observation_end),
    }


def history_of(days: PurchaseDays, *, refunds: Refunds, until: dt.date | None = None) -> DuckDBPyRelation:
    """Summarise purchase days to one row per customer, as seen at the end of a day.

    Raises:
        DataError: nobody bought anything by then, or the policy for refunds is unknown.
    """
    if refunds not in get_args(Refunds):
        raise DataError("refunds must be net or drop", got=repr(refunds), hint="leave it out for net")
    parameters = {"until": until or days.observation_end, "net": refunds == "net"}
    buyers = days.con.execute(
        f"select count(*) from {days.name} where day <= $until and purchases > 0",
        {"until": parameters["until"]},
    ).fetchall()[0][0]
    if not buyers:
        raise DataError(
            "there must be at least one purchase by the observation end",
            got=f"none up to {parameters['until']}",
            hint="give a later day",
        )
    return days.con.sql(_HISTORY.format(days=days.name), params=parameters)
