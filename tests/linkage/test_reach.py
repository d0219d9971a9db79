"""What is reached over pairs is what networkx reaches."""

import networkx as nx
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.lakehouse import connect
from c360ml.linkage.reach import add_joined

RECORD = st.integers(0, 12)
CON = connect()


@settings(deadline=None, max_examples=25)
@given(pairs=st.lists(st.tuples(RECORD, RECORD), max_size=14), start=st.sets(RECORD, max_size=3))
def test_components_are_reached_whole(pairs, start):
    """From any records, over pairs in either direction, their components are found, each record once."""
    graph = nx.Graph(pairs)
    graph.add_nodes_from(start)
    reached = set().union(*(nx.node_connected_component(graph, record) for record in start))
    names = pa.string()
    CON.register("given_start", pa.table({"record_id": pa.array([f"r{record}" for record in sorted(start)], names)}))
    ends = [pa.array([f"r{pair[side]}" for pair in pairs], names) for side in (0, 1)]
    CON.register("given_pairs", pa.table(dict(zip("ab", ends, strict=True))))
    CON.execute("create or replace temp table touched as from given_start").fetchall()

    found = add_joined(CON, "touched", "from given_pairs")

    assert len(reached) == found
    assert sorted(f"r{record}" for record in reached) == sorted(CON.execute("from touched").df()["record_id"])
