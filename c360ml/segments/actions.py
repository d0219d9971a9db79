"""Action segments as data: RFM crossed with the probability alive and with past and projected value.

The first rule that holds names, and the last of each kind always holds, so that each customer has exactly
one action segment. Past and projected value are two axes: a customer who brought much and is probably gone
is to be won back, one who will bring much is to be kept. BG/NBD holds one-time buyers alive for ever;
therefore a probability alive does not overrule an RFM segment of the lapsed. Without a forecast the RFM
segment decides alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c360ml.segments.percentiles import cut_points

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PROBABLY_GONE, PROBABLY_ALIVE = 0.3, 0.6
"""Probability alive below which a customer is taken for gone, and from which for alive."""
HIGH_VALUE_PERCENTILE = 0.80
"""Buyers at or above this percentile (average rank) are of high past, or high projected, value."""

_LAPSED = "rfm_segment in ('About To Sleep', 'At Risk', 'Can''t Lose Them', 'Lost')"
_LAPSED_WORDS = "RFM segment About To Sleep, At Risk, Can't Lose Them or Lost"
_RISING = "rfm_segment in ('New', 'Promising', 'Potential Loyalist')"
_RISING_WORDS = "RFM segment New, Promising or Potential Loyalist"
_WASTED = "rfm_segment in ('At Risk', 'Can''t Lose Them')"
_WASTED_WORDS = "RFM segment At Risk or Can't Lose Them"


@dataclass(frozen=True)
class ActionRule:
    """One rule: the segment it names, its condition in SQL and in words with the figures to fill in.

    `forecast` tells the rules of a project with (True) or without (False) a forecast from those of every project.
    """

    segment: str
    condition: str
    words: str
    forecast: bool | None = True


ACTION_RULES: tuple[ActionRule, ...] = (
    ActionRule(
        "CONVERT",
        "purchases = 0 and days_since_last_activity <= $inactive_days",
        "no purchase, active within {inactive_days:,} days",
        forecast=None,
    ),
    ActionRule("AWAIT", "purchases = 0", "no purchase and no activity within {inactive_days:,} days", forecast=None),
    ActionRule(
        "WIN_BACK",
        f"probability_alive < $gone and (historical_value >= $high_past or {_WASTED})",
        f"probability alive below {{gone}}, and past value of {{high_past}} or more or {_WASTED_WORDS}",
    ),
    ActionRule("LET_GO", "probability_alive < $gone", "probability alive below {gone}, less past value"),
    ActionRule(
        "RESCUE",
        "probability_alive < $alive and (historical_value >= $high_past or projected_value >= $high_projected)",
        "probability alive from {gone} to below {alive}, and past value of {high_past} or projected value of"
        " {high_projected} or more",
    ),
    ActionRule("REMIND", "probability_alive < $alive", "probability alive from {gone} to below {alive}, less value"),
    ActionRule(
        "KEEP",
        "probability_alive >= $alive and projected_value >= $high_projected",
        "probability alive of {alive} or more, projected value of {high_projected} or more",
    ),
    ActionRule(
        "REMIND",
        f"probability_alive >= $alive and {_LAPSED}",
        f"probability alive of {{alive}} or more, less projected value, {_LAPSED_WORDS}",
    ),
    ActionRule(
        "GROW",
        f"probability_alive >= $alive and {_RISING}",
        f"probability alive of {{alive}} or more, less projected value, {_RISING_WORDS}",
    ),
    ActionRule(
        "MAINTAIN",
        "probability_alive >= $alive",
        "probability alive of {alive} or more, less projected value, any other RFM segment",
    ),
    # Without a forecast probability_alive is null and none of the above holds.
    ActionRule("WIN_BACK", _WASTED, f"no forecast, {_WASTED_WORDS}", forecast=False),
    ActionRule(
        "KEEP",
        "rfm_segment in ('Champions', 'Loyal')",
        "no forecast, RFM segment Champions or Loyal",
        forecast=False,
    ),
    ActionRule("GROW", _RISING, f"no forecast, {_RISING_WORDS}", forecast=False),
    ActionRule("LET_GO", "rfm_segment = 'Lost'", "no forecast, RFM segment Lost", forecast=False),
    ActionRule("REMIND", "true", "no forecast, any other RFM segment", forecast=False),
)

ACTION_SEGMENTS: tuple[str, ...] = tuple(dict.fromkeys(rule.segment for rule in ACTION_RULES))


def action_cuts(con: DuckDBPyConnection, buyers: str, inactive_days: int) -> dict[str, Any]:
    """Find what `ACTION_RULES` compare with, from a table of buyers' historical_value and projected_value.

    A projected value that no forecast gave is left out; a cut that no buyer reached is None.
    """
    known = f"(select projected_value from {buyers} where projected_value is not null)"
    return {
        "inactive_days": inactive_days,
        "gone": PROBABLY_GONE,
        "alive": PROBABLY_ALIVE,
        "high_past": cut_points(con, buyers, "historical_value", [HIGH_VALUE_PERCENTILE])[0],
        "high_projected": cut_points(con, known, "projected_value", [HIGH_VALUE_PERCENTILE])[0],
    }


def rule_in_words(segment: str, cuts: dict[str, Any], *, forecast: bool) -> str:
    """Say by which rules a customer is in an action segment, with the figures of the run.

    >>> cuts = {"inactive_days": 730, "gone": 0.3, "alive": 0.6, "high_past": 65271.6, "high_projected": None}
    >>> rule_in_words("WIN_BACK", cuts, forecast=True)
    "probability alive below 0.3, and past value of 65,272 or more or RFM segment At Risk or Can't Lose Them"
    """
    told = {**cuts, **{name: _amount(cuts[name]) for name in ("high_past", "high_projected")}}
    rules = [rule for rule in ACTION_RULES if rule.segment == segment and rule.forecast in (None, forecast)]
    return "; or ".join(rule.words.format(**told) for rule in rules) or "no forecast: nobody"


def _amount(cut: float | None) -> str:
    return "an amount nobody reached" if cut is None else f"{cut:,.0f}"
