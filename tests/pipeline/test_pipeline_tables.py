"""What every table of a run keeps: its key, its layer, and what is nobody's business."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from c360ml import tables
from c360ml.config import CONFIG_FILE, Config
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import STEPS


@pytest.fixture(scope="module")
def lake(small_world_project):
    """The small world's tables, all open."""
    with Lakehouse(small_world_project) as opened:
        for table in tables.ALL:
            opened.open(table)
        yield opened


@pytest.mark.parametrize("table", tables.ALL, ids=lambda table: table.path)
def test_keys_are_unique_and_known(lake, table):
    """No two rows share a key, and no part of a key is unknown."""
    key = ", ".join(table.key)
    assert 0 == lake.one(f"select count(*) - count(distinct ({key})) from {table.path}")
    unknown = " or ".join(f"{name} is null" for name in table.key)
    assert 0 == lake.one(f"select count(*) from {table.path} where {unknown}")


# Who moved between segments, and whose identity changed, is known from the second run on.
NEEDS_TWO_RUNS = (
    tables.SEGMENT_TRANSITIONS,
    tables.MASTER_REDIRECTS,
    tables.IDENTITY_IMPACT,
    tables.TOUCHED_CUSTOMERS,
)
FILLED_BY_ONE_RUN = [table for table in tables.ALL if table not in NEEDS_TWO_RUNS]


@pytest.mark.parametrize("table", FILLED_BY_ONE_RUN, ids=lambda table: table.path)
def test_the_small_world_fills_every_table(lake, table):
    """The small world has rows in every table, so that a rule kept by it is a rule kept by rows."""
    assert lake.one(f"select count(*) from {table.path}") > 0


@pytest.mark.parametrize("table", tables.ALL, ids=lambda table: table.path)
def test_numbers_are_finite(lake, table):
    """No number is infinite or not a number: unknown is null."""
    for name, column in table.columns.items():
        if column.type == "DOUBLE":
            assert 0 == lake.one(f"select count(*) from {table.path} where not isfinite({name})"), name


# child table, its column, parent table, its column
REFERENCES = (
    (tables.RECORDS, "record_id", tables.IDENTITIES, "record_id"),
    (tables.IDENTITIES, "record_id", tables.RECORDS, "record_id"),
    (tables.CLUSTERS, "record_id", tables.RECORDS, "record_id"),
    (tables.LINKS, "record_id_l", tables.RECORDS, "record_id"),
    (tables.LINKS, "record_id_r", tables.RECORDS, "record_id"),
    (tables.IDENTITIES, "master_id", tables.GOLDEN_RECORDS, "master_id"),
    (tables.GOLDEN_RECORDS, "master_id", tables.IDENTITIES, "master_id"),
    (tables.GOLDEN_PROVENANCE, "master_id", tables.GOLDEN_RECORDS, "master_id"),
    (tables.GOLDEN_PROVENANCE, "record_id", tables.RECORDS, "record_id"),
    (tables.INTERACTIONS, "master_id", tables.GOLDEN_RECORDS, "master_id"),
    (tables.CUSTOMER_ACTIVITY, "master_id", tables.GOLDEN_RECORDS, "master_id"),
    (tables.CUSTOMER_VALUE, "customer_id", tables.GOLDEN_RECORDS, "master_id"),
    (tables.CUSTOMER_SEGMENTS, "master_id", tables.GOLDEN_RECORDS, "master_id"),
    (tables.GOLDEN_RECORDS, "master_id", tables.CUSTOMER_SEGMENTS, "master_id"),
    (tables.CUSTOMER_360, "master_id", tables.GOLDEN_RECORDS, "master_id"),
    (tables.GOLDEN_RECORDS, "master_id", tables.CUSTOMER_360, "master_id"),
    (tables.CAMPAIGN_RESULTS, "campaign_id", tables.CAMPAIGNS, "campaign_id"),
)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda each: f"{each[0].path}.{each[1]}->{each[2].path}")
def test_references_lead_somewhere(lake, reference):
    """Every id that one table takes from another is there."""
    child, column, parent, key = reference
    known = f"select {key} from {parent.path}"
    assert 0 == lake.one(f"select count(*) from {child.path} where {column} is not null and {column} not in ({known})")


