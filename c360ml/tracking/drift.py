"""Has the world moved away from the champion? Each quantity against the champion's run, and a verdict in words.

Distributions are compared by the population stability index, sum (p - q) ln(p / q), also called Jeffreys divergence.
From 0.1 on a shift counts as moderate, from 0.25 on as large (Siddiqi, Credit Risk Scorecards, 2006). Small samples
move by chance: without any change the index follows chi2(cells - 1) times (1/n + 1/m) (Yurdakul, Statistical Properties
of Population Stability Index, 2018), so a shift must also lie above the 99.9 % point of that. Indexes of comparisons
add up where comparisons are independent given the class, so that the agreement profile of a class is one number.

Rates are compared by their ratio: moved is what changed by a tenth and by more than 3.29 standard errors (99.9 %).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from c360ml.customer_value.fitting import read_purchase_model
from c360ml.tracking.drift_profile import Profile
from c360ml.tracking.stability import chance, stability_index

MODERATE_SHIFT = 0.1
RATE_CHANGE = 0.1
STANDARD_ERRORS = 3.29
LOST_SHARE = 0.5
FINE, SOURCE_CHANGED, RETRAIN = "fine", "source changed", "retrain"
MEANINGS = (SOURCE_CHANGED, RETRAIN, FINE)


@dataclass(frozen=True)
class Shift:
    """One quantity against the champion's run.

    `kind` is what a move of it means: the source changed, the model should be trained anew, or just to know.
    """

    quantity: str
    kind: str
    statistic: str
    value: float
    limit: float
    words: str

    @property
    def moved(self) -> bool:
        """Whether it moved beyond its limit."""
        return self.value > self.limit


@dataclass(frozen=True)
class Drift:
    """What moved between the champion's run and this one; without a champion there is nothing to compare."""

    profile: Profile
    champion_run_id: str | None
    shifts: tuple[Shift, ...] = ()

    @property
    def run_id(self) -> str:
        """The run that was compared."""
        return str(self.profile["run_id"])

    @property
    def verdict(self) -> str:
        """Say `fine`, `source changed` or `retrain`; a changed source first, for it moves all that follows."""
        moved = {shift.kind for shift in self.shifts if shift.moved}
        return next((kind for kind in (SOURCE_CHANGED, RETRAIN) if kind in moved), FINE)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What moved and matters, in words, what the verdict rests on first."""
        moved = [shift for shift in self.shifts if shift.moved and shift.kind != FINE]
        return tuple(shift.words for shift in sorted(moved, key=lambda shift: shift.kind != self.verdict))

    def metrics(self) -> dict[str, float]:
        """Give each statistic by the quantity's name, and whether anything moved, for MLflow."""
        moved = {f"moved.{kind}": sum(shift.moved for shift in self.shifts if shift.kind == kind) for kind in MEANINGS}
        values = {shift.quantity: shift.value for shift in self.shifts}
        return values | {name.replace(" ", "_"): float(count) for name, count in moved.items()}

    def to_dict(self) -> dict[str, Any]:
        """Write it as plain JSON, without the profile."""
        return {
            "run_id": self.run_id,
            "champion_run_id": self.champion_run_id,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "shifts": [{**asdict(shift), "moved": shift.moved} for shift in self.shifts],
        }


def measure_drift(profile: Profile, champion: Profile | None) -> Drift:
    """Compare a run's profile with that of the champion's run.

    Args:
        profile: what `drift_profile` counted.
        champion: the same of the champion's run; None if there is none.
    """
    if champion is None:
        return Drift(profile, None)
    shifts = (
        *_sources(profile, champion),
        *_terms(profile, champion),
        *_pairs(profile, champion),
        *_agreement(profile, champion),
        *_purchases(profile, champion),
        *_segments(profile, champion),
    )
    return Drift(profile, champion["run_id"], shifts)


# ---------------------------------------------------------------------- statistics
def _by_name(now: Mapping[str, float], then: Mapping[str, float]) -> tuple[list[float], list[float]]:
    names = [*then, *(name for name in now if name not in then)]
    return [now.get(name, 0) for name in names], [then.get(name, 0) for name in names]


