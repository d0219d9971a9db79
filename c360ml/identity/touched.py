"""Which customers and households new, changed and vanished records touch; all others stay as they are.

A record is changed if anything that a golden record is chosen by, or its cluster, is not what it was at the versions
that the identities were made of. A changed record touches its cluster, the customers whose records are there, and the
customer that it had. What stays has the same records with the same content in the same cluster, so that it would get
the same ID and golden record again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from c360ml import tables
from c360ml.identity.golden_rules import Survivorship
from c360ml.identity.households import HOUSEHOLD_PROBABILITY
from c360ml.identity.master_ids import MASTER_RECORDS
from c360ml.lakehouse import Lakehouse
from c360ml.table_changes import changed_keys, lost_and_gained

TOUCHED_RECORDS = "touched_records"
"""Temporary table: record_id of all records, present or gone, of touched clusters and customers."""
TOUCHED_MASTERS = "touched_masters"
"""Temporary table: master_id of the customers that were touched, as they were before."""
TOUCHED_PREVIOUS = "touched_previous"
"""Temporary table: record_id, master_id of the touched customers, as they were before."""
TOUCHED_CLUSTERS = "touched_clusters"
"""Temporary table: rows of silver.clusters that were touched."""
HOME_OWNERS = "home_owners"
"""Temporary table: record_id, master_id of the people whose households have to be found again and of their mates."""
_HOME = "hash(street_number, street, unit, postcode)"


def record_columns(rules: tuple[Survivorship, ...]) -> list[str]:
    """Name the columns of silver.records that golden records and households are made of.

    >>> record_columns((Survivorship("phone", "most_recent"),))[-1]
    'phone'
    """
    order = ["source", "email_kind", "created_at", "updated_at", "quality_score"]
    return [*order, *(field for rule in rules for field in rule.fields)]


@contextmanager
def touched_customers(lake: Lakehouse, versions: Mapping[str, int], rules: tuple[Survivorship, ...]) -> Iterator[int]:
    """Keep the tables of touched records and customers for the length of a `with` block.

    Args:
        lake: the lakehouse; `silver.clusters` and `silver.identities` must be open.
        versions: versions of the tables that the identities were made of, by path.
        rules: rules of golden records.

    Yields:
        The number of touched records.
    """
    changed = " union ".join(
        changed_keys(lake, table, versions[table.path], columns)
        for table, columns in (
            (tables.RECORDS, record_columns(rules)),
            (tables.CLUSTERS, ["cluster_id", "cohesion"]),
        )
    )
    with lake.scratch(TOUCHED_RECORDS, changed):
        while _spread(lake, tables.CLUSTERS.path, "cluster_id") + _spread(lake, tables.IDENTITIES.path, "master_id"):
            pass
        with (
            lake.scratch(TOUCHED_PREVIOUS, _OF_TOUCHED.format(columns="record_id, master_id", table="identities")),
            lake.scratch(TOUCHED_MASTERS, f"select distinct master_id from {TOUCHED_PREVIOUS}"),
            lake.scratch(TOUCHED_CLUSTERS, _OF_TOUCHED.format(columns="*", table="clusters")),
        ):
            yield int(lake.one(f"select count(*) from {TOUCHED_RECORDS}"))


_OF_TOUCHED = f"select {{columns}} from silver.{{table}} semi join {TOUCHED_RECORDS} using (record_id)"


def _spread(lake: Lakehouse, table: str, group: str) -> int:
    """Touch all records of a group of which one is touched; returns how many were not before."""
    return int(
        lake.one(f"""
            insert into {TOUCHED_RECORDS}
            select record_id
            from {table}
            semi join (select {group} from {table} semi join {TOUCHED_RECORDS} using (record_id)) using ({group})
            anti join {TOUCHED_RECORDS} using (record_id)
        """)
    )


@contextmanager
def touched_homes(lake: Lakehouse, versions: Mapping[str, int]) -> Iterator[str]:
    """Keep `home_owners`, and give SQL of the people to find households of, as `households` takes both.

    Whose home, number, name or links changed, and who shares one of them with such a person, may have another
    household now: and so may all of that household, as it was. Nobody else: what joined them is as it was, and joins
    nobody new. Those who share anything with them are needed to tell what is a hub.

    Args:
        lake: the lakehouse, in `with` blocks of `lasting_master_ids` and `golden_choices` of the touched customers.
        versions: versions of the tables that the identities were made of, by path.
    """
    links = changed_keys(lake, tables.LINKS, versions[tables.LINKS.path], ["record_id_l"], condition=_HOUSEHOLD_LINK)
    lost = lost_and_gained(lake, tables.RECORDS, versions[tables.RECORDS.path])
    with ExitStack() as stack:

        def keep(name: str, query: str) -> None:
            stack.enter_context(lake.scratch(name, query))

        keep("owners_now", _OWNERS_NOW)
        keep("people_now", _PEOPLE_NOW)
        keep("linked_now", _LINKED_NOW)
        keep("phones_now", _PHONES_NOW)
        keep("news", _NEWS.format(links=links))
        keep("touched_homes", _TOUCHED_HOMES)
        keep("touched_phones", _TOUCHED_PHONES.format(lost=lost[0] if lost else _NO_PHONES))
        keep("affected", _AFFECTED)
        keep("at_stake", _AT_STAKE)
        keep("mates", _MATES)
        keep(HOME_OWNERS, "from owners_now semi join mates using (master_id)")
        yield _PEOPLE


_HOUSEHOLD_LINK = f"household_probability >= {HOUSEHOLD_PROBABILITY}"
_NO_PHONES = "select null::varchar as record_id, null::varchar as phone where false"
_OWNERS_NOW = f"""
    select record_id, master_id from silver.identities anti join {TOUCHED_RECORDS} using (record_id)
    union all
    select record_id, master_id from {MASTER_RECORDS}
