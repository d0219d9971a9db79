"""What identity does to value on synthetic worlds: totals, planted parameters, and what intervals cover.

python experiments/value_identity/run.py [--people 10000] [--seeds 31,32,33]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from c360ml import BgNbd, Lakehouse, LinkageModel, purchase_history, run_pipeline, tables, write_world
from c360ml.customer_value import identity_bias, value_transactions
from c360ml.customer_value.saved_models import SavedModels
from c360ml.customer_value.value_intervals import value_intervals

WHO = {
    "truth": "true_id",
    "resolved": "who_is_who.master_id",
    "two classes": "two_class_id",
    "unresolved": "record_id",
}
SALES = """
    select interaction_id, {who} as who, occurred_at::date as day, amount
    from gold.interactions join who_is_who using (record_id)
    where interaction_type = 'PURCHASE'
"""
# The entity that holds most of the customer's records; of equals, the least id.
ENTITIES = """
    with held as (
        select master_id, true_id, count(*) as records
        from who_is_who group by all
    )
    select master_id, arg_max(true_id, (records, true_id)) as true_id from held group by master_id
"""
# Only customers with both intervals, so that the two kinds are held against the same truths.
COVERED = """
    with judged as (
        select intervals.*, coalesce(true_value, 0) as truth, coalesce(planted_value, 0) as planted,
               case when in_doubt then 'in doubt' else 'not in doubt' end as doubt
        from both_intervals intervals join entities using (master_id)
        left join true_values on true_values.customer_id = entities.true_id
    )
    select interval, coalesce(doubt, 'all') as customers, count(*) as n,
           avg((truth between lower and upper)::int), avg((truth < lower)::int), avg((truth > upper)::int),
           avg((planted between lower and upper)::int), avg(upper - lower), avg(upper - lower) / avg(truth)
    from judged
    group by grouping sets ((interval), (interval, doubt))
    order by customers, interval
"""


def sales(lake: Lakehouse, who: str) -> Any:
    return lake.sql(SALES.format(who=who)).to_arrow_table()


def value(lake: Lakehouse, who: str) -> Any:
    end = lake.one("select observation_end from gold.observation")
    terms = {"customer": "who", "date": "day", "amount": "amount", "observation_end": end}
    return value_transactions(sales(lake, who), **terms, model="bg_nbd")


def both_intervals(lake: Lakehouse) -> None:
    """The product's intervals, and those of one who takes identities for certain, of the same customers."""
    models = SavedModels.read(lake.read_json("models/customer_value.json"))
    customers = lake.sql("from gold.customer_value order by customer_id").to_arrow_table()
    draws = lake.one("select count(distinct draw) from silver.doubtful_partitions")
    found = value_intervals(models, customers, None, draws=draws, seed=1)
    unaware = pa.table({"master_id": found.customers, "lower": found.lower, "upper": found.upper})
    lake.con.register("unaware", unaware)
    lake.rows("""
        create or replace temp table both_intervals as
        with kept as (
            select aware.master_id, identity_share > 0 as in_doubt, aware.lower, aware.upper,
                   unaware.lower as without_lower, unaware.upper as without_upper
            from gold.value_uncertainty aware join unaware using (master_id)
        )
        select 'identity and parameters' as interval, master_id, in_doubt, lower, upper from kept
        union all
        select 'parameters alone', master_id, in_doubt, without_lower, without_upper from kept
    """)
    lake.con.unregister("unaware")


def true_values(lake: Lakehouse, valuation: Any, truth: dict[str, Any]) -> None:
    """Values under true identities: by parameters fitted on them, and by the planted ones."""
    saved = SavedModels.read(valuation.model)
    by_planted = replace(
        saved, models=replace(saved.models, purchases=with_params(saved.models.purchases, truth["bg_nbd"]))
    )
    by_planted = replace(
        by_planted,
        models=replace(by_planted.models, gamma_gamma=with_params(saved.models.gamma_gamma, truth["gamma_gamma"])),
    )
    table = pa.table(
        {
            "customer_id": valuation.table["customer_id"],
            "true_value": valuation.table["projected_value"],
            "planted_value": by_planted.project(valuation.history),
        }
    )
    lake.con.register("found_values", table)
    lake.rows("create or replace temp table true_values as from found_values")
    lake.con.unregister("found_values")


def with_params(model: Any, params: dict[str, float]) -> Any:
    return type(model).from_dict(model.to_dict() | {"params": {name: params[name] for name in model.params_}})


