"""The map of named RFM segments: total, disjoint, narrow before wide."""

from itertools import product

import pytest

from c360ml.segments.rfm_map import RFM_RULES, RFM_SEGMENTS, name_of, segment_by_code

CODES = list(product(range(1, 6), repeat=3))
NAMED, REMAINDER = RFM_RULES[:-4], RFM_RULES[-4:]


def covers(rule, code):
    """Tell whether a rule's box holds a code."""
    return all(low <= score <= high for score, (low, high) in zip(code, rule[1:], strict=True))


def size(rule):
    """Count the codes of a rule's box."""
    _, *ranges = rule
    return (ranges[0][1] - ranges[0][0] + 1) * (ranges[1][1] - ranges[1][0] + 1) * (ranges[2][1] - ranges[2][0] + 1)


def test_each_of_125_codes_has_one_name():
    """Every code has a name of the list, and every name has a code."""
    named = segment_by_code(5)

    assert 125 == len(named)
    assert set(RFM_SEGMENTS) == set(named.values())


def test_narrow_rules_come_first():
    """A box never stands before one that covers fewer codes, so that the narrower wins."""
    sizes = [size(rule) for rule in NAMED]

    assert sorted(sizes) == sizes


def test_every_rule_is_reached():
    """No rule is hidden behind those before it."""
    first = {next(i for i, rule in enumerate(RFM_RULES) if covers(rule, code)) for code in CODES}

    assert set(range(len(RFM_RULES))) == first


def test_remainder_is_as_counted():
    """Just 36 codes lie in no published box, all of them frequent but cheap, or rare but dear."""
    left = [code for code in CODES if not any(covers(rule, code) for rule in NAMED)]

    assert 36 == len(left)
    assert all(min(f, m) <= 2 < max(f, m) for _, f, m in left)
    assert all(sum(covers(rule, code) for rule in REMAINDER) == 1 for code in CODES)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ((5, 5, 5), "Champions"),
        ((4, 4, 4), "Champions"),
        ((3, 5, 5), "Loyal"),
        ((5, 3, 4), "Loyal"),
        ((5, 2, 2), "Potential Loyalist"),
        ((5, 1, 1), "New"),
        ((3, 1, 1), "Promising"),
        ((3, 3, 3), "Need Attention"),
        ((2, 1, 1), "About To Sleep"),
        ((2, 4, 4), "At Risk"),
        ((1, 3, 3), "At Risk"),
        ((1, 5, 5), "Can't Lose Them"),
        ((1, 1, 1), "Lost"),
        ((5, 1, 5), "Potential Loyalist"),
        ((1, 5, 1), "Lost"),
    ],
)
def test_names_by_hand(code, name):
    """Codes that marketing people know have the names they know."""
    assert name == name_of(*code)


@pytest.mark.parametrize("bands", range(2, 10))
def test_other_numbers_of_bands(bands):
    """With any number of bands all codes are named, the best ones Champions and the worst Lost."""
    named = segment_by_code(bands)

    assert bands**3 == len(named)
    assert ("Champions", "Lost") == (named[str(bands) * 3], named["111"])
