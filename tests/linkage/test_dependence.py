"""Dependence inside a class: measured as a second implementation does, and zero where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from c360ml.linkage.comparisons import EMAIL, SURNAME
from c360ml.linkage.dependence import dependences, mutual_information
from c360ml.linkage.pattern_em import CountedPatterns, level_blocks


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 900), min_size=3, max_size=3), min_size=4, max_size=4))
def test_bits_equal_those_of_a_second_implementation(rows):
    """Mutual information is scikit-learn's, in bits, less the bits that so small a table gives by chance."""
    table = np.array(rows, dtype=float) + 1
    shown = mutual_info_score(None, None, contingency=table) / np.log(2)
    by_chance = 3 * 2 / (2 * table.sum() * np.log(2))

    assert max(shown - by_chance, 0.0) == pytest.approx(mutual_information(table), abs=1e-9)


def test_independent_columns_have_no_bits():
    """Two columns drawn apart from each other show less than a thousandth of a bit."""
    rng = np.random.default_rng(2)
    table = np.histogram2d(rng.integers(0, 4, 50_000), rng.integers(0, 3, 50_000), bins=(4, 3))[0]

    assert mutual_information(table) < 1e-3


def test_missing_values_do_not_count():
    """Pairs that lack one of the two columns are left out of their table."""
    comparisons = (SURNAME, EMAIL)
    digits = np.array([[1, 1], [0, 0], [1, -1], [-1, 1]])
    pairs = np.array([300.0, 200.0, 4000.0, 4000.0])
    patterns = CountedPatterns(comparisons, digits, pairs)
    found = dependences("person", comparisons, level_blocks(comparisons), patterns, pairs)[0]

    assert ("surname", "email", 500.0) == (found.first, found.second, found.pairs)
    assert ("different", "different") == (found.first_level, found.second_level)
    assert found.bits == pytest.approx(0.97, abs=0.01)


def test_few_pairs_tell_nothing():
    """A table of fewer than a hundred pairs is not judged."""
    comparisons = (SURNAME, EMAIL)
    pairs = np.array([40.0, 40.0])
    patterns = CountedPatterns(comparisons, np.array([[1, 1], [0, 0]]), pairs)

    assert [] == dependences("person", comparisons, level_blocks(comparisons), patterns, pairs)
