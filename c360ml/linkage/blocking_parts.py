"""What blocking keys are made of: parts of names, birth, place, contacts and numbers, and the rules to try.

A rule is a set of parts that must agree. Rules to try are the known good combinations, each strong part alone, and
every two parts of different kinds that chance alone would not bring together too often: what is tried follows from
the columns that hold data, attributes of unknown meaning included.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

PAIRS_BY_CHANCE_PER_RECORD = 30.0
_ATTRIBUTE = "attribute_"
_SPLIT = "_split_by_"
_LONGEST_WORD = (
    "list_max(list_transform(string_split(full_name, ' '), lambda w: lpad(length(w)::varchar, 2, '0') || w))"
)


@dataclass(frozen=True)
class Part:
    """One thing that must agree: its kind of evidence, the column it needs, and the SQL of its value (null: cannot)."""

    kind: str
    needs: str
    sql: str


PARTS = {
    "full_name": Part("name", "full_name", "full_name"),
    "last_word": Part("name", "words", "split_part(full_name, ' ', -1)"),
    "longest_word": Part("name", "words", _LONGEST_WORD),
    "both_names": Part("name", "surname", "least(given_name, surname) || '|' || greatest(given_name, surname)"),
    "given_name": Part("given", "given_name", "coalesce(given_name_canonical, given_name)"),
    "given_sound": Part("given", "given_name", "coalesce(given_name_phonetic, given_name)"),
    "given_start": Part("given", "given_name", "left(given_name, 3)"),
    "given_initial": Part("given", "given_name", "left(given_name, 1)"),
    "surname": Part("surname", "surname", "surname"),
    "surname_sound": Part("surname", "surname", "coalesce(surname_phonetic, surname)"),
    "surname_start": Part("surname", "surname", "left(surname, 4)"),
    "middle_initial": Part("middle", "middle_name", "left(middle_name, 1)"),
    "date_of_birth": Part("birth", "date_of_birth", "date_of_birth"),
    "birth_month": Part("birth", "date_of_birth", "date_of_birth[1:7]"),
    "birth_day": Part("birth", "date_of_birth", "date_of_birth[6:10]"),
    "birth_year": Part("birth", "date_of_birth", "date_of_birth[1:4]"),
    "birth_decade": Part("birth", "date_of_birth", "date_of_birth[1:3]"),
    "postcode": Part("place", "postcode", "postcode"),
    "postcode_area": Part("place", "postcode", "left(postcode, 3)"),
    "city": Part("place", "city", "city"),
    "city_start": Part("place", "city", "left(city, 4)"),
    "street": Part("place", "street", "street"),
    "street_number": Part("place", "street_number", "street_number"),
    "email": Part("contact", "email", "email"),
    "email_user": Part(
        "contact", "email", "case when length(split_part(email, '@', 1)) > 5 then split_part(email, '@', 1) end"
    ),
    "phone": Part("contact", "phone", "phone"),
    "phone_end": Part("contact", "phone", "right(phone, 7)"),
    "national_id": Part("number", "national_id", "national_id"),
    "national_id_end": Part("number", "national_id", "right(national_id, 4)"),
}
_ALONE = (
    "full_name", "last_word", "longest_word", "both_names", "given_name", "given_sound", "surname", "surname_sound",
    "date_of_birth", "birth_month", "postcode", "city", "email", "email_user", "phone", "phone_end", "national_id",
)  # fmt: skip
_KNOWN = (
    ("date_of_birth", "surname"),
    ("date_of_birth", "given_name"),
    ("date_of_birth", "postcode"),
    ("date_of_birth", "city"),
    ("birth_month", "given_name"),
    ("birth_month", "surname_sound"),
    ("birth_year", "surname", "given_initial"),
    ("birth_year", "surname"),
    ("birth_year", "last_word"),
    ("birth_year", "given_name", "postcode_area"),
    ("birth_year", "given_initial", "postcode_area"),
    ("birth_year", "surname_sound", "postcode_area"),
    ("birth_year", "given_name", "city"),
    ("both_names", "postcode"),
    ("both_names", "city"),
    ("given_name", "surname"),
    ("given_name", "surname_sound", "postcode_area"),
    ("surname", "given_initial", "middle_initial"),
    ("surname", "given_initial", "postcode_area"),
    ("surname", "given_initial", "city"),
    ("surname_sound", "postcode"),
    ("surname", "city"),
    ("given_name", "postcode"),
    ("given_name", "street", "street_number"),
    ("given_initial", "street"),
    ("surname", "street"),
    ("street", "street_number"),
    ("street_number", "postcode", "given_initial"),
)
_SPLITS = ("birth_year", "given_sound", "surname_sound", "postcode", "city", "last_word")
"""What a key that too many records share is split by: the first part of another kind that holds data."""
HUB_OF = {
    "email": "email", "email_user": "email", "phone": "phone", "phone_end": "phone", "national_id": "national_id",
    "date_of_birth": "date_of_birth", "street": "door", "street_number": "door",
}  # fmt: skip
"""Which kind of hub value a part may be."""


def part(name: str) -> Part:
    """Look up a part by name; an attribute is a part by itself.

    >>> part("attribute_height").needs
    'attribute_height'
    """
    return Part(name, name, f'"{name}"') if name.startswith(_ATTRIBUTE) else PARTS[name]


@dataclass(frozen=True)
class BlockingRule:
    """Records are compared if all the parts of a rule agree; a key that many share must agree on `split_by`, too."""

    parts: tuple[str, ...]
    split_by: str | None = None

    @property
    def name(self) -> str:
        """The rule in words."""
        return "+".join(self.parts)

    @property
    def column(self) -> str:
        """Name of the key column in the feature table."""
        return "block_" + "_and_".join(self.parts) + (f"{_SPLIT}{self.split_by}" if self.split_by else "")

    @classmethod
    def of_column(cls, column: str) -> BlockingRule:
        """Rebuild from the name of its key column.

        >>> BlockingRule.of_column("block_surname_and_city_split_by_birth_year").split_by
        'birth_year'
        """
        parts, _, split_by = column.removeprefix("block_").partition(_SPLIT)
        return cls(tuple(parts.split("_and_")), split_by or None)

    @property
    def text(self) -> str:
        """SQL of what the key is a hash of: all parts as one text, null if any part is missing."""
        return " || '|' || ".join(f"({part(name).sql})" for name in self.parts)

    @property
    def split_text(self) -> str:
        """SQL of what the split key is a hash of."""
        return BlockingRule((*self.parts, self.split_by)).text if self.split_by else "null::varchar"

    @property
    def key(self) -> str:
        """SQL of the key: a hash of all parts, null if any part is missing."""
        return f"case when ({self.text}) is not null then hash({self.text}) end"

    @property
    def split_key(self) -> str:
        """SQL of the key that takes the place of one that too many records share."""
        return BlockingRule((*self.parts, self.split_by)).key if self.split_by else "null::ubigint"

    @property
    def hubs(self) -> tuple[str, ...]:
        """Kinds of hub value that the rule rests on alone."""
        kinds = {HUB_OF.get(name) for name in self.parts}
        return tuple(sorted(kind for kind in kinds if kind)) if len(kinds) == 1 else ()

    def to_dict(self) -> dict[str, object]:
        """The rule as plain JSON."""
        return {"parts": list(self.parts), "split_by": self.split_by}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any] | Collection[str]) -> BlockingRule:
        """Rebuild from `to_dict`, or from the list of parts that c360ml 0.1 wrote.

        >>> BlockingRule.from_dict(["surname", "city"]).split_by is None
        True
        """
        if isinstance(content, Mapping):
            rule = cls(tuple(content["parts"]), content["split_by"])
        else:
            rule = cls(tuple(content))
        for name in (*rule.parts, *filter(None, [rule.split_by])):
            part(name)
        return rule


def available_parts(filled: Collection[str]) -> tuple[str, ...]:
    """Name the parts whose columns hold data.

    >>> available_parts({"email", "attribute_height"})
    ('email', 'email_user', 'attribute_height')
    """
    have = {*filled, *({"words"} if {"surname", "full_name"} & set(filled) else ())}
    attributes = sorted(column for column in filled if column.startswith(_ATTRIBUTE))
    return (*(name for name, each in PARTS.items() if each.needs in have), *attributes)


def candidate_rules(filled: Collection[str]) -> tuple[BlockingRule, ...]:
    """Combine the parts whose columns hold data: known combinations, strong parts alone, any two of different kinds.

    >>> [rule.name for rule in candidate_rules({"email", "city"})][:4]
    ['city', 'email', 'email_user', 'city+email']
    """
    have = available_parts(filled)
    alone = [(name,) for name in have if name in _ALONE or name.startswith(_ATTRIBUTE)]
    known = [parts for parts in _KNOWN if set(parts) <= set(have)]
    known_sets = {frozenset(parts) for parts in known}
    two = [pair for pair in combinations(have, 2) if part(pair[0]).kind != part(pair[1]).kind]
    new = [pair for pair in two if frozenset(pair) not in known_sets]
    return tuple(BlockingRule(parts, _split_by(parts, have)) for parts in (*alone, *known, *new))


def _split_by(parts: tuple[str, ...], have: Collection[str]) -> str | None:
    kinds = {part(name).kind for name in parts}
    kinds |= {"given", "surname"} if "name" in kinds else set()
    kinds |= {"name"} if kinds & {"given", "surname"} else set()
    return next((name for name in _SPLITS if name in have and part(name).kind not in kinds), None)


def within_chance(
    rules: Collection[BlockingRule], agreeing: Mapping[str, float], records: int
) -> tuple[BlockingRule, ...]:
    """Keep the rules that would bring few enough pairs together if their parts agreed independently of each other.

    Args:
        rules: rules to try.
        agreeing: of each part, the share of all pairs that agree on it.
        records: number of records.

    >>> rules = (BlockingRule(("surname",)), BlockingRule(("gender",)))
    >>> [rule.name for rule in within_chance(rules, {"surname": 1e-4, "gender": 0.5}, 10_000)]
    ['surname']
    """
    most = PAIRS_BY_CHANCE_PER_RECORD

    def pairs_per_record(rule: BlockingRule) -> float:
        expected = (records - 1) / 2
        for name in rule.parts:
            expected *= agreeing[name]
        return expected

    return tuple(rule for rule in rules if pairs_per_record(rule) <= most)
