"""Whether probabilities mean what they say, and what each threshold would give, from counted pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from c360ml.linkage.evaluation_intervals import f1_of, ratio, wilson
from c360ml.linkage.evaluation_tables import WEIGHT_STEPS, CountedPairs, Flags, Floats

EQUAL_COUNT_BINS = 10
_DIGITS = 9
_SAME = 1e-9
_LOWEST_WEIGHT, _HIGHEST_WEIGHT, _WEIGHT_APART = -6.0, 18.0, 0.5

Bin = dict[str, float]


def calibration_bins(counted: CountedPairs) -> list[Bin]:
    """Mean probability and true share with its Wilson interval, per bin of equal width."""
    return _bins(counted, counted.bin)


def equal_count_bins(counted: CountedPairs) -> list[Bin]:
    """The same for bins that hold about as many pairs each; pairs of one probability stay together."""
    weights, position = np.unique(counted.weight, return_inverse=True)
    pairs = np.bincount(position, counted.pairs, minlength=len(weights))
    middle = np.cumsum(pairs) - pairs / 2
    bins = np.minimum((middle * EQUAL_COUNT_BINS / max(pairs.sum(), 1)).astype(np.int64), EQUAL_COUNT_BINS - 1)
    return _bins(counted, bins[position])


def _bins(counted: CountedPairs, numbers: NDArray[np.int64]) -> list[Bin]:
    if len(numbers) == 0:
        return []
    present, position = np.unique(numbers, return_inverse=True)
    pairs, probability, true = (
        np.bincount(position, each, minlength=len(present))
        for each in (counted.pairs, counted.probability, counted.pairs * counted.true)
    )
    low, high = wilson(true / pairs, pairs)
    return [
        {
            "pairs": int(count),
            "mean_probability": round(float(mean), _DIGITS),
            "true_share": round(float(share), _DIGITS),
            "low": float(least),
            "high": float(most),
        }
        for count, mean, share, least, most in zip(pairs, probability / pairs, true / pairs, low, high, strict=True)
    ]


def expected_calibration_error(bins: list[Bin]) -> float:
    """Mean distance of probability from true share over scored pairs (Naeini, Cooper and Hauskrecht 2015).

    >>> expected_calibration_error([{"pairs": 10, "mean_probability": 0.75, "true_share": 0.5}])
    0.25
    """
    pairs = sum(each["pairs"] for each in bins)
    return sum(each["pairs"] * abs(each["mean_probability"] - each["true_share"]) for each in bins) / max(pairs, 1)


def probability_scores(counted: CountedPairs) -> dict[str, float]:
    """Brier score (Brier 1950) and log loss in nats, means over pairs; smaller is better; empty without pairs."""
    pairs = counted.pairs.sum()
    if not pairs:
        return {}
    true = counted.true.astype(float)
    squares = counted.squared - 2 * true * counted.probability + true * counted.pairs
    return {
        "brier_score": round(float(squares.sum() / pairs), _DIGITS),
        "log_loss": round(float(counted.logs.sum() / pairs), _DIGITS),
    }


def threshold_table(counted: CountedPairs, *, threshold: float, true_pairs: float) -> list[dict[str, float | bool]]:
    """Precision, recall and F1 of scored pairs above each threshold, from low to high; the chosen one is marked.

    Args:
        counted: scored pairs.
        threshold: the threshold in use.
        true_pairs: all true pairs, also those that were never scored.
    """
    grid = np.arange(_LOWEST_WEIGHT, _HIGHEST_WEIGHT + _WEIGHT_APART / 2, _WEIGHT_APART)
    rows = [
        _threshold_row(counted, counted.weight >= weight * WEIGHT_STEPS, probability, true_pairs)
        for weight, probability in zip(grid, 1 / (1 + np.exp2(-grid)), strict=True)
        if abs(probability - threshold) > _SAME
    ]
    rows.append({**_threshold_row(counted, counted.linked, threshold, true_pairs), "chosen": True})
    return sorted(rows, key=lambda row: row["threshold"])


def _threshold_row(counted: CountedPairs, above: Flags, threshold: float, true_pairs: float) -> dict[str, float]:
    pairs, right = counted.pairs[above].sum(), (counted.pairs * counted.true)[above].sum()
    precision, recall = ratio(pairs and right, pairs), ratio(right, np.float64(true_pairs))
    return {
        "threshold": round(float(threshold), 12),
        "pairs": int(pairs),
        "precision": _figure(precision),
        "recall": _figure(recall),
        "f1": _figure(f1_of(precision, recall)),
        "chosen": False,
    }


def _figure(value: Floats | float) -> float:
    return round(float(value), _DIGITS)
