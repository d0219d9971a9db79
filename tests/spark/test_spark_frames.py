"""Delta tables written by Spark: one commit, read by DuckDB as if it had written them."""

from __future__ import annotations

import pytest

from c360ml import tables

pytestmark = pytest.mark.slow


def test_a_table_written_by_spark_is_a_delta_table(scratch):
    """What Spark writes replaces the table in one commit, reads the same on both engines, and keeps missing text."""
    lake = scratch.lake
    lake.write(tables.CLUSTERS, "select 'old' as record_id, 'old' as cluster_id, 1 as cohesion")
    rows = scratch.spark.sql("select 'é:1' as record_id, cast(null as string) as cluster_id, 0.25 as cohesion")
    assert 1 == scratch.write(tables.CLUSTERS, rows)
    assert 1 == lake.version(tables.CLUSTERS)
    assert [("é:1", None, 0.25)] == lake.rows("from silver.clusters")
    assert [("é:1", None, 0.25)] == [tuple(row) for row in scratch.read(tables.CLUSTERS).collect()]


def test_an_empty_table_is_a_table(scratch):
    """A table without rows can be written and read, and DuckDB can add to it."""
    none = scratch.spark.createDataFrame([], "record_id string, cluster_id string, cohesion double")
    assert 0 == scratch.write(tables.CLUSTERS, none)
    assert 0 == scratch.read(tables.CLUSTERS).count()
    scratch.lake.append(tables.CLUSTERS, "select 'a:1' as record_id, 'a:1' as cluster_id, 1 as cohesion")
    assert [("a:1",)] == scratch.lake.rows("select record_id from silver.clusters")


def test_rows_are_added_once(scratch):
    """Rows that Spark adds to a table stand beside those that stay, and take the place of those that make room."""
    for record, replacing in (("a:1", "false"), ("a:2", "record_id = 'a:2'"), ("a:2", "record_id = 'a:2'")):
        rows = scratch.spark.sql(f"select '{record}' as record_id, 'a:1' as cluster_id, double(1) as cohesion")
        scratch.append(tables.CLUSTERS, rows, replacing=replacing)
    assert [("a:1",), ("a:2",)] == scratch.lake.rows("select record_id from silver.clusters order by all")
