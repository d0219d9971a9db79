"""Extracts appended one after the other end where one run over all of them, with the same model, ends."""

from __future__ import annotations

import json
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
    tables.CUSTOMER_VALUE,
    tables.CUSTOMER_SEGMENTS,
    tables.CUSTOMER_360,
    tables.HOUSEHOLDS,
)
# Tables of runs are not the same, for one project had four runs and the other one: ledger, history, redirects, impact,
# inputs, trends. Campaigns break ties by the IDs, and partitions in doubt are drawn.
IDS = {"master_id": "master_id", "household_id": "household_id", "customer_id": "master_id"}
MODELS = ("models/customer_value.json", "models/segments.json")


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
    """SQL of a table whose master and household IDs are the least record that they name, to nine digits."""
    columns = []
    for name, column in table.columns.items():
        if name in IDS:
            columns.append(f"(select least from least_{IDS[name]} where id = t.{name}) as {name}")
        elif name == "master_ids":
            columns.append(f"(select list_sort(list(least)) from least_master_id where id in t.{name}) as {name}")
        elif column.type == "DOUBLE":
            columns.append(f"printf('%.9g', {name}) as {name}")
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
    """Run the steps over all files as if for the first time, but with the models of another project."""
    config = Config.load(folder / CONFIG_FILE)
    with Lakehouse(model_of) as other:
        content = other.read_json(MODEL_FILE)
        statistics = other.sql(f"from {other.open(tables.TERM_STATISTICS)}").to_arrow_table()
    with Lakehouse(folder) as lake:
        for name in MODELS:
            lake.write_json(name, json.loads((model_of / name).read_text("utf-8")))
        for step in STEPS:
            if step.name in ("doubt", "value_doubt", "campaigns"):
                continue
            for table in step.reads:
                lake.open(table)
            if step.name == "value":
                told = step.append(lake, config)
                assert told["fitted"] and told["valued_again"] == told["customers"] > 0
                continue
            if step.name != "link":
                step.run(lake, config)
                continue
            lake.con.register("learnt", statistics)
            model = LinkageModel.from_dict(content).score("silver.records", con=lake.con, statistics="learnt")
            seen = linked_records(lake.con, model, "silver.records")
            write_linked(lake, model.pairs_query(), model.cluster_table(), seen)
            lake.write(tables.TERM_STATISTICS, "from learnt")


@pytest.mark.slow
@pytest.mark.parametrize("last_day", ["moves", "stays"])
def test_batches_end_where_one_run_ends(tmp_path, last_day):
    """Three batches of customers, sales, service and events equal one run over all files, to the last gold row."""
    batched, whole = tmp_path / "batched", tmp_path / "whole"
    write_world(batched, customers=150, seed=5)
    toml = batched / CONFIG_FILE
    text = toml.read_text("utf-8")
    text = re.sub(r"(?m)^observation_end.*$", "", text) if last_day == "moves" else text
    toml.write_text(f"{text}\n[value]\nidentity_draws = 0\n", "utf-8")
    batches = write_batches(batched)
    run_pipeline(batched)
    models = {name: (batched / name).read_text("utf-8") for name in MODELS[:1]}
    touched, valued = [], []
    for number, files in enumerate(batches):
        for file in files:
            name = file.name.removesuffix(".later").replace(f"_{number}.", f"_later_{number}.")
            shutil.move(file, file.with_name(name))
        result = append_files(batched)
        touched.append((result.summary("identify")["touched_records"], result.summary("collect")["touched_customers"]))
        assert result.summary("link")["appended"]["new"] > 0
        valued.append(result.summary("value")["valued_again"] / result.summary("value")["customers"])
    assert models == {name: (batched / name).read_text("utf-8") for name in models}
    assert all(share < 1 for share in valued) or last_day == "moves"
    for name in ("extracts", "labels"):
        shutil.copytree(batched / name, whole / name)
    shutil.copy(toml, whole / CONFIG_FILE)
    run_at_once(whole, batched)
    expected, actual = contents(whole), contents(batched)
    for table, rows in expected.items():
        assert rows == actual[table], table
    assert all(records > 0 and customers > 0 for records, customers in touched)
