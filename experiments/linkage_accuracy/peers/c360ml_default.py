"""This project at its default settings: roles in, clusters out. The truth is read after the watch has stopped.

Where two files are linked, the one thing declared is what is known of them: neither names a person twice.
"""

from __future__ import annotations

import pyarrow.parquet as pq
from peer import Watch, hand_back, read_job

from c360ml import LinkageModel, standardize_records
from c360ml.linkage import Constraints


def main():
    job = read_job()
    watch = Watch()
    records = pq.read_table(job["records"])
    if not job["standardized_already"]:
        records = standardize_records(
            records, id="record_id", columns=job["columns"], source="source" if job["two_sources"] else None
        )
    sources = sorted(set(records["source"].to_pylist())) if job["two_sources"] else []
    constraints = Constraints(duplicate_free_sources=tuple(sources))
    model = LinkageModel(constraints=constraints, **job["options"]).fit(records)
    clusters = model.cluster()
    watch.stop()
    measures = model.evaluate(pq.read_table(job["truth"]))
    hand_back(
        job,
        {0: (clusters["record_id"].to_pylist(), clusters["cluster_id"].to_pylist())},
        default=0,
        watch=watch,
        calibration_error=measures["calibration_error"],
        blocking_recall=measures["blocking_recall"],
    )


if __name__ == "__main__":
    main()
