"""Hub values: an e-mail, phone, door, number or birth date that far more people share than is usual.

A dealer's mailbox, a call centre's phone, an office or a placeholder says little about who a person is. What is usual
is read from the file: names per value are compared with a Poisson distribution of the file's own mean, and a value
is a hub if not even one such value would be expected by chance among all of them. Mailboxes of a job (email_kind
role, see `standardize`) are hubs as soon as two names share them. Hubs do not block alone and are weak evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import pdtr, pdtrik

from c360ml.lakehouse import as_relation, connect, same_kind
from c360ml.linkage.statistics import note_statistics

if TYPE_CHECKING:
    import duckdb

LEAST_NAMES = 5
"""Fewer names at one value are a household, whatever is usual."""
NAME = "coalesce(given_name_phonetic, given_name, full_name)"
HOUSE = "street || '|' || street_number || '|' || coalesce(city, postcode, '')"
HUB_VALUES = {
    "email": "email",
    "phone": "phone",
    "national_id": "national_id",
    "date_of_birth": "date_of_birth",
    "door": f"case when unit is null then {HOUSE} end",
}
"""SQL of the values that may be hubs; a door is a house without units."""
ROLE_MAILBOX = dict.fromkeys(HUB_VALUES, "false") | {"email": "email_kind = 'role'"}
"""SQL of the values that are hubs as soon as two names share them."""


@dataclass(frozen=True)
class HubLimit:
    """From how many names on a kind of value is a hub, and how many it has on average."""

    kind: str
    names: int
    mean_names: float


def find_hubs(records: Any) -> Any:
    """List the hub values of standardized records, most names first, without the values.

    Args:
        records: table of `standardize_records`.

    Returns:
        `kind, record_id` (of one record that has the value), `records, names, births, why`, of the kind of table that
        was given.

    >>> import pandas as pd
    >>> from c360ml import standardize_records
    >>> people = pd.DataFrame({"id": range(8), "mail": ["desk@shop.biz"] * 7 + ["zoe@x.org"],
    ...     "first": ["Ann", "Bob", "Cy", "Dora", "Ernest", "Fay", "Gus", "Zoe"]})
    >>> records = standardize_records(people, id="id", columns={"given_name": "first", "email": "mail"})
    >>> find_hubs(records)[["kind", "records", "names"]].values.tolist()
    [['email', 7, 7]]
    """
    from c360ml.linkage.features import build_features

    with connect() as con:
        as_relation(con, records).create_view("hub_records")
        build_features(con, "hub_records")
        return same_kind(con.sql(hub_list()), records)


def hub_list() -> str:
    """SQL of the hubs of the feature table, without their values.

    Values are counted again from the flags in the feature table.
    """
    kinds = " union all ".join(
        f"""
        select '{kind}' as kind, min(record_id) as record_id, count(*) as records, count(distinct {NAME}) as names,
               count(distinct date_of_birth) as births,
               case when bool_or({ROLE_MAILBOX[kind]}) then 'mailbox of a job' else 'more names than usual' end as why
        from linkage_features where {kind}_hub group by {value}
        """
        for kind, value in HUB_VALUES.items()
    )
    return f"from ({kinds}) order by names desc, kind, record_id"


def note_hubs(con: duckdb.DuckDBPyConnection, table: str) -> tuple[HubLimit, ...]:
    """Note the hub values of each kind, with their number of names, as statistics `hub:<kind>`.

    Args:
        con: connection that holds the table.
        table: records with the columns of the feature table, `email_kind` among them.
    """
    return tuple(_note_kind(con, table, kind) for kind in HUB_VALUES)


def _note_kind(con: duckdb.DuckDBPyConnection, table: str, kind: str) -> HubLimit:
    con.execute(f"""
        create or replace temp table hub_counts as
        select {HUB_VALUES[kind]} as value, count(distinct {NAME}) as names, bool_or({ROLE_MAILBOX[kind]}) as role
        from {table} where ({HUB_VALUES[kind]}) is not null group by all
    """).fetchall()
    values, total = con.execute("select count(*), coalesce(sum(names), 0) from hub_counts").fetchall()[0]
    limit = hub_limit(int(total), int(values))
    note_statistics(
        con,
        f"hub:{kind}",
        f"select value, names as number from hub_counts where names >= {limit} or (role and names > 1)",
    )
    con.execute("drop table hub_counts").fetchall()
    return HubLimit(kind, limit, int(total) / max(int(values), 1))


def hub_limit(names: int, values: int) -> int:
    """Least number of names of a hub: less than one such value is expected if names fall on values by chance.

    >>> hub_limit(names=15_000, values=10_000)
    9
    """
    if values < 2:
        return LEAST_NAMES
    # The quantile of Poisson's distribution as scipy.stats has it, which takes seconds to load.
    sure, mean = 1 - 1 / values, names / values
    quantile = float(np.ceil(pdtrik(sure, mean)))
    if quantile > 0 and pdtr(quantile - 1, mean) >= sure:
        quantile -= 1
    return max(LEAST_NAMES, int(quantile) + 1)
