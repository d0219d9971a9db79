"""Run one world on DuckDB and on local Spark, and count what differs.

python experiments/spark_equivalence/run.py [--customers 23600] [--memory-gb 2] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from c360ml import tables
from c360ml.config import CONFIG_FILE, Config
from c360ml.identity import identify
from c360ml.lakehouse import Lakehouse, rows_of
from c360ml.linkage import link
from c360ml.linkage.step import MODEL_FILE
from c360ml.pipeline import run_pipeline
from c360ml.pipeline.manifest import MANIFEST_FILE
from c360ml.spark import SparkSteps
from c360ml.synthetic import write_world
from c360ml.tables import Table

IDENTIFIED = (
    tables.IDENTITIES,
    tables.GOLDEN_RECORDS,
    tables.GOLDEN_PROVENANCE,
    tables.IDENTITY_LEDGER,
    tables.IDENTITY_HISTORY,
    tables.MASTER_REDIRECTS,
)
STEPS = {
    "standardize": (tables.RECORDS, tables.PURCHASES, tables.SERVICES, tables.DIGITAL_EVENTS, tables.CAMPAIGN_SENDS),
    "link": (tables.LINKS, tables.CLUSTERS, tables.LINKED_RECORDS, tables.TERM_STATISTICS),
    "identify": IDENTIFIED,
    "collect": (tables.INTERACTIONS, tables.OBSERVATION, tables.CUSTOMER_ACTIVITY),
    "profile": (tables.CUSTOMER_360, tables.HOUSEHOLDS),
}
SECOND = {"link": STEPS["link"], "identify": IDENTIFIED}
LIMIT = "\nmost_people_per = {email = 1, phone = 2}\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, default=23_600)
    parser.add_argument("--memory-gb", type=float, default=2.0)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        project, copy = Path(scratch) / "duckdb", Path(scratch) / "spark"
        if asked.folder is None:
            write_world(project, customers=asked.customers, seed=3)
            limit_people(project)
            run_pipeline(project)
        else:
            shutil.copytree(asked.folder, project)
        copy_without_customers(project, copy)
        seconds, memory = on_spark(copy, asked.memory_gb, opened_at(project))
        with Lakehouse(project) as here, Lakehouse(copy) as there:
            manifest = json.loads((project / MANIFEST_FILE).read_text())["steps"]
            report(here, there, STEPS, {step: manifest[step]["seconds"] for step in STEPS}, seconds)
            pairs(here, there)
        second_run(project, copy, asked.memory_gb)
        told = ", ".join(f"{name} {peak:.2f} GB" for name, peak in memory.items())
        print(f"\nPeak memory of the driver in the first run, local executors included: {told}")


def limit_people(folder: Path) -> None:
    """Have the config say how many people share a value."""
    config = (folder / CONFIG_FILE).read_text()
    head = "[linkage]"
    config = config.replace(head, head + LIMIT) if head in config else f"{config}\n{head}{LIMIT}"
    (folder / CONFIG_FILE).write_text(config)


def copy_without_customers(project: Path, copy: Path) -> None:
    """Copy a project as if nobody had been identified in it."""
    shutil.copytree(project, copy)
    with Lakehouse(copy) as lake:
        for table in IDENTIFIED:
            shutil.rmtree(lake.path(table))


def opened_at(project: Path) -> datetime:
    """Time of the run, so that the ledgers can be compared."""
    with Lakehouse(project) as lake:
        return lake.one(f"select max(happened_at) from {lake.open(tables.IDENTITY_LEDGER)}")


def second_run(project: Path, copy: Path, memory_gb: float) -> None:
    """Link and identify again on both engines: fewer records, and values may be shared by any number of people."""
    with (
        Lakehouse(project) as here,
        Lakehouse(copy, memory_limit_gb=memory_gb, threads=2) as there,
        SparkSteps() as spark,
    ):
        there.opened_at = here.opened_at
        config = Config.load(copy / CONFIG_FILE)
        config = config.model_copy(update={"linkage": config.linkage.model_copy(update={"most_people_per": {}})})
        for lake in (here, there):
            open_all(lake)
            lake.write(tables.RECORDS, f"from {tables.RECORDS.path} where hash(record_id) % 20 > 0")
        on_duckdb = {"link": link, "identify": identify}
        seconds: list[dict[str, float]] = [{}, {}]
        for step in SECOND:
            for times, lake, work in zip(seconds, (here, there), (on_duckdb[step], spark.work(step)), strict=True):
                began = time.perf_counter()
                told = work(lake, config)
                times[step] = time.perf_counter() - began
        print("\nSecond run:", {name: told[name] for name in ("kept_ids", "new_ids", "merged", "split", "vanished")})
        report(here, there, SECOND, *seconds)


def open_all(lake: Lakehouse) -> None:
    for table in tables.ALL:
        if lake.version(table) is not None:
            lake.open(table)


def on_spark(folder: Path, memory_gb: float, moment: datetime) -> tuple[dict[str, float], dict[str, float]]:
    """Do the steps on Spark, one after the other on what the one before wrote; returns seconds and memory in GB."""
    settings = f'\n[engine]\nengine = "spark"\nmemory_limit_gb = {memory_gb}\nthreads = 2\n'
    (folder / CONFIG_FILE).write_text((folder / CONFIG_FILE).read_text() + settings)
    config = Config.load(folder / CONFIG_FILE)
    seconds = {}
    with Lakehouse(folder, memory_limit_gb=memory_gb, threads=2) as lake, SparkSteps() as spark:
        lake.opened_at = moment
        open_all(lake)
        for step in STEPS:
            began = time.perf_counter()
            told = spark.work(step)(lake, config)
            seconds[step] = time.perf_counter() - began
            if step == "link":
                print(f"pairs with withheld evidence: {told['clustering']['pairs_with_withheld_evidence']:,}")
            print(f"{step}: {seconds[step]:.1f} s on Spark", flush=True)
        return seconds, {"Python": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "JVM": jvm_peak_gb()}


def jvm_peak_gb() -> float:
    """Peak resident memory of this process's Java child."""
    for status in Path("/proc").glob("[0-9]*/status"):
        facts = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        if facts["Name"] == "java" and int(facts["PPid"]) in our_processes():
            return int(facts["VmHWM"].split()[0]) / 2**20
    return 0.0


