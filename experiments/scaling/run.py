"""Time, memory, disk and pairs of the whole flow at several sizes, how each step grows, and what that means beyond.

python experiments/scaling/run.py [--people 47600 142800 476000] [--folder DIR] [--memory-limit-gb 4] [--write-costs]

Sizes are people; a person has about 2.16 records. `--write-costs` keeps the growth in
`c360ml/pipeline/step_costs.json`, from which `c360ml plan` reckons.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from growth import Growth, fit_fixed, fit_growth, projection

HERE = Path(__file__).parent
COSTS = HERE.parents[1] / "c360ml" / "pipeline" / "step_costs.json"
PER_STEP = {
    "land": "rows",
    "validate": "rows",
    "standardize": "rows",
    "link": "pairs",
    "collect": "rows",
    "value": "rows",
    "campaigns": "rows",
}


def measured(what: str, folder: Path) -> dict[str, object]:
    """Run a part in a process of its own, which also tells its peak memory in GB and its processor time."""
    command = [sys.executable, HERE / "flow.py", what, folder]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(said.strip().splitlines()[-1])


def world(folder: Path, people: int, purchases_per_customer: float, memory_limit_gb: float | None) -> None:
    """Make a world of a size, if it is not there; forget what was run on it."""
    config = folder / "c360ml.toml"
    if not config.exists():
        subprocess.run(
            [
                *(sys.executable, "-c"),
                "import sys; from c360ml import write_world; write_world(sys.argv[1], customers=int(sys.argv[2]),"
                " purchases_per_customer=float(sys.argv[3]))",
                *(folder, str(people), str(purchases_per_customer)),
            ],
            check=True,
        )
    for made in ("data", "models", "mlruns"):
        shutil.rmtree(folder / made, ignore_errors=True)
    text = config.read_text("utf-8").partition("\n[engine]")[0]
    limit = f"\n[engine]\nmemory_limit_gb = {memory_limit_gb}\n" if memory_limit_gb else ""
    config.write_text(text + limit, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[47_600, 142_800, 476_000])
    parser.add_argument("--purchases-per-customer", type=float, default=8.4)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "c360ml-scaling")
    parser.add_argument("--memory-limit-gb", type=float)
    parser.add_argument("--write-costs", action="store_true")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}", flush=True)
    runs = []
    for people in arguments.people:
        folder = arguments.folder / str(people)
        folder.mkdir(parents=True, exist_ok=True)
        world(folder, people, arguments.purchases_per_customer, arguments.memory_limit_gb)
        ours = measured("run", folder)
        theirs = measured("splink", folder)
        asked = measured("questions", folder)
        runs.append({**ours, "splink": theirs["seconds"], "heaviest": asked["heaviest"], "page": asked["page"]})
        print(json.dumps(runs[-1]), flush=True)
    show(runs)
    if len(runs) > 1:
        grown = growths(runs, fit_fixed)
        show_growth(growths(runs, fit_growth), grown)
        if arguments.write_costs:
            COSTS.write_text(json.dumps(costs(grown, runs), indent=1) + "\n", "utf-8")


def show(runs: list[dict]) -> None:
    print("\n| | " + " | ".join(f"{run['records']:,} records" for run in runs) + " |")
    print("|---|" + "---|" * len(runs))
    for name in ("rows", "purchases", "pairs", "customers"):
        print(f"| {name} | " + " | ".join(f"{run[name]:,}" for run in runs) + " |")
    for name in runs[0]["steps"]:
        print(f"| {name}, seconds | " + " | ".join(f"{run['steps'][name]:.1f}" for run in runs) + " |")
    for name, title, form in (
        ("seconds", "**whole flow, seconds**", ".1f"),
        ("cpu_seconds", "whole flow, processor seconds", ".0f"),
        ("splink", "plain Splink, its part (compare with `link`), seconds", ".1f"),
        ("memory_gb", "peak memory, GB", ".1f"),
        ("disk_gb", "tables on disk, GB", ".2f"),
        ("b3_f1", "B-cubed F1", ".4f"),
        ("heaviest", "heaviest question to gold, seconds", ".3f"),
        ("page", "one customer's page, seconds", ".3f"),
    ):
        print(f"| {title} | " + " | ".join(f"{run[name]:{form}}" for run in runs) + " |")


def growths(runs: list[dict], fit: Callable[[str, list[tuple[float, float]]], Growth]) -> dict[str, Growth]:
    """How pairs, memory, disk and the seconds of each step grow; pairs always by a power."""
    found = {"pairs": fit_growth("records", [(run["records"], run["pairs"]) for run in runs])}
    for name in ("memory_gb", "disk_gb"):
        found[name] = fit("records", [(run["records"], run[name]) for run in runs])
    for step in runs[0]["steps"]:
        of = PER_STEP.get(step, "records")
        found[step] = fit(of, [(run[of], run["steps"][step]) for run in runs])
    return found


def show_growth(powers: dict[str, Growth], fixed: dict[str, Growth]) -> None:
    print("\n| | grows with | exponent | fixed | per million more |\n|---|---|---|---|---|")
    for name, growth in fixed.items():
        costs = f"{growth.at_least:.2f} | {growth.per_million:,.2f}"
        print(f"| {name} | {growth.of} | {powers[name].exponent:.2f} | {costs} |")
    print("\n" + projection(fixed))


def costs(grown: dict[str, Growth], runs: list[dict]) -> dict[str, object]:
    """What `c360ml plan` reckons with."""
    plain = {name: growth.to_dict() for name, growth in grown.items()}
    whole = {name: plain.pop(name) for name in ("pairs", "memory_gb", "disk_gb")}
    sizes = " to ".join(f"{run['records']:,}" for run in (runs[0], runs[-1]))
    return {"measured_on": f"{os.cpu_count()} cores with {sizes} records", **whole, "steps": plain}


if __name__ == "__main__":
    main()
