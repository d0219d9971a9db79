"""Time and memory of linking and clustering at size, plain Splink with the same rules and comparisons beside it.

python experiments/linkage_size/run.py [--people 476000] [--rounds 3] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

STANDARDIZE = """
import sys
from pathlib import Path
from c360ml import tables, write_world
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline.steps import STEPS

folder = Path(sys.argv[1])
write_world(folder, customers=int(sys.argv[2]), purchases_per_customer=0.6)
config = Config.load(folder / "c360ml.toml")
with Lakehouse(folder) as lake:
    for step in STEPS[:3]:
        step.run(lake, config)
    lake.sql(f"copy (from {tables.RECORDS.path}) to '{folder / 'records.parquet'}' (format parquet)")
print("{}")
"""

OURS = """
import json, resource, sys, time
from c360ml import LinkageModel
from c360ml.lakehouse import connect

con = connect()
con.execute(f"create table records as from '{sys.argv[1]}/records.parquet'").fetchall()
started = time.perf_counter()
model = LinkageModel().fit("records", con=con)
fitted = time.perf_counter()
clusters = con.sql(f"select count(distinct cluster_id) from {model.cluster_table()}").fetchall()[0][0]
done = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
keys = [rule.column for rule in model.rules_]
features = model._features.name
con.execute(f"copy (from {features}) to '{sys.argv[1]}/features.parquet' (format parquet)").fetchall()
print(json.dumps({
    "fit": fitted - started, "cluster": done - fitted, "seconds": done - started, "peak_gb": peak,
    "clusters": clusters, "pairs": model.summary()["candidate_pairs"], "keys": keys,
    "records": model.summary()["records"],
}))
"""

SPLINK = """
import json, resource, sys, time
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from c360ml.lakehouse import connect

folder, keys = sys.argv[1], json.loads(sys.argv[2])
con = connect()
con.execute(f"create table records as from '{folder}/features.parquet'").fetchall()
started = time.perf_counter()
settings = SettingsCreator(
    link_type="dedupe_only",
    unique_id_column_name="record_id",
    comparisons=[
        cl.JaroWinklerAtThresholds("given_name", [0.9, 0.8]).configure(term_frequency_adjustments=True),
        cl.ExactMatch("middle_name"),
        cl.JaroWinklerAtThresholds("surname", [0.92, 0.85]).configure(term_frequency_adjustments=True),
        cl.LevenshteinAtThresholds("date_of_birth", [1, 2]),
        cl.ExactMatch("gender"),
        cl.ExactMatch("email"),
        cl.ExactMatch("phone"),
        cl.LevenshteinAtThresholds("street", [2]),
        cl.ExactMatch("street_number"),
        cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
        cl.ExactMatch("city").configure(term_frequency_adjustments=True),
    ],
    blocking_rules_to_generate_predictions=[block_on(key) for key in keys],
    retain_matching_columns=False,
)
linker = Linker(DuckDBAPI(con).register("records"), settings, log_level=None)
linker.training.estimate_probability_two_random_records_match([block_on("email", "given_name")], recall=0.5)
linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("email"))
linker.training.estimate_parameters_using_expectation_maximisation(block_on("given_name", "surname"))
trained = time.perf_counter()
pairs = linker.inference.predict(threshold_match_weight=-6, warning_mode="never")
predicted = time.perf_counter()
clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=0.95)
count = con.sql(f"select count(distinct cluster_id) from {clusters.physical_name}").fetchall()[0][0]
done = time.perf_counter()
print(json.dumps({
    "train": trained - started, "predict": predicted - trained, "cluster": done - predicted,
    "seconds": done - started, "clusters": count,
    "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
}))
"""


def measured(code: str, *arguments: str) -> dict[str, Any]:
    """Run code in a process of its own; its last line is JSON."""
    process = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(process.stdout.strip().splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=476_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "c360ml-linkage-size")
    arguments = parser.parse_args()
    folder = str(arguments.folder)
    if not (arguments.folder / "records.parquet").exists():
        measured(STANDARDIZE, folder, str(arguments.people))
    rounds = []
    for number in range(arguments.rounds):
        ours = measured(OURS, folder)
        theirs = measured(SPLINK, folder, json.dumps(ours["keys"]))
        rounds.append((ours, theirs))
        print(f"round {number + 1}: ours {_told(ours)}; splink {_told(theirs)}", flush=True)
    ours = rounds[0][0]
    print(f"\n{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    print(f"{ours['records']:,} records, {ours['pairs']:,} candidate pairs, {len(ours['keys'])} rules\n")
    print("| | c360ml | plain Splink | ratio |\n|---|---|---|---|")
    for name, unit in (("seconds", "s"), ("peak_gb", "GB")):
        left, right = (statistics.median(pair[side][name] for pair in rounds) for side in (0, 1))
        ratio = statistics.median(ours[name] / theirs[name] for ours, theirs in rounds)
        print(f"| {name.replace('_gb', '')}, {unit} | {left:.1f} | {right:.1f} | {ratio:.2f} |")


def _told(measures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in measures.items() if isinstance(value, float))


if __name__ == "__main__":
    main()
