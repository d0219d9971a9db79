"""The pipeline step: bronze in, silver out; all of it, or what changed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.changes import changed_rows
from c360ml.standardize.customers import write_records
from c360ml.standardize.interactions import (
    count_interactions,
    write_campaign_sends,
    write_campaigns,
    write_digital_events,
    write_purchases,
    write_services,
)
from c360ml.standardize.meanings import meanings
from c360ml.standardize.quality import count_odd_names, count_placeholders, write_source_quality
from c360ml.table_changes import code_of, digest_of, known_inputs, note_inputs, versions_of

BY_KEY = (
    (tables.CUSTOMERS, write_records),
    (tables.SALES, write_purchases),
    (tables.SERVICE_ROWS, write_services),
    (tables.EVENTS, write_digital_events),
    (tables.CAMPAIGN_SEND_ROWS, write_campaign_sends),
)
READS = (*(bronze for bronze, _ in BY_KEY), tables.CAMPAIGN_ROWS)
_WRITES = (
    tables.RECORDS,
    tables.SOURCE_QUALITY,
    tables.PURCHASES,
    tables.SERVICES,
    tables.DIGITAL_EVENTS,
    tables.CAMPAIGNS,
    tables.CAMPAIGN_SENDS,
)


def standardize(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Standardize every accepted row: records, source quality, interactions and campaigns.

    Returns:
        records, purchases, services, digital_events, campaigns, campaign_sends: rows written;
        undated_*: rows left out because their day could not be read; quality_score_by_source: mean
        score; placeholders: records by field whose value was filled, but with nothing usable; odd_names:
        records whose name holds two people (the first is kept), digits, a maiden name, or another script.
    """
    read = versions_of(lake, READS)
    for bronze, write in BY_KEY:
        lake.say(f"{lake.one(f'select count(*) from {bronze.path}'):,} {bronze.name}")
        write(lake, config)
    write_campaigns(lake, config)
    return note_standard(lake, config, read, standard_rules(lake, config))


def append_standard(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Standardize accepted rows that are new or changed since, and drop those that are gone.

    All are standardized again if all of them together tell of something else than before: e.g. that a source writes
    the day before the month.

    Returns:
        What `standardize` returns.
    """
    rules, read = standard_rules(lake, config), versions_of(lake, READS)
    versions = known_inputs(lake, tables.STANDARD_INPUTS, rules=rules, read=READS, wrote=_WRITES)
    if versions is None:
        return standardize(lake, config)
    for table in _WRITES:
        lake.open(table)
    for bronze, write in BY_KEY:
        with ExitStack() as stack:
            changes = stack.enter_context(changed_rows(lake, bronze, versions[bronze.path]))
            if changes is not None:
                lake.say(f"{lake.one(f'select count(*) from {changes.rows}'):,} new or changed {bronze.name}")
                write(lake, config, changes)
    if read[tables.CAMPAIGN_ROWS.path] != versions[tables.CAMPAIGN_ROWS.path]:
        write_campaigns(lake, config)
    return note_standard(lake, config, read, rules)


def standard_rules(lake: Lakehouse, config: Config) -> str:
    """Digest of all that decides how a row is standardized: code, settings, and what all rows tell of their source."""
    return digest_of(code_of(__file__), config.project.model_dump(), meanings(lake, config.project.country))


def note_standard(lake: Lakehouse, config: Config, read: dict[str, int], rules: str) -> dict[str, Any]:
    """Rate the sources, note what the tables were made of, and count their rows."""
    write_source_quality(lake)
    note_inputs(lake, tables.STANDARD_INPUTS, rules=rules, read=read, wrote=_WRITES)
    scores = lake.rows("select source, round(quality_score, 4) from silver.source_quality order by source")
    return {
        "records": lake.one(f"select count(*) from {tables.RECORDS.path}"),
        **count_interactions(lake),
        "quality_score_by_source": dict(scores),
        "placeholders": count_placeholders(lake),
        "odd_names": count_odd_names(lake),
    }
