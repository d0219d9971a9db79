"""How often intervals hold the parameters that customers were drawn with, on simulations without any identity.

python experiments/value_identity/coverage.py [--simulations 200] [--worlds 200]

First the 95 % intervals of all parameters, as tests/customer_value/test_interval_coverage.py holds them to 93 to 97 %.
Then the 90 % intervals of customers' values, against their values by the parameters that they were drawn with.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

from c360ml.customer_value import BgNbd, GammaGamma, MbgNbd, ParetoNbd
from c360ml.customer_value.fitting import fit_models
from c360ml.customer_value.saved_models import SavedModels
from c360ml.customer_value.value_intervals import value_intervals

WORLD = {"r": 0.8, "alpha": 40.0, "a": 0.7, "b": 3.5}  # what c360ml.synthetic plants, in weeks
SPEND = {"p": 6.0, "q": 4.0, "v": 15_000.0}
CASES: tuple[tuple[Any, dict[str, float], int], ...] = (
    (BgNbd, {"r": 0.8, "alpha": 8.0, "a": 1.0, "b": 2.5}, 4_000),
    (MbgNbd, {"r": 0.8, "alpha": 8.0, "a": 1.0, "b": 2.5}, 4_000),
    (ParetoNbd, {"r": 0.8, "alpha": 8.0, "s": 1.0, "beta": 15.0}, 2_000),
    (GammaGamma, {"p": 6.0, "q": 4.0, "v": 60.0}, 3_000),
)
WINDOW_WEEKS, PEOPLE, DRAWS = 260.0, 3_000, 50


def planted(model: Any, params: dict[str, float]) -> Any:
    """A model with given parameters, as if fitted."""
    content = {"model": model.kind, "format": 1, "settings": {}, "params": params, "log_likelihood": 0.0}
    nothing = np.zeros((len(params), len(params))).tolist()
    return model.from_dict(content | {"covariance": nothing, "customers": 1, "independence": {}})


def parameters(model: Any, params: dict[str, float], customers: int, simulations: int) -> None:
    """Fit simulated customers of a year and a half, or what repeat buyers spend, and count."""
    truth, inside = planted(model, params), []
    for seed in range(simulations):
        if model is GammaGamma:
            x = np.random.default_rng(seed).poisson(2, customers) + 1
            history = pa.table({"repeat_purchases": x, "mean_spend": truth.simulate(x, seed=seed)})
        else:
            history = truth.simulate(customers, age_weeks=78, seed=seed)
        intervals = model().fit(history).confidence_intervals()
        inside.append([low <= params[name] <= high for name, (low, high) in intervals.items()])
    shares = np.mean(inside, axis=0)
    each = ", ".join(f"{name} {share:.1%}" for name, share in zip(params, shares, strict=True))
    print(f"| {model.__name__} | {simulations} | {customers:,} | {each} | {shares.mean():.1%} |", flush=True)


def values(worlds: int) -> None:
    """Hold the intervals of value against the value by the planted parameters, in worlds of known identity."""
    purchases, spend = planted(BgNbd, WORLD), planted(GammaGamma, SPEND)
    shares = []
    for seed in range(worlds):
        age = np.random.default_rng([seed, 3]).integers(1, int(7 * WINDOW_WEEKS), PEOPLE) / 7
        drawn = purchases.simulate(PEOPLE, age_weeks=age, seed=seed)
        paid = spend.simulate(drawn["repeat_purchases"].to_numpy(), seed=seed)
        history = drawn.append_column("mean_spend", pa.array(paid, from_pandas=True))
        fitted = SavedModels(fit_models(history), 52, 0.10, 1.0)
        by_planted = SavedModels(type(fitted.models)(purchases, spend, None, ()), 52, 0.10, 1.0)
        found = value_intervals(fitted, history, None, draws=DRAWS, seed=seed)
        truth = by_planted.project(history)
        shares.append(((found.lower <= truth) & (truth <= found.upper)).mean())
    told = np.array(shares)
    low, middle, high = np.quantile(told, [0.1, 0.5, 0.9])
    print(
        f"\n90 % intervals of value (parameters alone, {DRAWS} draws) in {worlds} worlds of {PEOPLE:,} buyers hold the"
        f" value by planted parameters of {told.mean():.1%} of the customers on average (standard error"
        f" {told.std(ddof=1) / np.sqrt(worlds):.1%}); by world {low:.0%} (10th percentile), {middle:.0%} (median),"
        f" {high:.0%} (90th)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--worlds", type=int, default=200)
    arguments = parser.parse_args()
    print("| model | simulations | customers each | 95 % intervals that hold the truth | all |\n|---|---|---|---|---|")
    for case in CASES:
        parameters(*case, arguments.simulations)
    values(arguments.worlds)


if __name__ == "__main__":
    main()
