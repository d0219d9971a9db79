"""What the scripts of all systems share: their job, a watch, and how they hand back their clusters.

`run.py` calls each as `python peers/NAME.py JOB.json`. The job names the records (without truth) and a folder; the
script writes `clusters.parquet` (record_id, cluster_id, cut) there and prints one line of JSON. `cut` is the
threshold; a system may hand back several, and says which one is its default.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


class Watch:
    """Seconds and peak memory from the reading of the records to the clusters, imports left out."""

    def __init__(self):
        self.started = time.perf_counter()

    def stop(self):
        self.seconds = time.perf_counter() - self.started
        self.peak_mb = peak_megabytes()


def peak_megabytes():
    """Peak resident memory of this process, without worker processes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss survives fork and exec on Linux: it would show the peak of run.py
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024)


def read_job():
    """The job, under its limit of memory: without one a system that takes all of it ends the whole run."""
    job = json.loads(Path(sys.argv[1]).read_text())
    most = int(job["memory_gb"] * 1024**3)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    return job


def hand_back(job, cuts, *, default, watch, **more):
    """Write the clusters of every cut; `cuts` maps a cut to (record ids, cluster ids)."""
    tables = [
        pa.table(
            {
                "record_id": pa.array(map(str, records), pa.string()),
                "cluster_id": pa.array(map(str, clusters), pa.string()),
                "cut": pa.array([float(cut)] * len(records), pa.float64()),
            }
        )
        for cut, (records, clusters) in cuts.items()
    ]
    pq.write_table(pa.concat_tables(tables), Path(job["out"]) / "clusters.parquet")
    print(json.dumps({"seconds": watch.seconds, "peak_mb": watch.peak_mb, "default_cut": default, **more}))


def connected(records, pairs):
    """Connected components of pairs of record ids: the cluster id of every record, in order."""
    parent = {record: record for record in records}

    def root(record):
        while parent[record] != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record

    for left, right in pairs:
        parent[root(left)] = root(right)
    return [root(record) for record in records]
