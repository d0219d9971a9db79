"""Why the 90 % intervals hold the true value of more than 90 % of customers: one cause switched at a time.

python experiments/value_identity/causes.py [--people 3000] [--seeds 41,42]

Each world is resolved twice: with its campaigns, and observed only until the day before the first of them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from run import ENTITIES, true_values, value

from c360ml import Lakehouse, run_pipeline, tables, write_world
from c360ml.customer_value.doubtful_histories import doubtful_histories, doubtful_sets
from c360ml.customer_value.saved_models import SavedModels
from c360ml.customer_value.value_intervals import LEVEL, value_intervals

BEFORE_CAMPAIGNS = "2025-03-31"
TRUTHS = """
    select entities.master_id, coalesce(true_value, 0) as refitted, coalesce(planted_value, 0) as planted,
           coalesce(same_value, 0) as same
    from entities
    left join true_values on true_values.customer_id = entities.true_id
    left join same_values on same_values.customer_id = entities.true_id
    order by master_id
"""


def bounds(draws: Any) -> tuple[Any, Any]:
    """Ends of the 90 % interval of each row of draws, as the product takes them."""
    return tuple(np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1, method="weibull"))


def held(interval: tuple[Any, Any], truth: Any) -> Any:
    """Whether an interval holds the truth, up to rounding."""
    slack = 1e-6 * np.abs(truth) + 1e-3
    return (interval[0] <= truth + slack) & (truth <= interval[1] + slack)


def identity_draws(lake: Lakehouse, models: SavedModels, names: list[str], fitted: Any, draws: int) -> Any:
    """Value of each customer in each draw of identity, parameters as fitted: customer x draw."""
    drawn = np.repeat(np.asarray(fitted)[:, None], draws, axis=1)
    with doubtful_sets(lake, draws) as sets:
        found = doubtful_histories(lake, sets, "net")
    place = {name: row for row, name in enumerate(names)}
    worth = models.project(found.history)
    rows = found.row_of_set()[found.customer_sets]
    for number, name in enumerate(found.customers):
        if name in place:
            drawn[place[name]] = np.where(rows[number] >= 0, worth[rows[number]], 0.0)
    return drawn


def judged(lake: Lakehouse, folder: Path, truth: dict[str, Any]) -> dict[str, Any]:
    """Put draws, intervals and truths of all valued customers side by side."""
    lake.rows(f"""
        create or replace temp table who_is_who as
        select record_id, true_id, master_id
        from read_parquet('{folder}/labels/true_people.parquet') join silver.identities using (record_id)
    """)
    valuation = value(lake, "true_id")
    true_values(lake, valuation, truth)
    models = SavedModels.read(lake.read_json("models/customer_value.json"))
    same = {"customer_id": valuation.table["customer_id"], "same_value": models.project(valuation.history)}
    lake.con.register("same_values", pa.table(same))
    lake.rows(f"create or replace temp table entities as {ENTITIES}")
    known = {row[0]: row[1:] for row in lake.rows(TRUTHS)}
    customers = lake.sql("from gold.customer_value order by customer_id").to_arrow_table()
    draws = lake.one("select count(distinct draw) from silver.doubtful_partitions")
    alone = value_intervals(models, customers, None, draws=draws, seed=1)
    product = {row[0]: row[1:] for row in lake.rows("select master_id, lower, upper from gold.value_uncertainty")}
    names = customers["customer_id"].to_pylist()
    refitted, planted, same_value = np.array([known[name] for name in names]).T
    lower, upper = np.array([product[name] for name in names], dtype=np.float64).T
    identity = identity_draws(lake, models, names, alone.value, draws)
    return {
        "identity": identity,
        "both": (lower, upper),
        "parameters": (alone.lower, alone.upper),
        "value": alone.value,
        "refitted": refitted,
        "planted": planted,
        "same": same_value,
    }


def shares(world: dict[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    """Cause, what is measured, whether true of each customer, and of which customers it is told."""
    identity, value_now, same = world["identity"], world["value"], world["same"]
    doubted = np.ptp(identity, axis=1) > 1e-6 * np.abs(value_now) + 1e-3
    everybody = np.ones(len(value_now), dtype=bool)
    unchanged = np.abs(same - value_now) <= 1e-6 * np.abs(same) + 1e-3
    alone = bounds(identity)
    as_truth = identity[:, 0]
    others = bounds(identity[:, 1:])
    usual = (np.abs(identity - np.median(identity, axis=1)[:, None]) <= 1e-3).mean(axis=1)
    yield (
        "the product",
        "intervals of both hold the value refitted on true identities",
        held(world["both"], world["refitted"]),
        everybody,
    )
    yield "the same", "the same, of customers in doubt", held(world["both"], world["refitted"]), doubted
    yield "the same", "the same, of customers not in doubt", held(world["both"], world["refitted"]), ~doubted
    yield "nothing to miss", "have their true history: value by the same parameters is the same", unchanged, everybody
    yield "nothing to miss", "the same, of customers in doubt", unchanged, doubted
    yield "nothing to miss", "the same, of customers not in doubt", unchanged, ~doubted
    yield (
        "no parameters",
        "intervals of identity alone hold the value by the same parameters",
        held(alone, same),
        everybody,
    )
    yield "no parameters", "the same, of customers in doubt", held(alone, same), doubted
    yield (
        "no parameters",
        "the same, of customers in doubt with another history",
        held(alone, same),
        doubted & ~unchanged,
    )
    yield (
        "parameters",
        "intervals of both hold the value by the same parameters, in doubt, another history",
        held(world["both"], same),
        doubted & ~unchanged,
    )
    yield (
        "discreteness",
        "intervals of the other draws hold a draw of identity, in doubt",
        held(others, as_truth),
        doubted,
    )
    yield "discreteness", "90 % of the draws or more give one value, in doubt", usual >= 0.9, doubted
    yield (
        "parameters",
        "intervals of parameters alone hold the value by the same parameters, not in doubt",
        held(world["parameters"], same),
        ~doubted,
    )
    yield (
        "planted truth",
        "intervals of parameters alone hold the value by planted parameters",
        held(world["parameters"], world["planted"]),
        everybody,
    )
    yield (
        "planted truth",
        "the same, of customers with their true history",
        held(world["parameters"], world["planted"]),
        unchanged,
    )


def measure(people: int, seed: int, until: str | None) -> list[tuple[str, str, int, int]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = write_world(folder, customers=people, seed=seed)
        if until:
            settings = folder / "c360ml.toml"
            settings.write_text(settings.read_text().replace(str(truth["observation_end"]), until))
        run_pipeline(folder)
        with Lakehouse(folder) as lake:
            for table in tables.ALL:
                if lake.version(table) is not None:
                    lake.open(table)
            world = judged(lake, folder, truth)
    return [(cause, what, int((true & of).sum()), int(of.sum())) for cause, what, true, of in shares(world)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=3_000)
    parser.add_argument("--seeds", default="41,42")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    for until in (None, BEFORE_CAMPAIGNS):
        worlds = [measure(arguments.people, seed, until) for seed in seeds]
        added = [
            (cause, what, sum(row[2] for row in rows), sum(row[3] for row in rows))
            for rows in zip(*worlds, strict=True)
            for cause, what, *_ in rows[:1]
        ]
        print(f"{len(seeds)} worlds of {arguments.people:,} people, until {until or 'the end'}:", flush=True)
        print("\n| cause | share | of |\n|---|---|---|")
        for cause, what, true, of in added:
            print(f"| {cause} | {what}: {true / max(of, 1):.1%} | {of:,} |", flush=True)
        print()


if __name__ == "__main__":
    main()
