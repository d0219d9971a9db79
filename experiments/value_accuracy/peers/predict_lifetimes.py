"""Holdout forecasts of lifetimes: python predict_lifetimes.py JOB.json; writes a CSV, prints JSON."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402  # with the ones that warn
from lifetimes import BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter  # noqa: E402  # it warns on import
from lifetimes.utils import summary_data_from_transaction_data  # noqa: E402  # it warns on import

FITTERS = {"BG/NBD": BetaGeoFitter, "MBG/NBD": ModifiedBetaGeoFitter, "Pareto/NBD": ParetoNBDFitter}

if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    rows = pd.read_csv(job["transactions"], parse_dates=["day"])
    history = summary_data_from_transaction_data(
        rows[rows["day"] <= job["calibration_end"]],
        "customer",
        "day",
        observation_period_end=job["calibration_end"],
    )
    history[["recency", "T"]] /= 7
    columns = [history[name] for name in ("frequency", "recency", "T")]
    said, forecasts = {}, pd.DataFrame(index=history.index)
    for name, fitter in FITTERS.items():
        began = time.perf_counter()
        try:
            model = fitter().fit(*columns)
            forecasts[name] = model.conditional_expected_number_of_purchases_up_to_time(job["weeks"], *columns)
            said[name] = {"seconds": time.perf_counter() - began}
        except Exception as error:  # a peer that fails is a result
            said[name] = {"failed": f"{type(error).__name__}: {error}"[:150]}
    forecasts.to_csv(job["forecasts"], index_label="customer")
    print(json.dumps(said))
