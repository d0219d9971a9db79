"""One process each: a run, plain Splink's part, a day's append, questions to gold, a comparison. Each prints JSON.

Beside its answer each tells the greatest size of its process and the processor time it took.

python experiments/scaling/flow.py run|append|splink|questions FOLDER
python experiments/scaling/flow.py hold_back|deliver FOLDER
python experiments/scaling/flow.py same FOLDER OTHER
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from mmap import mmap
from pathlib import Path
from shutil import copy
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))


def run(folder: str, *, append: bool = False) -> dict[str, object]:
    """Run a project from raw extracts to report and MLflow."""
    from c360ml.cli.commands import _publish
    from c360ml.pipeline import run_pipeline

    started, published = time.perf_counter(), {}

    def publish(lake, result):
        began = time.perf_counter()
        _publish(lake, result, lambda message: None)
        published["seconds"] = time.perf_counter() - began

    result = run_pipeline(folder, then=publish, append=append)
    return {
        "seconds": time.perf_counter() - started,
        "steps": {step.name: step.seconds for step in result.steps}
        | {"report and tracking": round(published["seconds"], 1)},
        "records": result.summary("link")["records"],
        "pairs": result.summary("link")["candidate_pairs"],
        "purchases": result.summary("standardize")["purchases"],
        "rows": result.summary("land")["rows"],
        "customers": result.summary("identify")["customers"],
        "b3_f1": result.evaluation["b3_f1"],
        "disk_gb": sum(path.stat().st_size for path in (Path(folder) / "data").rglob("*") if path.is_file()) / 1e9,
    }


def append(folder: str) -> dict[str, object]:
    """Bring new files in, with the models as they are."""
    return run(folder, append=True)


BATCH = {
    "dms/customers.csv": 50_000,
    "dms/sales.csv": 100_000,
    "service/service_records.csv": 50_000,
    "digital/events.ndjson": 50_000,
}
"""A day's batch: how many of a file's last rows come later; 50,000 records and 200,000 interactions."""


def hold_back(folder: str) -> dict[str, object]:
    """Move the last rows of a new world's extracts to `later/`, as the batch that a day brings."""
    for name, rows in BATCH.items():
        _cut_off(Path(folder) / "extracts" / name, Path(folder) / "later" / name, rows)
    return {"held back": sum(BATCH.values())}


def deliver(folder: str) -> dict[str, object]:
    """Put the batch that was held back beside the extracts, as new files."""
    for name in BATCH:
        path = Path(name)
        copy(Path(folder) / "later" / name, Path(folder) / "extracts" / path.with_stem(f"{path.stem}_later"))
    return {"delivered": sum(BATCH.values())}


def _cut_off(path: Path, later: Path, rows: int) -> None:
    """Move the last rows of a file, one a line, to another that gets its header, if it has one."""
    with path.open("rb+") as file, mmap(file.fileno(), 0) as text:
        header = text[: text.find(b"\n") + 1] if path.suffix == ".csv" else b""
        start = len(text) - 1
        for _ in range(rows):
            start = text.rfind(b"\n", len(header), start)
        if start < 0:
            raise SystemExit(f"{path} must have more than {rows:,} rows")
        later.parent.mkdir(parents=True, exist_ok=True)
        later.write_bytes(header + text[start + 1 :])
    os.truncate(path, start + 1)


def splink(folder: str) -> dict[str, object]:
    """Train, predict and cluster with plain Splink: six comparisons, six blocking rules."""
    import duckdb
    import splink.comparison_library  # noqa: F401  # imports are not part of the race
    from splink_peer import trained

    from c360ml import tables
    from c360ml.lakehouse import Lakehouse

    with Lakehouse(folder) as lake:
        lake.open(tables.RECORDS)
        con = duckdb.connect()
        con.register("standardized", lake.sql("select * from silver.records").to_arrow_table())
        con.execute("create table records as from standardized").fetchall()
    started = time.perf_counter()
    _, linker, _ = trained(con, random_pairs=2e6)
    pairs = linker.inference.predict(threshold_match_probability=0.01)
    linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=0.95)
    return {"seconds": time.perf_counter() - started}


HEAVIEST = """
    select value_tier, rfm_segment, count(*), sum(projected_value), avg(probability_alive), median(historical_value)
    from gold.customer_360 group by all
"""


def questions(folder: str) -> dict[str, object]:
    """Ask gold what the dashboards ask, and for single customers' pages; seconds, medians."""
    from c360ml import tables
    from c360ml.lakehouse import Lakehouse

    with Lakehouse(folder) as lake:
        lake.open(tables.CUSTOMER_360)
        lake.open(tables.INTERACTIONS)
        heaviest = [_seconds(lambda: lake.rows(HEAVIEST)) for _ in range(5)]
        asked = [row[0] for row in lake.rows("select master_id from gold.customer_360 using sample 20 (reservoir, 1)")]
        pages = [_seconds(lambda master_id=master_id: _page(lake, master_id)) for master_id in asked]
    return {"heaviest": median(heaviest), "page": median(pages)}


CLOCK = {"run_id", "loaded_at", "happened_at", "valid_from", "retired_at", "forgotten_at"}


def same(folder: str, other: str) -> dict[str, object]:
    """Compare the tables of two projects, without the run's ID and times, by the sum of their rows' digests."""
    from c360ml import tables
    from c360ml.lakehouse import Lakehouse

    found = []
    for project in (folder, other):
        with Lakehouse(project) as lake:
            found.append({table.path: _digest(lake, table) for table in tables.ALL if lake.version(table) is not None})
    ours, theirs = found
    different = sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))
    return {"tables": len(ours), "rows": sum(rows for rows, _ in ours.values()), "different": different}


def _digest(lake, table) -> tuple[int, str]:
    columns = [f'"{name}"' for name in table.columns if name not in CLOCK]
    digest = f"sum(hash({', '.join(columns)})::hugeint)::varchar"
    return lake.rows(f"select count(*), {digest} from {lake.open(table)}")[0]


def _page(lake, master_id: str) -> None:
    lake.con.execute("select * from gold.customer_360 where master_id = $1", [master_id]).fetchall()
    lake.con.execute("select * from gold.interactions where master_id = $1", [master_id]).fetchall()


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    parts = [run, append, splink, questions, hold_back, deliver, same]
    by_name = {part.__name__: part for part in parts}
    answer = by_name[sys.argv[1]](*sys.argv[2:])
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = {"memory_gb": used.ru_maxrss / 2**20, "cpu_seconds": used.ru_utime + used.ru_stime}
    print(json.dumps(answer | cost))
