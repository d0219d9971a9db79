"""Who the draws of `silver.doubtful_partitions` make: sets of records, numbered, each set once however often drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.customer_value.columns import Codes
from c360ml.customer_value.compression import add_up

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse

Marks = NDArray[np.uint64]

# Records and customers are numbered, so that draws are told apart by whole numbers; every record is in every draw.
RECORDS_IN_DOUBT = """
    with drawn as (
        select record_id from silver.doubtful_partitions
        where draw = (select min(draw) from silver.doubtful_partitions)
    )
    select
        record_id,
        row_number() over (order by record_id) - 1 as record,
        master_id,
        case when master_id is null then -1 else dense_rank() over (order by master_id nulls last) - 1 end as customer
    from drawn left join silver.identities using (record_id)
"""
_MEMBERS = """
    select dense_rank() over (order by draw) - 1 as draw, own.record, least.record as part
    from silver.doubtful_partitions drawn
    join doubtful_records own using (record_id)
    join doubtful_records least on least.record_id = drawn.part
"""


@dataclass(frozen=True)
class DoubtfulSets:
    """Sets of records that some draw takes for one person.

    `record_sets` is record x draw, `customer_sets` customer x draw, both numbers of sets. `customers` are the master
    ids of the records in doubt, in their order. A customer is, in a draw, whoever holds most of their records; of
    equals, the one with the least record. `parts` has the people of each draw, `pieces` the pairs of a person of the
    draw and a customer who share a record.
    """

    sets: int
    record_sets: Codes
    customers: list[str]
    customer_sets: Codes
    parts: Codes
    pieces: Codes

    def members(self) -> pa.Table:
        """List the records of each set: `set_number`, `record`."""
        numbers, records = [], []
        listed = np.zeros(self.sets, dtype=bool)
        for of_records in self.record_sets.T:
            new = np.flatnonzero(~listed[of_records])
            numbers.append(of_records[new])
            records.append(new)
            listed[of_records] = True
        both = (np.concatenate([*column, np.zeros(0, dtype=np.int64)]) for column in (numbers, records))
        return pa.table(dict(zip(("set_number", "record"), both, strict=True)))

    def error_rates(self, records: int, customers: int) -> tuple[float, float] | None:
        """Take the draws for the truth: share of true joins that were missed, and false joins by true person.

        What the clustering leaves apart of a drawn person was missed, what it puts together of several was merged
        falsely; records without doubt are as they are. None if there is no draw.

        Args:
            records: number of all records.
            customers: number of all customers.
        """
        if not len(self.parts) or not self.customers:
            return None
        people = customers - len(self.customers) + self.parts
        missed = (self.pieces - self.parts) / np.maximum(records - people, 1)
        false = (self.pieces - len(self.customers)) / np.maximum(people, 1)
        return float(missed.mean()), float(false.mean())

    def changing(self) -> pa.Table:
        """Count for customers who are not the same set in all draws how often they are which.

        Columns: `master_id`, `set_number`, `times`.
        """
        moves = np.flatnonzero((self.customer_sets != self.customer_sets[:, :1]).any(axis=1))
        keys, times = np.unique(moves[:, None] * self.sets + self.customer_sets[moves], return_counts=True)
        names = pa.array(self.customers, pa.string())
        return pa.table(
            {
                "master_id": pa.DictionaryArray.from_arrays(keys // max(self.sets, 1), names),
                "set_number": keys % max(self.sets, 1),
                "times": times,
            }
        )


def read_doubtful_sets(lake: Lakehouse, draws: int) -> DoubtfulSets:
    """Number the sets of all draws; the table `doubtful_records` of `RECORDS_IN_DOUBT` must be there."""
    found = lake.sql(_MEMBERS).to_arrow_table()
    numbered = lake.sql("select customer, master_id from doubtful_records order by record").to_arrow_table()
    customer = np.asarray(numbered["customer"].to_numpy(), dtype=np.int64)
    part = np.zeros((draws, len(customer)), dtype=np.int64)
    part[found["draw"].to_numpy(), found["record"].to_numpy()] = found["part"].to_numpy()
    known = np.flatnonzero(customer >= 0)
    by_customer = known[np.argsort(customer[known], kind="stable")]
    first = np.flatnonzero(np.diff(customer[by_customer], prepend=-1))
    names = numbered["master_id"].take(pa.array(by_customer[first])).to_pylist()
    sets, record_sets, parts = _number_sets(part)
    chosen = [_largest_part(of_draw[by_customer], first) for of_draw in part]
    # A part is named by its least record, which is one of its set.
    customer_sets = np.array([of_records[who] for of_records, (who, _) in zip(record_sets, chosen, strict=True)])
    return DoubtfulSets(
        sets,
        np.ascontiguousarray(record_sets.T),
        names,
        np.ascontiguousarray(customer_sets.reshape(draws, -1).T).astype(np.int64),
        parts,
        np.array([pieces for _, pieces in chosen], dtype=np.int64),
    )


def _number_sets(part: Codes) -> tuple[int, Codes, Codes]:
    """Give equal sets of records one number in all draws.

    Sets of one least record are told apart by the sum of their records' random marks of 64 bits each, so that two are
    not taken for one in the life of a universe.
    """
    draws, records = part.shape
    marks: Marks = np.random.default_rng(0).integers(0, 2**64, size=(records,), dtype=np.uint64)
    leads, keys = [], []
    for of_draw in part:
        lead = np.flatnonzero(add_up(of_draw, np.ones(records), records))
        leads.append(lead)
        keys.append(_sums(of_draw, marks, records)[lead] ^ _scattered(lead))
    encoded = pa.array(np.concatenate([*keys, np.zeros(0, dtype=np.uint64)])).dictionary_encode()
    numbers = np.split(encoded.indices.to_numpy(), np.cumsum([len(lead) for lead in leads])[:-1])
    record_sets, of_lead = np.zeros((draws, records), dtype=np.int64), np.zeros(records, dtype=np.int64)
    for draw, (lead, number) in enumerate(zip(leads, numbers, strict=True)):
        of_lead[lead] = number
        record_sets[draw] = of_lead[part[draw]]
    return len(encoded.dictionary), record_sets, np.array([len(lead) for lead in leads], dtype=np.int64)


def _sums(groups: Codes, marks: Marks, number: int) -> Marks:
    """Add up marks by group, modulo 2**64: halves of 32 bits are added up exactly as floats."""
    low = add_up(groups, (marks & np.uint64(0xFFFFFFFF)).astype(np.float64), number)
    high = add_up(groups, (marks >> np.uint64(32)).astype(np.float64), number)
    return low.astype(np.uint64) + (high.astype(np.uint64) << np.uint64(32))


def _scattered(numbers: Codes) -> Marks:
    """Spread whole numbers over 64 bits (the golden ratio's multiples)."""
    return numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def _largest_part(part: Codes, first: Codes) -> tuple[Codes, int]:
    """Find for each customer the part with most of their records, and count pairs of customer and part.

    Args:
        part: part of each record, customer by customer.
        first: place of the first record of each customer.
    """
    if not len(first):
        return np.zeros(0, dtype=np.int64), 0
    chosen, most = np.minimum.reduceat(part, first), np.maximum.reduceat(part, first)
    divided = np.flatnonzero(chosen != most)
    sizes = np.diff(np.append(first, len(part)))
    inside = np.repeat(chosen != most, sizes)
    customer = np.repeat(np.arange(len(first)), sizes)[inside]
    span = int(part.max()) + 1
    keys, counts = np.unique(customer * span + part[inside], return_counts=True)
    # The greatest count last, and of equals the least part.
    order = np.lexsort((-(keys % span), counts, keys // span))
    last = np.flatnonzero(np.diff(keys[order] // span, append=-1))
    chosen[divided] = keys[order][last] % span
    return chosen, len(first) - len(divided) + len(keys)
