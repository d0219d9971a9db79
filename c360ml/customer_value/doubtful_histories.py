"""Purchase histories of everybody whom a draw of `silver.doubtful_partitions` makes: of each set of records once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from c360ml.customer_value.columns import Codes
from c360ml.customer_value.history import history_of
from c360ml.customer_value.transactions import Refunds, collect_purchase_days

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse

HISTORY = ("repeat_purchases", "first_to_last_purchase_weeks", "age_weeks", "mean_spend")

# Records are numbered, so that sets of them can be told apart; a set that comes in many draws is kept once.
_RECORDS = """
    select record_id, row_number() over (order by record_id) - 1 as record
    from (select distinct record_id from silver.doubtful_partitions)
"""
_PARTS = """
    with composed as (
        select draw, part, list(record order by record) as records
        from silver.doubtful_partitions join doubtful_records using (record_id)
        group by draw, part
    )
    select draw, part, records, dense_rank() over (order by records) - 1 as set_number
    from composed
"""
_SETS = "select distinct set_number, unnest(records) as record from doubtful_parts"
_PURCHASES = """
    select set_number, occurred_at, amount
    from doubtful_sets
    join doubtful_records using (record)
    join gold.interactions using (record_id)
    where interaction_type = 'PURCHASE' and occurred_at::date <= (select observation_end from gold.observation)
"""
_RECORD_SETS = """
    select record, draw, set_number
    from silver.doubtful_partitions join doubtful_records using (record_id)
    join doubtful_parts using (draw, part)
    order by record, draw
"""
# A customer is, in a draw, whoever holds most of their records; of equals, the one with the least record.
_CUSTOMER_SETS = """
    with held as (
        select master_id, draw, part, set_number, count(*) as records
        from silver.doubtful_partitions
        join silver.identities using (record_id)
        join doubtful_parts using (draw, part)
        group by all
    ),
    ranked as (
        select *, row_number() over (partition by master_id, draw order by records desc, part) as place from held
    )
    select master_id, draw, set_number from ranked where place = 1 order by master_id, draw
"""


@dataclass(frozen=True)
class DoubtfulHistories:
    """Sets of records that some draw takes for one person, and what they bought.

    `history` has a row for each set with purchases, with its `customer_id` (number of the set); `record_sets` is
    record x draw, `customer_sets` customer x draw, both numbers of sets.
    """

    history: pa.Table
    sets: int
    record_sets: Codes
    customers: list[str]
    customer_sets: Codes

    def row_of_set(self) -> Codes:
        """Row of the history of each set; -1 for those that bought nothing."""
        rows = np.full(self.sets, -1, dtype=np.int64)
        rows[np.asarray(self.history["customer_id"].to_numpy(), dtype=np.int64)] = np.arange(self.history.num_rows)
        return rows

    def sets_of_draw(self, draw: int) -> Codes:
        """Numbers of the sets that a draw makes."""
        return np.unique(self.record_sets[:, draw])


@contextmanager
def doubtful_histories(lake: Lakehouse, draws: int, refunds: Refunds) -> Iterator[DoubtfulHistories | None]:
    """Summarise the purchases of all sets of records; None if nobody in doubt bought anything.

    The tables `doubtful_records`, `doubtful_parts` and `doubtful_sets` are there as long as the block.
    """
    with (
        lake.scratch("doubtful_records", _RECORDS),
        lake.scratch("doubtful_parts", _PARTS),
        lake.scratch("doubtful_sets", _SETS),
    ):
        if lake.one(f"select count(*) from ({_PURCHASES}) where amount is null or amount >= 0"):
            yield _collect(lake, draws, refunds)
        else:
            yield None


def _collect(lake: Lakehouse, draws: int, refunds: Refunds) -> DoubtfulHistories:
    days = collect_purchase_days(
        lake.con,
        lake.sql(_PURCHASES),
        customer="set_number",
        date="occurred_at",
        amount="amount",
        observation_end=lake.one("select observation_end from gold.observation"),
    )
    try:
        history = history_of(days, refunds=refunds).to_arrow_table()
    finally:
        days.drop()
    records = lake.sql(_RECORD_SETS).fetchnumpy()["set_number"]
    customers = lake.sql(_CUSTOMER_SETS).fetchnumpy()
    return DoubtfulHistories(
        history.select(["customer_id", *HISTORY, "total_spend"]),
        int(lake.one("select max(set_number) + 1 from doubtful_parts")),
        np.asarray(records, dtype=np.int64).reshape(-1, draws),
        [str(name) for name in customers["master_id"][::draws]],
        np.asarray(customers["set_number"], dtype=np.int64).reshape(-1, draws),
    )
