"""Read a transaction table: check it, count what is left out, and sum it by customer and day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from c360ml.errors import ColumnError, DataError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

Grain = Literal["day", "week"]
Refunds = Literal["net", "drop"]
Day = dt.date | dt.datetime | str
"""A day, or a text such as 2024-01-31."""

# Sums of decimals are exact, so they do not depend on the order in which threads add them.
_MONEY = "decimal(18, 6)"
_WHOLE = {f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")}
_NUMBERS = _WHOLE | {"INTEGER", "UINTEGER", "FLOAT", "DOUBLE", "DECIMAL"}
_numbers = count(1)

_COUNTS = """
select
    count(*)                                                                  as rows,
    count(*) filter (where customer_id is null)                               as without_customer,
    count(*) filter (where customer_id is not null and not has_date)          as without_date,
    count(*) filter (where customer_id is not null and not has_amount)        as without_amount,
    count(*) filter (where customer_id is not null and has_date and day is null)      as unreadable_dates,
    count(*) filter (where customer_id is not null and has_amount and amount is null) as unreadable_amounts,
    max(day) filter (where customer_id is not null and day <= current_date + 1) as latest
from {transactions}
"""

_OBSERVED = """
select
    count(*) filter (where day > $observation_end)                            as after_observation_end,
    count(*) filter (where day <= $observation_end and amount < 0)            as refunds,
    coalesce(sum(amount) filter (where day <= $observation_end and amount < 0), 0)::double as refunded
from {transactions}
where customer_id is not null and day is not null
"""

_REFUNDED = """
with
customers as (
    select
        customer_id,
        sum(purchases)                                                        as purchases,
        count(*) filter (where purchases > 0 and refunded < 0 and coalesce(spend, 0) + refunded <= 0) as cancelled
    from {days}
    where customer_id in (select customer_id from {days} where refunded < 0)
    group by customer_id
)
select
    count(*)                                                                  as customers_with_refunds,
    count(*) filter (where purchases = 0)                                     as customers_with_refunds_only,
    coalesce(sum(cancelled), 0)::bigint                                       as cancelled_purchases
from customers
"""

_POLICIES: Mapping[Refunds, str] = {
    "net": (
        "A negative amount is a refund: it is no purchase, and lowers the spend of the customer's latest purchase day"
        " at or before it. A purchase that was paid back in full still was an occasion to buy and counts as one."
    ),
    "drop": (
        "A negative amount is a refund: it is no purchase, and is left out of spend. A purchase that was paid back"
        " in full counts as one."
    ),
}

_PURCHASE_DAYS = """
create or replace temp table {name} as
select
    customer_id,
    day,
    count(*) filter (where amount is null or amount >= 0)                     as purchases,
    sum(amount) filter (where amount >= 0)                                    as spend,
    sum(amount) filter (where amount < 0)                                     as refunded
from {transactions}
where customer_id is not null and day <= $observation_end
group by customer_id, day
"""
_REGROUPED = """
create or replace temp table {name} as
select
    groups.{group}                                                            as customer_id,
    day,
    sum(purchases)::bigint                                                    as purchases,
    sum(spend)                                                                as spend,
    sum(refunded)                                                             as refunded
