"""Rows of people who asked to be forgotten: known again by the digests of their keys, whatever extract holds them.

A row is theirs if it is the customer, if it names the customer (a sale, service, event or send), or if it names
nobody but holds their e-mail address. A later customer who has the same address but another key is a new customer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from c360ml import tables
from c360ml.config import Config, Source
from c360ml.lakehouse import Lakehouse
from c360ml.sources import naming
from c360ml.sources.field_maps import CUSTOMERS, ENTITY_OF_KIND
from c360ml.sources.files import with_inbox

FORGOTTEN_ROWS = "forgotten_rows"
"""Temporary table: source, file, row_number of the rows of forgotten people."""


@contextmanager
def forgotten_rows(lake: Lakehouse, config: Config, landed: str = tables.SOURCE_ROWS.path) -> Iterator[str]:
    """Keep `forgotten_rows` of landed rows for the length of a `with` block.

    Args:
        lake: the lakehouse.
        config: names the sources.
        landed: name of a table with the columns of bronze.source_rows.
    """
    lake.open(tables.TOMBSTONES)
    for macro in naming.MACROS:
        lake.rows(f"create or replace temp macro {macro}")
    parts = [_keys_of(source, landed) for source in with_inbox(lake.folder, config).sources]
    query = f"""
        with named as ({" union all ".join(parts)}),
        salts as (select min(salt) as salt from silver.tombstones),
        digests as (
            select source, file, row_number,
                unnest([
                    {_digest("record", "concat(customer_source, ':', customer_key)", "customer_key")},
                    case when customer_key is null then {_digest("email", "lower(email)", "email")} end
                ]) as digest
            from named, salts
        )
        select distinct source, file, row_number from digests semi join silver.tombstones using (digest)
    """
    with lake.scratch(FORGOTTEN_ROWS, query):
        yield FORGOTTEN_ROWS


def _digest(kind: str, key: str, unless_null: str) -> str:
    # As c360ml.identity.tombstones writes them.
    return f"case when {unless_null} is not null then sha256(concat_ws('|', salt, '{kind}', {key})) end"


def _keys_of(source: Source, landed: str) -> str:
    entity = ENTITY_OF_KIND[source.kind]
    columns = entity.table.columns
    if entity is CUSTOMERS:
        who = "source as customer_source, source_key as customer_key"
    elif "customer_key" in columns:
        who = "customer_source, customer_key"
    else:
        who = "null as customer_source, null as customer_key"
    email = "email" if "email" in columns else "null"
    return f"select source, file, row_number, {who}, {email} as email from ({naming.named_rows_sql(source, landed)})"
