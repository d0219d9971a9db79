"""Challenger against champion on the same records: who judges labels better, and which customers would change."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from scipy.special import stdtrit

from c360ml import tables
from c360ml.errors import TableError
from c360ml.linkage.labels import PAIRS, read_labels
from c360ml.tables import Table

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse

SIDES = ("champion", "challenger")
VALUE_CHANGE = 0.1
"""A customer's value counts as changed from this share of it on."""
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Judged:
    """Pairwise F1 of both sides on the same labels, and how far the difference is from chance.

    `units` are the people (or, for labelled pairs, the champion's customers) whom the sides judge differently; `t` is
    the sum of what the challenger gains on each over the root of the sum of squares, which allows for pairs of one
    person to be right or wrong together; `limit` is the 95 % point of Student's t with as many degrees of freedom.
    """

    labels: str
    champion_f1: float
    challenger_f1: float
    units: int
    t: float

    @property
    def limit(self) -> float:
        """What `t` stays within by chance."""
        return float(stdtrit(self.units, _CONFIDENCE)) if self.units else 0.0

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `as good`."""
        if not self.units or abs(self.t) <= self.limit:
            return "as good"
        return "better" if self.t > 0 else "worse"


@dataclass(frozen=True)
class Impact:
    """How many of the customers that both sides know would change."""

    what: str
    customers: int
    changed: int

    @property
    def share(self) -> float:
        """Share of customers who would change."""
        return self.changed / self.customers if self.customers else 0.0


def keep_sides(lake: Lakehouse, table: Table, columns: str, versions: tuple[int | None, int | None]) -> bool:
    """Write `<side>_<table>` of both Delta versions of a table; false if one of them is gone.

    Args:
        lake: the project's open lakehouse.
        table: the table.
        columns: SQL of the columns to keep.
        versions: Delta version of the champion's run and of the challenger's.
    """
    if None in versions:
        return False
    try:
        for side, version in zip(SIDES, versions, strict=True):
            query = f"select {columns} from {lake.open(table, version=version)}"
            lake.rows(f"create or replace temp table {side}_{table.name} as {query}")
    except TableError:
        return False
    finally:
        lake.open(table)
    return True


# ---------------------------------------------------------------------- labels
def judge_sides(lake: Lakehouse, labels: dict[str, str]) -> list[Judged]:
    """Judge the master IDs of both sides by the labels that `open_labels` opened; needs both sides' identities.

    Records that only one side knows are left out, so that both are asked the same.
    """
    lake.rows("""
        create or replace temp table compared_records as
        select record_id, champion.master_id as champion, challenger.master_id as challenger
        from champion_identities as champion join challenger_identities as challenger using (record_id)
    """)
    found = []
    for name in labels:
        kind = read_labels(lake.con, lake.sql(f"from judged_{name}")).kind
        judged = _by_pairs(lake) if kind == PAIRS else _by_people(lake)
        if judged is not None:
            found.append(judged)
    return found


def _by_pairs(lake: Lakehouse) -> Judged | None:
    """Judge by labelled pairs, the champion's customer of the lesser record as the unit."""
    sides = ", ".join(f"(l.{side} = r.{side})::int as {side}" for side in SIDES)
    counted = ", ".join(f"sum(truth * {side}) as {side}_right, sum({side}) as {side}_found" for side in SIDES)
    return _judged(
        lake,
        "labelled pairs",
        f"""
        with asked as (
            select l.champion as unit, (decision = 'match')::int as truth, {sides}
            from labelled
            join compared_records as l on l.record_id = record_id_l
            join compared_records as r on r.record_id = record_id_r
            where decision <> 'possible'
        )
        select unit, sum(truth) as true_pairs, {counted} from asked group by unit
        """,
    )


def _by_people(lake: Lakehouse) -> Judged | None:
    """Judge by all pairs, the person as the unit: a false pair of two people counts half on each."""
    people = "(select true_id, champion, challenger from labelled join compared_records using (record_id))"
    counted = []
    for side in SIDES:
        cells = f"(select true_id, {side} as customer, count(*) as n from {people} group by all)"
        sizes = f"(select customer, sum(n) as whole from {cells} group by all)"
        counted.append(f"""(
            select true_id, sum(n * (n - 1)) / 2 as {side}_right, sum(n * (whole - 1)) / 2 as {side}_found
            from {cells} join {sizes} using (customer) group by true_id
        )""")
    true = f"(select true_id, count(*) * (count(*) - 1) / 2 as true_pairs from {people} group by true_id)"
    return _judged(
        lake, "true people", f"from {true} join {counted[0]} using (true_id) join {counted[1]} using (true_id)"
    )


def _judged(lake: Lakehouse, labels: str, units: str) -> Judged | None:
    """Compare F1 over units of `true_pairs`, and `right` and `found` pairs of each side; None without true pairs.

    F1 is 2 right / (found + true), so that a unit adds 2 right - F1 found to the difference, with F1 between the two.
    """
    with lake.scratch("compared_units", f"from ({units})") as compared:
        sums = lake.rows(f"""
            select sum(true_pairs)::double, {
            ", ".join(f"sum({side}_right)::double, sum({side}_found)::double" for side in SIDES)
        }
            from {compared}
        """)[0]
        if not sums[0]:
            return None
        old, new = (2 * right / (found + sums[0]) for right, found in (sums[1:3], sums[3:5]))
        differing, gain, squares = lake.rows(
            f"""
            with gains as (
                select 2 * (challenger_right - champion_right) - $f1 * (challenger_found - champion_found) as gain
                from {compared}
            )
            select count(*) filter (gain <> 0), sum(gain)::double, sum(gain * gain)::double from gains
            """,
            {"f1": (old + new) / 2},
        )[0]
    return Judged(labels, old, new, differing, gain / sqrt(squares) if squares else 0.0)


# ---------------------------------------------------------------------- customers
def identity_impact(lake: Lakehouse) -> Impact:
    """Count the champion's customers of whom a record would get another master ID."""
    customers, changed = lake.rows("""
        select count(distinct champion.master_id),
               count(distinct champion.master_id) filter (champion.master_id <> challenger.master_id)
        from champion_identities as champion join challenger_identities as challenger using (record_id)
    """)[0]
    return Impact("customers with another master ID", customers, changed)


def value_impact(lake: Lakehouse) -> Impact:
    """Count the customers whose value, past and projected, would change by more than a tenth."""
    name = tables.CUSTOMER_VALUE.name
    customers, changed = lake.rows(
        f"""
        select count(*), count(*) filter (abs(new.value - old.value) > $change * greatest(abs(old.value), 0.01))
        from champion_{name} as old join challenger_{name} as new using (customer_id)
        """,
        {"change": VALUE_CHANGE},
    )[0]
    return Impact(f"customers whose CLV changes by more than {VALUE_CHANGE:.0%}", customers, changed)


def segment_impact(lake: Lakehouse) -> Impact:
    """Count the customers who would be in another RFM segment or value tier."""
    name = tables.CUSTOMER_SEGMENTS.name
    customers, changed = lake.rows(f"""
        select count(*), count(*) filter (
            (old.rfm_segment, old.value_tier) is distinct from (new.rfm_segment, new.value_tier)
        )
        from champion_{name} as old join challenger_{name} as new using (master_id)
    """)[0]
    return Impact("customers in another segment", customers, changed)


VALUE_COLUMNS = "customer_id, historical_value + coalesce(projected_value, 0) as value"
SEGMENT_COLUMNS = "master_id, rfm_segment, value_tier"
IDENTITY_COLUMNS = "record_id, master_id"
