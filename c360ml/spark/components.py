"""Connected components of a graph that no machine holds: large star and small star in turns, or one task if it fits.

Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii (2014, "Connected components in MapReduce and beyond", SoCC):
every node links its greater neighbours to the least of its neighbourhood, then its lesser ones, until nothing moves.
What is left are stars around the least node of each component.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from c360ml.lakehouse import Lakehouse
from c360ml.linkage.clusters import components
from c360ml.spark.frames import Frames
from c360ml.spark.tasks import Input, output, spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LINKS_IN_ONE_TASK = 5_000_000
_LABELS = {"node": "BIGINT", "component": "BIGINT"}


def connected(frames: Frames, links: DataFrame, *, in_one_task: int = LINKS_IN_ONE_TASK) -> DataFrame:
    """Label the nodes of a graph by the least node of their component.

    Args:
        frames: where frames are kept.
        links: `a, b`, numbers of two nodes; in any direction, and any number of times.
        in_one_task: so many links are done in one task.

    Returns:
        `node, component` of every node that a link names, but the least of each component.
    """
    links = frames.keep(links.where("a <> b").selectExpr("least(a, b) as a", "greatest(a, b) as b").distinct())
    if links.count() <= in_one_task:
        alone = spread(
            {"links": Input(links.selectExpr("1 as one", "a", "b"), "one", keep=False)},
            _components_here,
            {"labels": _LABELS},
            partitions=1,
        )
        return frames.keep(output(alone, "labels"))
    return _by_stars(frames, links)


def _components_here(lake: Lakehouse) -> Iterator[tuple[str, str]]:
    ends = lake.sql("select a, b from links").to_arrow_table()
    both = [ends.column(name).to_numpy() for name in "ab"]
    nodes, places = np.unique(np.concatenate(both), return_inverse=True)
    labels = components(len(nodes), places[: len(both[0])], places[len(both[0]) :])
    least = np.full(len(nodes), len(nodes))
    np.minimum.at(least, labels, np.arange(len(nodes)))
    found = pa.table({"node": nodes, "component": nodes[least[labels]]})
    lake.con.register("found", found)
    yield "labels", "from found where node <> component"


def _by_stars(frames: Frames, links: DataFrame) -> DataFrame:
    """Links go from the greater node `b` to the lesser one `a`; stars go from each node to the least."""
    fingerprint = _fingerprint(links)
    while True:
        links = frames.keep(_small_star(frames.keep(_large_star(links))))
        before, fingerprint = fingerprint, _fingerprint(links)
        if fingerprint == before:
            return links.selectExpr("b as node", "a as component")


def _large_star(links: DataFrame) -> DataFrame:
    """Every node links its greater neighbours to the least of its neighbours and itself."""
    from pyspark.sql import functions as sf

    both = links.selectExpr("b as node", "a as other").unionByName(links.selectExpr("a as node", "b as other"))
    least = both.groupBy("node").agg(sf.least(sf.min("other"), sf.first("node")).alias("a"))
    met = both.where("other > node").join(least, "node")
    return met.selectExpr("a", "other as b").where("a <> b").distinct()


def _small_star(links: DataFrame) -> DataFrame:
    """Every node links its lesser neighbours, and itself, to the least of them."""
    from pyspark.sql import functions as sf

    least = links.groupBy("b").agg(sf.min("a").alias("least"))
    own = least.selectExpr("least as a", "b")
    lesser = links.join(least, "b").selectExpr("least as a", "a as b").where("a <> b")
    return own.unionByName(lesser).distinct()


def _fingerprint(links: DataFrame) -> tuple[int, int]:
    from pyspark.sql import functions as sf

    found = links.agg(sf.count("*"), sf.sum(sf.xxhash64("a", "b").cast("decimal(38, 0)"))).collect()[0]
    return int(found[0]), int(found[1] or 0)
