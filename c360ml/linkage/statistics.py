"""What a file tells of its values, kept so that records that come later are seen as the model saw its own.

How rare a term is, how many names share a contact, which values are hubs and which keys are too hot to block on are
counted once, when a model is fitted. With the counts given, what is compared of a record depends on that record alone:
appending records, in any order, gives what one run over all of them would give.

One table holds them: `kind, value, number`. The values are personal data, so it stays in the lakehouse.

    filled           column that holds at least two values (no number)
    rarity:COLUMN    term that is common (0) or uncommon (1); any other is rare
    names:CONTACT    contact with more than one name, and how many
    hub:KIND         hub value, and its names
    hot:RULE         key that too many records share, and how many did
    skipped:RULE     key that is too hot even where it was split, and how many shared it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c360ml.errors import TableError

if TYPE_CHECKING:
    import duckdb

STATISTICS = "term_statistics"
"""Temporary table of the statistics of the features at hand."""
RARE = 2


def start_statistics(con: duckdb.DuckDBPyConnection) -> None:
    """Make an empty table of statistics."""
    con.execute(f"create or replace temp table {STATISTICS} (kind varchar, value varchar, number bigint)").fetchall()


def note_statistics(con: duckdb.DuckDBPyConnection, kind: str, query: str) -> None:
    """Add a query's `value, number` under a kind."""
    con.execute(
        f"insert into {STATISTICS} select $kind, value::varchar, number from ({query})", {"kind": kind}
    ).fetchall()


def take_statistics(con: duckdb.DuckDBPyConnection, given: str) -> frozenset[str]:
    """Take over the statistics of a model's fit from the table `given`; returns the columns that were filled.

    Raises:
        TableError: the table holds none.
    """
    con.execute(f"create or replace temp table {STATISTICS} as select kind, value, number from {given}").fetchall()
    filled = con.execute(f"select value from {STATISTICS} where kind = 'filled'").fetchall()
    if not filled:
        raise TableError("a model's statistics must be whole", got="an empty table", hint="run `c360ml run`")
    return frozenset(value for (value,) in filled)


def statistics_of(kind: str) -> str:
    """SQL of the `value, number` of a kind.

    >>> statistics_of("hub:email")
    "(select value, number from term_statistics where kind = 'hub:email')"
    """
    return f"(select value, number from {STATISTICS} where kind = '{kind}')"