def test_no_row_is_lost_on_the_way(lake):
    """Landed rows are accepted rows and dead letters; accepted rows of people are records."""
    bronze = [
        tables.CUSTOMERS,
        tables.SALES,
        tables.SERVICE_ROWS,
        tables.EVENTS,
        tables.CAMPAIGN_ROWS,
        tables.CAMPAIGN_SEND_ROWS,
    ]
    count = {table.path: lake.one(f"select count(*) from {table.path}") for table in tables.ALL}
    assert count["bronze.source_rows"] == count["bronze.dead_letters"] + sum(count[table.path] for table in bronze)
    assert (
        count["bronze.customers"] == count["silver.records"] == count["silver.identities"] == count["silver.clusters"]
    )
    assert count["bronze.sales"] == count["silver.purchases"]
    assert count["bronze.events"] == count["silver.digital_events"]
    interactions = count["silver.purchases"] + count["silver.services"] + count["silver.digital_events"]
    assert interactions == count["gold.interactions"]


def written_outside_the_lakehouse(folder: Path) -> dict[str, str]:
    """Text of everything that a run leaves beside its tables."""
    files = [*(folder / "data").glob("*.json"), *(folder / "models").rglob("*")]
    return {path.name: path.read_text("utf-8").casefold() for path in files if path.is_file()}


def test_nothing_personal_leaves_the_lakehouse(lake, small_world_project):
    """Manifest, run record and model files hold no e-mail address, no phone and no name of a customer."""
    personal = {
        str(value).casefold()
        for query in (
            "select email, phone, full_name, given_name || ' ' || surname, address from bronze.customers",
            "select email, phone, full_name, email_raw, name_raw from silver.records",
            "select email, phone, full_name, surname || ' ' || given_name from silver.golden_records",
            "select ltrim(phone, '+1'), street_number || ' ' || street from silver.golden_records",
        )
        for row in lake.rows(query)
        for value in row
        if value is not None and len(str(value)) > 6 and str(value).casefold() != "unknown"
    }
    assert len(personal) > 1_000
    texts = written_outside_the_lakehouse(small_world_project)
    of_the_run = {"manifest.json", "last_run.json", "published.json"}
    assert of_the_run | {"linkage.json", "customer_value.json", "identity_bias.json", "segments.json"} == set(texts)
    assert {} == {
        name: found for name, text in texts.items() if (found := [value for value in personal if value in text])
    }


def test_summaries_are_plain_json(small_world_project):
    """Every step tells its work in plain JSON, finite numbers only."""
    steps = json.loads((small_world_project / "data" / "manifest.json").read_text(), parse_constant=pytest.fail)[
        "steps"
    ]
    assert [step.name for step in STEPS] == list(steps)
    assert all(step["summary"] for step in steps.values())


# ---------------------------------------------------------------------- what steps declare is what they do
class Spy:
    """A config that notes which sections are asked for."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.asked: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.asked.add(name)
        return getattr(self._config, name)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_steps_do_what_they_declare(small_world_copy, step):
    """With only its declared tables open, a step runs, writes just its tables, and asks just its settings."""
    config = Spy(Config.load(small_world_copy / CONFIG_FILE))
    with Lakehouse(small_world_copy) as lake:
        before = {table.path: lake.version(table) for table in tables.ALL}
        for table in step.reads:
            lake.open(table)
        step.run(lake, config)
        written = {table.path for table in tables.ALL if lake.version(table) != before[table.path]}
    assert {table.path for table in step.writes} == written
    assert set() == config.asked - set(step.settings)
