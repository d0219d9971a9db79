"""Cut points by the percentile of a value: equal values are never parted.

The percentile of a value is its average rank among n: (least rank + greatest rank - 1) / 2n. Ties share
it, whatever the order of rows, unlike `NTILE`, which deals equal customers out to different bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# The slack takes up the rounding of shares such as 3/5; ranks are whole or half numbers.
_CUT_POINTS = """
    with counted as (
        select {column}::double as value, count(*) as ties from {table} group by value
    ),
    ranked as (
        select value, sum(ties) over (order by value {direction}) as greatest_rank, ties from counted
    ),
    placed as (
        select
            value,
            (2 * greatest_rank - ties) / (2 * (select sum(ties) from counted)) as percentile
        from ranked
    ),
    asked as (
        select unnest($shares::double[]) as share, unnest(range(len($shares))) as position
    )
    select {least}(value)
    from asked left join placed on percentile >= share - 1e-12
    group by position
    order by position
"""


def cut_points(
    con: DuckDBPyConnection, table: str, column: str, shares: Sequence[float], *, descending: bool = False
) -> list[float | None]:
    """Find for each share the first observed value whose percentile reaches it; None if none does.

    >>> from c360ml.lakehouse import connect
    >>> con = connect()
    >>> _ = con.execute("create table orders as select unnest([1, 1, 1, 2, 9]) as n").fetchall()
    >>> cut_points(con, "orders", "n", [0.5, 0.7, 0.8, 0.95])
    [2.0, 2.0, 9.0, None]
    """
    query = _CUT_POINTS.format(
        table=table,
        column=column,
        direction="desc" if descending else "asc",
        least="max" if descending else "min",
    )
    found: list[tuple[float | None]] = con.execute(query, {"shares": list(shares)}).fetchall()
    return [cut for (cut,) in found]
