"""Customer rows of all sources to silver.records: standardized, with status, consent and times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.changes import Changes, put
from c360ml.standardize.dates import day_first_sql
from c360ml.standardize.moments import key, moment
from c360ml.standardize.quality import quality_score
from c360ml.standardize.records import ROLES, standardized
from c360ml.standardize.text import sql_list, sql_text, trimmed
from c360ml.tables import CUSTOMERS, RECORDS

STATUSES = (
    (r"prospect|lead|not contacted|contacted|working|nurtur|qualified|converted|^new$|^open\b", "PROSPECT"),
    (
        r"inactive|closed|disabled|deceased|archived|deleted|deactivated|churned|lost|former|suspended",
        "INACTIVE",
    ),
)
"""Pattern in the source's own word = status, the first that fits; any other word, or none, is ACTIVE.

Lead statuses (Open - Not Contacted, Working - Contacted, Closed - Not Converted) all mean PROSPECT: whoever
bought is another record of the same person.
"""

CONSENT_YES = ("true", "t", "yes", "y", "1", "opt in", "opted in", "optin", "in", "subscribed", "allow", "allowed",
               "granted", "on")  # fmt: skip
CONSENT_NO = ("false", "f", "no", "n", "0", "opt out", "opted out", "optout", "out", "unsubscribed", "do not allow",
              "denied", "refused", "withdrawn", "off")  # fmt: skip


def write_records(lake: Lakehouse, config: Config, changes: Changes | None = None) -> None:
    """Write silver.records from bronze.customers, or what changed of them."""
    country = config.project.country
    rows = CUSTOMERS.path if changes is None else changes.rows
    whole = None if changes is None else "customer_rows"
    with (
        customer_rows(lake),
        customer_rows(lake, rows, "changed_customer_rows"),
        standardized(lake.con, "changed_customer_rows", country, whole) as query,
    ):
        columns = ", ".join(f'"{name}"' for name in RECORDS.columns)
        put(
            lake,
            RECORDS,
            f"""
            with created_order as ({day_first_sql("customer_rows", "created_at", country)}),
            updated_order as ({day_first_sql("customer_rows", "updated_at", country)}),
            standard as ({query}),
            dated as (
                select s.* replace (
                        {_status()} as status,
                        {_consent()} as marketing_consent,
                        {moment("created_at", "c.day_first")} as created_at,
                        {moment("updated_at", "u.day_first")} as updated_at
                    )
                from standard s
                left join created_order c using (source)
                left join updated_order u using (source)
            ),
            scored as (
                select *, {quality_score()} as quality_score from dated
            )
            select {columns} from scored
            """,
            changes,
        )


@contextmanager
def customer_rows(lake: Lakehouse, rows: str = CUSTOMERS.path, name: str = "customer_rows") -> Iterator[None]:
    """Show rows of bronze.customers with roles trimmed as a view, for the length of a `with` block."""
    lake.rows(f"create or replace temp view {name} as {_trimmed_roles(rows)}")
    try:
        yield
    finally:
        lake.rows(f"drop view {name}")


def _trimmed_roles(rows: str) -> str:
    roles = ", ".join(f"{trimmed(role)} as {role}" for role in ROLES)
    return f"""
        select {key("source", "source_key")} as record_id, source, source_key, {roles},
            status, marketing_consent, created_at, updated_at
        from {rows}
    """


def _status() -> str:
    """SQL for ACTIVE, INACTIVE or PROSPECT; a customer of whom no status is told is active."""
    word = "trim(regexp_replace(lower(status), '[^a-z]+', ' ', 'g'))"
    cases = " ".join(
        f"when regexp_matches({word}, {sql_text(pattern)}) then {sql_text(status)}" for pattern, status in STATUSES
    )
    return f"case {cases} else 'ACTIVE' end"


def _consent() -> str:
    """SQL for true, false or unknown."""
    word = "trim(regexp_replace(lower(marketing_consent), '[^a-z0-9]+', ' ', 'g'))"
    return f"case when {word} in {sql_list(CONSENT_YES)} then true when {word} in {sql_list(CONSENT_NO)} then false end"
