"""Each step on Spark writes what DuckDB wrote."""

from __future__ import annotations

import json

import pytest

from c360ml import tables
from c360ml.config import CONFIG_FILE, Config
from c360ml.lakehouse import Lakehouse, rows_of
from c360ml.linkage.step import MODEL_FILE
from c360ml.pipeline import run_pipeline
from c360ml.pipeline.manifest import MANIFEST_FILE
from c360ml.spark.steps import SPARK_STEPS

pytestmark = pytest.mark.slow

WRITTEN = {
    "standardize": (
        tables.RECORDS,
        tables.SOURCE_QUALITY,
        tables.PURCHASES,
        tables.SERVICES,
        tables.DIGITAL_EVENTS,
        tables.CAMPAIGNS,
        tables.CAMPAIGN_SENDS,
    ),
    "link": (tables.LINKS, tables.CLUSTERS, tables.LINKED_RECORDS, tables.TERM_STATISTICS),
    "identify": (tables.IDENTITIES, tables.GOLDEN_RECORDS, tables.GOLDEN_PROVENANCE),
    "collect": (tables.INTERACTIONS, tables.OBSERVATION, tables.CUSTOMER_ACTIVITY),
    "profile": (tables.HOUSEHOLDS, tables.CUSTOMER_360),
}


def open_all(lake):
    """Show every table that a run has written."""
    for table in tables.ALL:
        if lake.version(table) is not None:
            lake.open(table)


def rows_that_differ(lake, table, other):
    """Rows that only one of two lakehouses has."""
    one, two = rows_of(table, lake.files(table)), rows_of(table, other.files(table))
    return lake.rows(f"({one} except all {two}) union all ({two} except all {one}) limit 3")


@pytest.mark.parametrize("step", ["standardize", "identify", "collect"])
def test_a_step_writes_what_duckdb_wrote(small_world, small_world_project, step):
    """Every table of the step holds the same rows, to the last digit, after it has run on Spark."""
    lake = small_world.lake
    open_all(lake)
    before = {table.path: lake.version(table) for table in WRITTEN[step]}
    SPARK_STEPS[step](small_world, Config.load(lake.folder / CONFIG_FILE))
    with Lakehouse(small_world_project) as original:
        for table in WRITTEN[step]:
            assert before[table.path] < lake.version(table)
            assert [] == rows_that_differ(lake, table, original), table.path


def test_training_gives_the_same_model(small_world, small_world_project):
    """Trained on Spark, model, links and clusters are those that DuckDB trained, and the file says the same."""
    lake = small_world.lake
    open_all(lake)
    expected = lake.read_json(MODEL_FILE)
    SPARK_STEPS["link"](small_world, Config.load(lake.folder / CONFIG_FILE))
    assert expected == lake.read_json(MODEL_FILE)
    with Lakehouse(small_world_project) as original:
        for table in WRITTEN["link"]:
            assert [] == rows_that_differ(lake, table, original), table.path


def test_a_run_uses_a_given_session(spark, small_world_copy, small_world_project):
    """A run does its steps on the session given, writes what DuckDB wrote, and leaves the session running."""
    manifest = json.loads((small_world_copy / MANIFEST_FILE).read_text())
    del manifest["steps"]["profile"]
    (small_world_copy / MANIFEST_FILE).write_text(json.dumps(manifest))
    result = run_pipeline(small_world_copy, spark=spark)
    assert ["profile"] == [step.name for step in result.steps if not step.skipped]
    assert 3 == spark.range(3).count()
    with Lakehouse(small_world_copy) as lake, Lakehouse(small_world_project) as original:
        assert list(lake.path(tables.CUSTOMER_360).glob("spark-*")), "Spark wrote no file"
        for table in WRITTEN["profile"]:
            assert [] == rows_that_differ(lake, table, original), table.path
