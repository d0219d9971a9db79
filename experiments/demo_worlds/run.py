"""People and households against planted truth, on whole synthetic projects.

python experiments/demo_worlds/run.py [--people 10000] [--seeds 1,11,21]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from c360ml import Lakehouse, evaluate_clusters, run_pipeline, tables, write_world


def measure(people: int, seed: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        write_world(folder, customers=people, seed=seed)
        result = run_pipeline(folder)
        truth = pq.read_table(Path(folder) / "labels" / "true_people.parquet")
        true_households = truth.select(["record_id", "true_household_id"]).rename_columns(["record_id", "true_id"])
        with Lakehouse(folder) as lake:
            found = lake.sql(f"select record_id, household_id as cluster_id from {lake.open(tables.IDENTITIES)}")
            households = evaluate_clusters(found.to_arrow_table(), true_households)
    right = result.evaluation
    return (
        f"| {seed} | {right['b3_f1']:.4f} / {right['pairwise_f1']:.4f} | {right['calibration_error']:.4f} "
        f"| {households['b3_f1']:.4f} / {households['pairwise_f1']:.4f} "
        f"| {result.summary('identify')['largest_household']} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--seeds", default="1,11,21")
    arguments = parser.parse_args()
    print("| seed | people: B-cubed / pairwise F1 | calibration error | households: B-cubed / pairwise F1 | largest |")
    print("|---|---|---|---|---|")
    for seed in arguments.seeds.split(","):
        print(measure(arguments.people, int(seed)), flush=True)


if __name__ == "__main__":
    main()