def our_processes() -> set[int]:
    """This process and its children."""
    import os

    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return {os.getpid(), *map(int, children)}


def report(
    here: Lakehouse,
    there: Lakehouse,
    steps: dict[str, tuple[Table, ...]],
    on_duckdb: dict[str, float],
    on_spark: dict[str, float],
) -> None:
    print("\n| step | DuckDB | Spark | table | rows | rows that differ |\n|---|---|---|---|---|---|")
    for step, written in steps.items():
        for table in written:
            rows, differing = compare(here, there, table)
            times = f"{on_duckdb[step]:.1f} s | {on_spark[step]:.1f} s"
            print(f"| {step} | {times} | {table.path} | {rows:,} | {differing:,} |")


def compare(here: Lakehouse, there: Lakehouse, table: Table) -> tuple[int, int]:
    """Rows of a table, and rows that only one engine has."""
    one, two = (rows_of(table, lake.files(table)) for lake in (here, there))
    count = here.one(f"select count(*) from ({one})")
    return count, here.one(f"select count(*) from (({one} except all {two}) union all ({two} except all {one}))")


def pairs(here: Lakehouse, there: Lakehouse) -> None:
    """What differs between the models and the scored pairs."""
    models: list[Any] = [lake.read_json(MODEL_FILE) for lake in (here, there)]
    one, two = (rows_of(tables.LINKS, lake.files(tables.LINKS)) for lake in (here, there))
    both, unmatched, weight, probability = here.rows(f"""
        select count(*), count(*) filter (a.record_id_l is null or b.record_id_l is null),
               max(abs(a.match_weight - b.match_weight)), max(abs(a.match_probability - b.match_probability))
        from ({one}) a full join ({two}) b using (record_id_l, record_id_r)
    """)[0]
    candidates = " and ".join(f"{model['fit']['candidate_pairs']:,}" for model in models)
    print(f"\nCandidate pairs: {candidates}")
    print(f"Scored pairs kept: {both:,}, of which only one engine has {unmatched:,}")
    print(f"Largest difference of a match weight: {weight:.2e}, of a match probability: {probability:.2e}")
    print(f"Model files are {'the same' if models[0] == models[1] else 'not the same'}")


if __name__ == "__main__":
    main()
