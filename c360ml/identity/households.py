"""Households: people who live together, found as connected components of what they share.

Two people are joined by any of

- a link whose household probability is at least one half;
- the same current address and surname;
- the same telephone number, surname and postcode (a landline).

A hub is no evidence: an address or a number that more than 12 people use (a dealer's own, a block of
flats without unit numbers), or a person linked to more than 12 others. Everybody is in exactly one
household, most alone in their own.

Household IDs last as master IDs do: an ID follows most of its members, ties go to the part with the eldest of them (the
least master ID). Where several follow into one household, that of most members survives, among equals the older. Any
other household gets a new one: `H` and a UUID version 7 of its eldest member's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from c360ml import tables
from c360ml.identity.master_ids import HEIRS, KEPT_MASTERS, MASTER_RECORDS, uuid7_of_hex
from c360ml.lakehouse import Lakehouse

HUB_SIZE = 12
"""Most people who may share an address, a number or links and still be a household."""
HOUSEHOLD_PROBABILITY = 0.5

HOUSEHOLD_MEMBERS = "household_members"
"""Temporary table: master_id, household_id."""


EVERYBODY = """
    select master_id, surname_choice.surname as surname, unnest(address_choice), true as at_stake
    from golden_choices
"""
"""The people of a run that looks at all of them, see `households`."""


@contextmanager
def households(lake: Lakehouse, people: str = EVERYBODY, owners: str = MASTER_RECORDS) -> Iterator[str]:
    """Keep `household_members`, in a `with` block of `lasting_master_ids` and `golden_choices`.

    Args:
        lake: the lakehouse; `silver.records` and `silver.links` must be open.
        people: SQL of `master_id, surname, street_number, street, unit, postcode, at_stake`: all whose household is
            `at_stake`, and all who share a home, a number or a link with one of them.
        owners: name of a table `record_id, master_id` with all records of these people.
    """
    numbered = f"select *, row_number() over (order by master_id) - 1 as person from ({people})"
    with lake.scratch("people", numbered):
        edges = lake.sql(EDGES.format(owners=owners)).to_arrow_table()
        heads = eldest_of_component(
            lake.one("select count(*) from people"),
            edges.column("person_l").to_numpy(),
            edges.column("person_r").to_numpy(),
        )
        numbers = np.arange(len(heads))
        lake.con.register("household_heads", pa.table({"person": numbers, "head": heads}))
        try:
            with (
                lake.scratch("home_groups", _GROUPS),
                lake.scratch("homes_before", _homes_before(lake)),
                homes_of_groups(lake),
            ):
                _avoid_ids_in_use(lake)
                with lake.scratch(HOUSEHOLD_MEMBERS, _MEMBERS):
                    yield HOUSEHOLD_MEMBERS
        finally:
            lake.con.unregister("household_heads")


@contextmanager
def homes_of_groups(lake: Lakehouse) -> Iterator[None]:
    """Keep `kept_homes` and `new_homes` of the people in `home_groups`, whose homes were `homes_before`."""
    with lake.scratch("kept_homes", _KEPT_HOMES), lake.scratch("new_homes", _NEW_HOMES, {"attempt": 0}):
        yield


def eldest_of_component(
    people: int, left: np.ndarray[tuple[int], np.dtype[np.int64]], right: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Least number among all that are connected with each of the numbers 0 to `people` - 1.

    >>> eldest_of_component(5, np.array([1, 3]), np.array([3, 4])).tolist()
    [0, 1, 2, 1, 1]
    """
    if people == 0:
        return np.empty(0, np.int64)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(people, people))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component]


SAME_ADDRESS = f"""
    with homes as (
        select
            person,
            surname,
            count(*) over (partition by street_number, street, unit, postcode) as dwellers,
            min(person) over (partition by street_number, street, unit, postcode, surname) as eldest
        from people
        where postcode is not null and (street_number is not null or regexp_matches(street, '[0-9]'))
    )
    select eldest as person_l, person as person_r
    from homes
    where surname is not null and dwellers <= {HUB_SIZE} and person <> eldest
"""
"""Pairs of people of one address, all of which are in `people`."""

