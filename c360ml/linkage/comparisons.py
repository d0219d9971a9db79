"""What is compared: one comparison per kind of evidence, each a list of levels from best to worst.

Conditions are DuckDB SQL over the left and right record (`given_name_l`, `given_name_r`). Which comparisons
apply follows from which columns hold data. Levels that name a rarity are term frequencies as data: agreement
on a rare surname and on a common one are different levels, so every class learns its own weight for each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """One degree of agreement: its label, the SQL condition that recognises it, and whether it is full agreement."""

    label: str
    condition: str
    full: bool = False


@dataclass(frozen=True)
class Comparison:
    """One kind of evidence. A pair for which `missing` is true says nothing about it."""

    name: str
    missing: str
    levels: tuple[Level, ...]

    @property
    def full(self) -> tuple[bool, ...]:
        """Which levels are full agreement, from worst to best, in step with an agreement pattern's digit."""
        return (False, *(level.full for level in reversed(self.levels)))

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels from best to worst; the last is what no condition recognised."""
        return (*(level.label for level in self.levels), "different")


def _missing(*columns: str) -> str:
    return " or ".join(f"{column}_{side} is null" for column in columns for side in "lr")


def _by_rarity(label: str, column: str, condition: str, *, full: bool = True) -> tuple[Level, ...]:
    return (
        Level(f"{label}, rare", f"{condition} and {column}_rarity_l = 2", full),
        Level(f"{label}, uncommon", f"{condition} and {column}_rarity_l = 1", full),
        Level(f"{label}, common", condition, full),
    )


_SWAPPED = "given_name_l = surname_r and surname_l = given_name_r"
_INITIAL = "(length(given_name_l) = 1 or length(given_name_r) = 1) and left(given_name_l, 1) = left(given_name_r, 1)"
_SHARED_FORMAL_NAME = (
    "length(given_name_l) > 1 and (given_name_canonical_l = given_name_canonical_r"
    " or list_has_any(given_name_groups_l, given_name_groups_r))"
)
_GOES_BY_MIDDLE_NAME = (
    "(given_name_l = middle_name_r and length(given_name_l) > 1)"
    " or (middle_name_l = given_name_r and length(given_name_r) > 1)"
)
_WRITTEN_TOGETHER = "given_name_l || middle_name_l = given_name_r or given_name_r || middle_name_r = given_name_l"
_FORMER_SURNAME = (
    "surname_l = maiden_name_r or maiden_name_l = surname_r or surname_l = middle_name_r or middle_name_l = surname_r"
)
_MIDDLE_INITIAL = (
    "(length(middle_name_l) = 1 or length(middle_name_r) = 1) and left(middle_name_l, 1) = left(middle_name_r, 1)"
)

GIVEN_NAME = Comparison(
    "given_name",
    _missing("given_name"),
    (
        *_by_rarity("same", "given_name", "given_name_l = given_name_r and length(given_name_l) > 1"),
        Level("nickname", _SHARED_FORMAL_NAME),
        Level("swapped with surname", _SWAPPED),
        Level("middle name of the other", _GOES_BY_MIDDLE_NAME),
        Level("initial", _INITIAL),
        Level("spelled alike", f"jaro_winkler_similarity(given_name_l, given_name_r) >= 0.9 or {_WRITTEN_TOGETHER}"),
        Level(
            "sounds alike",
            "jaro_winkler_similarity(given_name_l, given_name_r) >= 0.8"
            " or given_name_phonetic_l = given_name_phonetic_r",
        ),
    ),
)
SURNAME = Comparison(
    "surname",
    _missing("surname"),
    (
        *_by_rarity("same", "surname", "surname_l = surname_r"),
        Level("swapped with given name", _SWAPPED),
        Level("maiden or middle name of the other", _FORMER_SURNAME),
        Level("spelled alike", "jaro_winkler_similarity(surname_l, surname_r) >= 0.92"),
        Level(
            "part of the other",
            "least(length(surname_l), length(surname_r)) >= 4"
            " and (starts_with(surname_l, surname_r) or starts_with(surname_r, surname_l)"
            " or ends_with(surname_l, ' ' || surname_r) or ends_with(surname_r, ' ' || surname_l))",
        ),
        Level("a part in common", "list_has_any(surname_parts_l, surname_parts_r)"),
        Level(
            "sounds alike",
            "surname_phonetic_l = surname_phonetic_r or jaro_winkler_similarity(surname_l, surname_r) >= 0.85",
        ),
        Level("same maiden name", "maiden_name_l = maiden_name_r"),
    ),
)
FULL_NAME = Comparison(
    "full_name",
    _missing("full_name"),
    (
        *_by_rarity("same", "full_name", "full_name_l = full_name_r"),
        Level("same words", "name_words_l = name_words_r"),
        Level(
            "most words",
            "len(list_intersect(name_words_l, name_words_r)) * 1.0"
            " / len(list_distinct(name_words_l || name_words_r)) >= 0.6",
        ),
        Level(
            "all words of the shorter",
            "len(list_intersect(name_words_l, name_words_r)) = least(len(name_words_l), len(name_words_r))",
        ),
        Level("spelled alike", "jaro_winkler_similarity(full_name_l, full_name_r) >= 0.9"),
        Level("a word in common", "len(list_intersect(name_words_l, name_words_r)) >= 1"),
    ),
)
MIDDLE_NAME = Comparison(
    "middle_name",
    _missing("middle_name"),
    (
        Level("same", "middle_name_l = middle_name_r and length(middle_name_l) > 1", full=True),
        Level("initial", f"middle_name_l = middle_name_r or {_MIDDLE_INITIAL}"),
        Level("spelled alike", "jaro_winkler_similarity(middle_name_l, middle_name_r) >= 0.85"),
        Level("a name in common", "list_has_any(middle_names_l, middle_names_r)"),
        Level("same initial", "left(middle_name_l, 1) = left(middle_name_r, 1)"),
    ),
)
SUFFIX = Comparison("suffix", _missing("suffix"), (Level("same", "suffix_l = suffix_r", full=True),))
DATE_OF_BIRTH = Comparison(
    "date_of_birth",
    _missing("date_of_birth"),
    (
        Level("same", "date_of_birth_l = date_of_birth_r", full=True),
        Level("one slip", "damerau_levenshtein(date_of_birth_l, date_of_birth_r) <= 1"),
        Level(
            "day and month swapped",
            "date_of_birth_l[1:4] = date_of_birth_r[1:4] and date_of_birth_l[6:7] = date_of_birth_r[9:10]"
            " and date_of_birth_l[9:10] = date_of_birth_r[6:7]",
        ),
        Level(
            "two of three parts",
            "(date_of_birth_l[1:4] = date_of_birth_r[1:4])::int"
            " + (date_of_birth_l[6:7] = date_of_birth_r[6:7])::int"
            " + (date_of_birth_l[9:10] = date_of_birth_r[9:10])::int >= 2"
            " or damerau_levenshtein(date_of_birth_l, date_of_birth_r) <= 2",
        ),
        Level("same year", "date_of_birth_l[1:4] = date_of_birth_r[1:4]"),
        Level(
            "within ten years",
            "abs(try_cast(date_of_birth_l[1:4] as int) - try_cast(date_of_birth_r[1:4] as int)) <= 10",
        ),
    ),
)
NATIONAL_ID = Comparison(
    "national_id",
    _missing("national_id"),
    (
        Level("same", "national_id_l = national_id_r", full=True),
        Level("one slip", "damerau_levenshtein(national_id_l, national_id_r) <= 1"),
        Level("two slips", "damerau_levenshtein(national_id_l, national_id_r) <= 2"),
    ),
)
EMAIL = Comparison(
    "email",
    _missing("email"),
    (
        Level("same", "email_l = email_r and email_names_l <= 1", full=True),
        Level("same, shared by a few", "email_l = email_r and email_names_l <= 4", full=True),
        Level("same, shared by many", "email_l = email_r", full=True),
        Level(
            "same before the @",
            "split_part(email_l, '@', 1) = split_part(email_r, '@', 1) and length(split_part(email_l, '@', 1)) > 4",
        ),
        Level("spelled alike", "jaro_winkler_similarity(email_l, email_r) >= 0.92"),
    ),
)
# One slip leaves the start or the end of a number of ten digits as it is; the distance costs ten times the check.
_ONE_SLIP_POSSIBLE = "(left(phone_l, 5) = left(phone_r, 5) or right(phone_l, 4) = right(phone_r, 4))"
_ONE_SLIP = "damerau_levenshtein(phone_l, phone_r) <= 1"
PHONE = Comparison(
    "phone",
    _missing("phone"),
    (
        Level("same", "phone_l = phone_r and phone_names_l <= 1", full=True),
        Level("same, shared by a few", "phone_l = phone_r and phone_names_l <= 4", full=True),
        Level("same, shared by many", "phone_l = phone_r", full=True),
        Level("one slip", f"right(phone_l, 7) = right(phone_r, 7) or ({_ONE_SLIP_POSSIBLE} and {_ONE_SLIP})"),
    ),
)
_SAME_STREET = "street_l = street_r and street_number_l = street_number_r"
_CROWDED = "coalesce(city_l = city_r and street_names_l > 1, false)"
STREET = Comparison(
    "street",
    _missing("street"),
    (
        Level("same door", f"{_SAME_STREET} and unit_l = unit_r", full=True),
        Level("same house, unit differs", f"{_SAME_STREET} and unit_l <> unit_r", full=True),
        Level("same house", f"{_SAME_STREET} and not {_CROWDED}", full=True),
        Level("same house, shared by many", _SAME_STREET, full=True),
        Level(
            "almost the same house",
            "(street_number_l = street_number_r and jaro_winkler_similarity(street_l, street_r) >= 0.88)"
            " or (street_l = street_r and (damerau_levenshtein(street_number_l, street_number_r) <= 1"
            " or street_number_l is null or street_number_r is null))",
        ),
        Level("same street", "street_l = street_r"),
    ),
)
PLACE = Comparison(
    "place",
    "(postcode_l is null or postcode_r is null) and (city_l is null or city_r is null)",
    (
        *_by_rarity("same postcode", "postcode", "postcode_l = postcode_r"),
        Level("postcode one slip", "damerau_levenshtein(postcode_l, postcode_r) <= 1 and city_l = city_r"),
        *_by_rarity("same city", "city", "city_l = city_r", full=False),
        Level(
            "near or spelled alike",
            "left(postcode_l, 3) = left(postcode_r, 3) or jaro_winkler_similarity(city_l, city_r) >= 0.88",
        ),
    ),
)
GENDER = Comparison("gender", _missing("gender"), (Level("same", "gender_l = gender_r", full=True),))


def attribute_comparison(column: str) -> Comparison:
    """Compare a column whose meaning is not known: same, by rarity, or spelled alike."""
    return Comparison(
        column,
        _missing(column),
        (
            *_by_rarity("same", column, f"{column}_l = {column}_r"),
            Level("spelled alike", f"jaro_winkler_similarity({column}_l, {column}_r) >= 0.88"),
        ),
    )


_BY_COLUMN = (
    ("given_name", GIVEN_NAME),
    ("surname", SURNAME),
    ("middle_name", MIDDLE_NAME),
    ("suffix", SUFFIX),
    ("date_of_birth", DATE_OF_BIRTH),
    ("national_id", NATIONAL_ID),
    ("email", EMAIL),
    ("phone", PHONE),
    ("street", STREET),
    ("gender", GENDER),
)


def choose_comparisons(filled: Collection[str]) -> tuple[Comparison, ...]:
    """Choose the comparisons that the filled columns allow.

    >>> [comparison.name for comparison in choose_comparisons({"surname", "email"})]
    ['surname', 'email']
    """
    chosen = [comparison for column, comparison in _BY_COLUMN if column in filled]
    if {"postcode", "city"} & set(filled):
        chosen.append(PLACE)
    chosen.extend(attribute_comparison(column) for column in sorted(filled) if column.startswith("attribute_"))
    if "full_name" in filled:
        chosen.append(FULL_NAME)
    return tuple(chosen)
