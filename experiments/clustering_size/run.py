"""Seconds and memory of clustering by number of scored pairs; Splink's connected components beside it.

python experiments/clustering_size/run.py [--edges 5000000,15000000,50000000]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time

PAIRS_PER_HOUSEHOLD = 28


def make_pairs(con, households):
    """Households of two people with four records each; every pair of their records is scored."""
    con.execute(f"""
        create table people as
        select rid, 'r' || lpad(rid::varchar, 9, '0') as record_id, if(rid % 4 = 0, 'crm', 'web') as source
        from range(1, {households * 8 + 1}) numbers(rid)
    """).fetchall()
    con.execute("""
        create table pattern_weights as
        select pattern, match_weight, 1 / (1 + pow(2, -match_weight)) as match_probability
        from (values (0, 9.0), (1, 2.0), (2, -3.0), (3, -12.0), (4, 4.0)) weights(pattern, match_weight)
    """).fetchall()
    con.execute(f"""
        create table scored_pairs as
        with places as (
            select a, b, a // 4 = b // 4 as same from range(8) l(a), range(8) r(b) where a < b
        )
        select first + a as rid_l, first + b as rid_r, true as blocked,
               case when same then if(hash(first, a, b) % 10 = 0, 2, if(hash(first, a, b) % 3 = 0, 1, 0))
                    else if(hash(first, a, b) % 30 = 0, 4, if(hash(first, a, b) % 2 = 0, 2, 3)) end as pattern
        from (select 1 + 8 * n as first from range({households}) houses(n)), places
    """).fetchall()


def measure_ours(edges, constrained):
    from c360ml.lakehouse import connect
    from c360ml.linkage.clustering import Clustering
    from c360ml.linkage.constraints import Constraints, NumberedConstraints
    from c360ml.linkage.features import Features

    con = connect()
    make_pairs(con, edges // PAIRS_PER_HOUSEHOLD)
    features = Features("people", edges // PAIRS_PER_HOUSEHOLD * 8, frozenset(), ())
    sources = ("crm",) if constrained else ()
    began = time.perf_counter()
    numbered = NumberedConstraints(con, features, Constraints(duplicate_free_sources=sources))
    clustering = Clustering(con, features, numbered, 0.0).run()
    seconds = time.perf_counter() - began
    clusters = con.execute(f"select count(distinct cluster_id) from {clustering.table}").fetchall()[0][0]
    return {"seconds": seconds, "clusters": clusters, "records": features.records}


def measure_splink(edges):
    import duckdb
    from splink import DuckDBAPI
    from splink.clustering import cluster_pairwise_predictions_at_threshold

    con = duckdb.connect()
    make_pairs(con, edges // PAIRS_PER_HOUSEHOLD)
    con.execute("""
        create table edges as
        select l.record_id as record_id_l, r.record_id as record_id_r, match_probability
        from scored_pairs join pattern_weights using (pattern)
        join people l on l.rid = rid_l join people r on r.rid = rid_r
    """).fetchall()
    api = DuckDBAPI(con)
    began = time.perf_counter()
    found = cluster_pairwise_predictions_at_threshold(
        "people",
        "edges",
        db_api=api,
        node_id_column_name="record_id",
        edge_id_column_name_left="record_id_l",
        edge_id_column_name_right="record_id_r",
        threshold_match_probability=0.5,
    )
    seconds = time.perf_counter() - began
    clusters = con.execute(f"select count(distinct cluster_id) from {found.physical_name}").fetchall()[0][0]
    return {"seconds": seconds, "clusters": clusters}


def in_a_process(kind, edges):
    """Measure in a process of its own, with its peak memory."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", kind, "--edges", str(edges)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", default="5000000,15000000,50000000")
    parser.add_argument("--measure", choices=["plain", "constrained", "splink"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.edges.split(",")]
    if arguments.measure:
        kind = arguments.measure
        found = measure_splink(sizes[0]) if kind == "splink" else measure_ours(sizes[0], kind == "constrained")
        print(json.dumps(found | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
        return
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}\n")
    print(
        "| edges | records | system | seconds | clusters | peak GB with making the pairs |\n|---|---|---|---|---|---|"
    )
    seconds: dict[str, list[float]] = {}
    titles = {
        "plain": "c360ml",
        "constrained": "c360ml, one source free of duplicates",
        "splink": "Splink, connected components",
    }
    for edges in sizes:
        for kind, title in titles.items():
            found = in_a_process(kind, edges)
            records = edges // PAIRS_PER_HOUSEHOLD * 8
            row = f"| {edges:,} | {records:,} | {title} | {found['seconds']:.1f} | {found['clusters']:,} "
            print(f"{row}| {found['peak_gb']:.1f} |", flush=True)
            seconds.setdefault(kind, []).append(found["seconds"])
    if len(sizes) > 1:
        for kind, title in titles.items():
            growth = math.log(seconds[kind][-1] / seconds[kind][0]) / math.log(sizes[-1] / sizes[0])
            print(f"\n{title}: seconds grow with edges to the power of {growth:.2f}")


if __name__ == "__main__":
    main()
