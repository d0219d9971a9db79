"""Uplift: published intervals, and what any interval of a difference must obey."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c360ml.campaigns import uplift_interval
from c360ml.errors import DataError


@st.composite
def groups(draw):
    """Draw converted and size of a group."""
    n = draw(st.integers(1, 10_000))
    return draw(st.integers(0, n)), n


@pytest.mark.parametrize(
    ("counts", "published"),
    [
        ((56, 70, 48, 80), (0.2, 0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.6, 0.1705, 0.8090)),
        ((6, 7, 2, 7), (0.5714, 0.0582, 0.8062)),
        ((5, 56, 0, 29), (0.0893, -0.0381, 0.1926)),
        ((0, 10, 0, 20), (0.0, -0.1611, 0.2775)),
        ((0, 10, 0, 10), (0.0, -0.2775, 0.2775)),
        ((10, 10, 0, 20), (1.0, 0.6791, 1.0)),
        ((10, 10, 0, 10), (1.0, 0.6075, 1.0)),
    ],
)
def test_newcombe_1998(counts, published):
    """The eight contrasts of Newcombe's table II, method 10, come out to the last printed digit."""
    expected = pytest.approx(published, abs=0.5e-4)

    assert expected == uplift_interval(*counts)


@given(groups(), groups())
def test_interval_holds_the_difference(treated, control):
    """The interval holds the difference and stays between -1 and 1."""
    difference, low, high = uplift_interval(*treated, *control)

    assert -1 - 1e-12 <= low <= difference <= high <= 1 + 1e-12


@given(groups(), groups())
def test_swapping_groups_turns_the_sign(treated, control):
    """Swapping both groups mirrors the interval at zero."""
    difference, low, high = uplift_interval(*treated, *control)

    assert (-difference, -high, -low) == pytest.approx(uplift_interval(*control, *treated), abs=1e-12)


@pytest.mark.parametrize("counts", [(0, 0, 1, 2), (1, 2, 0, 0), (3, 2, 1, 2), (-1, 2, 1, 2)])
def test_impossible_counts(counts):
    """An empty group, or more conversions than customers, is an error that says so."""
    with pytest.raises(DataError, match="both groups must hold customers"):
        uplift_interval(*counts)
