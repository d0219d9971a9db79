"""Draw transactions of customers whose purchases follow BG/NBD and whose spend follows Gamma-Gamma."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PLANTED = {"r": 0.9, "alpha": 8.0, "a": 0.6, "b": 2.5, "p": 6.0, "q": 4.0, "v": 60.0}
DAYS = 730
FIRST_DAY = np.datetime64("2023-01-01")


def draw_transactions(customers: int, file: Path, seed: int = 1) -> int:
    """Write customer, day and amount to a Parquet file, in random order; gives the number of rows."""
    random = np.random.default_rng(seed)
    rate = random.gamma(PLANTED["r"], 1 / (7 * PLANTED["alpha"]), customers)
    leaving = random.beta(PLANTED["a"], PLANTED["b"], customers)
    start = random.integers(0, DAYS, customers).astype(np.float64)
    scale = random.gamma(PLANTED["q"], 1 / PLANTED["v"], customers)
    active, when = np.arange(customers, dtype=np.int32), start
    who, days = [active], [start.astype(np.int16)]
    while len(active):
        when = when + random.exponential(1 / rate[active])
        seen = when < DAYS
        active, when = active[seen], when[seen]
        who.append(active)
        days.append(when.astype(np.int16))
        stays = random.random(len(active)) > leaving[active]
        active, when = active[stays], when[stays]
    buyer, day = np.concatenate(who), np.concatenate(days)
    order = random.permutation(len(buyer))
    buyer, day = buyer[order], day[order]
    amount = np.round(random.gamma(PLANTED["p"], 1.0, len(buyer)) / scale[buyer], 2)
    table = pa.table({"customer": buyer.astype(np.int64), "day": FIRST_DAY + day, "amount": amount})
    pq.write_table(table, file)
    return len(buyer)