SAME_LINE = f"""
    with numbers as (
        select distinct people.person, people.surname, people.postcode, records.phone
        from silver.records as records
        join {{owners}} using (record_id)
        join people using (master_id)
        where records.phone is not null and people.surname is not null and people.postcode is not null
    ),
    lines as (
        select
            person,
            count(*) over (partition by phone) as users,
            min(person) over (partition by phone, surname, postcode) as eldest
        from numbers
    )
    select eldest as person_l, person as person_r
    from lines
    where users <= {HUB_SIZE} and person <> eldest
"""
"""Pairs of people of one telephone number, all of whose users are in `people`."""

HOUSEHOLD_LINKS = f"""
    select distinct
        least(l.person, r.person) as person_l,
        greatest(l.person, r.person) as person_r
    from silver.links as links
    join {{owners}} as records_l on records_l.record_id = links.record_id_l
    join {{owners}} as records_r on records_r.record_id = links.record_id_r
    join people as l on l.master_id = records_l.master_id
    join people as r on r.master_id = records_r.master_id
    where links.household_probability >= {HOUSEHOLD_PROBABILITY}
        and l.person <> r.person
"""

LINKED_PEOPLE = f"select person from {{ends}} group by person having count(*) <= {HUB_SIZE}"
"""People who are linked to few enough, of all ends of household links."""

EDGES = f"""
    with household_links as ({HOUSEHOLD_LINKS}),
    ends as (select person_l as person from household_links union all select person_r from household_links),
    linked_people as ({LINKED_PEOPLE.format(ends="ends")}),
    same_household as (
        select person_l, person_r
        from household_links
        semi join linked_people as l on l.person = person_l
        semi join linked_people as r on r.person = person_r
    ),
    edges as (
        select person_l, person_r from ({SAME_ADDRESS})
        union all
        select person_l, person_r from ({SAME_LINE})
        union all
        select person_l, person_r from same_household
    )
    select person_l, person_r
    from edges
    semi join (from people where at_stake) as l on l.person = person_l
    semi join (from people where at_stake) as r on r.person = person_r
"""

HOUSEHOLD_RULES = (EDGES, HUB_SIZE, HOUSEHOLD_PROBABILITY)
"""All that decides who shares a household."""

_GROUPS = """
    select members.master_id, heads.head
    from household_heads as heads
    join people as members on members.person = heads.person
    where members.at_stake
"""


def _homes_before(lake: Lakehouse) -> str:
    if lake.version(tables.IDENTITIES) is None:
        return "select null::varchar as master_id, null::varchar as household_id where false"
    return HOMES_BEFORE.format(identities=lake.open(tables.IDENTITIES))


HOMES_BEFORE = f"""
    select distinct coalesce(kept.master_id, before.master_id) as master_id, before.household_id
    from {{identities}} as before
    left join {HEIRS} as heirs on heirs.master_id = before.master_id
    left join {KEPT_MASTERS} as kept on kept.cluster_id = heirs.cluster_id
"""
"""SQL of living customers with their households of the run before; one that was merged brings its own along."""


_KEPT_HOMES = """
    with shared as (
        select household_id, head, count(*) as members, min(master_id) as eldest
        from homes_before
        join home_groups using (master_id)
        group by all
    ),
    followed as (
        select household_id, head, members
        from shared
        qualify 1 = row_number() over (partition by household_id order by members desc, eldest)
    )
    select head, arg_max(household_id, (members, eldest_first)) as household_id
    from (select *, -row_number() over (order by household_id) as eldest_first from followed)
    group by head
"""


def new_home_sql(eldest: str) -> str:
    """SQL of the household ID that the eldest member makes at `$attempt`."""
    return "'H' || " + uuid7_of_hex(f"replace({eldest}[1:13], '-', '')", f"concat_ws(' ', 'home', {eldest}, $attempt)")


_NEW_HOMES = f"""
    with eldest_members as (select head, min(master_id) as eldest from home_groups group by head)
    select head, eldest, {new_home_sql("eldest")} as household_id
    from eldest_members
    anti join kept_homes using (head)
"""


def _avoid_ids_in_use(lake: Lakehouse) -> None:
    if lake.version(tables.IDENTITIES) is None:
        return
    taken = f"household_id in (select household_id from {lake.open(tables.IDENTITIES)})"
    attempt = 0
    while lake.one(f"select count(*) from new_homes where {taken}"):
        attempt += 1
        lake.rows(f"update new_homes set household_id = {new_home_sql('eldest')} where {taken}", {"attempt": attempt})


_MEMBERS = """
    with ids as (
        select head, household_id from kept_homes
        union all
        select head, household_id from new_homes
    )
    select master_id, household_id from home_groups join ids using (head)
"""
