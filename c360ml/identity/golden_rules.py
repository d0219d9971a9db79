"""Survivorship rules as data: which record of a customer gives which field of the golden record.

The section `[golden]` of c360ml.toml may give a field another rule; what it prefers stays.

What a field prefers comes first (a full name before an initial), then what the rule measures (how many
records agree), then the order of the rule's records; the least record_id decides what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

ORDERS: dict[str, tuple[str, ...]] = {
    "trusted_order": ("trust", "changed_at", "quality_score"),
    "recent_order": ("changed_at", "quality_score", "trust"),
    "quality_order": ("quality_score", "changed_at", "trust"),
}
"""Name of an order of all records = its columns, each greatest first. `trust` is the source's trust in the
config, `changed_at` the record's last change."""


@dataclass(frozen=True)
class Measure:
    """What a rule measures of a value, as SQL of a whole number, and the order that breaks its ties."""

    sql: str
    order: str


MEASURES: dict[str, Measure] = {
    "most_trusted": Measure("0", "trusted_order"),
    "most_recent": Measure("0", "recent_order"),
    "most_frequent": Measure("{name}_votes", "trusted_order"),
    "most_complete": Measure("{parts}", "quality_order"),
    "longest": Measure("length({text})", "quality_order"),
    "any_refusal": Measure("(not {name})::bigint", "recent_order"),
}
"""The rules. `votes` is the number of the customer's records that agree on the value, `parts` the number of a block's
known fields or of a value's words, `text` the whole value as text."""


@dataclass(frozen=True)
class Survivorship:
    """How a field survives, or a block of fields that must come from one record.

    >>> Survivorship("middle_name", "most_complete").fields
    ('middle_name',)
    """

    name: str
    rule: str
    block: tuple[str, ...] = ()
    usable: str = ""
    prefer: str = "0::bigint"

    @property
    def fields(self) -> tuple[str, ...]:
        """Golden fields that the rule fills."""
        return self.block or (self.name,)

    @property
    def condition(self) -> str:
        """SQL that says whether a record has anything to give."""
        return self.usable or f"{self.name} is not null"

    @property
    def rank(self) -> str:
        """SQL of one BIGINT, greatest for the record that gives the value.

        From the high bits down: 7 bits of preference, 16 of measure, 40 of order. A row of values says
        the same and reads better, but DuckDB compares it six times as slowly.

        >>> Survivorship("phone", "most_recent", prefer="(phone like '+1%')::bigint").rank
        "((phone like '+1%')::bigint << 56) + (least(0, 65535)::bigint << 40) + recent_order"
        """
        measure = MEASURES[self.rule]
        text = f"concat_ws(' ', {', '.join(self.fields)})"
        parts = (
            " + ".join(f"({field} is not null)::bigint" for field in self.block) or f"len(string_split({text}, ' '))"
        )
        measured = measure.sql.format(name=self.name, text=text, parts=parts)
        return f"({self.prefer} << 56) + (least({measured}, 65535)::bigint << 40) + {measure.order}"


RULES: tuple[Survivorship, ...] = (
    # A typo is outvoted; an initial never wins over a name.
    Survivorship("given_name", "most_frequent", prefer="(length(given_name) > 1)::bigint"),
    Survivorship("middle_name", "longest"),
    Survivorship("surname", "most_frequent", prefer="(length(surname) > 1)::bigint"),
    Survivorship("suffix", "most_trusted"),
    Survivorship(
        "email",
        "most_trusted",
        usable="email like '_%@_%._%' and email_kind is distinct from 'placeholder'",
        prefer="(email_kind is not distinct from 'personal')::bigint",
    ),
    Survivorship("phone", "most_recent"),
    Survivorship("date_of_birth", "most_frequent"),
    Survivorship("gender", "most_frequent"),
    # One record gives the whole address: a street of one home and a city of another is nobody's address.
    Survivorship(
        "address",
        "most_recent",
        block=("street_number", "street", "unit", "city", "state", "postcode", "country"),
        usable="coalesce(street, city, postcode) is not null",
        prefer="(street is not null)::bigint + (postcode is not null)::bigint",
    ),
    # Somebody who buys at one place and is a prospect at another is a customer.
    Survivorship(
        "status",
        "most_recent",
        prefer="coalesce(list_position(['PROSPECT', 'INACTIVE', 'ACTIVE'], status), 0)::bigint",
    ),
    Survivorship("marketing_consent", "any_refusal"),
)
"""The rules of a golden record, in the order of its columns."""


def chosen_rules(names: Mapping[str, str]) -> tuple[Survivorship, ...]:
    """Give the rules of a golden record, where a field or block is given another rule by name.

    >>> [rule.rule for rule in chosen_rules({"phone": "most_trusted"}) if rule.name == "phone"]
    ['most_trusted']
    """
    return tuple(replace(rule, rule=names.get(rule.name, rule.rule)) for rule in RULES)
