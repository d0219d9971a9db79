"""Constraints and reviewers on Spark: the same clusters as on DuckDB, and the same refusals."""

from __future__ import annotations

import pyarrow as pa
import pytest

from c360ml import tables
from c360ml.errors import ConfigError, DataError
from c360ml.linkage import LinkageModel
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.step import MODEL_FILE
from c360ml.spark.clusters import SparkClusters
from c360ml.spark.features import build_features
from c360ml.spark.linking import SparkLinkage

pytestmark = pytest.mark.slow


def test_constraints_and_reviewers_hold_on_spark(small_world):
    """Sources without duplicates, limits of values, decisions and the budget cut the same clusters on both engines."""
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
        reviewed_pairs=decided,
        largest_cluster=3,
    )
    model = LinkageModel.from_dict(lake.read_json(MODEL_FILE))
    model.constraints = constraints
    there = SparkLinkage(small_world, model).score(small_world.read(tables.RECORDS)).cluster()
    files = small_world.files_of(small_world.keep(there.rows))
    here = LinkageModel.from_dict(lake.read_json(MODEL_FILE))
    here.constraints = constraints
    here.score("silver.records", con=lake.con)
    clusters = here.cluster_table()
    spark = f"read_parquet({files!r})"
    assert [] == lake.rows(
        f"(from {clusters} except all from {spark}) union all (from {spark} except all from {clusters})"
    )
    assert there.summary() == here.clustering_summary()
    assert there.summary()["oversize_clusters"] > 0
    assert 1 == there.summary()["reviewed_pairs_of_unknown_records"]


def test_what_spark_cannot_hold_is_refused(scratch):
    """A limit of people per value, and contradicting decisions are refused before anything is clustered."""
    rows = [(f"a:{i}", "a", name) for i, name in enumerate(["ann", "bob", "cy"])]
    records = scratch.spark.createDataFrame(rows, "record_id string, source string, given_name string")
    features = build_features(scratch, records)
    with pytest.raises(ConfigError, match="most_people_per"):
        SparkClusters(scratch, features, Constraints(most_people_per={"email": 4}))
    decided = pa.table(
        {
            "record_id_l": ["a:0", "a:1", "a:0"],
            "record_id_r": ["a:1", "a:2", "a:2"],
            "decision": ["match", "match", "non-match"],
        }
    )
    with pytest.raises(DataError, match="contradict"):
        SparkClusters(scratch, features, Constraints(reviewed_pairs=decided))
