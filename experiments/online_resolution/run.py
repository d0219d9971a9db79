"""Time, memory and safety of the identity store at size, Splink's `predict_between` of one record beside it.

python experiments/online_resolution/run.py [--records 100000] [--readers 8] [--seconds 120] [--kills 50] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PARTS = str(HERE / "parts.py")


def part(name: str, folder: Path, *arguments: Any) -> dict[str, Any]:
    """Run a part in a process of its own; its last line is JSON."""
    done = subprocess.run(
        [sys.executable, PARTS, name, str(folder), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"{name} failed")
    return json.loads(done.stdout.strip().splitlines()[-1])


def start(name: str, folder: Path, *arguments: Any) -> subprocess.Popen[str]:
    """Start a part beside others."""
    return subprocess.Popen(
        [sys.executable, PARTS, name, str(folder), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def scratch_copy(folder: Path, target: Path) -> Path:
    """Copy model and index, the large files as links: they are never written again."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / "models", target / "models")
    index = target / "data" / "index"
    index.mkdir(parents=True)
    for place in (folder / "data" / "index").iterdir():
        if place.is_dir():
            shutil.copytree(place, index / place.name, copy_function=os.link)
        elif place.name.startswith("delta.sqlite"):
            shutil.copy(place, index / place.name)
    return target


def table(title: str, rows: list[tuple[str, str]]) -> None:
    print(f"\n| {title} | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    sys.stdout.flush()


def told(milliseconds: dict[str, float]) -> str:
    return " ms, ".join(f"{name} {value:.2f}" for name, value in milliseconds.items()) + " ms"


def speed(folder: Path, copy: Path) -> None:
    built = part("build", folder)
    questions = part("questions", folder, 2_000)
    asked, stored = part("resolve", folder), part("upsert", scratch_copy(folder, copy), folder)
    theirs = part("splink", folder)
    sizes = built["bytes"]
    memory = asked["memory_mb"]
    table(
        f"{built['records']:,} records, {built['keys'] / built['records']:.1f} keys each",
        [
            ("index built in", f"{built['seconds']:.1f} s, peak {built['peak_gb']:.1f} GB"),
            (
                "its size",
                f"{sum(sizes.values()) / 1e6:,.0f} MB ({sum(sizes.values()) / built['records']:,.0f} bytes a record)",
            ),
            ("store opened in", f"{asked['opened_ms']:.0f} ms"),
            ("memory of a reader", ", ".join(f"{name} {value:,.0f} MB" for name, value in memory.items())),
            (f"resolve, {questions['known']} known with typos", told(asked["known"])),
            (f"resolve, {questions['new']} new people", told(asked["new"])),
            ("resolve, all", told(asked["all"])),
            ("of it looking up candidates", told(asked["lookup"])),
            ("candidates", told(asked["candidates"]).replace(" ms", "")),
            ("known found, new called new", f"{asked['found']:.3f}, {asked['called_new']:.3f}"),
            ("upsert", told(stored["all"])),
            (f"Splink predict_between, one record, {theirs['asked']} asked", told(theirs["all"])),
        ],
    )


def together(folder: Path, copy: Path, readers: int, seconds: float) -> None:
    project = scratch_copy(folder, copy)
    before = part("answers", project, folder)["answers"]
    writer, swapper = start("write", project, folder, seconds), start("swap", project, seconds)
    asking = [start("read", project, folder, seconds, number) for number in range(readers)]
    wrote = json.loads(writer.communicate()[0].strip().splitlines()[-1])
    swaps = json.loads(swapper.communicate()[0].strip().splitlines()[-1])["swaps"]
    read = [json.loads(each.communicate()[0].strip().splitlines()[-1]) for each in asking]
    after = part("answers", project, folder)["answers"]
    steady = {number for number, answer in enumerate(before) if answer == after[number]}
    given = [(number, answer) for each in read for number, answer in each["answers"]]
    checked = [(number, answer) for number, answer in given if number in steady]
    wrong = sum(answer != before[number] for number, answer in checked)
    table(
        f"{readers} readers and one writer for {seconds:.0f} s",
        [
            ("resolved", f"{sum(each['asked'] for each in read):,}"),
            ("upserted", f"{wrote['upserts']:,}"),
            ("index replaced under them", f"{swaps} times"),
            ("distinct answers to steady records, checked", f"{len(checked):,} to {len(steady):,} records"),
            ("wrong answers", str(wrong)),
            ("torn reads", str(sum(each["torn"] for each in read))),
            ("errors", str(sum(each["errors"] for each in read))),
            ("looks at the record that is overwritten all the time", f"{sum(each['looks'] for each in read):,}"),
            ("resolve, worst reader", told(max((each["all"] for each in read), key=lambda each: each["p99"]))),
            ("upsert", told(wrote["all"])),
            ("USS of a reader among others", f"{max(each['memory_mb']['USS'] for each in read):,.0f} MB"),
        ],
    )


def kills(folder: Path, copy: Path, times: int) -> None:
    found = part("kill", scratch_copy(folder, copy), times)
    table(
        f"kill -9 at {times} random moments of upserting",
        [
            ("upserts acknowledged", f"{found['acknowledged']:,}"),
            ("of them lost", str(found["lost"])),
            ("stores between before and after", str(found["between"])),
            ("cut upsert: as before, as after", f"{found['before']}, {found['after']}"),
            ("answered otherwise when asked again", str(found["changed"])),
            ("writers that could not begin", str(found["stuck"])),
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.gettempdir()) / f"c360ml-online-{given.records}"
    copy = folder.with_name(f"{folder.name}-scratch")
    if not (folder / "data" / "manifest.json").exists():
        began = time.perf_counter()
        part("world", folder, given.records)
        print(f"world and its run in {time.perf_counter() - began:.0f} s (not counted)", flush=True)
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    speed(folder, copy)
    if given.readers and given.seconds:
        together(folder, copy, given.readers, given.seconds)
    if given.kills:
        kills(folder, copy, given.kills)
    shutil.rmtree(copy)


if __name__ == "__main__":
    main()
