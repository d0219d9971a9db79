"""One system on one file, in a process of its own: python systems.py SYSTEM FILE; prints JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

END = "2024-12-30"  # the last of the drawn days


def _since(began: tuple[float, float]) -> dict[str, float]:
    """Wall and CPU seconds since then: imports are not counted."""
    return {"seconds": time.perf_counter() - began[0], "cpu_seconds": time.process_time() - began[1]}


def run_ours(file: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    from c360ml.customer_value import value_transactions

    began = time.perf_counter(), time.process_time()
    valued = value_transactions(
        pq.read_table(file), customer="customer", date="day", amount="amount", observation_end=END, model="bg_nbd"
    )
    return _since(began) | {
        "customers": valued.metrics["customers"],
        "params": valued.metrics["purchase_model"]["params"] | valued.metrics["gamma_gamma"]["params"],
        "value": valued.metrics["projected_value"],
    }


def run_lifetimes(file: Path) -> dict[str, Any]:
    import pandas as pd
    from lifetimes import BetaGeoFitter, GammaGammaFitter
    from lifetimes.utils import summary_data_from_transaction_data

    began = time.perf_counter(), time.process_time()
    rows = pd.read_parquet(file)
    history = summary_data_from_transaction_data(
        rows, "customer", "day", monetary_value_col="amount", observation_period_end=END
    )
    columns = ("frequency", "recency", "T")
    counts = BetaGeoFitter().fit(*(history[name] for name in columns))
    again = history[(history["frequency"] > 0) & (history["monetary_value"] > 0)]
    spend = GammaGammaFitter().fit(again["frequency"], again["monetary_value"])
    value = spend.customer_lifetime_value(
        counts, *(history[name] for name in columns), history["monetary_value"], time=12, discount_rate=0.00797
    )
    params = {key: float(number) for key, number in {**counts.params_, **spend.params_}.items()}
    params["alpha"] /= 7
    return _since(began) | {"customers": len(history), "params": params, "value": float(value.sum())}


def fit_ours(file: Path) -> dict[str, Any]:
    import pandas as pd

    from c360ml import BgNbd

    history = pd.read_parquet(file)
    began = time.perf_counter(), time.process_time()
    model = BgNbd().fit(history)
    return _since(began) | {"params": model.params_}


def fit_lifetimes(file: Path) -> dict[str, Any]:
    import pandas as pd
    from lifetimes import BetaGeoFitter

    history = pd.read_parquet(file)
    began = time.perf_counter(), time.process_time()
    columns = ("repeat_purchases", "first_to_last_purchase_weeks", "age_weeks")
    fitter = BetaGeoFitter().fit(*(history[name] for name in columns))
    return _since(began) | {"params": {key: float(value) for key, value in fitter.params_.items()}}


SYSTEMS = {
    "value-c360ml": run_ours,
    "value-lifetimes": run_lifetimes,
    "fit-c360ml": fit_ours,
    "fit-lifetimes": fit_lifetimes,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    began = time.perf_counter(), time.process_time()
    found = _since(began) | SYSTEMS[sys.argv[1]](Path(sys.argv[2]))
    found["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(found))
