"""What to do with each segment, the rule that puts a customer there, and the project's own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from c360ml import tables
from c360ml.segments.actions import ACTION_SEGMENTS, rule_in_words
from c360ml.segments.buyers import FEATURES
from c360ml.segments.rfm_map import RFM_RULES, RFM_SEGMENTS

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.segments.rfm import RfmScorer

ACTIONS: dict[str, str] = {
    "CONVERT": "Invite to a first purchase while the interest is fresh: test drive, offer on the model looked at.",
    "AWAIT": "Spend nothing but the newsletter; check that the address still works.",
    "WIN_BACK": "Win back: a personal call and an offer that its past value pays for; ask why they left.",
    "LET_GO": "Leave to cheap channels; no offer is likely to pay.",
    "RESCUE": "Act now: contact in person before the customer is gone; check open complaints and recalls.",
    "REMIND": "Remind with an occasion: service due, trade-in value, end of warranty.",
    "KEEP": "Keep: best service, first access, no discounts; they would buy anyway.",
    "GROW": "Lead to the next purchase: welcome series, accessories, service plan.",
    "MAINTAIN": "Keep in touch at the usual pace; offer what fits their last purchase.",
}
"""Recommendation by action segment."""

RFM_ACTIONS: dict[str, str] = {
    "Champions": "Reward and ask for referrals; show them new models first.",
    "Loyal": "Offer upgrades and a loyalty programme.",
    "Potential Loyalist": "Offer membership and the next product.",
    "New": "Welcome, explain the service, earn the second purchase.",
    "Promising": "Make the brand known; small offers.",
    "Need Attention": "Make a limited offer that fits past purchases.",
    "About To Sleep": "Send reminders and popular products before the contact is lost.",
    "At Risk": "Contact in person; offer to renew.",
    "Can't Lose Them": "Win back by a call; do not lose them to a competitor.",
    "Lost": "One last try by a cheap channel, then let go.",
    "PROSPECT": "Win the first purchase.",
}
"""Recommendation by RFM segment."""

_FIGURES = """
    with wide as (
        select action_segment, rfm_segment, preferred_channel, coalesce(marketing_consent, false) as may_contact,
               historical_value, projected_value, probability_alive
        from new_segments
        left join silver.golden_records using (master_id)
        left join gold.customer_value on customer_id = master_id
    ),
    kinds as (
        select unnest(['action_segment', 'rfm_segment']) as kind,
               unnest([action_segment, rfm_segment]) as segment, * exclude (action_segment, rfm_segment)
        from wide
    ),
    channels as (
        select kind, segment, preferred_channel as main_channel
        from kinds
        where preferred_channel is not null
        group by kind, segment, preferred_channel
        qualify 1 = row_number() over (partition by kind, segment order by count(*) desc, preferred_channel)
    ),
    summed as (
        select
            kind,
            segment,
            count(*) as customers,
            count(*) filter (where may_contact) as contactable,
            coalesce(sum(historical_value::decimal(38, 4)), 0)::double as historical_value,
            coalesce(sum(projected_value::decimal(38, 4)), 0)::double as projected_value,
            (sum(probability_alive::decimal(38, 9)) / count(probability_alive))::double as mean_probability_alive
        from kinds
        group by kind, segment
    )
    select * from summed left join channels using (kind, segment)
"""


def recommend(lake: Lakehouse, rfm: RfmScorer | None, cuts: dict[str, Any]) -> None:
    """Write `gold.recommendations` from `new_segments`: one row a segment, empty segments too."""
    figures = lake.sql(_FIGURES).to_arrow_table().to_pylist()
    known = {(row["kind"], row["segment"]): row for row in figures}
    forecast = any(row["mean_probability_alive"] is not None for row in figures)
    rows = [
        *(
            _row("action_segment", name, ACTIONS[name], rule_in_words(name, cuts, forecast=forecast), known)
            for name in ACTION_SEGMENTS
        ),
        *(
            _row("rfm_segment", name, RFM_ACTIONS[name], rfm_rule_in_words(name, rfm), known)
            for name in (*RFM_SEGMENTS, "PROSPECT")
        ),
    ]
    lake.con.register("recommended", pa.Table.from_pylist(rows, schema=_SCHEMA))
    lake.write(tables.RECOMMENDATIONS, "select * from recommended")
    lake.con.unregister("recommended")


_TYPES = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "DOUBLE": pa.float64()}
_SCHEMA = pa.schema([(name, _TYPES[column.type]) for name, column in tables.RECOMMENDATIONS.columns.items()])
_NOBODY: dict[str, Any] = {
    "customers": 0,
    "contactable": 0,
    "main_channel": None,
    "historical_value": 0.0,
    "projected_value": 0.0,
    "mean_probability_alive": None,
}


def _row(
    kind: str, segment: str, recommendation: str, rule: str, known: dict[tuple[str, str], dict[str, Any]]
) -> dict[str, Any]:
    figures = {name: known.get((kind, segment), _NOBODY)[name] for name in _NOBODY}
    return {
        "kind": kind,
        "segment": segment,
        "recommendation": recommendation,
        "rule": rule,
        "evidence": evidence(figures),
        **figures,
    }


def evidence(figures: dict[str, Any]) -> str:
    """Tell a segment's figures in one sentence.

    >>> evidence({"customers": 1234, "contactable": 800, "historical_value": 5e6, "projected_value": 1e5,
    ...           "mean_probability_alive": 0.21, "main_channel": "SERVICE"})
    '1,234 customers, 800 may be contacted, mean probability alive 0.21, past value 5,000,000, projected value
    100,000, mostly by SERVICE'
    """
    parts = [f"{figures['customers']:,} customers", f"{figures['contactable']:,} may be contacted"]
    if figures["mean_probability_alive"] is not None:
        parts.append(f"mean probability alive {figures['mean_probability_alive']:.2f}")
    if figures["historical_value"] or figures["projected_value"]:
        parts.append(f"past value {figures['historical_value']:,.0f}")
        parts.append(f"projected value {figures['projected_value']:,.0f}")
    if figures["main_channel"]:
        parts.append(f"mostly by {figures['main_channel']}")
    return ", ".join(parts)


def rfm_rule_in_words(segment: str, rfm: RfmScorer | None) -> str:
    """Say which scores make an RFM segment, and where the scores were cut.

    >>> rfm_rule_in_words("Champions", None)
    'scores of recency 4-5, frequency 4-5, value 4-5, unless a narrower segment holds them'
    """
    if segment == "PROSPECT":
        return "no purchase"
    boxes = [
        f"recency {_span(r)}, frequency {_span(f)}, value {_span(m)}" for name, r, f, m in RFM_RULES if name == segment
    ]
    rule = f"scores of {' or '.join(boxes)}, unless a narrower segment holds them"
    if rfm is None:
        return rule
    cuts = (", ".join(_number(cut) for cut in rfm.cut_points_[name]) for name in FEATURES)
    days, purchases, spend = cuts
    return f"{rule} (scores 2 to {rfm.bands} from: at most {days} days; {purchases} purchases; spend of {spend})"


def _span(scores: tuple[int, int]) -> str:
    return f"{scores[0]}-{scores[1]}" if scores[0] != scores[1] else f"{scores[0]}"


def _number(cut: float | None) -> str:
    return "(none)" if cut is None else f"{cut:,.0f}"
