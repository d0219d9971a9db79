"""The steps `collect` and `profile` on Spark: the SQL of `customer360`, run in tasks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.config import Config
from c360ml.customer360.activity import activity_sql, facts_sql
from c360ml.customer360.collect import READS, interaction_counts, note_collected
from c360ml.customer360.identity_impact import record_impact
from c360ml.customer360.interactions import OBSERVATION_SQL, interactions_sql
from c360ml.customer360.profile import HOUSEHOLDS_SQL, PROFILE_SQL, profile_counts
from c360ml.lakehouse import Lakehouse
from c360ml.spark.frames import Frames
from c360ml.spark.tasks import Input, bring, one_answer, output, spread
from c360ml.table_changes import versions_of
from c360ml.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_PARTS_PER_TASK = 8
_TOLD = (tables.PURCHASES, tables.SERVICES, tables.DIGITAL_EVENTS)


def collect_interactions(frames: Frames, config: Config) -> dict[str, Any]:
    """Do what `customer360.collect_interactions` does."""
    lake = frames.lake
    read = versions_of(lake, READS)
    lake.say("bringing interactions to their customers on Spark")
    frames.write(tables.INTERACTIONS, _interactions(frames))
    lake.write(tables.OBSERVATION, OBSERVATION_SQL, {"observation_end": config.project.observation_end})
    lake.say("counting what each customer did on Spark")
    frames.write(tables.CUSTOMER_ACTIVITY, _activity(frames))
    note_collected(lake, read)
    return interaction_counts(lake)


def _interactions(frames: Frames) -> DataFrame:
    """Each task gets interactions, and the customers of the records and the users of the e-mails that they name."""
    from pyspark.sql import functions as sf

    partitions = frames.partitions
    identities = frames.read(tables.IDENTITIES).select("record_id", "master_id")
    told = {table.path: _parted(frames, table) for table in _TOLD}
    asked, *others = (rows.select("part", "record_id") for rows in told.values())
    for rows in others:
        asked = asked.unionByName(rows)
    owners = bring(asked, part="part", key="record_id", rows=identities, row_key="record_id", partitions=partitions)
    unknown = told[tables.DIGITAL_EVENTS.path].join(identities.select("record_id"), "record_id", "left_anti")
    records = frames.read(tables.RECORDS).where("email is not null and email_kind = 'personal'")
    users = records.select("record_id", "email", "email_kind", "created_at", "updated_at").join(identities, "record_id")
    users = bring(
        unknown.select("part", sf.col("email").alias("wanted")),
        part="part",
        key="wanted",
        rows=users,
        row_key="email",
        partitions=partitions,
    )
    inputs = {path: Input(rows, "part", keep=False) for path, rows in told.items()}
    inputs |= {"owners": Input(owners, "part", keep=False), "users": Input(users, "part", keep=False)}
    answers = spread(inputs, _interaction_rows, _contract(tables.INTERACTIONS), partitions=partitions)
    return output(answers, tables.INTERACTIONS.name)


def _parted(frames: Frames, table: Table) -> DataFrame:
    """Interactions of one record in one part."""
    from pyspark.sql import functions as sf

    key = sf.coalesce("record_id", *table.key)
    return frames.read(table).withColumn("part", sf.pmod(sf.xxhash64(key), sf.lit(_PARTS_PER_TASK * frames.partitions)))


def _interaction_rows(lake: Lakehouse) -> Iterator[tuple[str, str]]:
    lake.rows("""
        create table silver.identities as
        select record_id, master_id from owners union select record_id, master_id from users
    """)
    lake.rows("create view silver.records as select * exclude (master_id) from users")
    yield tables.INTERACTIONS.name, interactions_sql()


def _activity(frames: Frames) -> DataFrame:
    from pyspark.sql import functions as sf

    identities = frames.read(tables.IDENTITIES).select("record_id", "master_id")
    owner = identities.select("record_id", sf.col("master_id").alias("owner"))
    records = frames.read(tables.RECORDS).select("record_id", "created_at").join(owner, "record_id")
    purchases = frames.read(tables.PURCHASES).where("vin is not null").join(owner, "record_id")
    answers = spread(
        {
            tables.IDENTITIES.path: Input(identities, "master_id"),
            tables.INTERACTIONS.path: Input(
                frames.read(tables.INTERACTIONS).where("master_id is not null"), "master_id"
            ),
            tables.RECORDS.path: Input(records, "owner", keep=False),
            tables.PURCHASES.path: Input(purchases, "owner", keep=False),
        },
        partial(one_answer, tables.CUSTOMER_ACTIVITY.name, activity_sql(facts_sql())),
        _contract(tables.CUSTOMER_ACTIVITY),
        partitions=frames.partitions,
        given=_observation(frames),
    )
    return output(answers, tables.CUSTOMER_ACTIVITY.name)


def profile_customers(frames: Frames, config: Config) -> dict[str, Any]:
    """Do what `customer360.profile_customers` does."""
    lake = frames.lake
    changes = record_impact(lake, PROFILE_SQL)
    lake.say("writing one row per customer on Spark")
    frames.write(tables.CUSTOMER_360, _profiles(frames))
    households = frames.write(tables.HOUSEHOLDS, _households(frames))
    return profile_counts(lake) | {"households": households, "identity_changes": changes}


def _profiles(frames: Frames) -> DataFrame:
    told = (tables.GOLDEN_RECORDS, tables.CUSTOMER_ACTIVITY, tables.CUSTOMER_SEGMENTS)
    inputs = {table.path: Input(frames.read(table), "master_id") for table in told}
    inputs[tables.CUSTOMER_VALUE.path] = Input(frames.read(tables.CUSTOMER_VALUE), "customer_id")
    answers = spread(
        inputs,
        partial(one_answer, tables.CUSTOMER_360.name, PROFILE_SQL),
        _contract(tables.CUSTOMER_360),
        partitions=frames.partitions,
        given=_observation(frames),
    )
    return output(answers, tables.CUSTOMER_360.name)


def _households(frames: Frames) -> DataFrame:
    answers = spread(
        {tables.CUSTOMER_360.path: Input(frames.read(tables.CUSTOMER_360), "household_id")},
        partial(one_answer, tables.HOUSEHOLDS.name, HOUSEHOLDS_SQL),
        _contract(tables.HOUSEHOLDS),
        partitions=frames.partitions,
    )
    return output(answers, tables.HOUSEHOLDS.name)


def _contract(table: Table) -> dict[str, dict[str, str]]:
    return {table.name: {name: column.type for name, column in table.columns.items()}}


def _observation(frames: Frames) -> dict[str, Any]:
    rows = frames.lake.sql(f"from {frames.lake.open(tables.OBSERVATION)}").to_arrow_table()
    return {tables.OBSERVATION.path: rows}
