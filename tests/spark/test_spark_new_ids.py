"""New IDs on Spark: none that names or named somebody."""

from __future__ import annotations

import pytest

from c360ml.spark.new_ids import without_ids_in_use

pytestmark = pytest.mark.slow


def test_an_id_in_use_is_made_again(scratch):
    """An ID is made again until nobody has it, by the number of the attempt; IDs that nobody has stay."""
    minted = scratch.spark.createDataFrame([(f"{name}0", name) for name in "abc"], "id string, seed string")
    used = scratch.spark.createDataFrame([("a0",), ("a1",), ("b0",), ("c7",)], "id string")
    found = without_ids_in_use(scratch, minted, used, "id", "seed || $attempt::int")
    assert {"a": "a2", "b": "b1", "c": "c0"} == {row["seed"]: row["id"] for row in found.collect()}
