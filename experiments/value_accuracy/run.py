"""BG/NBD and Gamma-Gamma beside the published numbers and lifetimes; holdout errors beside the naive forecast.

python experiments/value_accuracy/run.py [--online-retail ../shared/data/transactions/online_retail_2009_2010.parquet]
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from pathlib import Path

import pandas as pd

from c360ml import BgNbd, GammaGamma, purchase_history
from c360ml.customer_value import holdout_backtest

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
        rows = pd.read_csv(folder / name, sep=r"\s+", names=["id", "sample", "day", "items", "amount"])
    else:
        rows = pd.read_csv(folder / name, sep=r"\s+", names=["id", "day", "items", "amount"], skiprows=1)
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
    history = purchase_history(sample, customer="id", date="day", amount="amount", observation_end="1997-09-30")
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


def show_holdouts(files: dict[str, tuple[pd.DataFrame, str, str]]) -> None:
    print("| file | customers | actual | bias % ours / naive | MAE ours / naive | RMSE ours / naive | correlation |")
    print("|---|---|---|---|---|---|---|")
    for name, (rows, start, end) in files.items():
        found = holdout_backtest(
            rows, customer="id", date="day", amount="amount", holdout_start=start, observation_end=end
        ).metrics
        print(
            f"| {name} | {found['customers']:,} | {found['actual_purchases']:,} "
            f"| {100 * found['bias']:+.1f} / {100 * found['naive_bias']:+.1f} "
            f"| {found['mae']:.3f} / {found['naive_mae']:.3f} | {found['rmse']:.3f} / {found['naive_rmse']:.3f} "
            f"| {found['correlation']:.3f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--online-retail",
        type=Path,
        default=Path("../shared/data/transactions/online_retail_2009_2010.parquet"),
    )
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
                "id": rows["Customer ID"].astype(int),
                "day": pd.to_datetime(rows["InvoiceDate"]),
                "amount": rows["Quantity"] * rows["Price"],
            }
        )
        files["Online Retail 2009-2010"] = (lines, "2010-09-01", "2010-12-09")
    show_holdouts(files)


if __name__ == "__main__":
    main()
