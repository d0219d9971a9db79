"""Interactions and activity brought up to date where something changed are those that collecting all gives."""

from __future__ import annotations

import shutil
from datetime import date

from customer360_tables import write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c360ml import tables
from c360ml.config import Config, Project
from c360ml.customer360 import append_interactions, collect_interactions
from c360ml.lakehouse import Lakehouse
from c360ml.tables import Table

WRITTEN = (tables.INTERACTIONS, tables.OBSERVATION, tables.CUSTOMER_ACTIVITY)
ALONE = 30
"""Interactions that never change, so that what changes stays the lesser part."""


def rows(lake: Lakehouse, table: Table) -> list[str]:
    return [row for (row,) in lake.rows(f"select t::varchar from {lake.open(table)} t order by 1")]


def write_state(lake: Lakehouse, state) -> None:
    records, purchases, services, events = state
    stay = {"record_id": "crm:z", "created_at": "2020-01-01 00:00+00", "email": "a@x", "email_kind": "personal"}
    everyone = [stay, *({"record_id": key, "email_kind": "personal", **fields} for key, fields in records.items())]
    write_rows(lake, tables.RECORDS, everyone)
    write_rows(lake, tables.IDENTITIES, [{"master_id": "mz", **record} for record in everyone])
    alone = [
        {"purchase_id": f"p:z{n}", "record_id": "crm:z", "purchased_on": "2025-02-02", "amount": n, "vin": f"v{n % 3}"}
        for n in range(ALONE)
    ]
    write_rows(lake, tables.PURCHASES, [*alone, *({"purchase_id": f"p:{k}", **row} for k, row in purchases.items())])
    write_rows(lake, tables.SERVICES, [{"service_id": f"s:{k}", **row} for k, row in services.items()])
    write_rows(lake, tables.DIGITAL_EVENTS, [{"event_id": f"e:{k}", **row} for k, row in events.items()])


def table_of(**columns):
    return st.dictionaries(st.integers(0, 4), st.fixed_dictionaries(columns), max_size=5)


RECORD = st.sampled_from(["crm:z", "crm:1", "crm:2", "crm:3", "crm:none"])
DAYS = st.sampled_from(["2025-02-02", "2025-03-03", "2025-05-05", "2099-01-01"])
STATES = st.tuples(
    st.dictionaries(
        st.sampled_from(["crm:1", "crm:2", "crm:3"]),
        st.fixed_dictionaries(
            {
                "master_id": st.sampled_from(["m1", "m2", "mz"]),
                "email": st.sampled_from(["a@x", "b@x", None]),
                "created_at": st.sampled_from(["2024-01-01 00:00+00", "2019-01-01 00:00+00"]),
                "updated_at": st.sampled_from(["2025-01-01 00:00+00", None]),
            }
        ),
    ),
    table_of(
        record_id=RECORD,
        purchased_on=DAYS,
        amount=st.sampled_from([10.25, -3, 7]),
        vin=st.sampled_from(["v1", "v2", None]),
    ),
    table_of(record_id=RECORD, serviced_on=DAYS, amount=st.sampled_from([10.1, None]), service_type=st.just("PARTS")),
    table_of(
        record_id=st.one_of(RECORD, st.none()),
        email=st.sampled_from(["a@x", "b@x", None]),
        interaction_type=st.sampled_from(["WEB", "EMAIL", "APP", "SOCIAL"]),
        event_type=st.sampled_from(["email_open", "page_view"]),
        occurred_at=DAYS.map(lambda day: f"{day} 12:00+00"),
    ),
)


def settings_of(end: date | None) -> Config:
    return Config(project=Project(observation_end=end))


ENDS = st.sampled_from([None, date(2025, 3, 3), date(2025, 4, 4)])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=st.lists(st.tuples(STATES, ENDS), min_size=2, max_size=3))
def test_appending_equals_collecting_all(tmp_path_factory, states):
    """After any changes of records, customers, interactions and the last day all rows are those of the full step."""
    folder = tmp_path_factory.mktemp("one")
    other = folder.parent / f"{folder.name}_other"
    with Lakehouse(folder) as lake:
        write_state(lake, states[0][0])
        collect_interactions(lake, settings_of(states[0][1]))
    shutil.copytree(folder, other)
    for state, end in states[1:]:
        told = []
        for place, step in ((folder, collect_interactions), (other, append_interactions)):
            with Lakehouse(place) as lake:
                write_state(lake, state)
                told.append(step(lake, settings_of(end)))
        told[1].pop("touched_customers", None)
        assert told[0] == told[1]
        with Lakehouse(folder) as one, Lakehouse(other) as two:
            for table in WRITTEN:
                assert rows(one, table) == rows(two, table), table.path


def project(lake: Lakehouse, purchases) -> None:
    write_state(lake, ({"crm:1": {"master_id": "m1", "created_at": "2024-01-01 00:00+00"}}, purchases, {}, {}))


def test_new_interactions_of_one_customer_touch_one(tmp_path):
    """A new purchase is added to the table's files, none of which is written again; one customer is counted again."""
    with Lakehouse(tmp_path) as lake:
        project(lake, {})
        collect_interactions(lake, Config())
        before = lake.files(tables.INTERACTIONS)
        project(lake, {1: {"record_id": "crm:1", "purchased_on": "2025-01-05", "amount": 5}})
        assert append_interactions(lake, Config())["touched_customers"] == 1
        assert set(before) < set(lake.files(tables.INTERACTIONS))


def test_a_later_last_day_ages_everybody(tmp_path):
    """Who did nothing since is one day further from their last interaction, and is not counted again."""
    with Lakehouse(tmp_path) as lake:
        project(lake, {})
        collect_interactions(lake, Config())
        project(lake, {1: {"record_id": "crm:1", "purchased_on": "2025-02-03", "amount": 5}})
        assert append_interactions(lake, Config())["touched_customers"] == 1
        days = dict(lake.rows("select master_id, days_since_last_activity from gold.customer_activity"))
        assert days == {"mz": 1, "m1": 0}


def test_without_what_was_left_all_is_collected(tmp_path):
    """Where a table is not as the step left it, or an earlier version's files are gone, everything is collected."""
    with Lakehouse(tmp_path) as lake:
        project(lake, {})
        assert "touched_customers" not in append_interactions(lake, Config())
        lake.delete(tables.INTERACTIONS, "interaction_id = 'p:z1'")
        assert "touched_customers" not in append_interactions(lake, Config())
        assert lake.one("select count(*) from gold.interactions") == ALONE
        project(lake, {})
        lake.forget_versions(tables.PURCHASES)
        assert "touched_customers" not in append_interactions(lake, Config())
