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

# Records are numbered, so that draws are told apart by whole numbers.
_RECORDS = """
    select record_id, row_number() over (order by record_id) - 1 as record
    from (select distinct record_id from silver.doubtful_partitions)
"""
_MEMBERS = """
    select draw, own.record, least.record as part
    from silver.doubtful_partitions drawn
    join doubtful_records own using (record_id)
    join doubtful_records least on least.record_id = drawn.part
"""
# A set that comes in many draws is kept once. Sets of one least record and size are told apart by the sum of their
# records' hashes: of 64 bits each, so that two sets are not taken for one in the life of a universe.
_COMPOSED = """
    select draw, part, count(*) as records, sum(hash(record)::hugeint) as mark
    from doubtful_members group by draw, part
"""
_NUMBERED = """
    select part, records, mark, min(draw) as draw, row_number() over (order by part, records, mark) - 1 as set_number
    from composed_parts group by part, records, mark
"""
_PARTS = """
    select composed_parts.draw, part, set_number
    from composed_parts join numbered_sets using (part, records, mark)
"""
_SETS = "select set_number, record from numbered_sets join doubtful_members using (draw, part)"
_PURCHASES = """
    with sales as (
        select record, occurred_at, amount
        from gold.interactions join doubtful_records using (record_id)
        where interaction_type = 'PURCHASE' and occurred_at::date <= (select observation_end from gold.observation)
    )
    select set_number, occurred_at, amount from doubtful_sets join sales using (record)
"""
_RECORD_SETS = """
    select set_number from doubtful_members join doubtful_parts using (draw, part) order by record, draw
"""
# A customer is, in a draw, whoever holds most of their records; of equals, the one with the least record.
_CUSTOMER_SETS = """
    with numbered as (
        select record, dense_rank() over (order by master_id) as customer
        from doubtful_records join silver.identities using (record_id)
    ),
    held as (
        select customer, draw, part, count(*) as records
        from doubtful_members join numbered using (record)
        group by customer, draw, part
    ),
    chosen as (
        select customer, draw, arg_max(part, records * (1::bigint << 32) - part) as part
        from held group by customer, draw
    )
    select set_number from chosen join doubtful_parts using (draw, part) order by customer, draw
"""
_CUSTOMERS = """
    select distinct master_id
    from doubtful_records join silver.identities using (record_id)
    order by master_id
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
        return np.flatnonzero(np.bincount(self.record_sets[:, draw], minlength=self.sets))


@contextmanager
def doubtful_histories(lake: Lakehouse, draws: int, refunds: Refunds) -> Iterator[DoubtfulHistories | None]:
    """Summarise the purchases of all sets of records; None if nobody in doubt bought anything.

    The tables `doubtful_records`, `doubtful_members`, `doubtful_parts` and `doubtful_sets` are there as long as the
    block.
    """
    with (
        lake.scratch("doubtful_records", _RECORDS),
        lake.scratch("doubtful_members", _MEMBERS),
        lake.scratch("composed_parts", _COMPOSED),
        lake.scratch("numbered_sets", _NUMBERED),
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
    customer_sets = lake.sql(_CUSTOMER_SETS).fetchnumpy()["set_number"]
    return DoubtfulHistories(
        history.select(["customer_id", *HISTORY, "total_spend"]),
        int(lake.one("select max(set_number) + 1 from doubtful_parts")),
        np.asarray(records, dtype=np.int64).reshape(-1, draws),
        [str(name) for (name,) in lake.rows(_CUSTOMERS)],
        np.asarray(customer_sets, dtype=np.int64).reshape(-1, draws),
    )
