"""Comparing errors: as if all records had been made ready."""

from __future__ import annotations

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.comparisons import choose_comparisons
from c360ml.linkage.error_comparison import ErrorComparison
from c360ml.linkage.evaluation_tables import number_records
from c360ml.linkage.features import build_features
from c360ml.linkage.splink_engine import SplinkEngine
from c360ml.linkage.step import MODEL_FILE

PAIRS = """
    select l.rid as rid_l, r.rid as rid_r
    from silver.links join {0} as l on l.record_id = record_id_l join {0} as r on r.record_id = record_id_r
    order by all limit 100
"""


def test_few_pairs_agree_as_among_all_records(small_world_project):
    """What agrees in a pair does not depend on which other records are made ready for the comparison."""
    with Lakehouse(small_world_project) as lake:
        for table in (tables.RECORDS, tables.TERM_STATISTICS, tables.CLUSTERS, tables.LINKS):
            lake.open(table)
        model = lake.read_json(MODEL_FILE)
        numbered = number_records(lake.con, tables.CLUSTERS.path)
        lake.rows(f"create temp table asked_pairs as {PAIRS.format(numbered)}")
        few = ErrorComparison(lake.con, tables.RECORDS.path, numbered, model, tables.TERM_STATISTICS.path)
        few.compare("asked_pairs", into="few_patterns")
        features = build_features(lake.con, tables.RECORDS.path, tables.TERM_STATISTICS.path)
        SplinkEngine(lake.con, features.name, choose_comparisons(model["columns"]), ()).compare(
            "asked_pairs", into="all_patterns"
        )
        compared, kinds = lake.rows("select count(*), count(distinct pattern) from few_patterns")[0]
        assert compared == 100 and kinds > 20
        assert not lake.rows("from few_patterns except from all_patterns")


def test_no_errors_need_no_comparison(small_world_project):
    """Where nothing went wrong no record is made ready."""
    with Lakehouse(small_world_project) as lake:
        lake.rows("create temp table asked_pairs as select 1 as rid_l, 2 as rid_r where false")
        few = ErrorComparison(lake.con, "nothing", "nothing", lake.read_json(MODEL_FILE))
        assert lake.rows(f"from {few.compare('asked_pairs', into='few_patterns')}") == []
