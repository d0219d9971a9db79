"""Behavioural segments as data: how a customer deals with the business; the first rule that holds names."""

from __future__ import annotations

BEHAVIOUR_RULES: tuple[tuple[str, str], ...] = (
    # segment, condition on gold.customer_activity
    ("INACTIVE", "days_since_last_activity is null or days_since_last_activity > $inactive_days"),
    ("OMNICHANNEL", "purchases > 0 and service_visits > 0 and digital_interactions > 0"),
    ("BUYER", "purchases > 0"),
    ("SERVICE_LOYAL", "service_visits > 0"),
    ("DIGITAL", "digital_interactions > 0"),
    ("INACTIVE", "true"),
)

BEHAVIOURS: tuple[str, ...] = tuple(dict.fromkeys(segment for segment, _ in BEHAVIOUR_RULES))


def first_match_sql(rules: tuple[tuple[str, str], ...]) -> str:
    """Write rules as one CASE expression.

    >>> first_match_sql((("BUYER", "purchases > 0"), ("OTHER", "true")))
    "case when purchases > 0 then 'BUYER' when true then 'OTHER' end"
    """
    cases = " ".join(f"when {condition} then '{name}'" for name, condition in rules)
    return f"case {cases} end"
