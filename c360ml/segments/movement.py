"""How customers move between segments from run to run; the last written segments are the memory.

A run is compared with the version of gold.customer_segments that stands when it begins. It gets a number,
its sizes in gold.segment_trends and its moves in gold.segment_transitions, unless nobody moved and no size
or value changed: a rerun of unchanged input adds nothing. The segments themselves are written last. A run
that was killed before that is known by a `segments_version` that was never written, and is done again.

Population stability index: the sum of (now - before) * ln(now / before) over the shares of the segments;
by custom below 0.1 is stable, from 0.25 has shifted. A share of nobody counts as half a customer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from c360ml import tables
from c360ml.lakehouse import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from c360ml.lakehouse import Lakehouse
    from c360ml.tables import Table

KINDS = ("rfm_segment", "kmeans_segment", "behaviour_segment", "value_tier", "action_segment")
"""Columns of gold.customer_segments whose movement is told."""

NEW, GONE = "(new)", "(gone)"

SHIFTED = 0.25
"""Population stability index from which a mix counts as shifted."""

_NAMES = f"[{', '.join(repr(kind) for kind in KINDS)}]"
_MOVED = f"""
    with wide as (
        select
            {", ".join(f"coalesce(before.{kind}, '{NEW}') as from_{kind}" for kind in KINDS)},
            {", ".join(f"coalesce(now.{kind}, '{GONE}') as to_{kind}" for kind in KINDS)},
            count(*) as customers
        from segments_before as before
        full join new_segments as now using (master_id)
        group by all
    ),
    long as (
        select
            unnest({_NAMES}) as kind,
            unnest([{", ".join(f"from_{kind}" for kind in KINDS)}]) as from_segment,
            unnest([{", ".join(f"to_{kind}" for kind in KINDS)}]) as to_segment,
            customers
        from wide
    )
    select kind, from_segment, to_segment, sum(customers)::bigint as customers from long group by all
"""
_SIZES = f"""
    with wide as (
        select
            {", ".join(KINDS)},
            count(*) as customers,
            coalesce(sum(historical_value::decimal(38, 4)), 0) as historical_value,
            coalesce(sum(projected_value::decimal(38, 4)), 0) as projected_value
        from new_segments
        left join gold.customer_value on customer_id = master_id
        group by all
    ),
    long as (
        select
            unnest({_NAMES}) as kind,
            unnest([{", ".join(KINDS)}]) as segment,
            * exclude ({", ".join(KINDS)})
        from wide
    )
    select
        kind,
        segment,
        observation_end as observed_on,
        sum(customers)::bigint as customers,
        sum(historical_value)::double as historical_value,
        sum(projected_value)::double as projected_value
    from long, gold.observation
    group by kind, segment, observation_end
"""
_LAST_RUN = "(select coalesce(max(run), 0) from known_trends)"
_CHANGES = f"""
    with last_sizes as (
        select kind, segment, observed_on, customers, historical_value, projected_value
        from known_trends
        where run = {_LAST_RUN}
    )
    select
        (select count(*) from moved where from_segment != to_segment)
        + (select count(*) from (from sizes except from last_sizes))
        + (select count(*) from (from last_sizes except from sizes))
"""
_TRENDS = """
    select * from known_trends
    union all by name
    select $run as run, $segments_version as segments_version, * from sizes where $changed
"""
_TRANSITIONS = f"""
    select * from known_transitions where run <= {_LAST_RUN}
    union all by name
    select $run as run, observation_end as observed_on, moved.* from moved, gold.observation where $compared
