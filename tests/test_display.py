"""What notebooks show of models and answers: readable, escaped, and nothing more than the object says of itself."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c360ml import BgNbd, GammaGamma, KMeansSegmenter, LinkageModel, RfmScorer, standardize_records
from c360ml.customer_value.value_intervals import ValueIntervals
from c360ml.display import as_setting, facts, heading, note, table, weights
from c360ml.identity import Resolution
from c360ml.identity.id_story import IdStory, StoryEvent
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.evaluation_result import Evaluation
from c360ml.pipeline.notebook_progress import NotebookProgress, usual_watcher
from c360ml.pipeline.run import RunResult, StepResult, Watcher
from c360ml.segments import ValueTiers

ATTACK = '<script>alert("x")</script><img src=x onerror=alert(1)>'
TAGS = {"div", "p", "b", "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li"}
UNFITTED = (
    LinkageModel(),
    BgNbd(),
    GammaGamma(),
    RfmScorer(),
    KMeansSegmenter(),
    ValueTiers(),
)


class Reader(HTMLParser):
    """Reads HTML into its tags, their attributes and its text; refuses what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag, attrs):
        self._open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert tag == self._open.pop()

    def handle_data(self, data):
        self.text += f"{data} "


def read(shown: object) -> Reader:
    found = Reader(shown._repr_html_())
    assert found.tags <= TAGS
    assert found.attributes <= {"style"}
    return found


@pytest.fixture(scope="module")
def history():
    return pd.DataFrame(
        {
            "repeat_purchases": [0, 1, 2, 6, 0, 3],
            "mean_spend": [None, 22.5, 70.0, 31.0, None, 35.0],
            "first_to_last_purchase_weeks": [0.0, 5.0, 30.4, 38.0, 0.0, 12.0],
            "age_weeks": [38.9, 38.9, 38.9, 39.0, 30.0, 36.0],
            "weight": [1411, 439, 214, 64, 300, 90],
        }
    )


@given(st.text(max_size=300))
def test_no_text_becomes_markup(text):
    """Whatever text is shown, only the tags of the writer itself are in the page."""
    html = "".join(
        [
            heading(text),
            note(text),
            table([text], [[text]], caption=text),
            facts({text: text}),
            weights([(text, text, 1)]),
        ]
    )
    assert Reader(html).tags <= TAGS


def test_names_and_values_are_escaped():
    """Column names and values that hold markup are shown as text."""
    html = table([ATTACK], [[ATTACK]], caption=ATTACK) + weights([(ATTACK, ATTACK, -2.0)], caption=ATTACK)
    assert "<script" not in html
    assert "<img" not in html
    assert Reader(html).text.count("alert(1)") == 6


@pytest.mark.parametrize("model", UNFITTED, ids=lambda model: type(model).__name__)
def test_a_model_shows_its_settings_before_fit(model):
    """An unfitted model says that it is, and what each of its settings is; its repr leaves out defaults."""
    shown = read(model).text
    assert f"{type(model).__name__}()" == repr(model)
    assert "Not fitted yet." in shown


def test_a_changed_setting_is_in_the_repr():
    """The repr is the call that makes the model, as scikit-learn shows it."""
    assert "KMeansSegmenter(k=4)" == repr(KMeansSegmenter(k=4))
    assert "BgNbd(penalty=2.0, purchase_covariates=['web'])" == repr(BgNbd(penalty=2.0, purchase_covariates=["web"]))


def test_reviewed_pairs_are_not_shown():
    """Of constraints only what was declared is told, never the reviewers' records."""
    decided = pd.DataFrame({"record_id_l": ["secret"], "record_id_r": ["hidden"], "decision": ["match"]})
    model = LinkageModel(constraints=Constraints(duplicate_free_sources=("crm",), reviewed_pairs=decided))
    shown = repr(model) + read(model).text
    assert "crm" in shown
    assert "secret" not in shown
    assert "hidden" not in shown
    assert "DataFrame(...)" == as_setting(decided)


def test_a_fitted_linkage_model_shows_classes_and_weights_and_no_value():
    """Kinds of pairs, comparisons and rules are shown, no name of a person."""
    people = pd.DataFrame(
        {
            "id": range(6),
            "first": ["Ann", "Anne", "Bob", "Robert", "Cyrano", "Di"],
            "last": ["Leewards", "Leewards", "Ray", "Ray", "Orr", "Fox"],
            "mail": ["al@x.org", "al@x.org", "bob@y.org", "bob@y.org", "cy@z.org", "di@z.org"],
        }
    )
    columns = {"given_name": "first", "surname": "last", "email": "mail"}
    model = LinkageModel().fit(standardize_records(people, id="id", columns=columns))
    shown = read(model).text
    assert all(word in shown for word in ("household", "surname", "email", "last_word"))
    assert not any(name in shown.lower() for name in ("leewards", "cyrano", "x.org"))
    assert "household" in read(LinkageModel.from_dict(model.to_dict())).text


