"""Data quality: how complete and valid a record is, and what each source delivers."""

from __future__ import annotations

from c360ml.lakehouse import Lakehouse
from c360ml.standardize.latin_letters import FOREIGN_LETTER
from c360ml.standardize.name_notes import TWO_PEOPLE
from c360ml.standardize.text import sql_text
from c360ml.tables import SOURCE_QUALITY

QUALITY_WEIGHTS = (
    (0.10, "given_name is not null"),
    (0.15, "surname is not null"),
    (0.20, "email_kind = 'personal'"),
    (0.10, "email_kind = 'role'"),
    (0.15, "phone is not null"),
    (0.10, "street is not null"),
    (0.04, "city is not null"),
    (0.06, "postcode is not null"),
    (0.15, "try_cast(date_of_birth as date) is not null"),
    (0.05, "coalesce(updated_at, created_at) is not null"),
)
"""What a record earns for what it holds after standardization; all of it together is 1.

A name 0.25, a personal e-mail 0.20 (a role mailbox half of that), a phone 0.15, an address 0.20, a
date of birth that exists 0.15, a time stamp 0.05. A placeholder was made null before, and earns nothing.
"""

_PLACEHOLDERS = {
    "name": "name_raw is not null and given_name is null and surname is null",
    "email": "email_kind = 'placeholder'",
    "phone": "phone_raw is not null and phone is null",
    "address": "address_raw is not null and street is null",
    "date_of_birth": "date_of_birth_raw is not null and date_of_birth is null",
}

_ODD_NAMES = {
    "two_people": f"regexp_matches(name_raw, {sql_text(TWO_PEOPLE)}) and name_raw not ilike '% of %'",
    "digits": "regexp_matches(name_raw, '[0-9]')",
    "maiden_name": "maiden_name is not null",
    "other_script": f"regexp_matches(name_raw, {sql_text(FOREIGN_LETTER)})",
}


def quality_score() -> str:
    """SQL for the quality score of a standardized record, 0 to 1.

    >>> quality_score().startswith("round(0.1 * coalesce(cast(given_name is not null as integer), 0)")
    True
    """
    earned = [f"{weight} * coalesce(cast({held} as integer), 0)" for weight, held in QUALITY_WEIGHTS]
    return f"round({' + '.join(earned)}, 4)"


def write_source_quality(lake: Lakehouse) -> None:
    """Write silver.source_quality: shares of usable fields by source, and rejected rows."""
    lake.write(
        SOURCE_QUALITY,
        """
        with accepted as (
            select source,
                count(*) as records,
                -- whole numbers, whose sum is the same in any order
                sum(cast(round(10000 * quality_score) as bigint)) / (10000.0 * count(*)) as quality_score,
                avg(cast(email is not null as integer)) as email_share,
                avg(cast(phone is not null as integer)) as phone_share,
                avg(cast(given_name is not null and surname is not null as integer)) as name_share,
                avg(cast(street is not null and postcode is not null as integer)) as address_share,
                avg(cast(try_cast(date_of_birth as date) is not null as integer)) as date_of_birth_share
            from silver.records
            group by source
        ),
        rejected as (
            select source, count(*) as rejected_rows
            from bronze.dead_letters
            where entity = 'customers'
            group by source
        )
        select source, coalesce(records, 0) as records, coalesce(rejected_rows, 0) as rejected_rows,
            * exclude (source, records, rejected_rows)
        from accepted full join rejected using (source)
        order by source
        """,
    )


def count_placeholders(lake: Lakehouse) -> dict[str, int]:
    """Count the records whose field was filled, but with nothing usable."""
    counts = ", ".join(f"count(*) filter ({filled})" for filled in _PLACEHOLDERS.values())
    return dict(zip(_PLACEHOLDERS, lake.rows(f"select {counts} from silver.records")[0], strict=True))


def count_odd_names(lake: Lakehouse) -> dict[str, int]:
    """Count the records whose name holds more than a name in Latin letters."""
    counts = ", ".join(f"count(*) filter ({odd})" for odd in _ODD_NAMES.values())
    return dict(zip(_ODD_NAMES, lake.rows(f"select {counts} from silver.records")[0], strict=True))