from {days} join {groups} groups on groups.{member} = customer_id
group by all
"""


@dataclass(frozen=True)
class PurchaseDays:
    """Transactions summed by customer and day: a temporary table and what was counted on the way."""

    con: DuckDBPyConnection
    name: str
    observation_end: dt.date
    counts: dict[str, Any]
    grain: Grain = "day"

    def drop(self) -> None:
        """Forget the temporary table."""
        self.con.execute(f"drop table if exists {self.name}").fetchall()


def collect_purchase_days(
    con: DuckDBPyConnection,
    transactions: DuckDBPyRelation,
    *,
    customer: str,
    date: str,
    amount: str | None,
    observation_end: Day | None = None,
    grain: Grain = "day",
) -> PurchaseDays:
    """Sum a transaction table of this connection by customer and day.

    Rows without a customer or a date, and rows after the observation end, are left out and counted.
    A row without an amount is a purchase of unknown spend.

    Raises:
        ColumnError: a column is missing or of a type that cannot be a date or an amount.
        DataError: dates or amounts cannot be read, or nothing is left.
    """
    _check_columns(transactions, [customer, date, *([amount] if amount else [])])
    if grain not in ("day", "week"):
        raise DataError("grain must be day or week", got=repr(grain), hint="leave it out for days")
    number = next(_numbers)
    source, parsed, name = f"source_{number}", f"transactions_{number}", f"purchase_days_{number}"
    transactions.create_view(source, replace=True)
    # The source is read and parsed once: counts and sums are then taken from the parsed columns.
    con.execute(
        f"create or replace temp table {parsed} as " + _parsing(transactions, source, customer, date, amount, grain)
    ).fetchall()
    con.execute(f"drop view {source}").fetchall()
    counts = _row(con, _COUNTS.format(transactions=parsed), {})
    latest = counts.pop("latest")
    _check_counts(counts, latest, amount)
    end = latest if observation_end is None else as_date(observation_end)
    counts |= _row(con, _OBSERVED.format(transactions=parsed), {"observation_end": end})
    con.execute(_PURCHASE_DAYS.format(name=name, transactions=parsed), {"observation_end": end}).fetchall()
    con.execute(f"drop table {parsed}").fetchall()
    return PurchaseDays(con, name, end, counts, grain)


def regroup_purchase_days(days: PurchaseDays, groups: str, *, member: str, group: str) -> PurchaseDays:
    """Sum purchase days by groups of customers, of whom each may be in several.

    Args:
        days: those of the customers.
        groups: table of who is in which group.
        member: its column of customers.
        group: its column of groups.
    """
    name = f"purchase_days_{next(_numbers)}"
    query = _REGROUPED.format(name=name, days=days.name, groups=groups, member=member, group=group)
    days.con.execute(query).fetchall()
    return replace(days, name=name)


def describe_refunds(days: PurchaseDays, refunds: Refunds) -> dict[str, Any]:
    """Say what is done with refunds and cancellations, and count whom and what it touches.

    `customers_with_refunds_only` have no purchase, and so no history; `cancelled_purchases` are days of which all
    was paid back on the same day.
    """
    return {"refund_policy": _POLICIES[refunds]} | _row(days.con, _REFUNDED.format(days=days.name), {})


def _row(con: DuckDBPyConnection, query: str, parameters: dict[str, Any]) -> dict[str, Any]:
    result = con.execute(query, parameters)
    names = [column[0] for column in result.description]
    return dict(zip(names, result.fetchall()[0], strict=True))


def _check_columns(transactions: DuckDBPyRelation, wanted: list[str]) -> None:
    missing = [name for name in wanted if name not in transactions.columns]
    if missing:
        raise ColumnError(
            f"the transactions must have the columns {wanted}",
            got=f"no {missing}; the columns are {transactions.columns}",
            hint="name the columns that hold the customer, the date and the amount",
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _parsing(
    transactions: DuckDBPyRelation, source: str, customer: str, date: str, amount: str | None, grain: Grain
) -> str:
    types = dict(zip(transactions.columns, map(str, transactions.types), strict=True))
    has_date, day = _day(_quoted(date), date, types[date])
    has_amount, money = "false", f"cast(null as {_MONEY})"
    if amount:
        has_amount, money = _amount(_quoted(amount), amount, types[amount])
    identity = _quoted(customer)
    if types[customer] == "VARCHAR":
        identity = f"nullif(trim({identity}), '')"
    elif types[customer] in ("FLOAT", "DOUBLE"):
        identity = f"case when not isnan({identity}) then {identity} end"
    first_of_grain = day if grain == "day" else f"cast(date_trunc('{grain}', {day}) as date)"
    return (
        f"select {identity} as customer_id, {first_of_grain} as day, {money} as amount,"
        f" {has_date} as has_date, {has_amount} as has_amount from {source}"
    )


def _day(column: str, name: str, sql_type: str) -> tuple[str, str]:
    """Say in SQL whether there is a date and which day it is."""
    if sql_type == "DATE" or sql_type.startswith("TIMESTAMP"):
        return f"{column} is not null", f"case when isfinite({column}) then cast({column} as date) end"
    if sql_type.split("(")[0] in _NUMBERS:
        text = f"cast(try_cast({column} as bigint) as varchar)"
        has = f"{column} is not null and not isnan({column}::double)"
        return has, f"cast(try_strptime({text}, '%Y%m%d') as date)"
    if sql_type == "VARCHAR" or sql_type.startswith("ENUM"):
        text = f"trim({column}::varchar)"
        day = f"coalesce(try_cast({text} as timestamp), try_strptime({text}, '%Y%m%d'))"
        return f"coalesce({text}, '') <> ''", f"cast({day} as date)"
    raise ColumnError(
        "the date column must hold dates, timestamps or text",
        got=f"column {name} of type {sql_type}",
        hint="name another column, or cast it",
    )


def _amount(column: str, name: str, sql_type: str) -> tuple[str, str]:
    """Say in SQL whether there is an amount and how much it is."""
    if sql_type.split("(")[0] in _NUMBERS:
        return f"{column} is not null and not isnan({column}::double)", f"try_cast({column} as {_MONEY})"
    if sql_type == "VARCHAR" or sql_type.startswith("ENUM"):
        text = f"trim({column}::varchar)"
        return f"coalesce({text}, '') <> ''", f"try_cast({text} as {_MONEY})"
    raise ColumnError(
        "the amount column must hold numbers or text",
        got=f"column {name} of type {sql_type}",
        hint="name another column, or cast it",
    )


def _check_counts(counts: dict[str, Any], latest: dt.date | None, amount: str | None) -> None:
    if counts["unreadable_dates"]:
        raise DataError(
            "every date must be a date, a timestamp, ISO text (2024-01-31) or YYYYMMDD",
            got=f"{counts['unreadable_dates']:,} dates that cannot be read",
            hint="mend them, or convert the column to dates first",
        )
    if counts["unreadable_amounts"]:
        raise DataError(
            "every amount must be a plain number below 1e12",
            got=f"{counts['unreadable_amounts']:,} amounts that cannot be read",
            hint="remove currency signs and thousands separators",
        )
    del counts["unreadable_dates"], counts["unreadable_amounts"]
    identified = counts["rows"] - counts["without_customer"]
    if latest is None:
        raise DataError(
            "transactions must hold at least one row with a customer and a date",
            got=f"{counts['rows']:,} rows, {identified:,} with a customer, none of these with a date",
            hint="check the file and the column names",
        )
    if amount and counts["without_amount"] == identified:
        raise DataError(
            "the amount column must hold amounts",
            got=f"{identified:,} rows, all without one",
            hint="name another column, or leave the amount out",
        )


def as_date(when: Day) -> dt.date:
    """Read a day from a date, a timestamp or ISO text.

    >>> as_date("2024-01-31")
    datetime.date(2024, 1, 31)

    Raises:
        DataError: it is none of these.
    """
    if isinstance(when, dt.datetime):
        return when.date()
    if isinstance(when, dt.date):
        return when
    try:
        return dt.datetime.fromisoformat(when).date()
    except (TypeError, ValueError) as error:
        raise DataError("a day must be a date or ISO text", got=repr(when), hint="write it as 2024-01-31") from error
