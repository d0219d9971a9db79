"""The ledger on Spark: what changed among the customers of a part is told in one task, see `spark.master_ids`.

Rows are those of `identity.ledger`, and are added before the tables that they tell of.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.config import Config
from c360ml.identity.change_events import CHANGED_RECORDS, EVENTS, Circumstances, identity_events
from c360ml.identity.identify import MOVED, change_counts, circumstances_of, history_rows
from c360ml.identity.ledger import (
    EVENT_ROWS,
    HISTORY_ROWS,
    LEFT_OF_EVENTS,
    LEFT_OF_HISTORY,
    facts_of_run,
)
from c360ml.identity.master_ids import HEIRS, KEPT_MASTERS, MASTER_RECORDS, MINTED_IDS, PREVIOUS_MASTERS
from c360ml.lakehouse import Lakehouse
from c360ml.spark.frames import Frames
from c360ml.spark.master_ids import MasterIds
from c360ml.spark.tasks import Input, output, spread
from c360ml.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def columns_of_table(table: Table) -> dict[str, str]:
    """Columns of a table with their DuckDB types."""
    return {name: column.type for name, column in table.columns.items()}


def note_events(
    frames: Frames, config: Config, masters: MasterIds, moment: datetime, model_digest: str | None
) -> dict[str, Any]:
    """Add what happened to customers and records to ledger and history; returns what changed."""
    from pyspark.sql import functions as sf

    lake = frames.lake
    facts = facts_of_run(lake, tables.IDENTITIES, moment, model_digest)
    told = partial(_tell, circumstances_of(lake, config, model_digest), history_rows(lake), facts)
    answers = frames.keep(_told(frames, masters, told))
    events = output(answers, "events")
    counted = events.groupBy("event", "reason").count().orderBy("event", "reason").collect()
    moved = int(output(answers, "moved").agg(sf.sum("records")).collect()[0][0] or 0)
    changes = change_counts(lake, moved, [(row["event"], row["reason"], int(row["count"])) for row in counted])
    frames.append(tables.IDENTITY_LEDGER, events, replacing=LEFT_OF_EVENTS.format(**facts))
    frames.append(tables.IDENTITY_HISTORY, output(answers, "history"), replacing=LEFT_OF_HISTORY.format(**facts))
    return changes


def _told(frames: Frames, masters: MasterIds, told: Any) -> DataFrame:
    sources = frames.read(tables.RECORDS).select("source").distinct()
    return spread(
        {
            MASTER_RECORDS: Input(masters.owners, "part", keep=False),
            PREVIOUS_MASTERS: Input(masters.previous, "part", keep=False),
            MINTED_IDS: Input(masters.minted, "part", keep=False),
            HEIRS: Input(masters.heirs, "part", keep=False),
            KEPT_MASTERS: Input(masters.kept, "part", keep=False),
            "links": Input(_links(frames, masters), "part", keep=False),
        },
        told,
        {
            "events": columns_of_table(tables.IDENTITY_LEDGER),
            "history": columns_of_table(tables.IDENTITY_HISTORY),
            "moved": {"records": "BIGINT"},
        },
        partitions=frames.partitions,
        given={tables.RECORDS.path: sources.toArrow()},
    )


def _links(frames: Frames, masters: MasterIds) -> DataFrame:
    """Links within parts in which a record that was known has another customer; no other link is a reason."""
    from pyspark.sql import functions as sf

    before = masters.previous.select("record_id", sf.col("master_id").alias("before"))
    before = before.unionByName(masters.minted.select("record_id", sf.col("master_id").alias("before")))
    known = masters.previous.select("part").unionByName(masters.minted.select("part")).distinct()
    other = masters.owners.join(before, "record_id", "left").where("before is null or before <> master_id")
    touched = frames.keep(other.select("part").distinct().join(known, "part", "left_semi"))
    placed = frames.keep(masters.owners.join(touched, "part", "left_semi").select("record_id", "part"))
    links = frames.read(tables.LINKS).select("record_id_l", "record_id_r", "match_probability")
    for side in "lr":
        links = links.join(placed.toDF(f"record_id_{side}", f"part_{side}"), f"record_id_{side}")
    return links.where("part_l = part_r").drop("part_r").withColumnRenamed("part_l", "part")


def _tell(
    circumstances: Circumstances, history: str, facts: dict[str, Any], lake: Lakehouse
) -> Iterator[tuple[str, str]]:
    with identity_events(lake, circumstances, links="links"):
        lake.rows(f"create temp table event_rows as {EVENT_ROWS.format(events=EVENTS)}", facts)
        unmodelled = {name: value for name, value in facts.items() if name != "model_digest"}
        history_of_records = HISTORY_ROWS.format(changed_records=history)
        lake.rows(f"create temp table history_rows as {history_of_records}", unmodelled)
        yield "events", "from event_rows"
        yield "history", "from history_rows"
        yield "moved", f"select count(*) filter (where {MOVED}) as records from {CHANGED_RECORDS}"
