"""Drift: nothing moved is fine, a broken source is named, people who changed ask for training anew."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from c360ml import tables
from c360ml.dashboards.drift_page import drift_section, write_drift_page
from c360ml.errors import ProjectError
from c360ml.lakehouse import Lakehouse
from c360ml.tracking import drift_since_champion
from c360ml.tracking.drift import measure_drift
from c360ml.tracking.drift_profile import drift_profile
from c360ml.tracking.stability import chance, stability_index


@pytest.fixture(scope="module")
def champion(published_project):
    """The profile of the champion's run."""
    return json.loads((published_project.folder / "models/c360-linkage/profile.json").read_text())


def profile_after(project, published, table, columns):
    """Count the profile again after some columns of a table were rewritten."""
    with Lakehouse(project) as lake:
        lake.open(table)
        lake.rows(f"create temp table planted as select * replace ({columns}) from {table.path}")
        lake.write(table, "from planted")
        return drift_profile(lake, replace(published.result, folder=project))


def test_the_same_data_are_fine(published_project, champion):
    """A run against itself has moved in nothing, whatever the order of its rows."""
    with Lakehouse(published_project.folder) as lake:
        again = drift_profile(lake, published_project.result)
    assert champion == again
    found = measure_drift(again, champion)
    assert ("fine", ()) == (found.verdict, found.reasons)
    assert len(found.shifts) > 50
    assert {0.0} == {round(shift.value, 12) for shift in found.shifts}


def test_a_source_without_emails_is_named(small_world_copy, published_project, champion):
    """E-mails of one source gone is a changed source, told by its name and the shares before and after."""
    blanked = "if(source = 'salesforce', null, email) as email"
    found = measure_drift(profile_after(small_world_copy, published_project, tables.RECORDS, blanked), champion)
    assert "source changed" == found.verdict
    assert found.reasons[0].startswith("email is filled in 0.0% of the records of salesforce, was ")
    moved = {shift.quantity for shift in found.shifts if shift.moved and shift.kind == "source changed"}
    assert "email of salesforce" in moved
    assert not {quantity for quantity in moved if quantity.startswith("email of ")} - {"email of salesforce"}


def test_more_typing_errors_ask_for_training(small_world_copy, published_project, champion):
    """Names and phones typed wrong three times in ten leave sources as they are, and agreement not."""
    typed = ", ".join(
        f"if({name} is not null and hash(record_id || '{name}') % 10 < 3, {name} || 'q', {name}) as {name}"
        for name in ("given_name", "surname", "phone")
    )
    found = measure_drift(profile_after(small_world_copy, published_project, tables.RECORDS, typed), champion)
    assert "retrain" == found.verdict
    assert any(reason.startswith("records of one customer agree on other shares") for reason in found.reasons)


def test_people_who_buy_more_ask_for_training(small_world_copy, published_project, champion):
    """Twice the repeat purchases at the same ages is a purchase rate that the champion does not expect."""
    doubled = "repeat_purchases * 2 as repeat_purchases"
    found = measure_drift(profile_after(small_world_copy, published_project, tables.CUSTOMER_VALUE, doubled), champion)
    assert "retrain" == found.verdict
    assert "repeat purchases by what the champion's model expects changed by +100%" in found.reasons


def test_a_mean_spend_that_moved_is_told(champion):
    """Spend half as high again, far beyond its standard error, moves."""
    spend = {**champion["purchases"]["spend"], "mean_log": champion["purchases"]["spend"]["mean_log"] + np.log(1.5)}
    now = {**champion, "purchases": {**champion["purchases"], "spend": spend}}
    assert "retrain" == measure_drift(now, champion).verdict


def test_a_lost_source_is_told(champion):
    """A source whose rows are mostly gone has changed."""
    now = {**champion, "rows_landed": {**champion["rows_landed"], "dms_sales": 1}}
    found = measure_drift(now, champion)
    assert ("source changed", 1) == (found.verdict, len(found.reasons))
    assert found.reasons[0].startswith("dms_sales has 1 rows, had ")


def test_without_a_champion_there_is_nothing_to_compare(champion):
    """The first run has no verdict but fine, and says why."""
    found = measure_drift(champion, None)
    assert ("fine", None, ()) == (found.verdict, found.champion_run_id, found.shifts)
    assert "this is the first" in drift_section(found).answer


def test_chance_is_as_large_as_it_is_said_to_be():
    """Of samples from one distribution one in a thousand has an index above the limit, not one in a hundred."""
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(12))
    new, old = rng.multinomial(5000, shares, 4000), rng.multinomial(2000, shares, 4000)
    found = [stability_index(a, b) for a, b in zip(new, old, strict=True)]
    above = sum(index.value > chance([index]) for index in found)
    assert above <= 15
    assert chi2.ppf(0.999, 11) * (1 / 5000 + 1 / 2000) == pytest.approx(chance([found[0]]))
    pairs = zip(found[:2000], found[2000:], strict=True)
    assert sum(a.value + b.value > chance([a, b]) for a, b in pairs) <= 8


def test_no_value_is_in_a_profile(published_project, champion):
    """A profile holds counts and names of fields, sources and levels: no e-mail, name or telephone number."""
    with Lakehouse(published_project.folder) as lake:
        lake.open(tables.RECORDS)
        values = lake.rows("""
            select distinct value from (select unnest([given_name, surname, email, phone, city]) as value
            from silver.records) where length(value) >= 4
        """)
    text = json.dumps(champion).lower()
    assert not [value for (value,) in values if f'"{value}"' in text]


def test_the_page_says_the_verdict(published_project, champion, tmp_path):
    """The page tells verdict, reasons and every quantity, with nothing but counts."""
    with Lakehouse(published_project.folder) as lake:
        assert "fine" == drift_since_champion(lake).verdict
    now = {**champion, "rows_landed": {**champion["rows_landed"], "dms_sales": 1}}
    text = write_drift_page(measure_drift(now, champion), tmp_path).read_text()
    assert "Verdict: source changed" in text and "dms_sales has 1 rows" in text and "purchase rate" in text
    with Lakehouse(tmp_path) as lake, pytest.raises(ProjectError, match="c360ml run"):
        drift_since_champion(lake)
