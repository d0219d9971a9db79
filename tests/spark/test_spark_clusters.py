"""Constraints and reviewers on Spark: the same clusters as on DuckDB, and the same refusals."""

from __future__ import annotations

import pyarrow as pa
import pytest

from c360ml import tables
from c360ml.errors import DataError
from c360ml.linkage import LinkageModel
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.step import MODEL_FILE
from c360ml.spark.clusters import SparkClusters
from c360ml.spark.features import SparkFeatures
from c360ml.spark.linking import SparkLinkage

pytestmark = pytest.mark.slow


def test_a_given_model_finds_the_same_people(small_world):
    """Pairs, weights, statistics and clusters of a fitted model are DuckDB's, under constraints and decisions."""
    lake = small_world.lake
    lake.open(tables.RECORDS)
    lake.open(tables.CLUSTERS)
    joined, apart = lake.rows("""
        select min(record_id), max(record_id) from silver.clusters where cluster_id <> record_id or true
        group by cluster_id having count(*) > 2 order by cluster_id limit 2
    """)
    decided = pa.table(
        {
            "record_id_l": [joined[0], apart[0], "unknown:1"],
            "record_id_r": [joined[1], apart[1], joined[0]],
            "decision": ["match", "non-match", "match"],
        }
    )
    constraints = Constraints(
        duplicate_free_sources=("dms",),
        most_values_per_person={"date_of_birth": 1},
        most_people_per={"phone": 1, "email": 1},
        reviewed_pairs=decided,
        largest_cluster=3,
    )
    model = LinkageModel.from_dict(lake.read_json(MODEL_FILE))
    model.constraints = constraints
    linkage = SparkLinkage(small_world, model).score(small_world.read(tables.RECORDS))
    there = linkage.cluster()
    for name, rows in {"pairs": linkage.pairs, "clusters": there.rows, "told": linkage.statistics}.items():
        files = small_world.files_of(small_world.keep(rows))
        lake.rows(f"create table spark_{name} as from read_parquet({files!r})")
    here = LinkageModel.from_dict(lake.read_json(MODEL_FILE))
    here.constraints = constraints
    here.score("silver.records", con=lake.con).cluster_table()
    pairs, unmatched, apart = lake.rows(f"""
        select count(*), count(*) filter (here.record_id_l is null or there.record_id_l is null),
               max(abs(here.match_weight - there.match_weight))
        from ({here.pairs_query()}) here full join spark_pairs there using (record_id_l, record_id_r)
    """)[0]
    assert pairs > 1000
    assert 0 == unmatched
    assert apart < 1e-9
    for spark_table, table in (("spark_clusters", here.cluster_table()), ("spark_told", "term_statistics")):
        only = f"(from {spark_table} except all from {table}) union all (from {table} except all from {spark_table})"
        assert [] == lake.rows(only), table
    assert there.summary() == here.clustering_summary()
    assert there.summary()["oversize_clusters"] > 0
    assert there.summary()["pairs_with_withheld_evidence"] > 0
    assert 1 == there.summary()["reviewed_pairs_of_unknown_records"]


def test_contradicting_decisions_are_refused(scratch):
    """Contradicting decisions are refused before anything is clustered."""
    from pyspark.sql import functions as sf

    rows = [(f"a:{i}", "a", name) for i, name in enumerate(["ann", "bob", "cy"])]
    records = scratch.spark.createDataFrame(rows, "record_id string, source string, surname string")
    records = records.withColumn("rid", sf.monotonically_increasing_id())
    features = SparkFeatures(records, records, 3, frozenset(), ())
    decided = pa.table(
        {
            "record_id_l": ["a:0", "a:1", "a:0"],
            "record_id_r": ["a:1", "a:2", "a:2"],
            "decision": ["match", "match", "non-match"],
        }
    )
    with pytest.raises(DataError, match="contradict"):
        SparkClusters(scratch, features, Constraints(reviewed_pairs=decided))
