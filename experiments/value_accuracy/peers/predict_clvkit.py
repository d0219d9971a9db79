"""Holdout forecasts of clvkit: python predict_clvkit.py JOB.json; writes a CSV, prints JSON."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402  # with the ones that warn
from clvkit import BGNBD, MBGNBD, CustomerBase  # noqa: E402  # it warns on import

if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    rows = pd.read_csv(job["transactions"], parse_dates=["day"])
    rows = rows[rows["day"] <= job["calibration_end"]]
    base = CustomerBase.from_transactions(
        rows, "customer", "day", None, time_unit="D", observation_period_end=job["calibration_end"]
    )
    said, forecasts = {}, {}
    for name, model in {"BG/NBD": BGNBD, "MBG/NBD": MBGNBD}.items():
        began = time.perf_counter()
        try:
            fitted = model().fit(base)
            answer = fitted.predict(t=7 * job["weeks"]).to_pandas()
            forecasts[name] = answer.iloc[:, -1] if isinstance(answer, pd.DataFrame) else answer
            said[name] = {"seconds": time.perf_counter() - began}
        except Exception as error:  # a peer that fails is a result
            said[name] = {"failed": f"{type(error).__name__}: {error}"[:150]}
    pd.DataFrame(forecasts).to_csv(job["forecasts"], index_label="customer")
    print(json.dumps(said))
