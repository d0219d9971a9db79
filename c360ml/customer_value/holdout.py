"""Split purchase days at a day: histories before it, and what the same customers did from it on.

Both sides are counted alike: purchases of a day are one, refunds follow one policy, and nothing of the later
part reaches the history of the earlier one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np

from c360ml.customer_value.columns import Floats, read_numbers, read_purchases
from c360ml.customer_value.history import history_of
from c360ml.customer_value.transactions import PurchaseDays, Refunds
from c360ml.errors import DataError

_SPLIT = """
select
    history.*,
    coalesce(later.purchases, 0)                                              as holdout_purchases,
    coalesce(later.spend, 0)                                                  as holdout_spend,
    coalesce(later.recent, 0) - (first_purchase_on >= $period_start)::int     as last_period_purchases
from calibration history
left join (
    select
        customer_id,
        count(*) filter (where purchases > 0 and day >= $holdout_start)       as purchases,
        count(*) filter (where purchases > 0 and day < $holdout_start)        as recent,
        (coalesce(sum(spend) filter (where day >= $holdout_start), 0)
            + case when $net then coalesce(sum(refunded) filter (where day >= $holdout_start), 0) else 0 end)::double
                                                                              as spend
    from {days}
    where day between $period_start and $holdout_end
    group by customer_id
) later using (customer_id)
order by customer_id
"""

_DAILY_REPEATS = """
select (day - $start)::int as since_start, count(*) as repeats
from {days}
join (select customer_id, first_purchase_on from calibration) using (customer_id)
where purchases > 0 and day > first_purchase_on and day <= $holdout_end
group by since_start
"""


@dataclass(frozen=True)
class Split:
    """Histories up to the day before `holdout_start`, with what came until `holdout_end` and in the weeks before.

    `table` has the columns of a purchase history, `holdout_purchases`, `holdout_spend` and
    `last_period_purchases` (repeat purchases in as many days before the holdout as it has); `daily_repeats` counts
    repeat purchases of the same customers by day since `start`, the first day of all.
    """

    table: Any
    holdout_start: dt.date
    holdout_end: dt.date
    start: dt.date
    daily_repeats: Floats

    @property
    def weeks(self) -> float:
        """Length of the holdout."""
        return ((self.holdout_end - self.holdout_start).days + 1) / 7


def split_days(
    days: PurchaseDays, holdout_start: dt.date, *, refunds: Refunds, holdout_end: dt.date | None = None
) -> Split:
    """Split at the beginning of a day; without an end, the holdout lasts until the end of observation.

    Raises:
        DataError: there is nothing on one of the sides.
    """
    end = holdout_end or days.observation_end
    if holdout_start > end:
        raise DataError(
            "the holdout must start by the observation end",
            got=f"{holdout_start} after {end}",
            hint="give an earlier day",
        )
    history_of(days, refunds=refunds, until=holdout_start - dt.timedelta(days=1)).create("calibration")
    length = (end - holdout_start).days + 1
    span = {"holdout_start": holdout_start, "holdout_end": end}
    try:
        parameters = {**span, "period_start": holdout_start - dt.timedelta(days=length), "net": refunds == "net"}
        table = days.con.sql(_SPLIT.format(days=days.name), params=parameters).to_arrow_table()
        start = days.con.execute("select min(first_purchase_on) from calibration").fetchall()[0][0]
        query = _DAILY_REPEATS.format(days=days.name)
        rows = days.con.execute(query, {"start": start, "holdout_end": end}).fetchall()
    finally:
        days.con.execute("drop table calibration").fetchall()
    daily = np.zeros((end - start).days + 1)
    for since_start, repeats in rows:
        daily[since_start] = repeats
    return Split(table, holdout_start, end, start, daily)


def baselines_of(split: Split) -> dict[str, Floats]:
    """Forecast the holdout without a model: the rate so far, the last period again, the mean rate of all."""
    x, _, age = read_purchases(split.table)
    (recent,) = read_numbers(split.table, ["last_period_purchases"])
    weeks = split.weeks
    seen = np.minimum(age, weeks)
    known = age > 0
    past_rate, recent_rate = (
        np.divide(part, span, out=np.zeros_like(x), where=known) for part, span in ((x, age), (recent, seen))
    )
    mean_rate = x.sum() / age.sum() if known.any() else 0.0
    return {
        "past_rate": past_rate * weeks,
        "last_period": recent_rate * weeks,
        "mean": np.full(len(x), mean_rate * weeks),
    }
