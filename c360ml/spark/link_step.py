"""The step `link` on Spark: trains, scores and clusters, and writes what `linkage.link` writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.append import content_hashes
from c360ml.linkage.blocking import BlockingRule
from c360ml.linkage.decided_pairs import is_sampled
from c360ml.linkage.step import note_linked, set_threshold, unfitted_model, write_model_file
from c360ml.linkage.stored_keys import stored_keys_sql
from c360ml.spark.blocking import unsigned
from c360ml.spark.features import with_derived_lists
from c360ml.spark.frames import Frames
from c360ml.spark.linking import SparkLinkage
from c360ml.spark.tasks import Input, output, spread
from c360ml.table_changes import versions_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SEEN = {"record_id": "VARCHAR", "content_hash": "VARCHAR"}
_BLOCKED = {"record_id": "VARCHAR", "block_keys": "BIGINT[]"}


def link(frames: Frames, config: Config) -> dict[str, Any]:
    """Do what `linkage.link` does."""
    lake, settings = frames.lake, config.linkage
    read = versions_of(lake, (tables.RECORDS,))
    model = unfitted_model(lake, settings)
    lake.say("blocking and comparing on Spark")
    linkage = SparkLinkage(frames, model).fit(frames.read(tables.RECORDS))
    if is_sampled(lake.con, model.constraints.reviewed_pairs):
        lake.say("learning from reviewed pairs")
        linkage.recalibrate(model.constraints.reviewed_pairs)
    chosen = set_threshold(model, settings, linkage.pair_counts)
    lake.say("clustering on Spark")
    clusters = linkage.cluster()
    _write(frames, linkage, clusters.rows)
    note_linked(lake, read)
    summary = {**linkage.summary(), "recalibration": model.recalibration_.summary()}
    if chosen is not None:
        summary["chosen_threshold"] = asdict(chosen)
    write_model_file(lake, model, summary, settings)
    found = lake.one(f"select count(distinct cluster_id) from {tables.CLUSTERS.path}")
    return {**summary, "clusters": found, "clustering": clusters.summary()}


def _write(frames: Frames, linkage: SparkLinkage, clusters: DataFrame) -> None:
    """Write clusters, links, what was told of values, and last what the linkage saw of each record."""
    from pyspark.sql import functions as sf

    frames.write(tables.CLUSTERS, _ordered(frames, clusters, "record_id"))
    links = linkage.pairs
    for side in "lr":
        of_side = clusters.select(
            sf.col("record_id").alias(f"record_id_{side}"), sf.col("cluster_id").alias(f"cluster_{side}")
        )
        links = links.join(of_side, f"record_id_{side}")
    links = links.withColumn("is_link", sf.col("cluster_l") == sf.col("cluster_r"))
    frames.write(tables.LINKS, _ordered(frames, links, "record_id_l", "record_id_r"))
    frames.write(tables.TERM_STATISTICS, linkage.statistics)
    frames.write(tables.LINKED_RECORDS, _ordered(frames, _seen(frames, linkage), "record_id"))


def _ordered(frames: Frames, rows: DataFrame, *keys: str) -> DataFrame:
    return rows.repartitionByRange(frames.partitions, *keys).sortWithinPartitions(*keys)


def _seen(frames: Frames, linkage: SparkLinkage) -> DataFrame:
    """What the linkage saw of each record, see `linkage.append.linked_records`."""
    hashed = spread(
        {tables.RECORDS.path: Input(frames.read(tables.RECORDS), "record_id")},
        _hash_contents,
        {"seen": _SEEN},
        partitions=frames.partitions,
    )
    blocked = spread(
        {"features": Input(linkage.features.rows, "rid"), "used": Input(linkage.keys, "rid")},
        partial(_block_keys, linkage.model.rules_),
        {"blocked": _BLOCKED},
        partitions=frames.partitions,
    )
    return output(hashed, "seen").join(output(blocked, "blocked"), "record_id")


def _hash_contents(lake: Lakehouse) -> Iterator[tuple[str, str]]:
    yield "seen", content_hashes(lake.con, tables.RECORDS.path)


def _block_keys(rules: tuple[BlockingRule, ...], lake: Lakehouse) -> Iterator[tuple[str, str]]:
    with_derived_lists(lake.con, "features", "unblocked")
    columns = "".join(f", keys_{number}.k as {rule.column}" for number, rule in enumerate(rules))
    joins = " ".join(
        f"left join (select rid, {unsigned('k')} as k from used where rule = {number}) keys_{number} using (rid)"
        for number in range(len(rules))
    )
    lake.rows(f"create temp table linkage_features as select unblocked.*{columns} from unblocked {joins}")
    yield "blocked", f"select record_id, {stored_keys_sql(rules)} as block_keys from linkage_features"
