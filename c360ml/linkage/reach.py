"""Which records hang together with some of them, over any number of others: components of which a part is known.

Records are told apart by a 64-bit hash, which is compared faster than a text. Should two have one, more records than
need be are found, and never fewer: whoever works on what is found works on whole components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def add_joined(con: duckdb.DuckDBPyConnection, table: str, pairs: str) -> int:
    """Add to a table of `record_id` all records that pairs join to one of them, over any number of others.

    Args:
        con: connection that holds the table.
        table: name of the table.
        pairs: SQL of pairs of record ids, `a, b`.

    Returns:
        How many records the table then has.

    >>> from c360ml.lakehouse import connect
    >>> con = connect()
    >>> _ = con.execute("create table touched as select 'ann' as record_id").fetchall()
    >>> add_joined(con, "touched", "select * from (values ('bob', 'ann'), ('bob', 'cy'), ('di', 'ed')) pairs(a, b)")
    3
    """
    con.execute(f"""
        create or replace temp table joined_numbers as
        with numbered as (select hash(a) as a, hash(b) as b from ({pairs}))
        select a, b from numbered union all select b, a from numbered
    """).fetchall()
    for name in ("reached_numbers", "last_reached"):
        con.execute(
            f"create or replace temp table {name} as select distinct hash(record_id) as number from {table}"
        ).fetchall()
    while con.execute("select count(*) from last_reached").fetchall()[0][0]:
        con.execute("""
            create or replace temp table last_reached as
            select distinct b as number from joined_numbers semi join last_reached on a = number
            anti join reached_numbers known on known.number = b
        """).fetchall()
        con.execute("insert into reached_numbers from last_reached").fetchall()
    con.execute(f"""
        insert into {table}
        with ends as (
            select unnest([a, b]) as record_id from (from ({pairs}) semi join reached_numbers on hash(a) = number)
        )
        select distinct record_id from ends anti join {table} known using (record_id)
    """).fetchall()
    for name in ("joined_numbers", "reached_numbers", "last_reached"):
        con.execute(f"drop table {name}").fetchall()
    return int(con.execute(f"select count(*) from {table}").fetchall()[0][0])
