"""Batches appended in another order against one run with the same model: differing rows, and seconds per batch.

python experiments/append_equals_batch/run.py [--people 46000] [--batches 1,10,100] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from c360ml import Lakehouse, tables, write_world
from c360ml.config import Config
from c360ml.lakehouse import connect
from c360ml.linkage import LinkageModel
from c360ml.linkage.append import (
    APPENDED_CLUSTERS,
    APPENDED_LINKS,
    APPENDED_RECORDS,
    Linked,
    append,
    linked_records,
)
from c360ml.pipeline import STEPS

HEADER = (
    "| batches | records at the end | links | differing links | differing clusters | fit, s | all at once, s "
    "| a batch, median s | records touched by a batch |\n|---|---|---|---|---|---|---|---|---|"
)
LINKED = Linked("seen", "links", "linked_clusters", "learnt")


def standardized(folder: Path, people: int) -> Path:
    """Standardized records of a synthetic world, made once."""
    file = folder / "records.parquet"
    if not file.exists():
        write_world(folder, customers=people, purchases_per_customer=0.6)
        config = Config.load(folder / "c360ml.toml")
        with Lakehouse(folder) as lake:
            for step in STEPS[:3]:
                step.run(lake, config)
            lake.sql(f"from {tables.RECORDS.path}").write_parquet(str(file))
    return file


def keep(con, links, clusters, seen):
    con.execute(f"create or replace table links as {links}").fetchall()
    con.execute(f"create or replace table linked_clusters as {clusters}").fetchall()
    con.execute(f"create or replace table seen as {seen}").fetchall()


def change_some(con, batch):
    """Withdraw one record in a thousand, and change another."""
    con.execute(f"delete from now where hash(record_id, 1) % 1000 = {batch}").fetchall()
    con.execute(f"update now set surname = 'smith', email = null where hash(record_id, 2) % 1000 = {batch}").fetchall()


def differing_rows(con, query, table):
    """Rows of either that the other lacks."""
    return con.execute(
        f"select (select count(*) from ({query} except all from {table})), "
        f"(select count(*) from (from {table} except all {query}))"
    ).fetchall()[0]


def measure(file, batches):
    con = connect()
    con.execute(f"create table everyone as select *, hash(record_id, 3) as place from '{file}'").fetchall()
    con.execute("create table now as select * exclude (place) from everyone where place % 10 < 7").fetchall()
    began = time.perf_counter()
    model = LinkageModel().fit("now", con=con)
    con.execute("create table learnt as from term_statistics").fetchall()
    keep(con, model.pairs_query(), f"from {model.cluster_table()}", linked_records(con, model, "now"))
    fitted, content = time.perf_counter() - began, model.to_dict()
    seconds, touched = [], 0
    for batch in range(batches):
        con.execute(f"""
            insert into now select * exclude (place) from everyone
            where place % 10 >= 7 and hash(record_id, 4) % {batches} = {batch}
        """).fetchall()
        change_some(con, batch)
        began = time.perf_counter()
        appended = append(con, LinkageModel.from_dict(content), "now", LINKED)
        keep(con, f"from {APPENDED_LINKS}", f"from {APPENDED_CLUSTERS}", f"from {APPENDED_RECORDS}")
        seconds.append(time.perf_counter() - began)
        touched += appended.touched_records
    began = time.perf_counter()
    whole = LinkageModel.from_dict(content).score("now", con=con, statistics="learnt")
    clusters = f"from {whole.cluster_table()}"
    scored = time.perf_counter() - began
    links = differing_rows(con, whole.pairs_query(), "links")
    people = differing_rows(con, clusters, "linked_clusters")
    records, pairs = con.execute("select (select count(*) from now), (select count(*) from links)").fetchall()[0]
    return (
        f"| {batches} | {records:,} | {pairs:,} | {sum(links)} | {sum(people)} | {fitted:.1f} | {scored:.1f} "
        f"| {sorted(seconds)[len(seconds) // 2]:.2f} | {touched // batches:,} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=46_000)
    parser.add_argument("--batches", default="1,10,100")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "c360ml-append")
    arguments = parser.parse_args()
    file = standardized(arguments.folder, arguments.people)
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}\n")
    print(HEADER)
    for batches in arguments.batches.split(","):
        print(measure(file, int(batches)), flush=True)


if __name__ == "__main__":
    main()
