"""Connected components: stars find what one task finds."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from c360ml.spark.components import connected

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("in_one_task", [0, 1000])
def test_components_are_those_of_networkx(scratch, in_one_task):
    """A path, a star, loops, twins and a random part come out as networkx has them, labelled by their least node."""
    random = np.random.default_rng(3).integers(100, 160, (40, 2)).tolist()
    links = [*zip(range(9, 0, -1), range(8, -1, -1), strict=True), *((20, leaf) for leaf in range(21, 30)), (50, 50)]
    links += [(21, 20), *((one, other) for one, other in random)]
    frame = scratch.spark.createDataFrame(links, "a bigint, b bigint")
    found = {row["node"]: row["component"] for row in connected(scratch, frame, in_one_task=in_one_task).collect()}
    graph = nx.Graph([link for link in links if link[0] != link[1]])
    expected = {node: min(part) for part in nx.connected_components(graph) for node in part if node != min(part)}
    assert expected == found
