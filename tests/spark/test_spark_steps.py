"""Each step on Spark writes what DuckDB wrote."""

from __future__ import annotations

import pytest

from c360ml import tables
from c360ml.config import CONFIG_FILE, Config
from c360ml.lakehouse import Lakehouse, rows_of
from c360ml.linkage import LinkageModel
from c360ml.linkage.step import MODEL_FILE
from c360ml.spark.linking import SparkLinkage
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


@pytest.mark.parametrize("step", ["standardize", "identify", "collect", "profile"])
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


def test_a_given_model_scores_the_same(small_world):
    """A model fitted on DuckDB finds the same pairs, weights, clusters and statistics on Spark."""
    lake = small_world.lake
    lake.open(tables.RECORDS)
    content = lake.read_json(MODEL_FILE)
    there = SparkLinkage(small_world, LinkageModel.from_dict(content)).score(small_world.read(tables.RECORDS))
    clusters = there.cluster()
    for name, rows in {"pairs": there.pairs, "clusters": clusters.rows, "told": there.statistics}.items():
        files = small_world.files_of(small_world.keep(rows))
        lake.rows(f"create table spark_{name} as from read_parquet({files!r})")
    here = LinkageModel.from_dict(content).score("silver.records", con=lake.con)
    pairs, unmatched, apart = lake.rows(f"""
        select count(*), count(*) filter (here.record_id_l is null or there.record_id_l is null),
               max(abs(here.match_weight - there.match_weight))
        from ({here.pairs_query()}) here full join spark_pairs there using (record_id_l, record_id_r)
    """)[0]
    assert pairs > 1000
    assert 0 == unmatched
    assert apart < 1e-9
    for spark_table, table in (("spark_clusters", here.cluster_table()), ("spark_told", "term_statistics")):
        differing = (
            f"(from {spark_table} except all from {table}) union all (from {table} except all from {spark_table})"
        )
        assert [] == lake.rows(differing), table
    assert clusters.summary() == here.clustering_summary()


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
