"""Extracts appended one after the other end where one run over all of them, with the same model, ends."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from c360ml import tables, write_world
from c360ml.config import CONFIG_FILE, Config
from c360ml.lakehouse import Lakehouse
from c360ml.linkage import LinkageModel
from c360ml.linkage.append import linked_records
from c360ml.linkage.step import MODEL_FILE, write_linked
from c360ml.pipeline import STEPS, append_files, run_pipeline
from c360ml.tables import Table

BATCHES = 3
SPLIT = {"dms": "customers.csv", "sales": "sales.csv", "digital": "events.ndjson", "service": "service_records.csv"}
FOLDERS = {"dms": "dms", "sales": "dms", "digital": "digital", "service": "service"}
SAME = (
    tables.RECORDS,
    tables.PURCHASES,
    tables.SERVICES,
    tables.DIGITAL_EVENTS,
    tables.LINKS,
    tables.CLUSTERS,
    tables.LINKED_RECORDS,
    tables.IDENTITIES,
    tables.GOLDEN_RECORDS,
    tables.GOLDEN_PROVENANCE,
    tables.INTERACTIONS,
    tables.OBSERVATION,
    tables.CUSTOMER_ACTIVITY,
)
# Tables of runs are not the same, for one project had four runs and the other one: ledger, history, redirects, impact,
# inputs, trends. Value, segments and campaigns are learnt anew by each run, and break ties by the IDs.


def write_batches(folder: Path) -> list[list[Path]]:
    """Cut the last third of some extracts off, into three files each; the files of each batch."""
    batches: list[list[Path]] = [[] for _ in range(BATCHES)]
    for name, file in SPLIT.items():
        path = folder / "extracts" / FOLDERS[name] / file
        header, *rows = path.read_text("utf-8").splitlines()
        if path.suffix != ".csv":
            header, rows = "", [header, *rows]
        stay = 2 * len(rows) // 3
        path.write_text("\n".join(filter(None, [header, *rows[:stay], ""])) + "\n", "utf-8")
        for number, files in enumerate(batches):
            part = path.with_name(f"{path.stem}_{number}{path.suffix}.later")
            part.write_text("\n".join(filter(None, [header, *rows[stay + number :: BATCHES]])) + "\n", "utf-8")
            files.append(part)
    return batches


def rename(table: Table) -> str:
    """SQL of a table whose master and household IDs are the least record that they name."""
    columns = []
    for name in table.columns:
        if name in ("master_id", "household_id"):
            columns.append(f"(select least from least_{name} where id = t.{name}) as {name}")
        else:
            columns.append(name)
    return f"select r::varchar from (select {', '.join(columns)} from {table.path} t) r order by 1"


def contents(folder: Path) -> dict[str, list[str]]:
    with Lakehouse(folder) as lake:
        lake.open(tables.IDENTITIES)
        for name in ("master_id", "household_id"):
            lake.rows(
                f"create temp table least_{name} as "
                f"select {name} as id, min(record_id) as least from silver.identities group by 1"
            )
        for table in SAME:
            lake.open(table)
        return {table.path: [row for (row,) in lake.rows(rename(table))] for table in SAME}


def run_at_once(folder: Path, model_of: Path) -> None:
    """Run the steps up to the customers' activity over all files, linking with the model of another project."""
    config = Config.load(folder / CONFIG_FILE)
    with Lakehouse(model_of) as other:
        content = other.read_json(MODEL_FILE)
        statistics = other.sql(f"from {other.open(tables.TERM_STATISTICS)}").to_arrow_table()
    with Lakehouse(folder) as lake:
        for step in STEPS[: 1 + [step.name for step in STEPS].index("collect")]:
            for table in step.reads:
                lake.open(table)
            if step.name != "link":
                step.run(lake, config)
                continue
            lake.con.register("learnt", statistics)
            model = LinkageModel.from_dict(content).score("silver.records", con=lake.con, statistics="learnt")
            seen = linked_records(lake.con, model, "silver.records")
            write_linked(lake, model.pairs_query(), model.cluster_table(), seen)
            lake.write(tables.TERM_STATISTICS, "from learnt")


@pytest.mark.slow
def test_batches_end_where_one_run_ends(tmp_path):
    """Three batches of customers, sales, service and events, the last day moving on, equal one run over all files."""
    batched, whole = tmp_path / "batched", tmp_path / "whole"
    write_world(batched, customers=150, seed=5)
    toml = batched / CONFIG_FILE
    without_end = re.sub(r"(?m)^observation_end.*$", "", toml.read_text("utf-8"))
    toml.write_text(f"{without_end}\n[value]\nidentity_draws = 0\n", "utf-8")
    batches = write_batches(batched)
    run_pipeline(batched)
    touched = []
    for number, files in enumerate(batches):
        for file in files:
            name = file.name.removesuffix(".later").replace(f"_{number}.", f"_later_{number}.")
            shutil.move(file, file.with_name(name))
        result = append_files(batched)
        touched.append((result.summary("identify")["touched_records"], result.summary("collect")["touched_customers"]))
        assert result.summary("link")["appended"]["new"] > 0
    for name in ("extracts", "labels"):
        shutil.copytree(batched / name, whole / name)
    shutil.copy(toml, whole / CONFIG_FILE)
    run_at_once(whole, batched)
    expected, actual = contents(whole), contents(batched)
    for table, rows in expected.items():
        assert rows == actual[table], table
    assert all(records > 0 and customers > 0 for records, customers in touched)
