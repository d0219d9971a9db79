"""Serve one project three ways and time single raw records; print one table."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.records import ROLES

CLIENTS = (1, 4, 8)
HERE = Path(__file__).parent
JSON = {"Content-Type": "application/json"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True, help="project folder, after `c360ml run`")
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--parity", type=int, default=10_000)
    args = parser.parse_args()
    folder = args.folder.resolve()
    records, masters, total = read_records(folder, max(args.parity, args.requests))
    bodies = [json.dumps({"inputs": [record]}).encode() for record in partial(records[: args.requests])]
    print(f"{total:,} records; {os.cpu_count()} cores, client on the same machine; {len(bodies):,} requests a cell\n")
    print(
        "| server | start, s | PSS idle, MB | PSS loaded, MB | p50, ms | p99, ms | "
        + " | ".join(f"requests/s, {clients} client{'s' * (clients > 1)}" for clients in CLIENTS)
        + " |"
    )
    print("|---" * (6 + len(CLIENTS)) + "|", flush=True)
    answers = {}
    for name, command, variables in servers(folder):
        with started(command, variables) as (process, port, seconds):
            print(row(name, process, port, seconds, bodies), flush=True)
            if name != "FastAPI control":
                answers[name] = ask_all(port, records[: args.parity])
    print_parity(answers, masters[: args.parity])


# ---------------------------------------------------------------------- records
def read_records(folder: Path, count: int) -> tuple[list[dict[str, Any]], list[str], int]:
    """Raw records in an order without meaning, the customers that the batch gave them, and how many there are."""
    roles = ", ".join(f"nullif(trim({role}), '') as {role}" for role in ROLES)
    with Lakehouse(folder) as lake:
        lake.open(tables.CUSTOMERS)
        lake.open(tables.IDENTITIES)
        total = lake.one(f"select count(*) from {tables.IDENTITIES.path}")
        rows = (
            lake.sql(f"""
            select {roles}, master_id from {tables.CUSTOMERS.path} as raw
            join {tables.IDENTITIES.path} as identities on identities.record_id = raw.source || ':' || raw.source_key
            order by md5(raw.source || raw.source_key) limit {count}
        """)
            .to_arrow_table()
            .to_pylist()
        )
    masters = [row.pop("master_id") for row in rows]
    return rows, masters, int(total)


def partial(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a client knows of a person: a third of the fields is missing."""
    rng = random.Random(1)
    return [{role: text for role, text in record.items() if text and rng.random() < 2 / 3} for record in records]


# ---------------------------------------------------------------------- servers
def servers(folder: Path) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    python = sys.executable
    model = str(folder / "models" / "c360-scorer")
    own = [python, "-m", "c360ml", "serve", "--project", str(folder), "--port", "{port}"]
    mlflow = [python, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local", "-p", "{port}"]
    yield "`mlflow models serve`", mlflow, {"C360ML_PROJECT": str(folder)}
    yield "`c360ml serve`", own, {}
    yield "`c360ml serve --workers 2`", [*own, "--workers", "2"], {}
    control = [python, "-m", "uvicorn", "--no-access-log", "--app-dir", str(HERE), "--port", "{port}", "control:app"]
    yield "FastAPI control", control, {"CONTROL_PROJECT": str(folder)}


@contextmanager
def started(command: list[str], variables: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "UVICORN_ACCESS_LOG": "0", "PYTHONPATH": str(HERE.parents[1])}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as elsewhere, open(Path(elsewhere) / "log", "w") as log:
        process = subprocess.Popen(
            [word.format(port=port) for word in command],
            env={**os.environ, **quiet, **variables},
            cwd=elsewhere,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait(process, port, Path(log.name))
            yield process, port, time.perf_counter() - began
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    while process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise RuntimeError(log.read_text())


def pss(process: subprocess.Popen[bytes]) -> float:
    """Proportional memory of all processes of the server's session, in MB."""
    kilobytes = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if os.getsid(int(entry.name)) == process.pid:
                    rolled = (entry / "smaps_rollup").read_text()
                    kilobytes += int(re.search(r"^Pss:\s+(\d+)", rolled, re.MULTILINE)[1])
            except OSError:
                continue
    return kilobytes / 1024


# ---------------------------------------------------------------------- clients
def row(name: str, process: subprocess.Popen[bytes], port: int, seconds: float, bodies: list[bytes]) -> str:
    idle = pss(process)
    load(port, bodies[:200], 1)
    rates, of_one = [], np.zeros(0)
    for clients in CLIENTS:
        took, times = load(port, bodies, clients)
        rates.append(len(bodies) / took)
        of_one = times if clients == 1 else of_one
    p50, p99 = np.percentile(of_one, (50, 99)) * 1000
    cells = (f"{seconds:.1f}", f"{idle:.0f}", f"{pss(process):.0f}", f"{p50:.1f}", f"{p99:.1f}")
    return f"| {name} | " + " | ".join((*cells, *(f"{rate:.0f}" for rate in rates))) + " |"


def load(port: int, bodies: list[bytes], clients: int) -> tuple[float, np.ndarray]:
    """Send all bodies from so many clients that keep their connection; seconds of all, and of each."""
    times: list[float] = []
    failed: list[int] = []

    def client(part: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for body in part:
            began = time.perf_counter()
            connection.request("POST", "/invocations", body, JSON)
            reply = connection.getresponse()
            reply.read()
            times.append(time.perf_counter() - began)
            if reply.status != 200:
                failed.append(reply.status)
        connection.close()

    threads = [threading.Thread(target=client, args=(bodies[number::clients],)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if failed:
        raise RuntimeError(f"{len(failed)} requests were not answered: {sorted(set(failed))}")
    return took, np.array(times)


def ask_all(port: int, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    answers = []
    for first in range(0, len(records), 500):
        connection.request("POST", "/invocations", json.dumps({"inputs": records[first : first + 500]}), JSON)
        answers += json.loads(connection.getresponse().read())["predictions"]
    return answers


def print_parity(answers: dict[str, list[dict[str, Any]]], masters: list[str]) -> None:
    first, *others = answers.values()
    same = sum(all(other[at] == answer for other in others) for at, answer in enumerate(first))
    own = sum(answer["master_id"] == master for answer, master in zip(first, masters, strict=True))
    new = sum(bool(answer["is_new"]) for answer in first)
    print(f"\nStored records asked again: {len(first):,}; the same answer from all servers: {same:,}.")
    print(
        f"Their batch's customer: {own:,}; another customer: {len(first) - own - new:,}; new: {new:,}; "
        f"errors: {sum(bool(answer['error']) for answer in first):,}."
    )


if __name__ == "__main__":
    main()