@pytest.mark.parametrize("make", [BgNbd, GammaGamma], ids=lambda make: make.__name__)
def test_a_fitted_value_model_shows_each_parameter_with_its_interval(make, history):
    """Parameters, errors, intervals and fit are shown."""
    model = make(penalty=1).fit(history)
    shown = read(model).text
    assert all(f" {name} " in f" {shown}" for name in model.params_)
    assert all(word in shown for word in ("standard error", "95 % interval", "log-likelihood", "customers"))


def test_fitted_segment_models_show_cut_points_and_clusters():
    """RFM shows bands, KMeans its clusters, tiers their least value."""
    buyers = pd.DataFrame(
        {
            "customer_id": range(60),
            "days_since_last_purchase": [5, 300, 900] * 20,
            "purchases": [9, 3, 1] * 20,
            "total_spend": [float(spend) for spend in range(60)],
        }
    )
    clusters = KMeansSegmenter(k=3).fit(buyers)
    worth = buyers.rename(columns={"total_spend": "customer_value"})
    assert "score 5" in read(RfmScorer().fit(buyers)).text
    assert all(name in read(clusters).text for name in clusters.names_)
    assert "PREMIUM" in read(ValueTiers().fit(worth)).text


def test_a_resolution_shows_the_answer_its_reasons_and_the_customer():
    """All that the answer holds is shown, and escaped: golden records come from outside."""
    steps = ({"step": "email", "level": "same", "weight": 12.5, "match_weight": 3.0},)
    known = Resolution("c1", False, 0.98, "h1", steps, 4, {"surname": ATTACK}, {"value_tier": "VIP"})
    shown = read(known).text
    assert all(word in shown for word in ("Customer c1", "0.9800", "+12.50", "alert(1)", "VIP"))
    assert "Nobody who is known" in read(Resolution(None, True, 0.0, None, (), 0)).text


def test_a_story_shows_its_events():
    """What happened is a row each."""
    event = StoryEvent(datetime(2026, 6, 1, tzinfo=UTC), "r1", "created with 2 records", "first run")
    assert "created with 2 records" in read(IdStory("c1", "it is living.", "c1", ("a:1",), (event,))).text


def result_of(tmp_path, *, skipped: bool) -> RunResult:
    measures = {"b3_precision": 0.99, "b3_recall": 0.9, "b3_f1": 0.94, "pairwise_f1": 0.9}
    step = StepResult("link", "Link records", 1.5, skipped, {})
    return RunResult(tmp_path, "r1", "d", datetime.now(UTC), None, (step,), measures)


def test_a_run_shows_its_steps_and_how_right_they_were(tmp_path):
    """Seconds of each step, and measures that are complete."""
    shown = read(result_of(tmp_path, skipped=False)).text
    assert all(word in shown for word in ("Link records", "1.5", "B-cubed", "0.9400"))
    assert "pairwise" not in shown
    assert "Nothing changed" in read(result_of(tmp_path, skipped=True)).text


def test_intervals_show_totals_and_no_customer():
    """Of value intervals the total is shown, not the customers."""
    some, none = np.arange(99.0), np.zeros(0)
    found = ValueIntervals(["ann"], some[:1], none, none, none, some, some, none, none, none)
    shown = read(found).text
    assert "1 customers" in shown
    assert "ann" not in shown


def test_an_evaluation_shows_itself_with_the_same_writer():
    """An evaluation's table is escaped, too."""
    shown = read(Evaluation(b3_precision=1.0, b3_recall=0.5, b3_f1=2 / 3, **{ATTACK: 1}))
    assert "B-cubed, by record" in shown.text


def test_progress_is_shown_in_a_notebook_only(monkeypatch):
    """In a kernel a run shows itself, elsewhere it is quiet; what is shown is one table that fills itself in."""
    shown: list[str] = []
    handle = SimpleNamespace(update=lambda html: shown.append(html.data))
    page = SimpleNamespace(
        HTML=lambda data: SimpleNamespace(data=data),
        display=lambda html, display_id: (shown.append(html.data), handle)[1],
    )
    assert type(usual_watcher()) is Watcher
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", page)
    watcher = usual_watcher()
    watcher.says("waiting for another run")
    watcher.starts(SimpleNamespace(name="link", title="Link records"))
    watcher.says(ATTACK)
    watcher.ends(StepResult("link", "Link records", 1.5, False, {}))
    assert isinstance(watcher, NotebookProgress)
    assert len(shown) == 4
    assert all(Reader(html).tags <= TAGS for html in shown)
    assert "1.5" in shown[-1]
    assert "waiting" not in shown[-1]
