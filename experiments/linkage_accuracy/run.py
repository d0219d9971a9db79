"""How right are the clusters at the default settings? Ours beside the peers', one evaluator, one run.

python experiments/linkage_accuracy/run.py [--data DIR] [--files historical_50k,...] [--peers splink_demo,...]
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
from environments import HERE, NotRunError, cache_folder, python_of, run_script
from files import FILES, Prepared, prepare

from c360ml import LinkageModel, evaluate_clusters

HEADER = (
    "| file | records | system | B3 | cluster F1 | pairwise P / R | ECE | blocking recall | s | peak MB |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)

SUMMARY_HEADER = (
    "\n| file | target | B3 of c360ml | best peer, default | best peer, best cut by truth "
    "| cluster F1 of c360ml | best peer, default | best peer, best cut by truth |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class System:
    """One way to cluster: its script, its environment, what the table calls it."""

    script: str
    title: str
    environment: str = ""
    options: tuple[tuple[str, object], ...] = ()
    most_records: int | None = None


OURS = {"c360ml": System("c360ml_default", "**c360ml**")}
if "classes" in inspect.signature(LinkageModel).parameters:
    OURS["c360ml_two"] = System("c360ml_default", "c360ml, two classes", options=(("classes", "two"),))
PEERS = {
    "splink_generic": System("splink_generic", "Splink, one generic model on our records, .95", "splink"),
    "splink_demo": System("splink_demo", "Splink's published model ({demo}), .95", "splink"),
    "recordlinkage": System("recordlinkage_ecm", "recordlinkage ECM", "recordlinkage"),
    "dedupe": System("dedupe_unattended", "dedupe, 100 answers from the truth", "dedupe", most_records=10_000),
    "goldenmatch": System("goldenmatch_zero", "GoldenMatch, zero configuration", "goldenmatch"),
}
SYSTEMS = OURS | PEERS


def write_job(name: str, key: str, prepared: Prepared, memory_gb: float) -> Path:
    """Say what a system is to cluster; the truth goes to ours, to be judged by, and to dedupe, for its answers."""
    file, system = FILES[name], SYSTEMS[key]
    out = cache_folder("clusters", f"{name}-{key}")
    job = {
        "file": name,
        "records": str(prepared.records),
        "standardized": str(prepared.standardized),
        "standardized_already": file.world_seed is not None,
        "columns": file.columns,
        "two_sources": file.two_sources,
        "splink_demo": file.splink_demo,
        "options": dict(system.options),
        "memory_gb": memory_gb,
        "out": str(out),
    }
    if key in OURS:
        job["records"] = job["standardized"] if job["standardized_already"] else job["records"]
        job["truth"] = str(prepared.truth)
    if key == "dedupe":
        job["oracle"] = str(prepared.truth)
    (out / "job.json").write_text(json.dumps(job))
    return out


def run_system(name: str, key: str, prepared: Prepared, options: argparse.Namespace) -> tuple[dict, pa.Table]:
    """What a system says of its run, and its clusters at every cut."""
    system = SYSTEMS[key]
    if system.most_records and prepared.count > system.most_records and not options.all:
        raise NotRunError(f"more than {system.most_records:,} records; --all tries")
    out = write_job(name, key, prepared, options.memory)
    (out / "clusters.parquet").unlink(missing_ok=True)
    python = sys.executable
    if system.environment:
        python = python_of(system.environment, HERE / "peers" / f"requirements-{system.environment}.txt")
    said = run_script(python, HERE / "peers" / f"{system.script}.py", out / "job.json", options.timeout)
    return said, duckdb.sql(f"from '{out}/clusters.parquet'").to_arrow_table()


def across_sources(clusters: pa.Table, prepared: Prepared) -> dict[str, float]:
    """Pairwise measures of the pairs that join two sources: what a linkage of two files is judged by."""
    con = duckdb.connect()
    con.register("clusters", clusters)
    both, found, true = con.execute(f"""
        with records as (
            select source, cluster_id, true_id
            from clusters join '{prepared.records}' using (record_id) join '{prepared.truth}' using (record_id)
        )
        select count(*) filter (l.cluster_id = r.cluster_id and l.true_id = r.true_id),
               count(*) filter (l.cluster_id = r.cluster_id), count(*) filter (l.true_id = r.true_id)
        from records l join records r
            on l.source < r.source and (l.cluster_id = r.cluster_id or l.true_id = r.true_id)
    """).fetchall()[0]
    precision, recall = both / max(found, 1), both / true
    return {
        "pairwise_precision": precision,
        "pairwise_recall": recall,
        "pairwise_f1": 2 * both / (found + true),
    }


def judge(name: str, clusters: pa.Table, prepared: Prepared) -> dict[str, float]:
    truth = duckdb.sql(f"from '{prepared.truth}'").to_arrow_table()
    measures = dict(evaluate_clusters(clusters, truth))
    return measures | (across_sources(clusters, prepared) if FILES[name].two_sources else {})


def judge_cuts(name: str, said: dict, cuts: pa.Table, prepared: Prepared) -> tuple[dict, dict | None]:
    """Measures at the system's own default cut; and, with several cuts, each measure at the cut best for it."""
    con = duckdb.connect()
    con.register("cuts", cuts)
    found = {}
    for (cut,) in con.sql("select distinct cut from cuts order by 1").fetchall():
        chosen = con.sql(f"select record_id, cluster_id from cuts where cut = {cut!r}").to_arrow_table()
        found[cut] = judge(name, chosen, prepared)
    by_f1 = max(found, key=lambda cut: found[cut]["pairwise_f1"])
    by_b3 = max(found, key=lambda cut: found[cut]["b3_f1"])
    best = found[by_f1] | {"b3_f1": found[by_b3]["b3_f1"], "b3_cut": by_b3, "f1_cut": by_f1}
    return found[said["default_cut"]], best if len(found) > 1 else None


