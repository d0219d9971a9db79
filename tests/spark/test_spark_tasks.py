"""Rows in and out of tasks: nothing is lost, made up or seen twice, however they are spread."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pyarrow as pa
import pytest

from c360ml.spark.tasks import Input, bring, one_answer, output, spread

pytestmark = pytest.mark.slow

ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3, None], pa.int64()),
        "name": pa.array(["Zoë", None, "", "李"], pa.string()),
        "at": pa.array([0, 1_700_000_000_000_000, None, 1], pa.timestamp("us", tz="UTC")),
        "tags": pa.array([["a", None], [], None, ["é"]], pa.list_(pa.string())),
        "numbers": pa.array([[1], None, [], [2]], pa.list_(pa.int64())),
        "born": pa.array([0, None, 1, 2], pa.date32()),
        "share": pa.array([0.1, None, -1e300, 0.0], pa.float64()),
        "known": pa.array([True, None, False, True], pa.bool_()),
    }
)
COLUMNS = {
    "id": "BIGINT",
    "name": "VARCHAR",
    "at": "TIMESTAMPTZ",
    "tags": "VARCHAR[]",
    "numbers": "BIGINT[]",
    "born": "DATE",
    "share": "DOUBLE",
    "known": "BOOLEAN",
}


ALL_ROWS = partial(one_answer, "answer", "from given_rows")
SIZES = partial(
    one_answer,
    "sizes",
    "select k, count(*) as n, (select sum(v) from everywhere) as v from one full join other using (k) group by k",
)


def test_values_survive_the_way_there_and_back(scratch):
    """Missing text stays missing, empty text empty, and no letter, time or list changes, in many empty tasks."""
    rows = scratch.of_arrow(ROWS)
    answers = spread({"given_rows": Input(rows, "id")}, ALL_ROWS, {"answer": COLUMNS}, partitions=9)
    found = output(answers, "answer").toArrow().sort_by([("id", "ascending")])
    assert ROWS.to_pylist() == found.to_pylist()


def test_rows_of_one_key_meet(scratch):
    """Inputs are joined by key as if they were whole, one of them empty too, and outputs do not mix."""
    one = scratch.spark.createDataFrame([(i % 5,) for i in range(20)], "k bigint")
    other = scratch.spark.createDataFrame([(0,), (7,)], "k bigint")
    for right, expected in (
        (other, {0: 4, 1: 4, 2: 4, 3: 4, 4: 4, 7: 1}),
        (other.where("k > 9"), dict.fromkeys(range(5), 4)),
    ):
        answers = spread(
            {"one": Input(one, "k"), "other": Input(right, "k")},
            SIZES,
            {"sizes": {"k": "BIGINT", "n": "BIGINT", "v": "BIGINT"}, "nothing": {"k": "BIGINT"}},
            partitions=3,
            given={"everywhere": pa.table({"v": [1, 2]})},
        )
        rows = output(answers, "sizes").collect()
        assert expected == {row["k"]: row["n"] for row in rows}
        assert {3} == {row["v"] for row in rows}
        assert 0 == output(answers, "nothing").count()


def test_a_row_is_brought_once_to_each_task_that_asks(scratch):
    """Rows that several parts of one task ask for come once, those that nobody asks for never."""
    asked = scratch.spark.createDataFrame(
        [(part, key) for part in range(12) for key in ("a", "b", None)], "part bigint, key string"
    )
    rows = scratch.spark.createDataFrame([("a", 1), ("b", 2), ("c", 3)], "name string, value bigint")
    partitions = 3
    brought = bring(asked, part="part", key="key", rows=rows, row_key="name", partitions=partitions)
    together = spread(
        {"given_rows": Input(brought, "part", keep=False), "asking": Input(asked, "part")},
        ALL_ROWS,
        {"answer": {"name": "VARCHAR", "value": "BIGINT"}},
        partitions=partitions,
    )
    tasks = len({row[0] for row in asked.selectExpr(f"pmod(hash(part), {partitions})").collect()})
    assert Counter({"a": tasks, "b": tasks}) == Counter(row["name"] for row in output(together, "answer").collect())
