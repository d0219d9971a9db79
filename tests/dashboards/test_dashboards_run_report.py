"""The report of a run: a whole small world, and projects that lack something."""

from __future__ import annotations

import re
import shutil

import pytest
from empty_project import empty_lake, fill, quiet_run
from report_reading import addresses, charts, check_spec, own_text

from c360ml import tables
from c360ml.config import Config
from c360ml.dashboards import write_run_report
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import run_pipeline

QUESTIONS = (
    "What came in?",
    "How sure are the matches?",
    "Who are the customers?",
    "What are they worth?",
    "How sure are the values?",
    "What did campaigns bring?",
    "Where do the figures come from?",
)
EVIL = "<script>alert(1)</script>"
PERSONAL = ("full_name", "email", "phone", "address", "name_raw", "email_raw", "phone_raw", "address_raw")


@pytest.fixture(scope="module")
def report(small_world_project, tmp_path_factory):
    """The report of a copy of the small world, which others read too."""
    copy = shutil.copytree(small_world_project, tmp_path_factory.mktemp("reported") / "project")
    run_pipeline(copy, then=lambda lake, result: write_run_report(lake, result))
    return copy / "report.html"


@pytest.fixture
def lake(tmp_path):
    """A project with all tables and no row."""
    with empty_lake(tmp_path) as lake:
        yield lake


def test_every_question_has_its_section(report):
    """The page answers each question in a section that the contents lead to."""
    text = own_text(report)
    found = re.findall(r'<section id="([a-z]+)"><h2>\d\. (.*?)</h2>', text)
    assert list(QUESTIONS) == [question for _, question in found]
    assert all(f'href="#{anchor}"' in text for anchor, _ in found)


def test_every_chart_draws(report):
    """Each specification in the page is valid Vega-Lite, draws, and has a title above it."""
    specs = charts(report)
    for spec in specs:
        check_spec(spec)
    assert len(specs) > 25
    assert (
        own_text(report).count("<figure")
        == own_text(report).count('<figure class="card')
        == len(re.findall(r"<figure[^>]*><h3>[^<]+</h3>", own_text(report)))
    )


def test_the_page_works_offline(report):
    """The page names no address and fetches nothing, and is small enough to send."""
    assert [] == addresses(report)
    assert report.stat().st_size < 5_000_000


def test_nothing_personal_is_in_the_page(report, small_world_project):
    """No name, e-mail, phone or address of any customer row or record is in the page."""
    text = own_text(report).lower()
    with Lakehouse(small_world_project) as lake:
        known = set()
        for table in (tables.CUSTOMERS, tables.RECORDS, tables.GOLDEN_RECORDS):
            lake.open(table)
            for column in sorted(set(PERSONAL) & set(table.columns)):
                known |= {value for (value,) in lake.rows(f"select distinct {column} from {table.path}") if value}
            known |= {
                value
                for (value,) in lake.rows(f"select distinct concat_ws(' ', given_name, surname) from {table.path}")
                if value
            }
    assert len(known) > 2000
    # a lone word such as "a" or "na" says nothing of a person
    assert [] == sorted(value for value in known if len(value) > 4 and value.lower() in text)


def test_currency_and_key_figures_are_shown(report):
    """The page's head names amounts in the project's currency."""
    head = own_text(report).partition("<nav")[0]
    assert "Historical value" in head
    assert "USD" in head
    assert "B-cubed F1" in head


def test_the_same_run_gives_the_same_page(small_world_copy):
    """Two reports of one run are equal to the letter."""
    pages = []

    def write_twice(lake, result):
        pages.extend(write_run_report(lake, result).read_text("utf-8") for _ in range(2))

    run_pipeline(small_world_copy, then=write_twice)
    assert pages[0] == pages[1]


def test_an_empty_project_is_told_in_sentences(lake):
    """Where there is nothing to show, the page says so and draws no chart."""
    report = write_run_report(lake, quiet_run(lake))
    text = own_text(report)
    assert [] == charts(report)
    for sentence in (
        "No source gave any row.",
        "No labels were given",
        "There is no customer record.",
        "There is no purchase, so no customer value to show.",
        "There are no campaigns in this project.",
    ):
        assert sentence in text


def test_a_single_source_has_no_overlap(lake):
    """With one customer source the overlap of sources is a sentence."""
    fill(lake, tables.RECORDS, {"record_id": "crm:1", "source": "crm", "surname": "orr", "given_name": "cy"})
    fill(lake, tables.IDENTITIES, {"record_id": "crm:1", "master_id": "m1", "household_id": "h1", "cohesion": 1.0})
    golden = {"master_id": "m1", "household_id": "h1", "surname": "orr", "given_name": "cy"}
    fill(lake, tables.GOLDEN_RECORDS, {**golden, "records": 1, "sources": ["crm"]})
    report = write_run_report(lake, quiet_run(lake, identify={"customers": 1, "households": 1}))
    assert "a single customer source, crm," in own_text(report)
    for spec in charts(report):
        check_spec(spec)


