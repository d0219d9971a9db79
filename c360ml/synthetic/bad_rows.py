"""Rows that validation must refuse: copies of good rows, spoiled in one way each, and the list of them."""

from __future__ import annotations

from dataclasses import dataclass

from c360ml.synthetic.workbench import Workbench


@dataclass(frozen=True)
class Spoil:
    """One way to spoil a row: the rows it can befall, how many, and what is replaced."""

    reason: str
    share: float
    where: str
    replacements: str


_NO_KEY = "cast(null as varchar) as source_key"
_NEW_KEY = "source_key || 'Z' as source_key"
_CUSTOMERS = (
    Spoil(
        "email_invalid",
        0.006,
        "email_written is not null and source in ('salesforce', 'dynamics365')",
        _NEW_KEY
        + """, case pick(record, 'spoil', 3) when 0 then replace(email, '@', ' at ')
                when 1 then split_part(email, '@', 1) || '@' else replace(email, '@', '@@') end as email""",
    ),
    Spoil("key_missing", 0.004, "true", _NO_KEY),
    Spoil("duplicate_key", 0.005, "true", "source_key as source_key"),
)
_SALES = (
    Spoil(
        "vin_invalid",
        0.004,
        "amount > 0",
        _NEW_KEY
        + """, left(vin, 8) || translate(substr(vin, 9, 1), '0123456789X', '12345678900')
            || right(vin, 8) as vin""",
    ),
    Spoil(
        "date_in_future",
        0.003,
        "amount > 0",
        _NEW_KEY + ", cast(sold_on + interval 40 year as date) as sold_on",
    ),
    Spoil("key_missing", 0.002, "true", _NO_KEY),
    Spoil("duplicate_key", 0.003, "true", "source_key as source_key"),
)
_SERVICES = (
    Spoil(
        "date_in_future",
        0.004,
        "true",
        _NEW_KEY + ", cast(serviced_on + interval 40 year as date) as serviced_on",
    ),
    Spoil("key_missing", 0.003, "true", _NO_KEY),
    Spoil("duplicate_key", 0.005, "true", "source_key as source_key"),
)
_EVENTS = (
    Spoil(
        "date_in_future",
        0.004,
        "true",
        _NEW_KEY + ", happened_at + interval 40 year as happened_at",
    ),
    Spoil("key_missing", 0.004, "true", _NO_KEY),
    Spoil("duplicate_key", 0.004, "true", "source_key as source_key"),
)

_SPOILS = {"customer_row": _CUSTOMERS, "sale_row": _SALES, "service_row": _SERVICES, "event_row": _EVENTS}
_ROW_NUMBERS = {"customer_row": "record", "sale_row": "purchase", "service_row": "visit", "event_row": "event"}
_ORDERS = {
    "customer_row": "serial",
    "sale_row": "sold_on, source_key",
    "service_row": "serviced_on, source_key",
    "event_row": "happened_at, source_key",
}

# Of rows of one key that say the same the first stays: repeated rows, as other spoiled ones, stand last in their file.
_POSITIONS = """
create or replace table {table} as
select *, row_number() over (
    partition by {kind}
    order by reason is not null, {order}, reason, {row}
) as position
from (select *, cast(null as varchar) as reason from {table} union all by name from spoiled)
"""


def _copies(spoil: Spoil, table: str, row: str, kind: str) -> str:
    """Choose rows at the spoil's rate, and at least one of each kind, and spoil copies of them."""
    luck = f"u({row}, 'spoil {spoil.reason}')"
    return f"""
        select * replace ({spoil.replacements}), '{spoil.reason}' as reason from {table}
        where ({spoil.where}) and ({luck} < {spoil.share} or {row} in (
            select min_by({row}, ({luck}, {row})) from {table} where {spoil.where} group by {kind}))"""


def add_bad_rows(bench: Workbench, table: str) -> None:
    """Append spoiled rows to a table of rows, and give every row its position in its file."""
    row, kind = _ROW_NUMBERS[table], "system" if table == "customer_row" else "'all'"
    spoiled = " union all ".join(_copies(spoil, table, row, kind) for spoil in _SPOILS[table])
    bench.run(f"create or replace table spoiled as {spoiled}")
    bench.run(_POSITIONS.format(table=table, kind=kind, order=_ORDERS[table], row=row))
    bench.run("drop table spoiled")