def error_rates(lake: Lakehouse) -> tuple[float, float]:
    """Share of true joins that were missed, and of true people with a false join, counted as the product expects."""
    return lake.rows("""
        with pieces as (select distinct true_id, master_id from who_is_who),
        missed as (select sum(n - 1) as joins from (select count(*) as n from pieces group by true_id)),
        falsely as (select sum(n - 1) as joins from (select count(*) as n from pieces group by master_id))
        select missed.joins / (select count(*) - count(distinct true_id) from who_is_who),
               falsely.joins / (select count(distinct true_id) from who_is_who)
        from missed, falsely
    """)[0]


def planted(lake: Lakehouse, who: str, truth: dict[str, Any], end: str) -> str:
    history = purchase_history(sales(lake, who), customer="who", date="day", amount="amount", observation_end=end)
    model = BgNbd().fit(history)
    shown = []
    for name, (low, high) in model.confidence_intervals().items():
        put = truth["bg_nbd"][name]
        inside = "" if low <= put <= high else " OUTSIDE"
        shown.append(f"{name} {model.params_[name]:.3g} ({low:.3g} to {high:.3g}; planted {put:g}{inside})")
    return ", ".join(shown)


def measure(people: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        truth = write_world(folder, customers=people, seed=seed)
        result = run_pipeline(folder)
        with Lakehouse(folder) as lake:
            for table in tables.ALL:
                lake.open(table)
            report(lake, Path(folder), truth, result, seed)


def report(lake: Lakehouse, folder: Path, truth: dict[str, Any], result: Any, seed: int) -> None:
    two = LinkageModel(classes="two").fit(lake.sql(f"from {tables.RECORDS.path}"), con=lake.con)
    two.cluster().create_view("two_classes")
    lake.rows(f"""
        create or replace temp table who_is_who as
        select record_id, true_id, master_id, cluster_id as two_class_id
        from read_parquet('{folder}/labels/true_people.parquet')
        join silver.identities using (record_id) join two_classes using (record_id)
    """)
    totals = {}
    for name, who in WHO.items():
        valuation = value(lake, who)
        totals[name] = valuation.metrics["projected_value"]
        if name == "truth":
            true_values(lake, valuation, truth)
    lake.rows(f"create or replace temp table entities as {ENTITIES}")
    both_intervals(lake)
    missed, false = error_rates(lake)
    doubt = result.summary("value_doubt")
    print(f"\n## seed {seed}: {result.summary('link')['records']:,} records of {truth['people']:,} people\n")
    print("| customers are | total CLV, M | against truth |\n|---|---|---|")
    for name, total in totals.items():
        print(f"| {name} | {total / 1e6:.2f} | {100 * (total / totals['truth'] - 1):+.1f} % |")
    total = doubt["total"]
    low, high = total["lower"] / 1e6, total["upper"] / 1e6
    print(
        f"\ninterval of the total {low:.2f} to {high:.2f}M, identity {100 * total['identity_share']:.1f} % of variance"
    )
    for end in ("2025-04-02", truth["observation_end"]):
        for name in ("truth", "resolved"):
            print(f"- until {end}, {name}: {planted(lake, WHO[name], truth, end)}")
    print("\n| customers | number | 90 % interval | holds the value under true identities (below / above) ", end="")
    print("| holds that by planted parameters | mean width | of mean value |\n|---|---|---|---|---|---|---|")
    for kind, who, number, held, below, above, planted_held, width, relative in lake.rows(COVERED):
        print(
            f"| {who} | {number:,} | {kind} | {held:.1%} ({below:.1%} / {above:.1%}) | {planted_held:.1%}"
            f" | {width:,.0f} | {relative:.2f} |"
        )
    bias = doubt["bias"]
    print(f"\nmissed links: expected {bias['missed_rate']:.4f}, true {missed:.4f};", end=" ")
    print(f"false merges: expected {bias['false_rate']:.4f}, true {false:.4f}\n")
    for row in bias["rows"][1:]:
        print(f"- expected rates, {changes(row)}")
    on_truth(lake, missed, false)


def changes(row: dict[str, Any]) -> str:
    moved = ", ".join(f"{name} {100 * change:+.1f} %" for name, change in row["params_change"].items())
    return f"{row['scenario']}: total {100 * row['total_change']:+.2f} %, {moved}"


def on_truth(lake: Lakehouse, missed: float, false: float) -> None:
    """The same simulation on true identities, at the true rates."""
    given = lake.sql("""
        select true_id, record_id, occurred_at::date as day, amount
        from gold.interactions join who_is_who using (record_id) where interaction_type = 'PURCHASE'
    """).to_arrow_table()
    columns = {"customer": "true_id", "record": "record_id", "date": "day", "amount": "amount"}
    for row in identity_bias(given, **columns, missed_rate=missed, false_rate=false)[1:]:
        print(f"- true people, true rates, {changes(row)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--seeds", default="31,32,33")
    arguments = parser.parse_args()
    for seed in arguments.seeds.split(","):
        measure(arguments.people, int(seed))


if __name__ == "__main__":
    main()
