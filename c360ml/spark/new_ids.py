"""IDs made from data, on Spark: one that names or ever named somebody is made again with the number of the attempt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from c360ml.lakehouse import Lakehouse
from c360ml.spark.frames import Frames
from c360ml.spark.tasks import Input, columns_of, output, spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def without_ids_in_use(frames: Frames, minted: DataFrame, used: DataFrame, name: str, again: str) -> DataFrame:
    """Make IDs again until none is in use.

    Args:
        frames: where frames are kept.
        minted: rows with an ID of the first attempt, number 0.
        used: rows with IDs in use.
        name: column of the IDs.
        again: SQL of an ID from the columns of `minted` and `$attempt`.
    """
    used, attempt = used.select(name), 0
    while True:
        taken = frames.keep(minted.join(used, name, "left_semi").select(*minted.columns))
        if not taken.count():
            return minted
        attempt += 1
        answers = spread(
            {"taken": Input(taken, name)},
            partial(_mint_again, name, again, attempt),
            {"minted": columns_of(minted)},
            partitions=frames.partitions,
        )
        free = minted.join(used, name, "left_anti").select(*minted.columns)
        minted = frames.keep(free.unionByName(output(answers, "minted")))


def _mint_again(name: str, again: str, attempt: int, lake: Lakehouse) -> Iterator[tuple[str, str]]:
    lake.rows(f"create temp table minted as select * replace ({again} as {name}) from taken", {"attempt": attempt})
    yield "minted", "from minted"
