"""From which match probability on two records are linked: by target precision, by labels, or by what errors cost.

Calibrated probabilities need no labels for this: the expected number of matches among pairs is the sum of their
probabilities, so that expected precision and recall of all pairs above a threshold are known at every threshold.
Recall is that of the scored pairs; matches that blocking never brought together are not among them.

Cost: linking a pair of probability p costs (1 - p) F on average, not linking it p M, for F the cost of a false and M
of a missed merge, so that links pay from p = F / (F + M) on (Bayes' rule for two decisions, Elkan 2001). A pair is
worth a review of cost R if even the better decision is expected to cost more: p M > R and (1 - p) F > R.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from c360ml.errors import ConfigError, DataError
from c360ml.lakehouse import as_relation, connect
from c360ml.linkage.clusters import MERGE_WEIGHT
from c360ml.linkage.pair_probabilities import PairProbabilities, labelled_counts, summed_costs

if TYPE_CHECKING:
    from c360ml.config import Linkage
    from c360ml.linkage.recalibration import Recalibration

Cost = float | str
"""A sum of money, or the name of a column of the pairs with one sum per pair."""

_NORMAL_QUANTILE_95 = 1.959963984540054
_NEAREST_TO_CERTAIN = 1e-9


@dataclass(frozen=True)
class Threshold:
    """Match probability above which pairs are links, what to expect of those pairs, and why this one.

    `precision_interval` is the 95 % interval of the precision, if it was counted on labels.
    """

    probability: float
    expected_precision: float
    expected_recall: float
    pairs: int
    why: str
    precision_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class ReviewBand:
    """Probabilities between which a person should look: below `lower` no link, above `upper` a link."""

    lower: float
    upper: float
    pairs: int
    why: str


def choose_threshold(pairs: Any, *, target_precision: float = 0.99, least: float = 0.0) -> Threshold:
    """Find the least threshold above which the pairs are expected to reach a precision; no labels.

    Args:
        pairs: table with `match_probability`, one row per scored pair as `LinkageModel.predict` gives it, or one
            row per probability with the number of its `pairs`, as `LinkageModel.pair_counts` does.
        target_precision: expected share of true matches among the pairs above the threshold.
        least: no threshold below this one, though the target would allow it: many certain pairs can hide some that
            are hardly ever a match.

    Raises:
        ConfigError: the target is no share.
        ColumnError: `match_probability` is missing, or no probability.

    >>> import pandas as pd
    >>> pairs = pd.DataFrame({"match_probability": [1.0, 0.98, 0.9, 0.4, 0.1]})
    >>> found = choose_threshold(pairs, target_precision=0.95)
    >>> found.pairs, round(found.probability, 2), round(found.expected_precision, 2), round(found.expected_recall, 2)
    (3, 0.65, 0.96, 0.85)
    """
    _check_share("target_precision", target_precision)
    with connect() as con:
        spectrum = PairProbabilities.of(as_relation(con, pairs))
    # Nothing linked is never wrong, so that a precision always exists.
    reached = np.nonzero(spectrum.precisions() >= target_precision)[0]
    linked = int(reached[-1])
    if linked == 0:
        why = f"no scored pair is sure enough for an expected precision of {target_precision:.4g}"
        return Threshold(_inside(max(target_precision, least)), 1.0, float(spectrum.recalls()[0]), 0, why)
    why = f"least threshold with an expected precision of {target_precision:.4g}"
    if spectrum.cut(linked) < least:
        why = f"the least threshold allowed; the target of {target_precision:.4g} would do with less"
        return _threshold(spectrum, least, why)
    return _threshold(spectrum, _inside(spectrum.cut(linked)), why)


def threshold_by_cost(pairs: Any, *, false_merge_cost: Cost, missed_merge_cost: Cost) -> Threshold:
    """Find the threshold that costs least, from what a false and a missed merge cost.

    Args:
        pairs: as for `choose_threshold`.
        false_merge_cost: money lost if two people are taken for one; or a column of `pairs` that holds it by pair.
        missed_merge_cost: money lost if one person is taken for two; or a column of `pairs`.

    Raises:
        ConfigError: a cost is not above zero.
        ColumnError: a column is missing, or holds something else.

    >>> import pandas as pd
    >>> pairs = pd.DataFrame({"match_probability": [0.99, 0.8, 0.2], "worth": [10.0, 900.0, 900.0]})
    >>> threshold_by_cost(pairs, false_merge_cost=9, missed_merge_cost=1).probability
    0.9
    >>> threshold_by_cost(pairs, false_merge_cost=9, missed_merge_cost="worth").pairs
    3
    """
    with connect() as con:
        given = as_relation(con, pairs)
        spectrum = PairProbabilities.of(given)
        if not isinstance(false_merge_cost, str) and not isinstance(missed_merge_cost, str):
            odds = _cost("false_merge_cost", false_merge_cost) / _cost("missed_merge_cost", missed_merge_cost)
            probability = _inside(odds / (1 + odds))
            why = f"a false merge costs {odds:.4g} times a missed one"
            return _threshold(spectrum, probability, why)
        false, missed = (
            summed_costs(given, cost if isinstance(cost, str) else _cost(name, cost))
            for name, cost in (("false_merge_cost", false_merge_cost), ("missed_merge_cost", missed_merge_cost))
        )
    linking, leaving = (1 - spectrum.probability) * false, spectrum.probability * missed
    costs = np.append(0.0, np.cumsum(linking)) + np.append(np.cumsum(leaving[::-1])[::-1], 0.0)
    linked = int(np.argmin(np.round(costs, 6)))
    return _threshold(spectrum, _inside(spectrum.cut(linked)), f"least expected cost of errors: {costs[linked]:,.2f}")


def threshold_by_labels(pairs: Any, labels: Any, *, target_precision: float | None = None) -> Threshold:
    """Find the threshold that is best on labelled pairs: highest F1, or highest recall at a target precision.

    Args:
        pairs: scored pairs with `record_id_l, record_id_r, match_probability`; others count as probability zero.
        labels: labelled pairs `record_id_l, record_id_r, is_match`. Precision and recall are those of a sample like
            this one; a sample of hard cases makes both look worse than they are.
        target_precision: least share of matches among the labelled pairs above the threshold.

    Raises:
        ConfigError: the target is no share.
        ColumnError: a column is missing.
        DataError: no label says match, or no threshold reaches the target.

    >>> import pandas as pd
    >>> pairs = pd.DataFrame({"record_id_l": list("abc"), "record_id_r": list("xyz"),
    ...     "match_probability": [0.99, 0.6, 0.3]})
    >>> labels = pd.DataFrame({"record_id_l": list("abc"), "record_id_r": list("xyz"), "is_match": [1, 1, 0]})
    >>> found = threshold_by_labels(pairs, labels)
    >>> round(found.probability, 2), found.expected_precision, [round(end, 2) for end in found.precision_interval]
    (0.45, 1.0, [0.34, 1.0])
    """
    if target_precision is not None:
        _check_share("target_precision", target_precision)
    with connect() as con:
        scored = as_relation(con, pairs)
        spectrum = PairProbabilities.of(scored)
        probability, labelled, matches = labelled_counts(con, scored, as_relation(con, labels))
    seen, hits = np.cumsum(labelled), np.cumsum(matches)
    precision, recall = hits / seen, hits / hits[-1]
    # Pairs that were never scored cannot be linked by any threshold.
    usable = probability > 0
    if target_precision is None:
        quality, why = 2 * hits / (seen + hits[-1]), "highest F1 on {} labelled pairs"
    else:
        quality, why = recall, f"least threshold with a precision of {target_precision:.4g} on {{}} labelled pairs"
        usable &= precision >= target_precision
    if not usable.any():
        raise DataError(
            "labelled pairs must reach the target precision somewhere",
            got=f"{target_precision} for {int(seen[-1])} labelled pairs",
            hint="lower the target, or label more pairs of high probability",
        )
    best = int(np.argmax(np.where(usable, quality, -1.0)))
    cut = _inside(float(probability[best] + (probability[best + 1] if best + 1 < len(probability) else 0.0)) / 2)
    return Threshold(
        cut,
        float(precision[best]),
        float(recall[best]),
        int(spectrum.pairs[: spectrum.linked_above(cut)].sum()),
        why.format(int(seen[-1])),
        wilson_interval(float(hits[best]), float(seen[best])),
    )


def review_band(pairs: Any, *, target_precision: float = 0.99, target_missed: float = 0.01) -> ReviewBand:
    """Find the pairs to review so that what is decided without a person is right enough on both sides.

    Args:
        pairs: as for `choose_threshold`.
        target_precision: expected precision of the pairs above the band, which are linked unseen.
        target_missed: expected share of all scored matches below the band, which are left apart unseen.

    Raises:
        ConfigError: a target is no share.
        ColumnError: `match_probability` is missing, or no probability.

    >>> import pandas as pd
    >>> band = review_band(pd.DataFrame({"match_probability": [1.0, 0.98, 0.6, 0.4, 0.01]}), target_precision=0.95)
    >>> round(band.lower, 3), round(band.upper, 3), band.pairs
    (0.205, 0.79, 2)
    """
    _check_share("target_missed", target_missed)
    upper = choose_threshold(pairs, target_precision=target_precision).probability
    with connect() as con:
        spectrum = PairProbabilities.of(as_relation(con, pairs))
    kept = np.nonzero(spectrum.recalls() >= 1 - target_missed)[0]
    lower = min(_inside(spectrum.cut(int(kept[0]))), upper)
    why = f"expected precision of {target_precision:.4g} above, {target_missed:.2%} of matches missed below"
    return _band(spectrum, lower, upper, why)


def review_band_by_cost(
    pairs: Any, *, false_merge_cost: float, missed_merge_cost: float, review_cost: float
) -> ReviewBand:
    """Find the pairs whose expected cost of an error, at the better decision, exceeds the cost of a review.

    Args:
        pairs: as for `choose_threshold`.
        false_merge_cost: money lost if two people are taken for one.
        missed_merge_cost: money lost if one person is taken for two.
        review_cost: money that a person's look at one pair costs.

    Raises:
        ConfigError: a cost is not above zero.
        ColumnError: `match_probability` is missing, or no probability.

    >>> import pandas as pd
    >>> pairs = pd.DataFrame({"match_probability": [0.999, 0.9, 0.5, 0.01]})
    >>> band = review_band_by_cost(pairs, false_merge_cost=50, missed_merge_cost=20, review_cost=1)
    >>> band.lower, band.upper, band.pairs
    (0.05, 0.98, 2)
    """
    false = _cost("false_merge_cost", false_merge_cost)
    missed = _cost("missed_merge_cost", missed_merge_cost)
    review = _cost("review_cost", review_cost)
    with connect() as con:
        spectrum = PairProbabilities.of(as_relation(con, pairs))
    best = false / (false + missed)
    lower, upper = min(review / missed, best), max(1 - review / false, best)
    return _band(spectrum, lower, upper, f"an error is expected to cost more than a review ({review:,.2f})")


def chosen_threshold(pairs: Any, settings: Linkage, *, least: float = 0.0) -> Threshold | None:
    """Choose the threshold that a project's settings ask for; None if they ask for none.

    Args:
        pairs: as for `choose_threshold`.
        settings: the section `[linkage]` of the config.
        least: default cut of the clusters, which a target precision that it keeps anyway does not lower.

    >>> import pandas as pd; from c360ml.config import Linkage
    >>> pairs = pd.DataFrame({"match_probability": [0.9, 0.2]})
    >>> chosen_threshold(pairs, Linkage(false_merge_cost=3, missed_merge_cost=1)).probability
    0.75
    >>> chosen_threshold(pairs, Linkage())
    """
    if settings.target_precision is not None:
        return choose_threshold(pairs, target_precision=settings.target_precision, least=least)
    if settings.false_merge_cost is not None and settings.missed_merge_cost is not None:
        return threshold_by_cost(
            pairs, false_merge_cost=settings.false_merge_cost, missed_merge_cost=settings.missed_merge_cost
        )
    return None


def default_merge_weight(recalibration: Recalibration) -> float:
    """Mean match weight at which clusters merge by default: the same cut before and after a recalibration."""
    return float(recalibration.transform(np.array([MERGE_WEIGHT]))[0])


def wilson_interval(hits: float, trials: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927).

    >>> [round(end, 3) for end in wilson_interval(9, 10)]
    [0.596, 0.982]
    """
    if trials == 0:
        return 0.0, 1.0
    z, share = _NORMAL_QUANTILE_95, hits / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, (middle - half) / (1 + z * z / trials)), min(1.0, (middle + half) / (1 + z * z / trials))


def _threshold(spectrum: PairProbabilities, probability: float, why: str) -> Threshold:
    """Tell what to expect of the pairs above a probability."""
    linked = spectrum.linked_above(probability)
    return Threshold(
        probability,
        float(spectrum.precisions()[linked]),
        float(spectrum.recalls()[linked]),
        int(spectrum.pairs[:linked].sum()),
        why,
    )


def _band(spectrum: PairProbabilities, lower: float, upper: float, why: str) -> ReviewBand:
    inside = (spectrum.probability > lower) & (spectrum.probability < upper)
    return ReviewBand(lower, upper, int(spectrum.pairs[inside].sum()), why)


def _inside(probability: float) -> float:
    """Keep a threshold from certainty, where odds end."""
    return min(max(probability, _NEAREST_TO_CERTAIN), 1 - _NEAREST_TO_CERTAIN)


def _check_share(name: str, share: float) -> None:
    if not 0 < share < 1:
        raise ConfigError(f"{name} must be between 0 and 1", got=share, hint="0.99 is usual for a precision")


def _cost(name: str, cost: float) -> float:
    if not (cost > 0 and math.isfinite(cost)):
        raise ConfigError(f"{name} must be money above 0", got=cost, hint="estimate what one such error costs")
    return float(cost)
