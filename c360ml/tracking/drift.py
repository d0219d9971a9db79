"""Has the world moved away from the champion? Each quantity against the champion's run, and a verdict in words.

Distributions are compared by the population stability index, sum (p - q) ln(p / q), also called Jeffreys divergence.
From 0.1 on a shift counts as moderate, from 0.25 on as large (Siddiqi, Credit Risk Scorecards, 2006). Small samples
move by chance: of independent records the index follows chi2(cells - 1) times (1/n + 1/m) (Yurdakul, Statistical
Properties of Population Stability Index, 2018). Records come in clumps, of a person, a household, a house of flats, so
each side counts with its design effect (Rao and Scott 1981), measured on its own records, see `sampling_error`. Rates
are compared by the logarithm of their ratio: moved is what changed by a tenth and beyond its standard errors.

Of runs over other people of the same world, one in a hundred may be called anything but fine: each quantity that
decides is held against that level divided by their number (Bonferroni). Two runs over mostly the same people move less
than that by chance, so that for them the limits are wide. What the linkage model says of all pairs has an error that
one run does not show; it is told without a limit and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from c360ml.customer_value.fitting import read_purchase_model
from c360ml.tracking.drift_profile import PROFILE_FORMAT, Profile
from c360ml.tracking.drift_sample import LEARNT_SEGMENTS, LENGTHS
from c360ml.tracking.stability import Change, Index, stability_index

MODERATE_SHIFT = 0.1
RATE_CHANGE = 0.1
FALSE_ALARMS = 0.01
"""Share of comparisons of a world with itself that may be called anything but fine."""
LOST_SHARE = 0.5
FINE, SOURCE_CHANGED, RETRAIN = "fine", "source changed", "retrain"
MEANINGS = (SOURCE_CHANGED, RETRAIN, FINE)
NO_CHAMPION = "There is no champion's run to compare with yet: this is the first."
OTHER_FORMAT = (
    "The champion's run was counted by another version of c360ml, without what chance moves: it cannot be compared."
    " A champion of this version has to be promoted first: `c360ml promote`."
)


@dataclass(frozen=True)
class Shift:
    """One quantity against the champion's run.

    `kind` is what a move of it means: the source changed, the model should be trained anew, or just to know. `limit` is
    None where it is not known what moves it by chance.
    """

    quantity: str
    kind: str
    statistic: str
    value: float
    limit: float | None
    words: str

    @property
    def moved(self) -> bool:
        """Whether it moved beyond its limit."""
        return self.limit is not None and self.value > self.limit

    @property
    def times_limit(self) -> float:
        """Its size by its limit; 0 without one."""
        return self.value / self.limit if self.limit else 0.0


@dataclass(frozen=True)
class _Compared:
    """A quantity before its limit is known: the least that matters, None for no limit, and what chance may do."""

    quantity: str
    kind: str
    statistic: str
    value: float
    least: float | None
    words: str
    chance: Index | Change | None = None

    def at_level(self, level: float) -> Shift:
        limit = self.least
        if limit is not None and self.chance is not None:
            limit = max(limit, self.chance.by_chance(level))
        known = limit is not None and math.isfinite(limit)
        return Shift(self.quantity, self.kind, self.statistic, self.value, limit if known else None, self.words)


@dataclass(frozen=True)
class Drift:
    """What moved between the champion's run and this one; without a champion to compare with, `why_not` says why."""

    profile: Profile
    champion_run_id: str | None
    shifts: tuple[Shift, ...] = ()
    why_not: str = ""

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
            "why_not": self.why_not,
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
        return Drift(profile, None, why_not=NO_CHAMPION)
    if champion.get("format") != PROFILE_FORMAT:
        return Drift(profile, None, why_not=OTHER_FORMAT)
    compared = (
        *_sources(profile, champion),
        *_terms(profile, champion),
        *_pairs(profile, champion),
        *_agreement(profile, champion),
        *_purchases(profile, champion),
        *_segments(profile, champion),
    )
    level = FALSE_ALARMS / sum(each.chance is not None and each.kind != FINE for each in compared)
    return Drift(profile, champion["run_id"], tuple(each.at_level(level) for each in compared))


# ---------------------------------------------------------------------- statistics
def _by_name(now: Mapping[str, float], then: Mapping[str, float]) -> tuple[list[float], list[float]]:
    names = [*then, *(name for name in now if name not in then)]
    return [now.get(name, 0) for name in names], [then.get(name, 0) for name in names]


