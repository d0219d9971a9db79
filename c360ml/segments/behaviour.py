"""Behavioural segments as data: how a customer deals with the business; the first rule that holds names."""

from __future__ import annotations

Rules = tuple[tuple[str, str], ...]

BEHAVIOUR_RULES: Rules = (
    # segment, condition on gold.customer_activity
    ("INACTIVE", "days_since_last_activity is null or days_since_last_activity > $inactive_days"),
    ("OMNICHANNEL", "purchases > 0 and service_visits > 0 and digital_interactions > 0"),
    ("BUYER", "purchases > 0"),
    ("SERVICE_LOYAL", "service_visits > 0"),
    ("DIGITAL", "digital_interactions > 0"),
    ("INACTIVE", "true"),
)

SERVICE_LOYALTY_RULES: Rules = (
    ("NONE", "service_visits = 0"),
    ("LAPSED", "date_diff('day', last_service_on, observation_end) > $inactive_days"),
    ("LOYAL", "service_visits >= 3"),
    ("OCCASIONAL", "true"),
)

ENGAGEMENT_RULES: Rules = (
    # of 100 points each of web, app, e-mail and social gives 25, halved every 90 days
    ("HIGH", "engagement_score >= 50"),
    ("MEDIUM", "engagement_score >= 25"),
    ("LOW", "digital_interactions > 0"),
    ("NONE", "true"),
)

BEHAVIOURS: tuple[str, ...] = tuple(dict.fromkeys(segment for segment, _ in BEHAVIOUR_RULES))


def first_match_sql(rules: Rules) -> str:
    """Write rules as one CASE expression; of the rules that hold, the first names.

    >>> first_match_sql((("BUYER", "purchases > 0"), ("OTHER", "true")))
    "case when purchases > 0 then 'BUYER' when true then 'OTHER' end"
    """
    cases = " ".join(f"when {condition} then '{name}'" for name, condition in rules)
    return f"case {cases} end"
