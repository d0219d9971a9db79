"""Rows of a frame numbered in order, as one window over all of them would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from c360ml.spark.frames import Frames

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_POSITION_BITS = 33


def numbered(frames: Frames, rows: DataFrame, *, by: str, number: str) -> tuple[DataFrame, int]:
    """Number rows from 1 in the order of a column; returns them, kept, and how many they are.

    Args:
        frames: where frames are kept.
        rows: the rows.
        by: the column.
        number: name of the column of numbers, which comes first.
    """
    from pyspark.sql import functions as sf

    ordered = rows.repartitionByRange(frames.partitions, by)
    placed = frames.keep(ordered.sortWithinPartitions(by).withColumn("_place", sf.monotonically_increasing_id()))
    part, place = sf.shiftright("_place", _POSITION_BITS), sf.col("_place").bitwiseAND((1 << _POSITION_BITS) - 1)
    sizes = placed.groupBy(part.alias("_part")).agg(sf.count("*").alias("n")).orderBy("_part").collect()
    offsets, rows_before = [], 0
    for row in sizes:
        offsets.append((row["_part"], rows_before))
        rows_before += row["n"]
    starts = frames.of_arrow(
        pa.table(
            {
                "_part": pa.array([part for part, _ in offsets], pa.int64()),
                "_start": pa.array([start for _, start in offsets], pa.int64()),
            }
        )
    )
    told = placed.withColumn("_part", part).join(sf.broadcast(starts), "_part")
    numbers = (sf.col("_start") + place + 1).cast("bigint").alias(number)
    return frames.keep(told.select(numbers, *rows.columns)), rows_before
