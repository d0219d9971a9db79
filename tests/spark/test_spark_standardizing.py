"""Witnesses: a few made-up rows tell the tasks what all rows told of their sources."""

from __future__ import annotations

from pathlib import Path

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.spark.standardizing import witnesses
from c360ml.standardize.meanings import meanings
from c360ml.standardize.step import READS


def test_witnesses_tell_what_all_rows_told(small_world_project: Path):
    """Day order, placeholders and ZIP codes without zero are read from the witnesses as from the whole tables."""
    with Lakehouse(small_world_project) as lake, Lakehouse(small_world_project / "nowhere") as few:
        for table in READS:
            lake.open(table)
        told = meanings(lake, "US")
        for table in READS:
            few.con.register("made_up", witnesses(table, told))
            few.rows(f"create table {table.path} as from made_up")
        assert told == meanings(few, "US")
        assert any(first for order in told[0] for _, first in order) or told[2][0][0]


def test_every_meaning_has_its_witness():
    """Sources that write the day first, the month first, 1970 for nothing, and short ZIP codes have witnesses."""
    orders = [[("a", True), ("b", False)]] * 8
    told = [orders, [("b",)], [(True,)]]
    with Lakehouse(Path("/nonexistent-c360ml")) as lake:
        for table in READS:
            lake.con.register("made_up", witnesses(table, told))
            lake.rows(f"create table {table.path} as from made_up")
        assert told == meanings(lake, "US")
    assert 0 == witnesses(tables.EVENTS, [[[]] * 8, [], [(False,)]]).num_rows
