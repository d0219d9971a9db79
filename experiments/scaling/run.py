"""Time and memory of the whole flow at size, plain Splink's time for its part beside it.

python experiments/scaling/run.py [--people 476000] [--purchases-per-customer 8.4] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLOW = """
import json, sys, time
from c360ml.cli.commands import _publish
from c360ml.pipeline import run_pipeline

started, published = time.perf_counter(), {}
def publish(lake, result):
    began = time.perf_counter()
    _publish(lake, result, lambda message: None)
    published["seconds"] = time.perf_counter() - began
result = run_pipeline(sys.argv[1], then=publish)
steps = {step.name: step.seconds for step in result.steps} | {"report and tracking": round(published["seconds"], 1)}
print(json.dumps({
    "seconds": time.perf_counter() - started,
    "steps": steps,
    "records": result.summary("link")["records"],
    "candidate_pairs": result.summary("link")["candidate_pairs"],
    "purchases": result.summary("standardize")["purchases"],
    "customers": result.summary("identify")["customers"],
    "b3_f1": result.evaluation["b3_f1"],
}))
"""

SPLINK = """
import json, sys, time
import duckdb
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from c360ml import tables
from c360ml.lakehouse import Lakehouse

with Lakehouse(sys.argv[1]) as lake:
    lake.open(tables.RECORDS)
    con = duckdb.connect()
    records = lake.sql("select * from silver.records").to_arrow_table()
    con.execute("create table records as from records").fetchall()
started = time.perf_counter()
api = DuckDBAPI(con)
settings = SettingsCreator(
    link_type="dedupe_only",
    unique_id_column_name="record_id",
    comparisons=[
        cl.JaroWinklerAtThresholds("given_name", [0.9, 0.8]).configure(term_frequency_adjustments=True),
        cl.JaroWinklerAtThresholds("surname", [0.92, 0.85]).configure(term_frequency_adjustments=True),
        cl.ExactMatch("email"),
        cl.ExactMatch("phone"),
        cl.LevenshteinAtThresholds("date_of_birth", [1, 2]),
        cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
    ],
    blocking_rules_to_generate_predictions=[
        block_on("email"),
        block_on("phone"),
        block_on("given_name", "surname", "postcode"),
        block_on("given_name", "surname", "city"),
        block_on("date_of_birth", "surname"),
        block_on("street", "street_number", "given_name"),
    ],
    retain_matching_columns=False,
)
linker = Linker(api.register("records"), settings, log_level=None)
linker.training.estimate_probability_two_random_records_match([block_on("email", "given_name")], recall=0.5)
linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("email"))
linker.training.estimate_parameters_using_expectation_maximisation(block_on("given_name", "surname"))
pairs = linker.inference.predict(threshold_match_probability=0.01)
linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=0.95)
print(json.dumps({"seconds": time.perf_counter() - started}))
"""


def measured(code: str, folder: Path) -> dict[str, object]:
    """Run code in a process of its own; its last line is JSON. Adds the peak memory in GB."""
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return {**json.loads(out.strip().splitlines()[-1]), "peak_gb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=476_000)
    parser.add_argument("--purchases-per-customer", type=float, default=8.4)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "c360ml-scaling")
    arguments = parser.parse_args()
    if not (arguments.folder / "c360ml.toml").exists():
        from c360ml import write_world

        began = time.perf_counter()
        write_world(
            arguments.folder,
            customers=arguments.people,
            purchases_per_customer=arguments.purchases_per_customer,
        )
        print(f"generated in {time.perf_counter() - began:.0f} s (not counted)\n", flush=True)
    manifest = arguments.folder / "data" / "manifest.json"
    manifest.unlink(missing_ok=True)
    ours = measured(FLOW, arguments.folder)
    theirs = measured(SPLINK, arguments.folder)
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    print(
        f"{ours['records']:,} records, {ours['purchases']:,} purchases, {ours['candidate_pairs']:,} candidate pairs, "
    )
    print(f"{ours['customers']:,} customers, B-cubed F1 {ours['b3_f1']:.4f}\n")
    print("| step | seconds |\n|---|---|")
    for step, seconds in ours["steps"].items():
        print(f"| {step} | {seconds:.1f} |")
    print(f"| **whole flow** | **{ours['seconds']:.1f}**, peak {ours['peak_gb']:.1f} GB |")
    print(f"| plain Splink, its part (compare with `link`) | {theirs['seconds']:.1f} |")


if __name__ == "__main__":
    main()
