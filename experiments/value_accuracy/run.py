"""Models beside the published numbers; holdout errors beside lifetimes, clvkit and the naive forecast.

python experiments/value_accuracy/run.py [--online-retail ../shared/data/transactions/online_retail_2009_2010.parquet]
    [--grocery groceryElog.rda] [--apparel apparelTrans.rda]

The last two are files of R packages under the GPL, so they are not part of this project: `data/groceryElog.rda` of
github.com/mplatzer/BTYDplus and `data/apparelTrans.rda` of github.com/bachmannpatrick/CLVTools.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from holdouts import load_completejourney, load_rda, measure_file

from c360ml import BgNbd, GammaGamma, purchase_history

PUBLISHED = {
    "r": 0.243,
    "alpha": 4.414,
    "a": 0.793,
    "b": 2.426,
    "p": 6.25,
    "q": 3.74,
    "v": 15.44,
}


def cdnow(name: str) -> pd.DataFrame:
    folder = Path(importlib.util.find_spec("lifetimes").submodule_search_locations[0]) / "datasets"
    if name == "CDNOW_sample.txt":
        rows = pd.read_csv(folder / name, sep=r"\s+", names=["customer", "sample", "day", "items", "amount"])
    else:
        rows = pd.read_csv(folder / name, sep=r"\s+", names=["customer", "day", "items", "amount"], skiprows=1)
    return rows.assign(day=pd.to_datetime(rows["day"].astype(str), format="%Y%m%d"))


def lifetimes_fit(history: pd.DataFrame) -> tuple[dict[str, float], float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoFitter

        began = time.perf_counter()
        fitter = BetaGeoFitter().fit(
            history["repeat_purchases"], history["first_to_last_purchase_weeks"], history["age_weeks"]
        )
    return dict(fitter.params_), time.perf_counter() - began


def show_parameters(sample: pd.DataFrame) -> None:
    history = purchase_history(sample, customer="customer", date="day", amount="amount", observation_end="1997-09-30")
    began = time.perf_counter()
    counts = BgNbd().fit(history)
    seconds = time.perf_counter() - began
    spend = GammaGamma().fit(history)
    theirs, their_seconds = lifetimes_fit(history)
    print("| CDNOW sample, 39 weeks | published | c360ml | lifetimes |\n|---|---|---|---|")
    for name, published in PUBLISHED.items():
        ours = counts.params_ | spend.params_
        other = f"{theirs[name]:.4f}" if name in theirs else ""
        print(f"| {name} | {published} | {ours[name]:.4f} | {other} |")
    print(f"| BG/NBD log-likelihood | -9582.4 | {counts.log_likelihood_:.3f} | |")
    print(f"| Gamma-Gamma log-likelihood | -4055.92 | {spend.log_likelihood_:.4f} | |")
    print(f"| BG/NBD fit, seconds | | {seconds:.2f} | {their_seconds:.2f} |\n")


def show_holdouts(files: dict[str, tuple[pd.DataFrame, str, str]], scratch: Path) -> None:
    """Print one table a file: every model of every system on the same customers, by the same measures."""
    for name, (rows, start, end) in files.items():
        measured = measure_file(rows[["customer", "day"]], start, end, scratch)
        print(
            f"\n{name}: {measured[0]['customers']:,} customers, {measured[0]['actual']:,.0f} purchases from {start}\n"
        )
        print("| forecast | bias % | MAE | RMSE | correlation | Gini | log-likelihood | seconds | |")
        print("|---|---|---|---|---|---|---|---|---|")
        for row in measured:
            print(_line(row), flush=True)


def _line(row: dict[str, Any]) -> str:
    if "mae" not in row:
        return f"| {row['system']} | | | | | | | | {row['word']} |"
    likelihood = "" if row["log_likelihood"] is None else f"{row['log_likelihood']:.2f}"
    return (
        f"| {row['system']} | {100 * row['bias']:+.1f} | {row['mae']:.3f} | {row['rmse']:.3f} "
        f"| {row['correlation']:.3f} | {row['gini']:.3f} | {likelihood} | {row['seconds']:.2f} "
        f"| {row['word']} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--online-retail",
        type=Path,
        default=Path("../shared/data/transactions/online_retail_2009_2010.parquet"),
    )
    parser.add_argument("--grocery", type=Path)
    parser.add_argument("--apparel", type=Path)
    arguments = parser.parse_args()
    sample = cdnow("CDNOW_sample.txt")
    show_parameters(sample)
    files = {
        "CDNOW sample": (sample, "1997-10-01", "1998-06-30"),
        "CDNOW master": (cdnow("CDNOW_master.txt"), "1997-10-01", "1998-06-30"),
    }
    if arguments.online_retail.exists():
        rows = pd.read_parquet(arguments.online_retail).dropna(subset="Customer ID")
        lines = pd.DataFrame(
            {
                "customer": rows["Customer ID"].astype(int),
                "day": pd.to_datetime(rows["InvoiceDate"]).dt.normalize(),
                "amount": rows["Quantity"] * rows["Price"],
            }
        )
        files["Online Retail 2009-2010"] = (lines[lines["amount"] >= 0], "2010-09-01", "2010-12-09")
    with tempfile.TemporaryDirectory(prefix="c360ml-accuracy-") as folder:
        loaded = {"Complete Journey": (load_completejourney(Path(folder)), "2017-09-01", "2017-12-31")}
        for name, file, start, end in (
            ("Grocery", arguments.grocery, "2007-01-01", "2007-12-30"),
            ("Apparel", arguments.apparel, "2007-01-01", "2010-12-20"),
        ):
            if file:
                loaded[name] = (load_rda(file, Path(folder)), start, end)
        for name, (rows, start, end) in loaded.items():
            if isinstance(rows, str):
                print(f"{name} was left out: {rows}")
            else:
                files[name] = (rows, start, end)
        show_holdouts(files, Path(folder))


if __name__ == "__main__":
    main()
