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
from c360ml.tracking import drift_sample, drift_since_champion
from c360ml.tracking.drift import measure_drift
from c360ml.tracking.drift_profile import drift_profile
from c360ml.tracking.sampling_error import count_cells, effect_on_sum
from c360ml.tracking.stability import stability_index


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
    decide = [shift for shift in found.shifts if shift.kind != "fine"]
    assert all(shift.limit is not None for shift in decide)
    assert {"values of city", "length of email of dms", "agreement of email"} <= {shift.quantity for shift in decide}


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
    """Last letters of names and phones typed wrong three times in ten leave sources as they are, and agreement not."""
    typed = ", ".join(
        f"if({name} is not null and hash(record_id || '{name}') % 10 < 3, left({name}, -1) || 'q', {name}) as {name}"
        for name in ("given_name", "surname", "phone")
    )
    found = measure_drift(profile_after(small_world_copy, published_project, tables.RECORDS, typed), champion)
    assert "retrain" == found.verdict
    named = [reason for reason in found.reasons if reason.startswith("linked records of one customer agree on surname")]
    assert 1 == len(named)


def test_initials_are_named_with_their_source(small_world_copy, published_project, champion):
    """Initials in place of the first names of one source are a changed source, told by field, source and length."""
    initials = "if(source = 'service', left(given_name, 1), given_name) as given_name"
    found = measure_drift(profile_after(small_world_copy, published_project, tables.RECORDS, initials), champion)
    assert "source changed" == found.verdict
    told = "given_name has 1 character in 100.0% of the records of service that have one, was "
    assert 1 == len([reason for reason in found.reasons if reason.startswith(told)])


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


def test_a_champion_of_another_version_is_not_compared(champion):
    """A profile without sampling errors is no yardstick: it is said, not guessed."""
    found = measure_drift(champion, {**champion, "format": 1})
    assert (None, ()) == (found.champion_run_id, found.shifts)
    assert "another version of c360ml" in drift_section(found).answer


def clumped(rng, *, units, shares, stays=0.8, moved=0.0):
    """Records in units of one to many, most of a unit in its own cell, and some cells that take from all others."""
    sizes = rng.geometric(0.25, units)
    unit = np.repeat(np.arange(units), sizes)
    changed = (1 - moved) * shares + moved * np.eye(len(shares))[0]
    own, other = rng.choice(len(shares), units, p=changed), rng.choice(len(shares), len(unit), p=changed)
    return count_cells(unit, np.where(rng.random(len(unit)) < stays, own[unit], other), len(shares))


def index_of(now, then):
    """The index of two counts, and what it is by chance."""
    clumping = tuple((side["effect"], side["freedom"]) for side in (now, then))
    return stability_index(now["counts"], then["counts"], clumping=clumping)


@pytest.mark.parametrize("cells", [2, 12, 40])
def test_clumps_raise_false_alarms_no_higher_than_promised(cells):
    """Clumped samples of one distribution pass a limit about as often as it promises; counted as single, often."""
    rng = np.random.default_rng(cells)
    shares = rng.dirichlet(np.full(cells, 3.0))
    found = [(clumped(rng, units=500, shares=shares), clumped(rng, units=300, shares=shares)) for _ in range(600)]
    passed = sum(index_of(*each).value > index_of(*each).by_chance(0.01) for each in found)
    assert passed <= 15
    above_one_in_five = sum(index_of(*each).value > index_of(*each).by_chance(0.2) for each in found)
    assert 0.1 <= above_one_in_five / len(found) <= 0.3
    single = [stability_index(now["counts"], then["counts"]) for now, then in found]
    assert sum(each.value > each.by_chance(0.01) for each in single) > 60


def test_a_planted_change_passes_the_limit_of_clumped_counts():
    """A third of all records moved to one cell is found in each of a hundred samples, at the level of a verdict."""
    rng = np.random.default_rng(5)
    shares = rng.dirichlet(np.full(12, 3.0))
    pairs = [
        (clumped(rng, units=500, shares=shares, moved=0.33), clumped(rng, units=500, shares=shares)) for _ in range(100)
    ]
    assert 100 == sum(index_of(*each).value > index_of(*each).by_chance(1e-4) for each in pairs)


def test_design_effects_are_those_of_the_textbook():
    """Units of one cell and of b records have a design effect of b, and chance moves them as so many fewer records."""
    cell = np.arange(2000) % 4
    single = count_cells(np.arange(2000), cell, 4)
    tenfold = count_cells(np.repeat(np.arange(2000), 10), np.repeat(cell, 10), 4)
    assert (1.0, 3.0) == pytest.approx((single["effect"], single["freedom"]), rel=1e-3)
    assert (10.0, 3.0) == pytest.approx((tenfold["effect"], tenfold["freedom"]), rel=1e-3)
    expected = chi2.isf(0.001, 3) * (1 / 2000 + 1 / 2000)
    assert expected == pytest.approx(index_of(tenfold, tenfold).by_chance(0.001), rel=1e-3)
    assert expected == pytest.approx(stability_index(single["counts"], single["counts"]).by_chance(0.001), rel=1e-9)


def test_households_raise_the_error_of_sums():
    """Rows that repeat within a unit vary as many times as much as they are repeated; independent ones do not."""
    draws = np.random.default_rng(3).normal(size=20_000)
    assert 1.0 == pytest.approx(effect_on_sum(np.arange(20_000), draws))
    assert 4.0 == pytest.approx(effect_on_sum(np.repeat(np.arange(20_000), 4), np.repeat(draws, 4)))
    assert 1.0 == pytest.approx(effect_on_sum(np.arange(20_000) // 4, draws), abs=0.1)


def test_a_sample_of_units_tells_the_shares_of_all(published_project, champion, monkeypatch):
    """Of a project with more units than are looked at, whole units are taken, and shares are as they were."""
    monkeypatch.setattr(drift_sample, "MOST_UNITS", -(-champion["households"] // 2))
    with Lakehouse(published_project.folder) as lake:
        part = drift_profile(lake, published_project.result)
    taken, all_units = part["units_taken"], champion["units_taken"]
    assert (1, 2) == (all_units["one_in"], taken["one_in"])
    assert 1 / 2 == pytest.approx(taken["units"] / all_units["units"], abs=0.1)
    assert "fine" == measure_drift(part, champion).verdict


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
