"""What customers did: purchases, services, digital events, campaigns and their sends."""

from __future__ import annotations

from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.changes import Changes, put
from c360ml.standardize.dates import day_first_sql
from c360ml.standardize.emails import add_emails
from c360ml.standardize.moments import amount, day, key, moment, vin
from c360ml.standardize.text import data_file, sql_text
from c360ml.tables import (
    CAMPAIGN_SEND_ROWS,
    CAMPAIGN_SENDS,
    CAMPAIGNS,
    DIGITAL_EVENTS,
    EVENTS,
    PURCHASES,
    SALES,
    SERVICE_ROWS,
    SERVICES,
)

SERVICE_TYPES = (("warr|recall|goodwill", "WARRANTY"), ("part|accessor|tire|tyre", "PARTS"))
"""Pattern in the source's own word = service type; any other word, or none, is SERVICE."""

EVENT_FAMILIES = (
    ("e?mail", "EMAIL"),
    ("app|push|mobile", "APP"),
    ("social|facebook|instagram|tiktok", "SOCIAL"),
)
"""Pattern in an event type that `event_types.csv` does not list = interaction type; any other is WEB."""

CONTROL_WORDS = "control|c|hold[ _-]?out|held[ _-]?out|untreated|not[ _-]?treated|0|false|no"


def write_purchases(lake: Lakehouse, config: Config, changes: Changes | None = None) -> None:
    """Write silver.purchases; a sale without a readable day is left out and counted."""
    country = config.project.country
    rows = SALES.path if changes is None else changes.rows
    put(
        lake,
        PURCHASES,
        f"""
        with day_first as ({day_first_sql("bronze.sales", "sold_on", country)}),
        read as (
            select {key("source", "source_key")} as purchase_id,
                {key("customer_source", "customer_key")} as record_id,
                {day("sold_on", "day_first")} as purchased_on,
                {amount("amount")} as amount,
                nullif(trim(product), '') as product,
                {vin("vin")} as vin,
                nullif(trim(location), '') as location,
                nullif(trim(campaign_key), '') as campaign_id
            from {rows} left join day_first using (source)
        )
        from read where purchased_on is not null
        """,
        changes,
    )


def write_services(lake: Lakehouse, config: Config, changes: Changes | None = None) -> None:
    """Write silver.services; a service without a readable day is left out and counted."""
    kinds = " ".join(
        f"when regexp_matches(lower(service_type), {sql_text(pattern)}) then {sql_text(kind)}"
        for pattern, kind in SERVICE_TYPES
    )
    rows = SERVICE_ROWS.path if changes is None else changes.rows
    put(
        lake,
        SERVICES,
        f"""
        with day_first as ({day_first_sql("bronze.services", "serviced_on", config.project.country)}),
        read as (
            select {key("source", "source_key")} as service_id,
                {key("customer_source", "customer_key")} as record_id,
                {day("serviced_on", "day_first")} as serviced_on,
                case {kinds} else 'SERVICE' end as service_type,
                {amount("amount")} as amount,
                {vin("vin")} as vin,
                nullif(trim(location), '') as location
            from {rows} left join day_first using (source)
        )
        from read where serviced_on is not null
        """,
        changes,
    )


def write_digital_events(lake: Lakehouse, config: Config, changes: Changes | None = None) -> None:
    """Write silver.digital_events; an event without a readable time is left out and counted.

    Event names become the types of `event_types.csv`; its e-mail is spelled as those of records are.
    """
    families = " ".join(
        f"when regexp_matches(event_name, {sql_text(pattern)}) then {sql_text(family)}"
        for pattern, family in EVENT_FAMILIES
    )
    rows = EVENTS.path if changes is None else changes.rows
    put(
        lake,
        DIGITAL_EVENTS,
        f"""
        with day_first as ({day_first_sql("bronze.events", "occurred_at", config.project.country)}),
        named as (
            select distinct event_type as event_text,
                trim(regexp_replace(lower(event_type), '[^a-z0-9]+', '_', 'g'), '_') as event_name
            from {rows}
        ),
        typed as (
            select event_text, coalesce(event_type, event_name) as event_type,
                coalesce(interaction_type, case {families} else 'WEB' end) as interaction_type
            from named left join {data_file("event_types.csv")} using (event_name)
        ),
        addresses as (select distinct email from {rows} where email is not null),
        spelled as ({add_emails("addresses")}),
        read as (
            select {key("e.source", "source_key")} as event_id,
                {key("customer_source", "customer_key")} as record_id,
                s.email, interaction_type, t.event_type,
                {moment("occurred_at", "day_first")} as occurred_at,
                nullif(trim(campaign_key), '') as campaign_id
            from {rows} e
            left join day_first using (source)
            left join typed t on t.event_text = e.event_type
            left join spelled s on s.email_raw = e.email
        )
        from read where occurred_at is not null
        """,
        changes,
    )


def write_campaigns(lake: Lakehouse, config: Config) -> None:
    """Write silver.campaigns."""
    country = config.project.country
    lake.write(
        CAMPAIGNS,
        f"""
        with day_first as ({day_first_sql("bronze.campaigns", "starts_on", country)})
        select trim(source_key) as campaign_id,
            coalesce(nullif(trim(campaign_name), ''), trim(source_key)) as campaign_name,
            upper(nullif(trim(channel), '')) as channel,
            {day("starts_on", "day_first")} as starts_on,
            {day("ends_on", "day_first")} as ends_on,
            {amount("cost")} as cost
        from bronze.campaigns left join day_first using (source)
        """,
    )


def write_campaign_sends(lake: Lakehouse, config: Config, changes: Changes | None = None) -> None:
    """Write silver.campaign_sends, or what changed of them."""
    rows = CAMPAIGN_SEND_ROWS.path if changes is None else changes.rows
    put(
        lake,
        CAMPAIGN_SENDS,
        f"""
        with day_first as ({day_first_sql("bronze.campaign_sends", "sent_on", config.project.country)})
        select {key("source", "source_key")} as send_id,
            trim(campaign_key) as campaign_id,
            {key("customer_source", "customer_key")} as record_id,
            {day("sent_on", "day_first")} as sent_on,
            if(regexp_full_match(lower(trim(audience)), '{CONTROL_WORDS}'), 'CONTROL', 'TREATED') as audience
        from {rows} left join day_first using (source)
        """,
        changes,
    )


def count_interactions(lake: Lakehouse) -> dict[str, int]:
    """Count the rows written, and those left out because their day could not be read."""
    counts = {}
    for bronze, silver in ((SALES, PURCHASES), (SERVICE_ROWS, SERVICES), (EVENTS, DIGITAL_EVENTS)):
        written = lake.one(f"select count(*) from {silver.path}")
        counts[silver.name] = written
        counts[f"undated_{silver.name}"] = lake.one(f"select count(*) from {bronze.path}") - written
    return counts | {
        table.name: lake.one(f"select count(*) from {table.path}") for table in (CAMPAIGNS, CAMPAIGN_SENDS)
    }
