"""The pipeline step: bronze in, silver out."""

from __future__ import annotations

from typing import Any

from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.customers import write_records
from c360ml.standardize.interactions import (
    write_campaigns,
    write_digital_events,
    write_purchases,
    write_services,
)
from c360ml.standardize.quality import count_odd_names, count_placeholders, write_source_quality


def standardize(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Standardize every accepted row: records, source quality, interactions and campaigns.

    Returns:
        records, purchases, services, digital_events, campaigns, campaign_sends: rows written;
        undated_*: rows left out because their day could not be read; quality_score_by_source: mean
        score; placeholders: records by field whose value was filled, but with nothing usable; odd_names:
        records whose name holds two people (the first is kept), digits, a maiden name, or another script.
    """
    lake.say("records")
    records = write_records(lake, config)
    write_source_quality(lake)
    lake.say("interactions")
    counts = (
        write_purchases(lake, config)
        | write_services(lake, config)
        | write_digital_events(lake, config)
        | write_campaigns(lake, config)
    )
    scores = lake.rows("select source, round(quality_score, 4) from silver.source_quality order by source")
    return {
        "records": records,
        **counts,
        "quality_score_by_source": dict(scores),
        "placeholders": count_placeholders(lake),
        "odd_names": count_odd_names(lake),
    }
