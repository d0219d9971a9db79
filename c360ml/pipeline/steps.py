"""READ ME FIRST: the steps in order, what each reads and what it writes.

Everything else follows from `STEPS`: the command line runs it, a test proves that no step reads a table
before it is written, and a rerun does only what depends on what changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from c360ml import (
    campaigns,
    customer360,
    customer_value,
    identity,
    linkage,
    segments,
    sources,
    standardize,
    tables,
)
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.tables import Table

Summary = dict[str, Any]
"""What a step tells of its work: counts, parameters and measures; never personal data."""


@dataclass(frozen=True)
class Step:
    """One step: its work, the tables it reads and writes, the config sections it heeds, settings that name files.

    `append` does its work where only records were added, changed or withdrawn since: with the models as they are.
    A step that learns such a model must have come to its end before; another does all its work if it must.
    """

    name: str
    title: str
    run: Callable[[Lakehouse, Config], Summary]
    reads: tuple[Table, ...]
    writes: tuple[Table, ...]
    settings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    append: Callable[[Lakehouse, Config], Summary] | None = None
    learns: bool = False


STEPS = (
    Step(
        "land",
        "Land the extracts",
        sources.land,
        (),
        (tables.SOURCE_ROWS, tables.LANDED_FILES, tables.LANDING_INPUTS),
        ("sources",),
        append=sources.append_landed,
    ),
    Step(
        "validate",
        "Validate, keep rejects",
        sources.validate,
        (tables.SOURCE_ROWS,),
        (
            tables.CUSTOMERS,
            tables.SALES,
            tables.SERVICE_ROWS,
            tables.EVENTS,
            tables.CAMPAIGN_ROWS,
            tables.CAMPAIGN_SEND_ROWS,
            tables.DEAD_LETTERS,
            tables.VALIDATION_INPUTS,
        ),
        ("sources", "project"),
        append=sources.append_valid,
    ),
    Step(
        "standardize",
        "Standardize",
        standardize.standardize,
        (
            tables.CUSTOMERS,
            tables.SALES,
            tables.SERVICE_ROWS,
            tables.EVENTS,
            tables.CAMPAIGN_ROWS,
            tables.CAMPAIGN_SEND_ROWS,
            tables.DEAD_LETTERS,
        ),
        (
            tables.RECORDS,
            tables.SOURCE_QUALITY,
            tables.PURCHASES,
            tables.SERVICES,
            tables.DIGITAL_EVENTS,
            tables.CAMPAIGNS,
            tables.CAMPAIGN_SENDS,
            tables.STANDARD_INPUTS,
        ),
        ("project",),
        append=standardize.append_standard,
    ),
    Step(
        "link",
        "Link records",
        linkage.link,
        (tables.RECORDS,),
        (tables.LINKS, tables.CLUSTERS, tables.LINKED_RECORDS, tables.TERM_STATISTICS, tables.LINK_INPUTS),
        ("linkage",),
        ("linkage.reviewed_pairs",),
        linkage.append_links,
        learns=True,
    ),
    Step(
        "identify",
        "Identify customers",
        identity.identify,
        (tables.RECORDS, tables.LINKS, tables.CLUSTERS),
        (
            tables.IDENTITIES,
            tables.GOLDEN_RECORDS,
            tables.GOLDEN_PROVENANCE,
            tables.IDENTITY_LEDGER,
            tables.IDENTITY_HISTORY,
            tables.MASTER_REDIRECTS,
            tables.IDENTITY_INPUTS,
        ),
        ("sources", "golden", "linkage"),
        ("linkage.reviewed_pairs",),
        identity.append_identities,
    ),
    Step(
        "collect",
        "Collect interactions",
        customer360.collect_interactions,
        (tables.IDENTITIES, tables.RECORDS, tables.PURCHASES, tables.SERVICES, tables.DIGITAL_EVENTS),
        (
            tables.INTERACTIONS,
            tables.OBSERVATION,
            tables.CUSTOMER_ACTIVITY,
            tables.TOUCHED_CUSTOMERS,
            tables.ACTIVITY_INPUTS,
        ),
        ("project",),
        append=customer360.append_interactions,
    ),
    Step(
        "value",
        "Value customers",
        customer_value.value_customers,
        (tables.INTERACTIONS, tables.OBSERVATION, tables.CUSTOMER_ACTIVITY, tables.TOUCHED_CUSTOMERS),
        (tables.CUSTOMER_VALUE, tables.VALUE_INPUTS),
        ("value",),
        append=customer_value.append_values,
    ),
    Step(
        "doubt",
        "Draw identities in doubt",
        linkage.draw_identities,
        (tables.RECORDS, tables.LINKS),
        (tables.DOUBTFUL_PARTITIONS, tables.DOUBT_INPUTS),
        ("linkage", "value"),
        ("linkage.reviewed_pairs",),
        linkage.append_doubt,
    ),
    Step(
        "value_doubt",
        "Say how sure values are",
        customer_value.draw_values,
        (
            tables.DOUBTFUL_PARTITIONS,
            tables.LINKS,
            tables.IDENTITIES,
            tables.INTERACTIONS,
            tables.OBSERVATION,
            tables.CUSTOMER_ACTIVITY,
            tables.TOUCHED_CUSTOMERS,
            tables.CUSTOMER_VALUE,
        ),
        (tables.VALUE_AT_STAKE, tables.VALUE_UNCERTAINTY, tables.INTERVAL_INPUTS),
        ("value",),
        append=customer_value.append_value_doubt,
    ),
    Step(
        "segment",
        "Segment customers",
        segments.segment_customers,
        (
            tables.GOLDEN_RECORDS,
            tables.INTERACTIONS,
            tables.CUSTOMER_ACTIVITY,
            tables.TOUCHED_CUSTOMERS,
            tables.CUSTOMER_VALUE,
            tables.OBSERVATION,
        ),
        (
            tables.CUSTOMER_SEGMENTS,
            tables.SEGMENT_INPUTS,
            tables.SEGMENT_TRENDS,
            tables.SEGMENT_TRANSITIONS,
            tables.RECOMMENDATIONS,
        ),
        ("segments",),
        append=segments.append_segments,
    ),
    Step(
        "campaigns",
        "Measure campaigns",
        campaigns.measure_campaigns,
        (
            tables.CAMPAIGNS,
            tables.CAMPAIGN_SENDS,
            tables.IDENTITIES,
            tables.INTERACTIONS,
            tables.CUSTOMER_SEGMENTS,
            tables.OBSERVATION,
        ),
        (tables.CAMPAIGN_RESULTS, tables.CAMPAIGN_BREAKDOWN),
        ("campaigns",),
    ),
    Step(
        "profile",
        "Write Customer 360",
        customer360.profile_customers,
        (
            tables.GOLDEN_RECORDS,
            tables.IDENTITY_LEDGER,
            tables.CUSTOMER_ACTIVITY,
            tables.CUSTOMER_VALUE,
            tables.CUSTOMER_SEGMENTS,
            tables.OBSERVATION,
        ),
        (tables.IDENTITY_IMPACT, tables.HOUSEHOLDS, tables.CUSTOMER_360),
        append=customer360.append_profiles,
    ),
)
