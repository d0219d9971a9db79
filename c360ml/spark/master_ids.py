"""Lasting master IDs on Spark: clusters and the old IDs that share a record with them meet in one task.

There `identity.master_ids` decides, for what meets is all that a decision depends on: a part is a connected component
of old IDs and clusters. Whether a new ID is in use is looked up among all IDs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from c360ml import tables
from c360ml.identity.households import HOMES_BEFORE
from c360ml.identity.inbox import inbox_records
from c360ml.identity.ledger import next_version
from c360ml.identity.master_ids import (
    HEIRS,
    KEPT_MASTERS,
    MINTED_IDS,
    MINTED_SQL,
    NEW_MASTER_ID,
    PREVIOUS_MASTERS,
    RETURNED_SQL,
    inherited_ids,
)
from c360ml.identity.redirects import RETIRED_IDS, RETIRED_SQL
from c360ml.lakehouse import Lakehouse
from c360ml.spark.components import connected
from c360ml.spark.frames import Frames
from c360ml.spark.new_ids import without_ids_in_use
from c360ml.spark.tasks import Input, one_answer, output, spread

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_TEXT = "VARCHAR"
_OWNED = {"record_id": _TEXT, "master_id": _TEXT}
_PREVIOUS = {**_OWNED, "living": "BOOLEAN"}
_RETIRED = dict.fromkeys(("retired_master_id", "heir", "event"), _TEXT)
_COUNTED = ("new_ids", "kept_ids", "merged", "split", "vanished", "returned")
_FOUND = {
    "heirs": {"master_id": _TEXT, "living": "BOOLEAN", "cluster_id": _TEXT},
    "kept": {"cluster_id": _TEXT, "master_id": _TEXT},
    "new": {"cluster_id": _TEXT, "least_record_id": _TEXT, "earliest": "TIMESTAMPTZ", "master_id": _TEXT},
    "homes": {"master_id": _TEXT, "household_id": _TEXT},
    "counts": dict.fromkeys(_COUNTED, "BIGINT"),
}


@dataclass(frozen=True)
class MasterIds:
    """Who is who now and was before; all frames but `homes` have a column `part`, see the module.

    `owners` are `record_id, master_id, cohesion`; `previous`, `minted`, `heirs` and `kept` the tables of
    `identity.master_ids`; `homes` are `master_id, household_id` of the run before; `became` counts old IDs.
    """

    owners: DataFrame
    previous: DataFrame
    minted: DataFrame
    heirs: DataFrame
    kept: DataFrame
    homes: DataFrame
    became: dict[str, int]


def lasting_master_ids(frames: Frames) -> MasterIds:
    """Give every record its master ID, as `identity.master_ids.lasting_master_ids` does."""
    from pyspark.sql import functions as sf

    clusters, standing = frames.read(tables.CLUSTERS), _standing(frames)
    retired = frames.keep(_retired(frames))
    previous = standing.selectExpr("record_id", "master_id", "true as living")
    previous = frames.keep(previous.unionByName(_returned(frames, retired, clusters, standing)))
    minted = frames.keep(_minted(frames, retired, standing))
    labels = _labels(frames, previous.select(*_OWNED).unionByName(minted), clusters)
    clusters = frames.keep(_parted(clusters, _node("cluster_id"), labels))
    previous, minted, standing = (_parted(rows, _node("master_id"), labels) for rows in (previous, minted, standing))
    found = frames.keep(_found(frames, clusters, previous, minted, standing))
    used = previous.select("master_id").unionByName(retired.select(sf.col("retired_master_id").alias("master_id")))
    new = without_ids_in_use(frames, output(found, "new"), used, "master_id", NEW_MASTER_ID)
    kept = output(found, "kept")
    masters = kept.unionByName(new.select("cluster_id", "master_id"))
    owners = clusters.join(masters, "cluster_id").select("record_id", "master_id", "cohesion", "part")
    counts = output(found, "counts").agg(*(sf.sum(name).alias(name) for name in _COUNTED)).collect()[0]
    return MasterIds(
        owners=frames.keep(owners),
        previous=previous,
        minted=minted,
        heirs=_parted(output(found, "heirs"), _node("cluster_id"), labels),
        kept=_parted(kept, _node("cluster_id"), labels),
        homes=output(found, "homes"),
        became={name: int(counts[name] or 0) for name in _COUNTED},
    )


# ---------------------------------------------------------------------- what was
def _standing(frames: Frames) -> DataFrame:
    """Records with their customers and households of the run before."""
    if frames.lake.version(tables.IDENTITIES) is None:
        return frames.none_of({**_OWNED, "household_id": _TEXT})
    return frames.read(tables.IDENTITIES).select("record_id", "master_id", "household_id")


def _retired(frames: Frames) -> DataFrame:
    """See `identity.redirects.retired_ids`; events of one ID meet in one task."""
    from pyspark.sql import functions as sf

    if frames.lake.version(tables.IDENTITY_LEDGER) is None:
        return frames.none_of(_RETIRED)
    events = frames.read(tables.IDENTITY_LEDGER).where("event in ('merged', 'retired', 'returned')")
    events = events.where(sf.col("table_version") < next_version(frames.lake, tables.IDENTITIES))
    fate = sf.when(sf.col("event") == "merged", sf.col("other_master_id")).otherwise(sf.col("master_id"))
    answers = spread(
        {"events": Input(events.withColumn("fate", fate), "fate", keep=False)},
        partial(one_answer, "retired", RETIRED_SQL.format(events="events")),
        {"retired": _RETIRED},
        partitions=frames.partitions,
    )
    return output(answers, "retired")


def _returned(frames: Frames, retired: DataFrame, clusters: DataFrame, standing: DataFrame) -> DataFrame:
    """Records that bring an ID back; the history of one record meets in one task, with what is retired of it."""
    from pyspark.sql import functions as sf

    gone = retired.where("event = 'retired'").select(sf.col("retired_master_id").alias("master_id"), "event")
    if frames.lake.version(tables.IDENTITY_HISTORY) is None or not gone.count():
        return frames.none_of(_PREVIOUS)
    history = frames.read(tables.IDENTITY_HISTORY).select("record_id", "master_id", "table_version")
    history = history.where(sf.col("table_version") < next_version(frames.lake, tables.IDENTITIES))
    history = frames.keep(history.join(gone, "master_id", "left_semi"))
    of_record = history.select("record_id", sf.col("master_id").alias("retired_master_id"))
    retired_here = of_record.distinct().withColumn("event", sf.lit("retired"))
    answers = spread(
        {
            "history": Input(history, "record_id"),
            "clusters": Input(clusters.select("record_id").join(history, "record_id", "left_semi"), "record_id"),
            "living": Input(standing.select("record_id").join(history, "record_id", "left_semi"), "record_id"),
            RETIRED_IDS: Input(retired_here, "record_id", keep=False),
        },
        partial(one_answer, "returned", RETURNED_SQL.format(history="history", clusters="clusters", living="living")),
        {"returned": _PREVIOUS},
        partitions=frames.partitions,
    )
    return output(answers, "returned")


def _minted(frames: Frames, retired: DataFrame, standing: DataFrame) -> DataFrame:
    """IDs that upserts answered; the inbox lies on the driver, and each task is told what it asks for."""
    from pyspark.sql import functions as sf

    rows = inbox_records(frames.lake.folder)
    if not rows:
        return frames.none_of(_OWNED)
    listed = {name: pa.array([str(row[name]) for row in rows], pa.string()) for name in _OWNED}
    upserted = frames.of_arrow(pa.table(listed))
    asked = sf.broadcast(upserted.select("record_id"))
    living = standing.select("record_id").join(asked, "record_id", "left_semi")
    gone = retired.join(
        sf.broadcast(upserted.select(sf.col("master_id").alias("retired_master_id"))), "retired_master_id", "left_semi"
    )
    answers = spread(
        {"upserted": Input(upserted, "record_id"), "living": Input(living, "record_id")},
        partial(one_answer, "minted", MINTED_SQL.format(upserted="upserted", living="living")),
        {"minted": _OWNED},
        partitions=frames.partitions,
        given={RETIRED_IDS: gone.toArrow()},
    )
    return output(answers, "minted")


# ---------------------------------------------------------------------- parts
def _node(column: str) -> Column:
    """Number of an old ID or a cluster in the graph; numbers that meet by chance only send more to one task."""
    from pyspark.sql import functions as sf

    return sf.xxhash64(sf.lit(column), sf.col(column))


def _labels(frames: Frames, claims: DataFrame, clusters: DataFrame) -> DataFrame:
    met = claims.join(clusters.select("record_id", "cluster_id"), "record_id")
    return connected(frames, met.select(_node("master_id").alias("a"), _node("cluster_id").alias("b")))


def _parted(rows: DataFrame, node: Column, labels: DataFrame) -> DataFrame:
    from pyspark.sql import functions as sf

    placed = rows.withColumn("node", node).join(labels, "node", "left")
    return placed.withColumn("part", sf.coalesce("component", "node")).drop("node", "component")


# ---------------------------------------------------------------------- what is
def _found(
    frames: Frames, clusters: DataFrame, previous: DataFrame, minted: DataFrame, standing: DataFrame
) -> DataFrame:
    records = frames.read(tables.RECORDS).select("record_id", "created_at", "updated_at")
    clustered = clusters.select("record_id", "cluster_id", "part").join(records, "record_id")
    homes = standing.select("master_id", "household_id", "part").distinct()
    return spread(
        {
            "clustered": Input(clustered, "part", keep=False),
            PREVIOUS_MASTERS: Input(previous.select(*_PREVIOUS, "part"), "part", keep=False),
            MINTED_IDS: Input(minted.select(*_OWNED, "part"), "part", keep=False),
            "standing": Input(homes, "part", keep=False),
        },
        _find,
        _FOUND,
        partitions=frames.partitions,
    )


def _find(lake: Lakehouse) -> Iterator[tuple[str, str]]:
    lake.rows("create view silver.records as select record_id, created_at, updated_at from clustered")
    with inherited_ids(lake, "clustered") as became:
        yield "heirs", f"from {HEIRS}"
        yield "kept", f"from {KEPT_MASTERS}"
        yield "new", "from new_masters"
        yield "homes", HOMES_BEFORE.format(identities="standing")
        yield "counts", "select " + ", ".join(f"{number} as {name}" for name, number in became.items())
