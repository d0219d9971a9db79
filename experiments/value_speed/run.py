"""Time from transactions to value, ours beside lifetimes, each in a process of its own.

python experiments/value_speed/run.py [--customers 5000000] [--peer-customers 100000] [--fit-customers 1000000]
    [--rounds 3]

What is compared is done in rounds, one system after the other; the round with the median ratio is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from draw import PLANTED, draw_transactions

from c360ml import BgNbd, purchase_history

HERE = Path(__file__).parent


def run_system(name: str, file: Path) -> dict[str, Any] | str:
    """Run one system; gives what it found, or in one line why it found nothing."""
    done = subprocess.run(
        [sys.executable, str(HERE / "systems.py"), name, str(file)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1][:200]}"
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def show(what: str, rows: int, customers: int, system: str, found: dict[str, Any] | str) -> None:
    if isinstance(found, str):
        print(f"| {what} | {rows:,} | {customers:,} | {system} | {found} | | | |", flush=True)
        return
    params = " ".join(f"{name} {value:.3g}" for name, value in found["params"].items())
    used = f"{found['seconds']:.1f} | {found['cpu_seconds']:.1f} | {found['peak_gb']:.1f}"
    print(f"| {what} | {rows:,} | {customers:,} | {system} | {used} | {params} |", flush=True)


def race(what: str, file: Path, rounds: int) -> tuple[dict[str, Any], str]:
    """Run ours and lifetimes' in turn; gives the round with the median ratio of seconds, and the ratios in words."""
    ran = []
    for _ in range(rounds):
        found = {name: run_system(f"{what}-{name}", file) for name in ("c360ml", "lifetimes")}
        failed = [f"{name} {answer}" for name, answer in found.items() if isinstance(answer, str)]
        if failed:
            return found, f"no ratio: {'; '.join(failed)}"
        ran.append((found["lifetimes"]["seconds"] / found["c360ml"]["seconds"], found))
    ran.sort(key=lambda each: each[0])
    ratio, found = ran[rounds // 2]
    return found, f"{ratio:.1f} times as fast as lifetimes (rounds: {', '.join(f'{each:.1f}' for each, _ in ran)})"


def compare_ways(file: Path, customers: int, peer_customers: int, rounds: int) -> list[str]:
    """Run the whole way, ours on all customers, and both where lifetimes can."""
    rows = draw_transactions(customers, file)
    show("transactions to value", rows, customers, "c360ml", run_system("value-c360ml", file))
    rows = draw_transactions(peer_customers, file)
    found, ratio = race("value", file, rounds)
    for name, answer in found.items():
        show("transactions to value", rows, peer_customers, name, answer)
    return [f"Whole way, {peer_customers:,} customers: {ratio}."]


def compare_fits(folder: Path, customers: int, rounds: int) -> list[str]:
    """Fit BG/NBD to the same histories and compare the likelihoods by one formula."""
    file, histories = folder / "transactions.parquet", folder / "histories.parquet"
    rows = draw_transactions(customers, file)
    history = purchase_history(pd.read_parquet(file), customer="customer", date="day", amount="amount")
    history.to_parquet(histories)
    found, ratio = race("fit", histories, rounds)
    for name, answer in found.items():
        show("BG/NBD fit", rows, customers, name, answer)
    said = [f"Fit, {customers:,} customers: {ratio}."]
    model = BgNbd().fit(history)
    for name, answer in found.items():
        if not isinstance(answer, str):
            model.params_ = {key: answer["params"][key] for key in model.params_}
            said.append(f"Log-likelihood at the parameters of {name}: {model.log_likelihood(history):.4f}.")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=5_000_000)
    parser.add_argument("--peer-customers", type=int, default=100_000)
    parser.add_argument("--fit-customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("Planted: " + ", ".join(f"{name} {value:g}" for name, value in PLANTED.items()) + "\n")
    names = ("what", "transactions", "customers", "system", "seconds", "CPU seconds", "peak GB", "parameters")
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|", flush=True)
    with tempfile.TemporaryDirectory(prefix="c360ml-speed-") as scratch:
        folder = Path(scratch)
        said = compare_ways(
            folder / "transactions.parquet", arguments.customers, arguments.peer_customers, arguments.rounds
        )
        said += compare_fits(folder, arguments.fit_customers, arguments.rounds)
    print("\n" + "\n".join(f"- {line}" for line in said))


if __name__ == "__main__":
    main()
