"""Purchase histories of everybody whom a draw of `silver.doubtful_partitions` makes: of each set of records once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from c360ml.customer_value.columns import Codes
from c360ml.customer_value.doubtful_sets import RECORDS_IN_DOUBT, DoubtfulSets, read_doubtful_sets
from c360ml.customer_value.history import history_of
from c360ml.customer_value.transactions import Refunds, collect_purchase_days, regroup_purchase_days
from c360ml.lakehouse import day_of

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse

HISTORY = ("repeat_purchases", "first_to_last_purchase_weeks", "age_weeks", "mean_spend")

_SALES = f"""
    select record, {day_of("occurred_at")} as occurred_on, amount
    from gold.interactions join doubtful_records using (record_id)
    where interaction_type = 'PURCHASE' and {day_of("occurred_at")} <= (select observation_end from gold.observation)
"""


@dataclass(frozen=True)
class DoubtfulHistories:
    """Sets of records that some draw takes for one person, and what they bought.

    `history` has a row for each set with purchases, with its `customer_id` (number of the set).
    """

    history: pa.Table
    drawn: DoubtfulSets

    @property
    def sets(self) -> int:
        """Number of sets."""
        return self.drawn.sets

    @property
    def record_sets(self) -> Codes:
        """Record x draw: number of the set."""
        return self.drawn.record_sets

    @property
    def customers(self) -> list[str]:
        """Master ids of the records in doubt."""
        return self.drawn.customers

    @property
    def customer_sets(self) -> Codes:
        """Customer x draw: number of the set."""
        return self.drawn.customer_sets

    def row_of_set(self) -> Codes:
        """Row of the history of each set; -1 for those that bought nothing."""
        rows = np.full(self.sets, -1, dtype=np.int64)
        rows[np.asarray(self.history["customer_id"].to_numpy(), dtype=np.int64)] = np.arange(self.history.num_rows)
        return rows

    def sets_of_draw(self, draw: int) -> Codes:
        """Numbers of the sets that a draw makes."""
        return np.flatnonzero(np.bincount(self.record_sets[:, draw], minlength=self.sets))


@contextmanager
def doubtful_sets(lake: Lakehouse, draws: int) -> Iterator[DoubtfulSets]:
    """Number the sets of all draws.

    The tables `doubtful_records` (record_id, record, master_id, customer) and `doubtful_sets` (set_number, record) are
    there as long as the block.
    """
    with lake.scratch("doubtful_records", RECORDS_IN_DOUBT):
        found = read_doubtful_sets(lake, draws)
        lake.con.register("doubtful_sets", found.members())
        try:
            yield found
        finally:
            lake.con.unregister("doubtful_sets")


def doubtful_histories(lake: Lakehouse, found: DoubtfulSets, refunds: Refunds) -> DoubtfulHistories | None:
    """Summarise the purchases of all sets, within `doubtful_sets`; None if nobody in doubt bought anything."""
    with lake.scratch("doubtful_sales", _SALES):
        if not lake.one("select count(*) from doubtful_sales where amount is null or amount >= 0"):
            return None
        # Days are summed by record first: a record is in many sets.
        by_record = collect_purchase_days(
            lake.con,
            lake.sql("from doubtful_sales"),
            customer="record",
            date="occurred_on",
            amount="amount",
            observation_end=lake.one("select observation_end from gold.observation"),
        )
    days = regroup_purchase_days(by_record, "doubtful_sets", member="record", group="set_number")
    try:
        history = history_of(days, refunds=refunds).to_arrow_table()
    finally:
        by_record.drop()
        days.drop()
    return DoubtfulHistories(history.select(["customer_id", *HISTORY, "total_spend"]), found)
