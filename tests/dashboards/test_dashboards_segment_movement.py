"""Recommendations, transitions, trends and the choice of clusters in the report."""

import pytest
from empty_project import empty_lake, fill

from c360ml import tables
from c360ml.dashboards.page import Chart, DataTable
from c360ml.dashboards.segment_charts import cluster_blocks
from c360ml.dashboards.segment_movement import movement_blocks


@pytest.fixture
def lake(tmp_path):
    """Open a project whose tables are empty."""
    with empty_lake(tmp_path) as lake:
        yield lake


def titles(blocks):
    """Titles of charts and tables."""
    return [block.title for block in blocks]


def values(spec):
    """Rows that a chart holds."""
    (rows,) = spec["datasets"].values()
    return rows


def test_nothing_is_shown_of_nothing(lake):
    """A project without customers has no recommendation, no move and no trend."""
    assert [] == movement_blocks(lake.con, None)
    assert [] == cluster_blocks({}, None)


def test_moves_and_trends_of_two_runs(lake):
    """Moves are of the last run alone, with shares of the segment they came from; trends have both runs."""
    trend = {"kind": "action_segment", "segment": "KEEP", "historical_value": 0.0, "projected_value": 0.0}
    fill(
        lake,
        tables.SEGMENT_TRENDS,
        {"run": 1, "observed_on": "2024-06-30", "customers": 4, **trend},
        {"run": 2, "observed_on": "2024-07-31", "customers": 3, **trend},
        {"run": 2, "observed_on": "2024-07-31", "customers": 1, **trend, "segment": "RESCUE"},
    )
    move = {"run": 2, "kind": "action_segment", "from_segment": "KEEP"}
    fill(
        lake,
        tables.SEGMENT_TRANSITIONS,
        {**move, "to_segment": "KEEP", "customers": 3},
        {**move, "to_segment": "RESCUE", "customers": 1},
        {**move, "run": 1, "to_segment": "GONE BEFORE", "customers": 9},
    )
    moves, trends = movement_blocks(lake.con, None)

    assert "25.0% of customers changed action segment since the run before" == moves.title
    assert {("KEEP", "KEEP"): 0.75, ("KEEP", "RESCUE"): 0.25} == {
        (row["from_segment"], row["to_segment"]): row["part"] for row in values(moves.spec)
    }
    assert "Customers by action segment, the last 2 runs" == trends.title
    assert {"1: 2024-06-30": 0, "2: 2024-07-31": 1} == {
        row["run"]: row["customers"] for row in values(trends.spec) if row["segment"] == "RESCUE"
    }


def test_recommendations_are_told_with_their_rule(lake):
    """The table tells what to do, why, and leaves out segments of nobody."""
    told = {"kind": "action_segment", "contactable": 1, "historical_value": 5.0, "projected_value": 1.0}
    told |= {"recommendation": "Do this.", "rule": "because of that"}
    fill(
        lake,
        tables.RECOMMENDATIONS,
        {**told, "segment": "KEEP", "customers": 2},
        {**told, "segment": "LET_GO", "customers": 0},
    )
    (table,) = movement_blocks(lake.con, "EUR")

    assert isinstance(table, DataTable)
    assert [("KEEP", "2", "1", "EUR 5", "EUR 1", "-", "Do this.", "because of that")] == table.rows


def test_clusters_are_explained():
    """Profiles and each number of clusters tried are drawn; models of older releases show profiles alone."""
    profile = {"share": 0.5, "days_since_last_purchase": 10.0, "purchases": 2.0, "total_spend": 100.0}
    profiles = [{**profile, "kmeans_segment": name} for name in ("a", "b")]
    measures = {"silhouette": 0.4, "ari_mean": 0.9, "ari_least": 0.8, "smallest_share": 0.1, "is_stable": True}
    tried = [{"k": k, **measures} for k in (3, 4)]
    old = cluster_blocks({"profiles": profiles, "diagnostics": tried}, None)
    new = cluster_blocks(
        {"profiles": profiles, "diagnostics": [{**one, "gap": 1.0, "is_supported": True} for one in tried]}, None
    )

    assert ["What is typical of each cluster"] == titles(old)
    assert ["What is typical of each cluster", "Why 2 clusters", "Clusters against chance"] == titles(new)
    assert all(isinstance(block, Chart) for block in new)