"""
_PEOPLE_NOW = f"""
    with people as (
        select master_id, surname, street_number, street, unit, postcode
        from silver.golden_records anti join {TOUCHED_MASTERS} using (master_id)
        union all
        select master_id, surname_choice.surname, address_choice.street_number, address_choice.street,
            address_choice.unit, address_choice.postcode
        from golden_choices
    )
    select *, case when postcode is not null then {_HOME} end as home from people
"""
_LINKED_NOW = f"""
    with links as (select record_id_l, record_id_r from silver.links where {_HOUSEHOLD_LINK})
    select l.master_id, r.master_id as partner
    from links
    join owners_now as l on l.record_id = record_id_l
    join owners_now as r on r.record_id = record_id_r
    where l.master_id <> r.master_id
"""
_PHONES_NOW = """
    select master_id, phone
    from silver.records join owners_now using (record_id)
    where phone is not null
"""
_NEWS = f"""
    select master_id from {MASTER_RECORDS}
    union
    select master_id
    from owners_now
    semi join (select unnest([record_id_l, record_id_r]) as record_id from ({{links}})) using (record_id)
"""
_TOUCHED_HOMES = f"""
    select {_HOME} as home
    from silver.golden_records semi join {TOUCHED_MASTERS} using (master_id)
    where postcode is not null
    union
    select home from people_now semi join {MASTER_RECORDS} using (master_id) where home is not null
"""
_TOUCHED_PHONES = f"""
    select phone from silver.records semi join {TOUCHED_RECORDS} using (record_id) where phone is not null
    union
    select phone from ({{lost}}) semi join {TOUCHED_RECORDS} using (record_id) where phone is not null
"""
_AFFECTED = """
    select master_id from news
    union
    select master_id from people_now semi join touched_homes using (home)
    union
    select master_id from phones_now semi join touched_phones using (phone)
    union
    select partner from linked_now semi join news using (master_id)
    union
    select master_id from linked_now semi join news on news.master_id = partner
"""
_AT_STAKE = f"""
    with homes as (
        select household_id from silver.identities semi join affected using (master_id)
        union
        select household_id from silver.identities semi join {TOUCHED_MASTERS} using (master_id)
    )
    select master_id from affected
    union
    select master_id
    from silver.identities semi join homes using (household_id)
    anti join {TOUCHED_MASTERS} using (master_id)
"""
_MATES = """
    with homes as (select home from people_now semi join at_stake using (master_id) where home is not null),
    phones as (select phone from phones_now semi join at_stake using (master_id))
    select master_id from at_stake
    union
    select master_id from people_now semi join homes using (home)
    union
    select master_id from phones_now semi join phones using (phone)
    union
    select partner from linked_now semi join at_stake using (master_id)
    union
    select master_id from linked_now semi join at_stake on at_stake.master_id = partner
"""
_PEOPLE = """
    select people_now.* exclude (home), at_stake.master_id is not null as at_stake
    from people_now
    semi join mates using (master_id)
    left join at_stake using (master_id)
"""
