"""Write an R data file of purchases as a CSV of customer and day: python write_rda.py JOB.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    import pandas as pd
    import rdata

    job = json.loads(Path(sys.argv[1]).read_text())
    (table,) = rdata.read_rda(job["rda"]).values()
    customer, days = table.iloc[:, 0], table.iloc[:, 1]
    day = pd.Timestamp("1970-01-01") + pd.to_timedelta(days, unit="D")  # R keeps a date as days since then
    pd.DataFrame({"customer": customer.astype(str), "day": day}).to_csv(job["transactions"], index=False)
    print(json.dumps({"rows": len(table)}))