def test_too_few_purchases_show_past_value_only(lake):
    """Without a forecast, past value is shown, and the reason for the rest."""
    bought = {"customer_id": "m1", "repeat_purchases": 0, "historical_value": 120.0}
    fill(lake, tables.CUSTOMER_VALUE, bought, {**bought, "customer_id": "m2", "historical_value": -5.0})
    fill(
        lake,
        tables.CUSTOMER_SEGMENTS,
        {
            "master_id": "m1",
            "rfm_score": "555",
            "rfm_segment": "Champions",
            "kmeans_segment": "all",
            "value_tier": "VIP",
        },
        {"master_id": "m2", "rfm_score": "111", "rfm_segment": "Lost", "kmeans_segment": "all", "value_tier": "ACTIVE"},
        {"master_id": "m3", "rfm_segment": "PROSPECT", "kmeans_segment": "PROSPECT", "value_tier": "PROSPECT"},
    )
    said = {"fitted": False, "reason": "Too few repeat buyers.", "customers": 2, "historical_value": 115.0}
    report = write_run_report(lake, quiet_run(lake, Config.parse({"project": {"currency": "EUR"}}), value=said))
    text = own_text(report)
    assert "No forecast was made: Too few repeat buyers." in text
    assert "EUR 120" in text
    assert "1 customer of no or negative value" in text
    for spec in charts(report):
        check_spec(spec)


def test_campaigns_without_cost_or_control_are_told(lake):
    """A campaign without cost, or without customers held out, shows what is known and says what is not."""
    known = {"campaign_id": "c1", "campaign_name": "Spring", "value_tier": "ALL", "sent": 10, "opened": 5, "clicked": 2}
    known |= {
        "converted": 1,
        "open_rate": 0.5,
        "click_rate": 0.2,
        "conversion_rate": 0.1,
        "revenue": 50.0,
        "held_out": 0,
    }
    fill(lake, tables.CAMPAIGN_RESULTS, known)
    report = write_run_report(lake, quiet_run(lake))
    assert "No campaign has a cost" in own_text(report)
    assert "No campaign held customers out" in own_text(report)
    for spec in charts(report):
        check_spec(spec)


def test_a_campaign_that_was_not_sent_is_told(lake):
    """A campaign that nobody was sent draws no funnel."""
    nothing = dict.fromkeys(("sent", "opened", "clicked", "converted", "held_out"), 0)
    fill(lake, tables.CAMPAIGN_RESULTS, {"campaign_id": "c1", "value_tier": "ALL", "revenue": 0.0, **nothing})
    report = write_run_report(lake, quiet_run(lake))
    assert "No campaign was sent to anybody yet." in own_text(report)
    assert [] == charts(report)


def test_rare_reasons_are_shown_together(lake):
    """Of more reasons than colours the rare ones are shown as one, and sources with most rejects come first."""
    row = {"kind": "customers", "file": "f", "row_hash": "h", "raw": "{}"}
    fill(lake, tables.SOURCE_ROWS, *({**row, "source": name, "row_number": 1} for name in ("few", "many")))
    rejects = [("many", f"reason_{number}") for number in range(7)] + [("few", "reason_0")]
    fill(
        lake,
        tables.DEAD_LETTERS,
        *(
            {"source": source, "file": "f", "row_number": number, "entity": "customers", "reason": reason}
            for number, (source, reason) in enumerate(rejects)
        ),
    )
    spec = next(spec for spec in charts(write_run_report(lake, quiet_run(lake))) if "color" in spec.get("encoding", {}))
    (rows,) = spec["datasets"].values()
    assert ["reason 0", "reason 1", "reason 2", "reason 3", "other reasons"] == spec["encoding"]["color"]["scale"][
        "domain"
    ]
    assert {"many": 7, "few": 1} == {
        name: sum(r["rows"] for r in rows if r["source"] == name) for name in ("many", "few")
    }
    assert "many" == rows[0]["source"]
    check_spec(spec)


def test_names_from_data_are_escaped(lake):
    """Sources, reasons, segments and campaigns that hold markup are shown as text."""
    fill(
        lake,
        tables.SOURCE_ROWS,
        {"source": EVIL, "kind": EVIL, "file": EVIL, "row_number": 1, "row_hash": "h", "raw": "{}"},
    )
    fill(lake, tables.DEAD_LETTERS, {"source": EVIL, "file": EVIL, "row_number": 1, "entity": EVIL, "reason": EVIL})
    fill(lake, tables.SOURCE_QUALITY, {"source": EVIL, "records": 1, "rejected_rows": 0, "quality_score": 0.5})
    fill(lake, tables.CUSTOMER_VALUE, {"customer_id": "m1", "repeat_purchases": 1, "historical_value": 5.0})
    segments = {"rfm_score": "555", "rfm_segment": EVIL, "kmeans_segment": EVIL, "behaviour_segment": EVIL}
    fill(lake, tables.CUSTOMER_SEGMENTS, {"master_id": "m1", "value_tier": EVIL, **segments})
    counts = dict.fromkeys(("sent", "opened", "clicked", "converted", "held_out"), 3)
    fill(
        lake,
        tables.CAMPAIGN_RESULTS,
        {
            "campaign_id": "c1",
            "campaign_name": EVIL,
            "channel": EVIL,
            "value_tier": "ALL",
            "conversion_rate": 1.0,
            **counts,
        },
    )
    report = write_run_report(lake, quiet_run(lake, Config.parse({"project": {"name": EVIL}})))
    text = own_text(report)
    assert EVIL not in text
    assert text.count("&lt;script&gt;alert(1)") > 10
    for spec in charts(report):
        check_spec(spec)
