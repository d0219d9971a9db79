"""Households on Spark, by the SQL of `identity.households`: who shares an address, a number or a link meets in a task.

People are numbered as there. A household and the IDs that follow into it meet in one task, too, so that who keeps
which ID is decided as if all were there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from c360ml import tables
from c360ml.identity.households import (
    HOUSEHOLD_LINKS,
    HOUSEHOLD_PROBABILITY,
    LINKED_PEOPLE,
    SAME_ADDRESS,
    SAME_LINE,
    homes_of_groups,
    new_home_sql,
)
from c360ml.lakehouse import Lakehouse
from c360ml.spark.components import connected
from c360ml.spark.frames import Frames
from c360ml.spark.new_ids import without_ids_in_use
from c360ml.spark.numbering import numbered
from c360ml.spark.tasks import Input, output, spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PEOPLE = dict.fromkeys(("master_id", "surname", "street_number", "street", "unit", "postcode"), "VARCHAR")
_EDGES = {"person_l": "BIGINT", "person_r": "BIGINT"}
_IDS = {"head": "BIGINT", "household_id": "VARCHAR"}


def households(frames: Frames, people: DataFrame, owners: DataFrame, before: DataFrame) -> DataFrame:
    """Find everybody's household, as `identity.households` does: `master_id, household_id`.

    Args:
        frames: where frames are kept.
        people: everybody, with the columns of `PEOPLE`.
        owners: `record_id, master_id` of all records.
        before: `master_id, household_id` of the run before.
    """
    people, _ = numbered(frames, people, by="master_id", number="person")
    edges = _same_address(frames, people).unionByName(_same_line(frames, people, owners))
    edges = edges.unionByName(_same_household(frames, people, owners))
    heads = connected(frames, edges.selectExpr("person_l as a", "person_r as b"))
    heads = heads.selectExpr("node as person", "component")
    groups = people.join(heads, "person", "left").selectExpr("master_id", "coalesce(component, person) as head")
    groups = frames.keep(groups)
    return frames.keep(groups.join(_ids(frames, groups, before), "head").select("master_id", "household_id"))


# ---------------------------------------------------------------------- who lives together
def _same_address(frames: Frames, people: DataFrame) -> DataFrame:
    from pyspark.sql import functions as sf

    home = sf.xxhash64("street_number", "street", "unit", "postcode").alias("home")
    answers = spread(
        {"people": Input(people.where("postcode is not null").select("*", home), "home", keep=False)},
        _find_same_address,
        {"edges": _EDGES},
        partitions=frames.partitions,
    )
    return output(answers, "edges")


def _find_same_address(lake: Lakehouse) -> Iterator[tuple[str, str]]:
    yield "edges", SAME_ADDRESS


def _same_line(frames: Frames, people: DataFrame, owners: DataFrame) -> DataFrame:
    records = frames.read(tables.RECORDS).where("phone is not null").select("record_id", "phone")
    called = records.join(owners.select("record_id", "master_id"), "record_id")
    called = called.join(people.select("master_id", "person", "surname", "postcode"), "master_id")
    answers = spread(
        {"called": Input(called, "phone")}, _find_same_line, {"edges": _EDGES}, partitions=frames.partitions
    )
    return output(answers, "edges")


def _find_same_line(lake: Lakehouse) -> Iterator[tuple[str, str]]:
    lake.rows("create view silver.records as select distinct record_id, phone from called")
    lake.rows("create temp view owners as select distinct record_id, master_id from called")
    lake.rows("create temp view people as select distinct master_id, person, surname, postcode from called")
    yield "edges", SAME_LINE.format(owners="owners")


def _same_household(frames: Frames, people: DataFrame, owners: DataFrame) -> DataFrame:
    """Each link is sent to a task of its own pair of people, then each end to a task of its own person."""
    from pyspark.sql import functions as sf

    links = frames.read(tables.LINKS).where(sf.col("household_probability") >= HOUSEHOLD_PROBABILITY)
    links = links.select("record_id_l", "record_id_r", "household_probability")
    known = owners.select("record_id", "master_id").join(people.select("master_id", "person"), "master_id")
    for side in "lr":
        links = links.join(known.toDF(*(f"{name}_{side}" for name in known.columns)), f"record_id_{side}")
    pair = sf.xxhash64(sf.least("person_l", "person_r"), sf.greatest("person_l", "person_r")).alias("pair")
    answers = spread(
        {"linked": Input(links.select("*", pair), "pair", keep=False)},
        _find_household_links,
        {"edges": _EDGES},
        partitions=frames.partitions,
    )
    found = frames.keep(output(answers, "edges"))
    ends = found.selectExpr("explode(array(person_l, person_r)) as person")
    answers = spread(
        {"ends": Input(ends, "person")},
        _find_linked_people,
        {"few": {"person": "BIGINT"}},
        partitions=frames.partitions,
    )
    few = frames.keep(output(answers, "few"))
    for side in "lr":
        found = found.join(few.withColumnRenamed("person", f"person_{side}"), f"person_{side}", "left_semi")
    return found.select("person_l", "person_r")


def _find_household_links(lake: Lakehouse) -> Iterator[tuple[str, str]]:
    lake.rows("create view silver.links as from linked")
    lake.rows("""
        create temp view owned as
        select record_id_l as record_id, master_id_l as master_id, person_l as person from linked
        union
        select record_id_r, master_id_r, person_r from linked
    """)
    lake.rows("create temp view owners as select record_id, master_id from owned")
    lake.rows("create temp view people as select distinct master_id, person from owned")
    yield "edges", HOUSEHOLD_LINKS.format(owners="owners")


def _find_linked_people(lake: Lakehouse) -> Iterator[tuple[str, str]]:
    yield "few", LINKED_PEOPLE.format(ends="ends")


# ---------------------------------------------------------------------- household IDs
def _ids(frames: Frames, groups: DataFrame, before: DataFrame) -> DataFrame:
    """The ID of each group: `head, household_id`."""
    from pyspark.sql import functions as sf

    stayed = frames.keep(before.join(groups, "master_id"))
    # Numbers that meet by chance only send more to one task.
    followed = stayed.select(sf.col("head").alias("a"), sf.xxhash64("household_id").alias("b"))
    labels = connected(frames, followed).withColumnRenamed("node", "head")
    part = sf.coalesce("component", "head").alias("part")
    answers = frames.keep(
        spread(
            {
                "home_groups": Input(groups.join(labels, "head", "left").select("*", part), "part", keep=False),
                "homes_before": Input(
                    stayed.join(labels, "head", "left").select("master_id", "household_id", part), "part", keep=False
                ),
            },
            _find_homes,
            {"kept": _IDS, "new": {**_IDS, "eldest": "VARCHAR"}},
            partitions=frames.partitions,
        )
    )
    kept, new = output(answers, "kept"), output(answers, "new")
    if frames.lake.version(tables.IDENTITIES) is not None:
        new = without_ids_in_use(frames, new, frames.read(tables.IDENTITIES), "household_id", new_home_sql("eldest"))
    return kept.unionByName(new.select(*_IDS))


def _find_homes(lake: Lakehouse) -> Iterator[tuple[str, str]]:
    with homes_of_groups(lake):
        yield "kept", "from kept_homes"
        yield "new", "from new_homes"
