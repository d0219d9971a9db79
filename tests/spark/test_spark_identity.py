"""Runs after one another on Spark: customers part, meet, go and come back as they do on DuckDB."""

from __future__ import annotations

import pytest

from c360ml import tables
from c360ml.config import CONFIG_FILE, Config
from c360ml.identity import identify
from c360ml.identity import master_ids as on_driver
from c360ml.lakehouse import Lakehouse, rows_of
from c360ml.spark import master_ids as on_spark
from c360ml.spark.frames import frames
from c360ml.spark.identifying import identify as identify_on_spark

pytestmark = pytest.mark.slow

WRITTEN = (
    tables.IDENTITIES,
    tables.GOLDEN_RECORDS,
    tables.GOLDEN_PROVENANCE,
    tables.IDENTITY_LEDGER,
    tables.IDENTITY_HISTORY,
    tables.MASTER_REDIRECTS,
)
CHANGED = """
    select record_id, cohesion,
        case when hash(record_id) % 7 = 0 then record_id
             when hash(cluster_id) % 5 = 0 then 'met:' || (hash(cluster_id) % 40)
             else cluster_id end as cluster_id
    from silver.clusters where {stays}
"""
STAYS = "source <> 'dms' and hash(record_id) % 20 > 0"


def project(small_world_project, folder):
    """A project with the linked records of the small world, and no customers yet."""
    folder.mkdir()
    (folder / CONFIG_FILE).write_text((small_world_project / CONFIG_FILE).read_text())
    with Lakehouse(small_world_project) as original, Lakehouse(folder) as lake:
        for table in (tables.RECORDS, tables.CLUSTERS, tables.LINKS):
            lake.write(table, rows_of(table, original.files(table)))
    return folder


def change(lake):
    """Take records out, a whole source among them; part clusters and join others; reviewers decide some pairs."""
    gone = f"(select record_id from silver.records where not ({STAYS}))"
    decided = lake.rows("""
        select record_id_l, record_id_r, if(is_link, 'non-match', 'match') from silver.links
        order by hash(record_id_l, record_id_r) limit 60
    """)
    (lake.folder / "reviewed.csv").write_text(
        "\n".join(["record_id_l,record_id_r,decision", *(",".join(pair) for pair in decided)])
    )
    lake.write(tables.CLUSTERS, CHANGED.format(stays=f"record_id not in {gone}"))
    lake.write(tables.LINKS, f"from silver.links where record_id_l not in {gone} and record_id_r not in {gone}")
    lake.write(tables.RECORDS, f"from silver.records where {STAYS}")


def run(spark, folders, prepare):
    """Identify on both engines at one moment; returns what both told."""
    config = Config.load(folders[0] / CONFIG_FILE)
    linkage = config.linkage.model_copy(update={"duplicate_free_sources": ("web",), "reviewed_pairs": "reviewed.csv"})
    config = config.model_copy(update={"linkage": linkage})
    with Lakehouse(folders[0]) as here, Lakehouse(folders[1]) as there:
        there.opened_at = here.opened_at
        for lake in (here, there):
            for table in (tables.RECORDS, tables.CLUSTERS, tables.LINKS):
                lake.open(table)
            prepare(lake)
        told = identify(here, config)
        with frames(spark, there) as opened:
            assert told == identify_on_spark(opened, config)
        for table in WRITTEN:
            one, two = rows_of(table, here.files(table)), rows_of(table, there.files(table))
            assert [] == here.rows(f"({one} except all {two}) union all ({two} except all {one}) limit 3"), table.path
            assert here.version(table) is not None
    return told


def rows_back(lake, small_world_project, question):
    """Ask for records that no customer of the second run has."""
    with Lakehouse(small_world_project) as original:
        records = rows_of(tables.RECORDS, original.files(tables.RECORDS))
    return lake.rows(f"with back as (from ({records}) anti join silver.identities using (record_id)) {question}")


def test_three_runs_leave_what_duckdb_leaves(spark, small_world_project, tmp_path, monkeypatch):
    """First run, one in which customers part, meet and go, one in which they are back, some by upserts: one answer."""
    folders = [project(small_world_project, tmp_path / name) for name in ("duckdb", "spark")]
    first = run(spark, folders, lambda lake: None)
    assert first["new_ids"] == first["customers"]
    second = run(spark, folders, change)
    assert min(second[name] for name in ("kept_ids", "new_ids", "merged", "split", "vanished")) > 0
    assert {"created", "left", "merged", "moved", "retired", "split"} <= set(second["changes"]["events"])

    def back(lake):
        with Lakehouse(small_world_project) as original:
            for table in (tables.RECORDS, tables.CLUSTERS, tables.LINKS):
                lake.write(table, rows_of(table, original.files(table)))

    with Lakehouse(folders[0]) as lake:
        lake.open(tables.IDENTITIES)
        upserted = [
            {"record_id": record_id, "master_id": f"{number % 3}-upserted-{number // 2}"}
            for number, (record_id,) in enumerate(
                rows_back(lake, small_world_project, "select record_id from back order by all limit 12")
            )
        ]
    for module in (on_driver, on_spark):
        monkeypatch.setattr(module, "inbox_records", lambda folder: upserted)
    third = run(spark, folders, back)
    assert third["returned"] > 0
    assert {"joined", "returned"} <= set(third["changes"]["events"])