def _index_of(now: Mapping[str, Any], then: Mapping[str, Any]) -> Index:
    """Compare what `count_cells` or `count_names` counted in both runs."""
    counts = (now["counts"], then["counts"])
    pair = _by_name(*counts) if isinstance(counts[0], dict) else counts
    sides = ((now["effect"], now["freedom"]), (then["effect"], then["freedom"]))
    return stability_index(*pair, clumping=sides)


def _index(quantity: str, kind: str, index: Index, words: str) -> _Compared:
    told = f"{words} (PSI {index.value:.2f})"
    return _Compared(quantity, kind, "PSI", index.value, MODERATE_SHIFT, told, index)


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "0%"


# ---------------------------------------------------------------------- what came in
def _sources(now: Profile, then: Profile) -> Iterator[_Compared]:
    by_source = _index_of(now["records_by_source"], then["records_by_source"])
    yield _index("records by source", SOURCE_CHANGED, by_source, "records come from other sources than before")
    for name, before in then["sources"].items():
        known = now["sources"].get(name)
        for field, count in before["filled"].items():
            if known and count:
                yield _filled(name, field, known, before)
                yield from _lengths(name, field, known, before)
    yield from _rows_landed(now["rows_landed"], then["rows_landed"])


def _filled(source: str, field: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> _Compared:
    known, before = ((side["filled"].get(field, 0), side["records"]) for side in (now, then))
    index = stability_index(
        (known[0], known[1] - known[0]),
        (before[0], before[1] - before[0]),
        clumping=(_filled_effect(now, field), _filled_effect(then, field)),
    )
    words = f"{field} is filled in {_percent(*known)} of the records of {source}, was {_percent(*before)}"
    return _index(f"{field} of {source}", SOURCE_CHANGED, index, words)


def _filled_effect(side: Mapping[str, Any], field: str) -> tuple[float, float]:
    """Design effect of a field being filled; a source may be too small to be in the sample of units."""
    return side["shapes"].get(field, {}).get("filled_effect", 1.0), 1.0


def _lengths(source: str, field: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[_Compared]:
    """Compare texts by length: an initial for a name, a number cut short."""
    known, before = (side["shapes"].get(field, {}).get("lengths") for side in (now, then))
    if known and before and sum(known["counts"]):
        index = _index_of(known, before)
        shares = [np.array(side["counts"]) / max(sum(side["counts"]), 1) for side in (known, before)]
        most = int(np.argmax(np.abs(shares[0] - shares[1])))
        words = (
            f"{field} has {_length(most)} in {shares[0][most]:.1%} of the records of {source} that have one,"
            f" was {shares[1][most]:.1%}"
        )
        yield _index(f"length of {field} of {source}", SOURCE_CHANGED, index, words)


def _length(cell: int) -> str:
    """Name a cell of lengths."""
    if cell == len(LENGTHS):
        return f"more than {LENGTHS[-1]} characters"
    shortest = LENGTHS[cell - 1] + 1 if cell else 1
    if shortest == LENGTHS[cell]:
        return "1 character" if shortest == 1 else f"{shortest} characters"
    return f"{shortest} to {LENGTHS[cell]} characters"


def _rows_landed(now: Mapping[str, int], then: Mapping[str, int]) -> Iterator[_Compared]:
    """Rows that a source lost; growth is no drift."""
    for source, rows in then.items():
        if rows:
            yield _Compared(
                f"rows of {source}",
                SOURCE_CHANGED,
                "share of rows lost",
                1 - min(now.get(source, 0) / rows, 1.0),
                LOST_SHARE,
                f"{source} has {now.get(source, 0):,} rows, had {rows:,}",
            )


def _terms(now: Profile, then: Profile) -> Iterator[_Compared]:
    told = {
        "ranks": ("frequent values of {}", "the most frequent values of {} have other shares than before"),
        "buckets": ("values of {}", "{} holds other values than before"),
    }
    for field, before in then["terms"].items():
        known = now["terms"].get(field)
        if known and sum(before["buckets"]["counts"]):
            for kind, (quantity, words) in told.items():
                index = _index_of(known[kind], before[kind])
                yield _index(quantity.format(field), SOURCE_CHANGED, index, words.format(field))


# ---------------------------------------------------------------------- what the linkage saw
def _pairs(now: Profile, then: Profile) -> Iterator[_Compared]:
    told = {
        "pairs_by_rule": ("pairs by blocking rule", "blocking rules find other shares of the pairs"),
        "pairs_by_class": (
            "classes of pairs",
            "pairs of one person, of a household and of namesakes have other shares",
        ),
    }
    for kind, (quantity, words) in told.items():
        if now[kind].keys() == then[kind].keys():
            yield _without_limit(quantity, "PSI", stability_index(*_by_name(now[kind], then[kind])).value, words)
    sizes = _index_of(now["cluster_sizes"], then["cluster_sizes"])
    yield _index("customers by records", RETRAIN, sizes, "customers have other numbers of records")


def _without_limit(quantity: str, statistic: str, value: float, words: str) -> _Compared:
    return _Compared(quantity, FINE, statistic, value, None, f"{words} (PSI {value:.2f})")


def _agreement(now: Profile, then: Profile) -> Iterator[_Compared]:
    for kind in then["levels"]:
        if kind in now["levels"]:
            yield _agreement_profile(kind, now, then)
    for field, before in then["agreement"].items():
        known = now["agreement"].get(field)
        if known and sum(known["counts"]) and sum(before["counts"]):
            same, was = (_percent(side["counts"][1], sum(side["counts"])) for side in (known, before))
            words = f"linked records of one customer agree on {field} in {same} of pairs, was {was}"
            yield _index(f"agreement of {field}", RETRAIN, _index_of(known, before), words)


def _agreement_profile(kind: str, now: Profile, then: Profile) -> _Compared:
    """Agreement levels of one class of pairs as the model learnt them: m for the class of one person, u for others."""
    pairs = [max(side["pairs_by_class"].get(kind, side["candidate_pairs"]), 1.0) for side in (now, then)]
    found = {}
    for comparison, levels in then["levels"][kind].items():
        shares = _by_name(now["levels"][kind].get(comparison, levels), levels)
        counts = [np.array(share) * n for share, n in zip(shares, pairs, strict=True)]
        found[comparison] = stability_index(counts[0], counts[1]).value
    most = max(found, key=lambda comparison: found[comparison])
    words = f"pairs of class {kind} agree otherwise than the champion learnt, most of all on {most}"
    statistic = "PSI, summed over comparisons"
    return _without_limit(f"agreement profile, class {kind}", statistic, sum(found.values()), words)


# ---------------------------------------------------------------------- what customers do
def _purchases(now: Profile, then: Profile) -> Iterator[_Compared]:
    if then["purchase_model"] is not None and now["purchases"]["by_age"]:
        model = read_purchase_model(then["purchase_model"])
        ratios = [_against_model(model, side["purchases"]) for side in (now, then)]
        yield _rate("purchase rate", "repeat purchases by what the champion's model expects", *ratios)
    spends = [side["purchases"]["spend"] for side in (now, then)]
    if all(spend["variance_log"] is not None for spend in spends):
        yield _rate("mean spend", "spend of a purchase (geometric mean)", *(_log_mean(each) for each in spends))


def _against_model(model: Any, purchases: Mapping[str, Any]) -> tuple[float, float]:
    """Log ratio of repeat purchases to those that a model expects of customers of that age, and its standard error."""
    customers, ages, bought, squares = np.array(purchases["by_age"], float).reshape(-1, 4).T
    expected = model.expected_purchases_new(ages)
    total, awaited = bought.sum(), (customers * expected).sum()
    if not (total and awaited):
        return 0.0, math.inf
    ratio = total / awaited
    residuals = squares - 2 * ratio * expected * bought + customers * (ratio * expected) ** 2
    return float(np.log(ratio)), float(np.sqrt(residuals.sum() * purchases["effect"]) / total)


def _log_mean(spend: Mapping[str, float]) -> tuple[float, float]:
    return spend["mean_log"], float(np.sqrt(spend["variance_log"] * spend["effect"] / spend["customers"]))


def _rate(quantity: str, words: str, now: tuple[float, float], then: tuple[float, float]) -> _Compared:
    change = Change(now[0] - then[0], math.hypot(now[1], then[1]))
    told = f"{words} changed by {np.expm1(change.value):+.0%}"
    least = math.log1p(RATE_CHANGE)
    return _Compared(quantity, RETRAIN, "change of the logarithm", abs(change.value), least, told, change)


def _segments(now: Profile, then: Profile) -> Iterator[_Compared]:
    for kind, sizes in then["segments"].items():
        if kind in now["segments"]:
            index = _index_of(now["segments"][kind], sizes)
            words = f"customers have other shares of {kind}"
            if kind in LEARNT_SEGMENTS:
                yield _without_limit(f"customers by {kind}", "PSI", index.value, words)
            else:
                yield _index(f"customers by {kind}", FINE, index, words)
