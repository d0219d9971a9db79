"""The report of a fit: it names what cannot be trusted, and only that."""

from dataclasses import replace

import numpy as np
import pytest
from planted_patterns import ALL_PAIRS, COMPARISONS, digit, planted_patterns

from c360ml.linkage import latent_classes
from c360ml.linkage.comparisons import EMAIL, GIVEN_NAME, SURNAME
from c360ml.linkage.em_report import FittedClasses, report_on
from c360ml.linkage.em_starts import StartResult
from c360ml.linkage.latent_classes import LatentClasses
from c360ml.linkage.pattern_em import EmRun

GIVEN, LAST, MAIL = (digit(each, each.labels[0]) for each in (GIVEN_NAME, SURNAME, EMAIL))
"""The best level of each."""


@pytest.fixture(scope="module")
def fitted():
    """What `report_on` was given for a planted file with persons, households and strangers."""
    return caught(*counted(planted_patterns(seed=5)))


def counted(planted):
    digits, _, random = planted
    patterns, counts = np.unique(digits, axis=0, return_counts=True)
    random_patterns, random_counts = np.unique(random, axis=0, return_counts=True)
    return COMPARISONS, patterns, counts.astype(float), random_patterns, random_counts.astype(float), ALL_PAIRS


def caught(comparisons, patterns, counts, random_patterns, random_counts, all_pairs) -> FittedClasses:
    """Fit, and keep what the report is made of."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_classes, "report_on", lambda fitted: seen.append(fitted) or report_on(fitted))
        LatentClasses(comparisons).fit(patterns, counts, random_patterns, random_counts, all_pairs=all_pairs)
    return seen[0]


def warnings(fitted, topic):
    return [each.finding for each in report_on(fitted) if each.severity == "warning" and each.topic == topic]


def test_a_sound_fit_has_no_warning(fitted):
    """Independent comparisons, enough pairs and one optimum: nothing to warn of."""
    assert [] == [each.finding for each in report_on(fitted) if each.severity == "warning"]


def test_every_finding_says_what_to_do(fitted):
    """Each finding is a sentence with a remedy, and plain JSON."""
    for each in report_on(fitted):
        assert {"severity", "topic", "finding", "what_to_do"} == each.to_dict().keys()
        assert each.finding.endswith(".")
        assert each.what_to_do


def test_running_out_of_iterations_is_never_called_convergence(fitted):
    """A run that stopped at the last iteration is reported as not converged."""
    stopped = replace(fitted, run=EmRun(fitted.run.mixture, (), 1000, converged=False))

    assert len(warnings(stopped, "convergence")) == 1
    assert "converged in" not in " ".join(each.finding for each in report_on(stopped))


def test_iterations_that_run_out_mark_the_model(monkeypatch):
    """`converged_` is false if EM was stopped, whatever the report says."""
    monkeypatch.setattr("c360ml.linkage.em_starts.MOST_ITERATIONS", 3)
    _, *patterns, all_pairs = counted(planted_patterns(seed=5))
    model = LatentClasses(COMPARISONS).fit(*patterns, all_pairs=all_pairs)

    assert not model.converged_
    assert any(each.severity == "warning" and each.topic == "convergence" for each in model.report_)


def test_starts_that_disagree_are_warned_of(fitted):
    """Two answers that are about as likely but differ by a tenth in persons are not silently one."""
    one, other = (1000.0, 10.0, 0.0, 0.0), (1100.0, 10.0, 0.0, 0.0)
    starts = (StartResult("anchored", -500.0, one, 9, True), StartResult("shaken", -501.0, other, 9, False))

    assert "differ by 9.1%" in warnings(replace(fitted, starts=starts), "starts")[0]


def test_an_unlikely_start_does_not_alarm(fitted):
    """A start that ended far below the best in likelihood says nothing against the best."""
    one, other = (1000.0, 10.0, 0.0, 0.0), (1100.0, 10.0, 0.0, 0.0)
    starts = (StartResult("anchored", -500.0, one, 9, True), StartResult("shaken", -900.0, other, 9, False))

    assert [] == warnings(replace(fitted, starts=starts), "starts")


def test_dropped_classes_are_named(fitted):
    """A class that the data do not hold is in the report, by name."""
    notes = " ".join(each.finding for each in report_on(fitted) if each.topic == "classes")

    assert "Class namesake is not in use" in notes
    assert "Class household is not in use" not in notes


def test_a_comparison_filled_in_few_pairs_is_named():
    """E-mail that is nearly always missing cannot be learnt, and the report says so."""
    comparisons = (GIVEN_NAME, SURNAME, EMAIL)
    patterns = np.array([[GIVEN, LAST, -1], [GIVEN, LAST, MAIL], [0, 0, -1], [0, LAST, -1], [GIVEN, 0, -1]])
    counts = np.array([900.0, 5.0, 8000.0, 30.0, 30.0])
    random = np.array([[0, 0, -1], [0, 0, 0], [GIVEN, 0, -1], [0, LAST, -1]])
    weak = caught(comparisons, patterns, counts, random, np.array([90_000.0, 500.0, 200.0, 100.0]), 1e6)

    assert any("Comparison email" in each for each in warnings(weak, "levels"))
    assert not any("Comparison surname" in each for each in warnings(weak, "levels"))


def test_levels_that_rest_on_the_prior_are_named():
    """A level that no person shows is named, one that many show is not."""
    comparisons = (GIVEN_NAME, SURNAME)
    common, alike = digit(GIVEN_NAME, "same, common"), digit(GIVEN_NAME, "spelled alike")
    patterns = np.array([[GIVEN, LAST], [common, LAST], [0, 0], [alike, LAST]])
    counts = np.array([900.0, 300.0, 8000.0, 200.0])
    random = np.array([[0, 0], [common, 0], [alike, 0], [0, LAST]])
    found = caught(comparisons, patterns, counts, random, np.array([90_000.0, 200.0, 100.0, 300.0]), 1e6)
    note = next(each.finding for each in report_on(found) if each.finding.startswith("Class person: fewer"))

    assert "given_name 'initial'" in note or "more" in note
    assert "given_name 'same, rare'" not in note
    assert "given_name 'spelled alike'" not in note


def test_the_best_level_must_not_weigh_less():
    """If the best agreement speaks less for a person than a worse one, the report names both levels."""
    comparisons = (GIVEN_NAME, SURNAME)
    # "same, rare" is as common among strangers as among persons; "nickname" is not.
    nickname = digit(GIVEN_NAME, "nickname")
    patterns = np.array([[GIVEN, LAST], [nickname, LAST], [0, LAST], [GIVEN, 0], [0, 0]])
    counts = np.array([1000.0, 1000.0, 100.0, 3000.0, 5000.0])
    random = np.array([[GIVEN, 0], [nickname, 0], [0, 0], [0, LAST]])
    found = caught(comparisons, patterns, counts, random, np.array([50_000.0, 50.0, 50_000.0, 100.0]), 1e6)

    assert any("'same, rare' speaks" in each and "'nickname'" in each for each in warnings(found, "levels"))


def test_dependent_comparisons_are_named():
    """Names that are swapped together in the same pairs are warned of, with both comparisons."""
    comparisons = (GIVEN_NAME, SURNAME, EMAIL)
    given, last = digit(GIVEN_NAME, "swapped with surname"), digit(SURNAME, "swapped with given name")
    patterns = np.array([[GIVEN, LAST, MAIL], [given, last, MAIL], [0, 0, 0], [GIVEN, 0, 0], [0, LAST, 0]])
    counts = np.array([1000.0, 1000.0, 5000.0, 20.0, 20.0])
    random = np.array([[0, 0, 0], [GIVEN, 0, 0], [0, LAST, 0], [given, 0, 0], [0, last, 0]])
    found = caught(comparisons, patterns, counts, random, np.array([90_000.0, 200.0, 200.0, 99.0, 99.0]), 1e6)

    assert any("given_name and surname go together" in each for each in warnings(found, "dependence"))
    assert not any("email" in each for each in warnings(found, "dependence"))