def row(name: str, count: int, title: str, measures: dict, said: dict) -> str:
    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return (
        f"| {name} | {count:,} | {title} | {measures['b3_f1']:.4f} | {measures['pairwise_f1']:.4f} "
        f"| {measures['pairwise_precision']:.4f} / {measures['pairwise_recall']:.4f} "
        f"| {shown(said.get('calibration_error'), '.4f')} | {shown(said.get('blocking_recall'), '.4f')} "
        f"| {shown(said.get('seconds'), '.1f')} | {shown(said.get('peak_mb'), ',.0f')} |"
    )


def measure(name: str, keys: list[str], options: argparse.Namespace) -> Iterator[tuple[str, dict, dict | None]]:
    """Run the systems on a file and print their rows; gives the measures of each, by default and at best."""
    prepared = prepare(name, options.data, options.customers)
    file = f"{name} (held back)" if FILES[name].held_back else name
    for key in keys:
        title = SYSTEMS[key].title.format(demo=FILES[name].splink_demo)
        try:
            said, cuts = run_system(name, key, prepared, options)
        except NotRunError as reason:
            print(f"| {file} | {prepared.count:,} | {title} | not run: {reason} | | | | | | |", flush=True)
            continue
        default, best = judge_cuts(name, said, cuts, prepared)
        print(row(file, prepared.count, title, default, said), flush=True)
        if best:
            b3_cut, f1_cut = (f"{best[each]:g}" if best[each] else "its own" for each in ("b3_cut", "f1_cut"))
            cut = f"&nbsp; best cut by truth: B3 at {b3_cut}, F1 at {f1_cut}"
            print(row(file, prepared.count, cut, best, {}), flush=True)
        yield key, default, best


def summary_row(name: str, found: list[tuple[str, dict, dict | None]]) -> str:
    """Ours against the best peer, by default and at the peer's best cut by truth."""

    def best(measure_name: str, at_best_cut: bool) -> str:
        values = [
            ((at_best if at_best_cut and at_best else default)[measure_name], key)
            for key, default, at_best in found
            if key in PEERS
        ]
        return "{:.4f} ({})".format(*max(values)) if values else ""

    ours = next((default for key, default, _ in found if key == "c360ml"), None)
    b3, f1 = (f"{ours[each]:.4f}" if ours else "" for each in ("b3_f1", "pairwise_f1"))
    return (
        f"| {name} | {FILES[name].target or 'held back'} | {b3} | {best('b3_f1', False)} | {best('b3_f1', True)} "
        f"| {f1} | {best('pairwise_f1', False)} | {best('pairwise_f1', True)} |"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/people"))
    parser.add_argument("--files", default=",".join(FILES))
    parser.add_argument("--peers", default=",".join(PEERS), help="ours always runs; '' for none")
    parser.add_argument("--customers", type=int, default=23_000, help="people of each synthetic world")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one system on one file")
    parser.add_argument("--memory", type=float, default=12, help="gigabytes for one system")
    parser.add_argument("--all", action="store_true", help="dedupe on files of more than 10,000 records, too")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    started = time.perf_counter()
    keys = [*OURS, *(key for key in options.peers.split(",") if key)]
    print(HEADER)
    found = {name: list(measure(name, keys, options)) for name in options.files.split(",")}
    print(SUMMARY_HEADER)
    for name, measured in found.items():
        print(summary_row(name, measured))
    print(f"\nComplete run: {(time.perf_counter() - started) / 60:.0f} minutes.")


if __name__ == "__main__":
    main()