def _index(
    quantity: str,
    kind: str,
    now: Sequence[float],
    then: Sequence[float],
    words: str,
    *,
    units: tuple[float, float] | None = None,
) -> Shift:
    index = stability_index(now, then, units=units)
    limit = max(MODERATE_SHIFT, chance([index]))
    return Shift(quantity, kind, "PSI", index.value, limit, f"{words} (PSI {index.value:.2f})")


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "0%"


# ---------------------------------------------------------------------- what came in
def _sources(now: Profile, then: Profile) -> list[Shift]:
    known = {name: source["records"] for name, source in now["sources"].items()}
    before = {name: source["records"] for name, source in then["sources"].items()}
    shifts = [
        _index(
            "records by source", SOURCE_CHANGED, *_by_name(known, before), "records come from other sources than before"
        )
    ]
    for name, source in then["sources"].items():
        if name in now["sources"]:
            shifts += [
                _filled(name, field, now["sources"][name], source) for field, count in source["filled"].items() if count
            ]
    return shifts + _rows_landed(now["rows_landed"], then["rows_landed"])


def _filled(source: str, field: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> Shift:
    known, before = ((side["filled"].get(field, 0), side["records"]) for side in (now, then))
    return _index(
        f"{field} of {source}",
        SOURCE_CHANGED,
        (known[0], known[1] - known[0]),
        (before[0], before[1] - before[0]),
        f"{field} is filled in {_percent(*known)} of the records of {source}, was {_percent(*before)}",
    )


def _rows_landed(now: Mapping[str, int], then: Mapping[str, int]) -> list[Shift]:
    """Rows that a source lost; growth is no drift."""
    return [
        Shift(
            f"rows of {source}",
            SOURCE_CHANGED,
            "share of rows lost",
            1 - min(now.get(source, 0) / rows, 1.0),
            LOST_SHARE,
            f"{source} has {now.get(source, 0):,} rows, had {rows:,}",
        )
        for source, rows in then.items()
        if rows
    ]


def _terms(now: Profile, then: Profile) -> list[Shift]:
    shifts = []
    for field, before in then["terms"].items():
        counted = now["terms"].get(field)
        if counted and sum(before["buckets"]):
            units = (_households(now, counted), _households(then, before))
            now_ranked, then_ranked = _same_length(_with_rest(counted), _with_rest(before))
            shifts += [
                _index(
                    f"frequent values of {field}",
                    SOURCE_CHANGED,
                    now_ranked,
                    then_ranked,
                    f"the most frequent values of {field} have other shares than before",
                    units=units,
                ),
                _index(
                    f"values of {field}",
                    SOURCE_CHANGED,
                    counted["buckets"],
                    before["buckets"],
                    f"{field} holds other values than before",
                    units=units,
                ),
            ]
    return shifts


def _households(side: Profile, terms: Mapping[str, list[int]]) -> float:
    """Households whose records tell the field: those who live together share name, address and often contacts."""
    records = sum(source["records"] for source in side["sources"].values())
    return float(side["households"] * sum(terms["buckets"]) / records)


def _with_rest(terms: Mapping[str, list[int]]) -> list[int]:
    return [sum(terms["buckets"]) - sum(terms["ranks"]), *terms["ranks"]]


def _same_length(now: list[int], then: list[int]) -> tuple[list[int], list[int]]:
    length = max(len(now), len(then))
    return now + [0] * (length - len(now)), then + [0] * (length - len(then))


# ---------------------------------------------------------------------- what the linkage saw
def _pairs(now: Profile, then: Profile) -> list[Shift]:
    rules = [side["pairs_by_rule"] for side in (now, then)]
    units = (now["households"], then["households"])
    same_rules = rules[0].keys() == rules[1].keys()
    found = [
        _index(
            "pairs by blocking rule",
            SOURCE_CHANGED,
            *_by_name(*rules),
            "blocking rules find other shares of the pairs",
            units=units,
        )
    ]
    return [
        *(found if same_rules else []),
        _index(
            "classes of pairs",
            RETRAIN,
            *_by_name(now["pairs_by_class"], then["pairs_by_class"]),
            "pairs of one person, of a household and of namesakes have other shares",
            units=units,
        ),
        _index(
            "customers by records",
            RETRAIN,
            *_by_name(now["cluster_sizes"], then["cluster_sizes"]),
            "customers have other numbers of records",
        ),
    ]


def _agreement(now: Profile, then: Profile) -> list[Shift]:
    person = [_profile_shift(kind, now, then) for kind in then["levels"] if kind in now["levels"]]
    fields = [
        (counts["same"], counts["other"], then["agreement"][field]["same"], then["agreement"][field]["other"])
        for field, counts in now["agreement"].items()
        if field in then["agreement"]
    ]
    units = (_linked_customers(now), _linked_customers(then))
    found = [stability_index(each[:2], each[2:], units=units) for each in fields]
    total = sum(index.value for index in found)
    links = Shift(
        "agreement of linked records",
        RETRAIN,
        "PSI, summed over fields",
        total,
        max(MODERATE_SHIFT, chance(found)),
        f"records of one customer agree on other shares of their fields than before (PSI {total:.2f})",
    )
    return [*person, links]


def _linked_customers(side: Profile) -> float:
    """Customers of whom several records are known: as many as there are independent looks at how records agree."""
    return float(sum(count for size, count in side["cluster_sizes"].items() if size != "1"))


def _profile_shift(kind: str, now: Profile, then: Profile) -> Shift:
    """Agreement levels of one class of pairs: m for the class of one person, u for the others."""
    pairs = [max(side["pairs_by_class"].get(kind, side["candidate_pairs"]), 1.0) for side in (now, then)]
    found = {}
    for comparison, levels in then["levels"][kind].items():
        shares = _by_name(now["levels"][kind].get(comparison, levels), levels)
        counts = [np.array(share) * n for share, n in zip(shares, pairs, strict=True)]
        units = (min(pairs[0], _linked_customers(now)), min(pairs[1], _linked_customers(then)))
        found[comparison] = stability_index(counts[0], counts[1], units=units)
    total = sum(index.value for index in found.values())
    most = max(found, key=lambda comparison: found[comparison].value)
    return Shift(
        f"agreement profile, class {kind}",
        RETRAIN if kind == "person" else FINE,
        "PSI, summed over comparisons",
        total,
        max(MODERATE_SHIFT, chance(list(found.values()))),
        f"pairs of class {kind} agree otherwise than the champion learnt, most of all on {most} (PSI {total:.2f})",
    )


# ---------------------------------------------------------------------- what customers do
def _purchases(now: Profile, then: Profile) -> list[Shift]:
    shifts = []
    if then["purchase_model"] is not None and now["purchases"]["by_age"]:
        model = read_purchase_model(then["purchase_model"])
        ratios = [_against_model(model, side["purchases"]["by_age"]) for side in (now, then)]
        shifts.append(_rate("purchase rate", "repeat purchases by what the champion's model expects", *ratios))
    spends = [side["purchases"]["spend"] for side in (now, then)]
    if all(spend["variance_log"] is not None for spend in spends):
        shifts.append(
            _rate("mean spend", "spend of a purchase (geometric mean)", *(_log_mean(each) for each in spends))
        )
    return shifts


def _against_model(model: Any, by_age: list[list[float]]) -> tuple[float, float]:
    """Log ratio of repeat purchases to those that a model expects of customers of that age, and its standard error."""
    customers, ages, purchases, squares = np.array(by_age, float).T
    expected = model.expected_purchases_new(ages)
    total, awaited = purchases.sum(), (customers * expected).sum()
    if not (total and awaited):
        return 0.0, math.inf
    ratio = total / awaited
    residuals = squares - 2 * ratio * expected * purchases + customers * (ratio * expected) ** 2
    return float(np.log(ratio)), float(np.sqrt(residuals.sum()) / total)


def _log_mean(spend: Mapping[str, float]) -> tuple[float, float]:
    return spend["mean_log"], float(np.sqrt(spend["variance_log"] / spend["customers"]))


def _rate(quantity: str, words: str, now: tuple[float, float], then: tuple[float, float]) -> Shift:
    change = now[0] - then[0]
    noise = STANDARD_ERRORS * float(np.hypot(now[1], then[1]))
    return Shift(
        quantity,
        RETRAIN,
        "change of the logarithm",
        abs(change),
        max(float(np.log1p(RATE_CHANGE)), noise),
        f"{words} changed by {np.expm1(change):+.0%}",
    )


def _segments(now: Profile, then: Profile) -> list[Shift]:
    return [
        _index(
            f"customers by {kind}",
            FINE,
            *_by_name(now["segments"].get(kind, {}), sizes),
            f"customers have other shares of {kind}",
        )
        for kind, sizes in then["segments"].items()
    ]
