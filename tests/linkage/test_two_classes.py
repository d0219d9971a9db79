"""Fellegi and Sunter's two classes: selectable, with the same questions and answers as the latent classes."""

import json
import math

import duckdb
import numpy as np
import pandas as pd
import pytest
from couples import COUPLE_ROLES, make_couples
from planted_patterns import ALL_PAIRS, COMPARISONS, digit, planted_patterns

from c360ml import LinkageModel, standardize_records
from c360ml.errors import ConfigError
from c360ml.linkage.comparisons import SURNAME
from c360ml.linkage.latent_classes import LatentClasses
from c360ml.linkage.online import OnlineScorer
from c360ml.linkage.two_classes import TwoClasses


@pytest.fixture(scope="module")
def records():
    return standardize_records(make_couples(30, seed=2), id="id", columns=COUPLE_ROLES)


@pytest.fixture(scope="module")
def model(records):
    return LinkageModel(classes="two").fit(records)


def test_u_is_how_often_random_pairs_agree():
    """The unrelated levels are the shares of random pairs; no candidate pair moves them."""
    digits, _, random = planted_patterns(seed=5)
    patterns, counts = np.unique(digits, axis=0, return_counts=True)
    random_patterns, random_counts = np.unique(random, axis=0, return_counts=True)
    fitted = TwoClasses(COMPARISONS).fit(
        patterns, counts.astype(float), random_patterns, random_counts.astype(float), all_pairs=ALL_PAIRS
    )
    surname = fitted.level_probabilities("unrelated", "surname")
    known = random[:, 1] >= 0

    assert (random[:, 1] == digit(SURNAME, "same, rare")).sum() / known.sum() == pytest.approx(
        surname["same, rare"], abs=1e-5
    )
    assert ("person", "unrelated") == fitted.classes_in_use_


def test_weights_are_sums_of_m_over_u(model):
    """A match weight is the prior's log2 odds and log2 of m / u of each comparison, as the waterfall shows."""
    pair = model.predict().iloc[0]
    steps = model.explain(pair["record_id_l"], pair["record_id_r"])
    classes = model.classes_
    prior = math.log2(classes.pairs_[0] / classes.pairs_[1])
    expected = [prior]
    for step in steps[1:-1]:
        m, u = (classes.level_probabilities(name, step["step"]) for name in ("person", "unrelated"))
        expected.append(0.0 if step["level"] == "missing" else math.log2(m[step["level"]] / u[step["level"]]))

    assert expected == pytest.approx([step["weight"] for step in steps[:-1]], abs=1e-9)
    assert sum(expected) == pytest.approx(pair["match_weight"], abs=1e-9)


def test_there_are_no_households(model):
    """Two classes know persons and strangers, so no pair is probably of one household."""
    assert (model.predict()["household_probability"] == 0).all()
    assert ["person", "unrelated"] == list(model.summary()["pairs_by_class"])


def test_two_classes_take_households_for_persons():
    """Of planted households the two classes call most one person, the latent classes hardly any."""
    digits, kind, random = planted_patterns(seed=5)
    patterns, counts = np.unique(digits, axis=0, return_counts=True)
    random_patterns, random_counts = np.unique(random, axis=0, return_counts=True)
    merged = []
    for model in (TwoClasses(COMPARISONS), LatentClasses(COMPARISONS)):
        model.fit(patterns, counts.astype(float), random_patterns, random_counts.astype(float), all_pairs=ALL_PAIRS)
        merged.append((model.match_weights(digits[kind == "household"]) > 0).mean())

    assert merged[0] > 0.8
    assert merged[1] < 0.05


def test_json_round_trip(records, model):
    """A two-class model read back from JSON is one, and scores as before."""
    again = LinkageModel.from_dict(json.loads(json.dumps(model.to_dict())))

    assert again.classes == "two"
    pd.testing.assert_frame_equal(model.predict(), again.score(records).predict())


def test_single_records_are_scored(model):
    """The online scorer takes a two-class model."""
    scorer = OnlineScorer(model.to_dict())
    digits = np.full((1, len(model.comparisons_)), -1)

    assert model.classes_.match_weights(digits) == pytest.approx(scorer.match_weights(digits))


def test_an_unknown_kind_is_refused():
    """Only the kinds of classes that there are can be asked for."""
    with pytest.raises(ConfigError, match="latent"):
        LinkageModel(classes="three")


@pytest.mark.parametrize("classes", ["latent", "two"])
def test_threads_and_row_order_change_nothing(records, classes):
    """One thread or two, rows as they come or shuffled: the same model to the last bit, report and starts included."""
    fits = []
    for threads, rows in ((1, records), (2, records.sample(frac=1, random_state=1))):
        con = duckdb.connect()
        con.execute(f"set threads = {threads}").fetchall()
        fits.append(json.dumps(LinkageModel(classes=classes).fit(rows, con=con).to_dict()))

    assert fits[0] == fits[1]


def test_the_report_is_part_of_the_summary(model):
    """What the fit says of itself is in the summary and in the model file."""
    report = model.fit_report()

    assert report == model.summary()["fit_report"]
    assert report == LinkageModel.from_dict(model.to_dict()).fit_report()
    assert any(each["topic"] == "convergence" for each in report)
