"""The mixture of kinds of pairs: planted truth is found, households are not people."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_patterns import ALL_PAIRS, COMPARISONS, PLANTED, planted_patterns

from c360ml.errors import ModelError, NotFittedError
from c360ml.linkage.comparisons import EMAIL, SURNAME
from c360ml.linkage.latent_classes import CLASS_NAMES, LatentClasses


@pytest.fixture(scope="module")
def planted():
    """Persons, households, and all unrelated pairs of a file, blocked; date of birth is mostly missing."""
    return planted_patterns(seed=5)


def best_possible(digits):
    """Probability of a person for who knows the planted parameters: no rule can be better on average."""
    logs = []
    for pairs, agreement in PLANTED.values():
        log = np.full(len(digits), np.log(pairs))
        for column, probability in zip(digits.T, agreement, strict=True):
            log += np.select([column > 0, column == 0], [np.log(probability), np.log(1 - probability)], 0.0)
        logs.append(log)
    return 1 / np.exp(np.stack(logs) - logs[0]).sum(axis=0)


def fit(digits, random):
    patterns, counts = np.unique(digits, axis=0, return_counts=True)
    random_patterns, random_counts = np.unique(random, axis=0, return_counts=True)
    return LatentClasses(COMPARISONS).fit(
        patterns, counts.astype(float), random_patterns, random_counts.astype(float), all_pairs=ALL_PAIRS
    )


def test_households_are_told_from_people_as_well_as_can_be(planted):
    """Learnt without labels, the classes make at most a tenth more errors than the planted parameters would."""
    digits, kind, random = planted
    probability = fit(digits, random).class_probabilities(digits)[:, 0]

    errors = ((probability >= 0.5) != (kind == "person")).sum()
    unavoidable = ((best_possible(digits) >= 0.5) != (kind == "person")).sum()

    assert errors <= 1.1 * unavoidable
    assert ((probability >= 0.5) & (kind == "household")).sum() < 0.05 * (kind == "household").sum()


def test_class_sizes_are_recovered(planted):
    """The numbers of person and household pairs come out as planted."""
    digits, kind, random = planted
    sizes = dict(zip(CLASS_NAMES, fit(digits, random).pairs_, strict=True))

    assert (kind == "person").sum() == pytest.approx(sizes["person"], rel=0.05)
    assert (kind == "household").sum() == pytest.approx(sizes["household"], rel=0.05)


def test_probabilities_are_calibrated(planted):
    """Of the pairs scored p, a share p is true, within three points on average."""
    digits, kind, random = planted
    probability = fit(digits, random).class_probabilities(digits)[:, 0]
    bins = np.minimum((probability * 20).astype(int), 19)

    error = sum(abs(probability[bins == each].sum() - (kind == "person")[bins == each].sum()) for each in range(20))

    assert error / len(digits) < 0.03


def test_a_file_without_households_leaves_the_class_small(planted):
    """Where nobody shares a household, damaged records of one person are not called one."""
    digits, kind, random = planted
    sizes = dict(zip(CLASS_NAMES, fit(digits[kind == "person"], random).pairs_, strict=True))

    assert sizes["household"] < 0.05 * sizes["person"]


def test_weights_are_the_log_odds_of_the_probabilities(planted):
    """A match weight is log2 of the odds of person against all other classes."""
    digits, _, random = planted
    model = fit(digits, random)
    some = np.unique(digits, axis=0)
    probability = model.class_probabilities(some)[:, 0]

    odds = np.log2(probability / (1 - probability))
    fine = probability < 0.999999

    assert np.allclose(odds[fine], model.match_weights(some)[fine], atol=1e-6)


def test_counts_stand_for_repeated_pairs(planted):
    """Fitting on counted patterns equals fitting on the pairs one by one."""
    digits, _, random = planted
    few = random[:20_000]
    one_by_one = LatentClasses(COMPARISONS).fit(
        digits, np.ones(len(digits)), few, np.ones(len(few)), all_pairs=ALL_PAIRS
    )

    assert np.allclose(fit(digits, few).levels_, one_by_one.levels_, atol=1e-8)


def test_json_round_trip_keeps_every_weight(planted):
    """A model read back from JSON scores exactly as before."""
    digits, _, random = planted
    model = fit(digits, random)
    again = LatentClasses.from_dict(COMPARISONS, json.loads(json.dumps(model.to_dict())))

    assert np.array_equal(model.match_weights(digits), again.match_weights(digits))


def test_a_damaged_model_is_refused(planted):
    """A model file without one of its levels is refused by name."""
    digits, _, random = planted
    content = fit(digits, random).to_dict()
    del content["levels"]["household"]["surname"]

    with pytest.raises(ModelError, match="surname"):
        LatentClasses.from_dict(COMPARISONS, content)


def test_unfitted_model_says_so():
    """Asking before fit is an error that says to call fit."""
    with pytest.raises(NotFittedError, match="fit"):
        LatentClasses(COMPARISONS).match_weights(np.zeros((1, 5), dtype=int))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 1), min_size=2, max_size=2), min_size=1, max_size=30))
def test_any_patterns_give_probabilities(rows):
    """Whatever the patterns, however few, class probabilities are finite and sum to one."""
    comparisons = (SURNAME, EMAIL)
    digits = np.array(rows)
    counts = np.ones(len(rows))
    model = LatentClasses(comparisons).fit(digits, counts, digits, counts, all_pairs=100.0)
    probabilities = model.class_probabilities(digits)

    assert np.isfinite(probabilities).all()
    assert np.allclose(1.0, probabilities.sum(axis=1))


def test_a_class_without_pairs_is_not_in_use(planted):
    """Among pairs that are one person each, all other classes are dropped, and hold no pair."""
    digits, kind, random = planted
    model = fit(digits[kind == "person"], random)

    assert ("person", "unrelated") == model.classes_in_use_
    assert {"household": 0.0, "namesake": 0.0, "contact": 0.0}.items() <= model.pairs_by_class_.items()
    assert model.class_probabilities(digits)[:, 1:4].max() < 1e-200


def test_a_class_with_pairs_stays_in_use(planted):
    """Planted households keep their class."""
    digits, _, random = planted

    assert {"person", "household", "unrelated"} <= set(fit(digits, random).classes_in_use_)


def test_classes_that_cannot_be_told_apart_are_one():
    """With a surname and an e-mail alone, a household looks as a person does, so there is no such class."""
    digits = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
    counts = np.array([500.0, 300.0, 200.0, 9000.0])
    model = LatentClasses((SURNAME, EMAIL)).fit(digits, counts, digits[3:], counts[3:], all_pairs=1e6)

    assert "household" not in model.classes_in_use_
    assert any("cannot tell it from person" in each.finding for each in model.report_)


def test_a_dropped_class_survives_json(planted):
    """A model with a class not in use is the same after JSON, report and starts included."""
    digits, kind, random = planted
    model = fit(digits[kind == "person"], random)
    again = LatentClasses.from_dict(COMPARISONS, json.loads(json.dumps(model.to_dict())))

    assert model.to_dict() == again.to_dict()
    assert np.array_equal(model.match_weights(digits), again.match_weights(digits))
