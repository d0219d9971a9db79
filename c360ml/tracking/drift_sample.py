"""The records that drift looks at, by the unit whose records move together: a household, or all of a house of flats.

A sample of units tells shares as well as all of them do: of a large project one unit in several is taken, by a hash,
the same ones in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.tracking.sampling_error import Counted, count_cells, count_names, effect_on_sum

MOST_UNITS = 50_000
MOST_HOUSEHOLDS_OF_A_HOUSE = 500
"""An address of more households is a placeholder, or the company's own."""
FIELDS = (
    "given_name",
    "middle_name",
    "surname",
    "email",
    "phone",
    "date_of_birth",
    "national_id",
    "gender",
    "street",
    "city",
    "state",
    "postcode",
)
TERMS = ("given_name", "surname", "email", "phone", "date_of_birth", "gender", "city", "state", "postcode")
AGREEING = ("given_name", "surname", "email", "phone", "date_of_birth", "postcode")
SEGMENTS = ("value_tier", "rfm_segment", "kmeans_segment", "behaviour_segment")
LEARNT_SEGMENTS = ("kmeans_segment",)
LENGTHS = (1, 2, 3, 4, 6, 8, 10, 12, 15, 20, 25)
"""Longest text of each cell of lengths but the last, which has no end."""
LARGEST_SIZE = 10
_BUCKETS = 64
_RANKS = 20
WEEKS_PER_BAND = 4

_UNITS = f"""
    with homes as (
        select household_id, min(coalesce(street_number, street) || ' ' || postcode) as house
        from {tables.GOLDEN_RECORDS.path}
        group by household_id
    ),
    houses as (
        select house from homes group by house having count(*) <= $most_households
    ),
    units as (
        select household_id, md5_number_lower(coalesce(houses.house, household_id)) as hashed
        from homes left join houses using (house)
    )
    select record_id, master_id, dense_rank() over (order by hashed) - 1 as clump
    from {tables.IDENTITIES.path} join units using (household_id)
    where hashed % $one_in = 0
"""
_RECORDS = f"""
    select clump, record_id, source, {", ".join(FIELDS)}
    from drift_units join {tables.RECORDS.path} using (record_id)
"""


@contextmanager
def sampled_units(lake: Lakehouse, households: int) -> Iterator[int]:
    """Keep the temporary tables `drift_units` and `drift_records` for a `with` block; gives one in how many is taken.

    Args:
        lake: the project's lakehouse, with identities, golden records and records open.
        households: households of the project.
    """
    one_in = max(1, -(-households // MOST_UNITS))
    chosen = {"one_in": one_in, "most_households": MOST_HOUSEHOLDS_OF_A_HOUSE}
    with lake.scratch("drift_units", _UNITS, chosen), lake.scratch("drift_records", _RECORDS):
        yield one_in


def count_terms(lake: Lakehouse, field: str) -> dict[str, Counted]:
    """Count values by rank, all others first, and by bucket; the hash is DuckDB's MD5, which no version changes."""
    found = _columns(
        lake,
        f"""
        with terms as (
            select {field} as term, count(*) as records from drift_records where term is not null group by 1
        ),
        ranked as (select term, row_number() over (order by records desc, term) as place from terms)
        select clump, if(place <= {_RANKS}, place, 0) as rank, md5_number_lower(term) % {_BUCKETS} as bucket
        from drift_records join ranked on term = {field}
        """,
    )
    return {
        "ranks": count_cells(found["clump"], found["rank"].astype(np.int64), _RANKS + 1),
        "buckets": count_cells(found["clump"], found["bucket"].astype(np.int64), _BUCKETS),
    }


def count_sources(lake: Lakehouse) -> tuple[Counted, dict[str, dict[str, Any]]]:
    """Count records by source; of each source and field the design effect of being filled, and texts by length."""
    lengths = ", ".join(f"least(coalesce(length({field}), -1), {LENGTHS[-1] + 1}) as {field}" for field in FIELDS)
    found = _columns(lake, f"select clump, source, {lengths} from drift_records")
    names, source = _named(found["source"])
    shapes = {
        name: {field: _shape(found["clump"][chosen], found[field][chosen]) for field in FIELDS}
        for number, name in enumerate(names)
        for chosen in [source == number]
    }
    return count_names(found["clump"], source, names), shapes


def _shape(unit: np.ndarray, length: np.ndarray) -> dict[str, Any]:
    cell = np.where(length < 0, -1, np.searchsorted(LENGTHS, length))
    return {
        "filled_effect": count_cells(unit, (length >= 0).astype(np.int64), 2)["effect"],
        "lengths": count_cells(unit, cell, len(LENGTHS) + 1),
    }


def count_agreement(lake: Lakehouse) -> dict[str, Counted]:
    """Count the links of which both records have a field, by whether it is alike to the letter."""
    same = ", ".join(f"coalesce((l.{field} = r.{field})::int, -1) as {field}" for field in AGREEING)
    found = _columns(
        lake,
        f"""
        select l.clump, {same}
        from {tables.LINKS.path} as links
        join drift_records as l on l.record_id = record_id_l
        join drift_records as r on r.record_id = record_id_r
        where is_link
        """,
    )
    return {field: count_cells(found["clump"], found[field], 2) for field in AGREEING}


def count_customers(lake: Lakehouse) -> tuple[Counted, dict[str, Counted]]:
    """Count customers by their number of records, and by segment of each kind."""
    kinds = ", ".join(SEGMENTS)
    found = _columns(
        lake,
        f"""
        with customers as (
            select master_id, min(clump) as clump, count(*) as records from drift_units group by master_id
        )
        select clump, least(records, {LARGEST_SIZE}) as size, {kinds}
        from customers join {tables.CUSTOMER_SEGMENTS.path} using (master_id)
        """,
    )
    sizes = count_cells(found["clump"], found["size"] - 1, LARGEST_SIZE)
    return sizes, {kind: count_names(found["clump"], *_named(found[kind])[::-1]) for kind in SEGMENTS}


def purchase_effects(lake: Lakehouse) -> tuple[float, float]:
    """Give the design effects of repeat purchases, of customers of one age, and of the logarithm of spend."""
    found = _columns(
        lake,
        f"""
        with customers as (select master_id, min(clump) as clump from drift_units group by master_id)
        select clump,
            repeat_purchases - avg(repeat_purchases) over (partition by floor(age_weeks / {WEEKS_PER_BAND})) as excess,
            coalesce(ln(mean_spend) - avg(ln(mean_spend)) over (), 0.0) as spend
        from (select * replace (if(mean_spend > 0, mean_spend, null) as mean_spend) from {tables.CUSTOMER_VALUE.path})
        join customers on master_id = customer_id
        order by customer_id
        """,
    )
    return effect_on_sum(found["clump"], found["excess"]), effect_on_sum(found["clump"], found["spend"])


def _columns(lake: Lakehouse, query: str) -> dict[str, Any]:
    """Ask for columns: numbers as numpy, texts as Arrow."""
    table = lake.sql(query).to_arrow_table()
    columns = {name: table.column(name) for name in table.column_names}
    return {name: each if pa.types.is_string(each.type) else each.to_numpy() for name, each in columns.items()}


def _named(texts: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Give the names in order, and the number of each text's name."""
    coded = texts.combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    place = np.argsort(np.argsort(np.array(names, dtype=str)))
    return sorted(names), place[coded.indices.to_numpy()]
