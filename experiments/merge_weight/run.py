"""B-cubed and pairwise F1 at several merge weights, on synthetic worlds.

python experiments/merge_weight/run.py [--people 10000] [--seeds 1,2,3]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from c360ml import Config, Lakehouse, LinkageModel, evaluate_clusters, tables, write_world
from c360ml.sources import land, validate
from c360ml.standardize import standardize

WEIGHTS = (1, 0, -1, -2, -3, -4)


def measure(people: int, seed: int) -> list[tuple[float, float]]:
    with tempfile.TemporaryDirectory() as folder, Lakehouse(folder) as lake:
        write_world(folder, customers=people, seed=seed)
        config = Config.load(Path(folder) / "c360ml.toml")
        for step in (land, validate, standardize):
            step(lake, config)
        truth = pq.read_table(Path(folder) / "labels" / "true_people.parquet")
        model = LinkageModel().fit(tables.RECORDS.path, con=lake.con)
        found = []
        for weight in WEIGHTS:
            model.threshold = 2**weight / (1 + 2**weight)
            clusters = lake.sql(f"from {model.cluster_table()}").to_arrow_table()
            measures = evaluate_clusters(clusters, truth)
            found.append((measures["b3_f1"], measures["pairwise_f1"]))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--seeds", default="1,2,3")
    arguments = parser.parse_args()
    print("B-cubed F1 / pairwise F1\n")
    print("| seed | " + " | ".join(f"{weight:+d}" for weight in WEIGHTS) + " |")
    print("|---" * (len(WEIGHTS) + 1) + "|")
    for seed in arguments.seeds.split(","):
        cells = [f"{b3:.4f} / {pairwise:.4f}" for b3, pairwise in measure(arguments.people, int(seed))]
        print(f"| {seed} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