"""


def record_movement(lake: Lakehouse) -> None:
    """Add the run's sizes and moves to the trends and transitions, from `new_segments` and gold.customer_value."""
    version = lake.version(tables.CUSTOMER_SEGMENTS)
    written = -1 if version is None else version
    remembers = _remembers(lake, tables.CUSTOMER_SEGMENTS)
    with (
        lake.scratch("segments_before", _known(tables.CUSTOMER_SEGMENTS, remembers)),
        lake.scratch("all_trends", _known(tables.SEGMENT_TRENDS, _remembers(lake, tables.SEGMENT_TRENDS))),
        lake.scratch("known_trends", "from all_trends where segments_version <= $written", {"written": written}),
        lake.scratch(
            "known_transitions", _known(tables.SEGMENT_TRANSITIONS, _remembers(lake, tables.SEGMENT_TRANSITIONS))
        ),
        lake.scratch("sizes", _SIZES),
        lake.scratch("moved", _MOVED),
    ):
        changed = lake.one(_CHANGES) > 0
        run = int(lake.one(f"select {_LAST_RUN}")) + 1
        added = {"run": run, "segments_version": written + 1, "changed": changed}
        lake.write(tables.SEGMENT_TRENDS, _TRENDS, added)
        lake.write(
            tables.SEGMENT_TRANSITIONS, _TRANSITIONS, {"run": run, "compared": changed and remembers and run > 1}
        )


def _remembers(lake: Lakehouse, table: Table) -> bool:
    """Open a table as the last run left it; one that another release wrote with other columns is no memory."""
    try:
        return lake.version(table) is not None and bool(lake.open(table))
    except EngineError:
        return False


def _known(table: Table, remembers: bool) -> str:
    if remembers:
        return f"from {table.path}"
    nothing = ", ".join(f"null::{column.type} as {name}" for name, column in table.columns.items())
    return f"select {nothing} where false"


def tell_movement(lake: Lakehouse) -> dict[str, dict[str, float]]:
    """Tell of the last run that had one before: by kind, share who moved, stability index, adjusted Rand index."""
    rows = lake.rows("""
        select kind, from_segment, to_segment, customers
        from gold.segment_transitions
        where run = (select max(run) from gold.segment_trends)
    """)
    by_kind: dict[str, dict[tuple[str, str], int]] = {kind: {} for kind in KINDS if rows}
    for kind, before, now, customers in rows:
        by_kind[kind][before, now] = customers
    return {kind: measure_movement(moves) for kind, moves in by_kind.items()}


def measure_movement(moves: Mapping[tuple[str, str], int]) -> dict[str, float]:
    """Measure movement from customers by (segment before, segment now).

    The adjusted Rand index (Hubert & Arabie 1985) and the share count customers who were there both times.

    >>> moves = {("a", "a"): 50, ("b", "b"): 40, ("b", "a"): 10, ("(new)", "b"): 10}
    >>> {name: round(measure, 2) for name, measure in measure_movement(moves).items()}
    {'moved_share': 0.1, 'psi': 0.01, 'ari': 0.64}
    """
    before = sorted({start for start, _ in moves} - {NEW})
    now = sorted({end for _, end in moves} - {GONE})
    table = np.array([[moves.get((start, end), 0) for end in now] for start in before], dtype=np.float64)
    table = table.reshape(len(before), len(now))
    names = sorted({*before, *now})
    stayed = sum(moves.get((name, name), 0) for name in names)
    return {
        "moved_share": 1 - stayed / float(table.sum()) if table.sum() else 0.0,
        "psi": stability_index(
            [sum(count for (start, _), count in moves.items() if start == name) for name in names],
            [sum(count for (_, end), count in moves.items() if end == name) for name in names],
        ),
        "ari": _adjusted_rand(table),
    }


def stability_index(before: Sequence[float], now: Sequence[float]) -> float:
    """Compare two mixes by the population stability index; 0 if one of them is empty.

    >>> round(stability_index([50, 50], [60, 40]), 4), stability_index([3, 1], [6, 2])
    (0.0405, 0.0)
    """
    if not sum(before) or not sum(now):
        return 0.0
    # half a customer for nobody: the logarithm of zero is not finite
    old = np.maximum(before, 0.5) / sum(before)
    new = np.maximum(now, 0.5) / sum(now)
    return float(((new - old) * np.log(new / old)).sum())


def _adjusted_rand(table: NDArray[np.float64]) -> float:
    customers = table.sum()
    together = _pairs(table).sum()
    before, now = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum()
    by_chance = before * now / max(_pairs(customers), 1.0)
    most = (before + now) / 2
    return 1.0 if most == by_chance else float((together - by_chance) / (most - by_chance))


def _pairs(counts: Any) -> Any:
    return counts * (counts - 1) / 2
