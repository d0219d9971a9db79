"""The pipeline's step that says how sure values are: intervals by customer, and value at stake by pair in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml import tables
from c360ml.customer_value.columns import Codes, Floats
from c360ml.customer_value.doubtful_histories import DoubtfulHistories, doubtful_histories, doubtful_sets
from c360ml.customer_value.doubtful_sets import DoubtfulSets
from c360ml.customer_value.identity_bias import BIAS_FILE, bias_of_project
from c360ml.customer_value.saved_models import SavedModels
from c360ml.customer_value.step import MODEL_FILE
from c360ml.customer_value.value_intervals import ValueIntervals, summary_of, value_intervals

if TYPE_CHECKING:
    from c360ml.config import Config
    from c360ml.lakehouse import Lakehouse

_SEED = 1
_LEAST_DOUBT = 0.02
_MOST_RECORDS = 20

_PAIRS = f"""
    select l.record as l, r.record as r
    from silver.links
    join doubtful_records l on l.record_id = record_id_l join doubtful_records r on r.record_id = record_id_r
    where match_probability between {_LEAST_DOUBT} and 1 - {_LEAST_DOUBT}
    order by l, r
"""
_STAKES = """
    select own.record_id as record_id_l, other.record_id as record_id_r, together as probability_together,
           round(stake, 4) as value_at_stake, round(total, 4) as total_at_stake
    from staked_pairs
    join doubtful_records own on own.record = l join doubtful_records other on other.record = r
"""
# In some draws the record is with whoever holds most of the customer's records, in others it is not.
_RECORDS_IN_DOUBT = f"""
    with seen as (
        select master_id, record, sum(times)::bigint as times
        from customer_parts join doubtful_sets using (set_number)
        group by master_id, record
    ),
    named as (
        select seen.master_id, record_id, abs(2 * times - $draws) as certainty
        from seen join doubtful_records using (record)
        where times < $draws
    )
    select master_id, list(record_id order by certainty, record_id)[:{_MOST_RECORDS}] as doubtful_records
    from named group by master_id
"""
_WRITE = """
    with owners as materialized (
        select record_id, master_id from silver.identities semi join intervals using (master_id)
    ),
    of_records as (
        select master_id, record_id_l, record_id_r, value_at_stake
        from gold.value_at_stake join owners on record_id = record_id_l
        union
        select master_id, record_id_l, record_id_r, value_at_stake
        from gold.value_at_stake join owners on record_id = record_id_r
    ),
    most as (
        select *, row_number() over (
                   partition by master_id order by value_at_stake desc, record_id_l, record_id_r
               ) as place
        from of_records
        where value_at_stake > 0
    )
    select intervals.*, coalesce(doubtful_records, []) as doubtful_records, record_id_l, record_id_r, value_at_stake
    from intervals
    left join customers_in_doubt using (master_id)
    left join most on most.master_id = intervals.master_id and place = 1
    order by intervals.master_id
"""
_NO_INTERVALS = "select " + ", ".join(f"null as {name}" for name in tables.VALUE_UNCERTAINTY.columns) + " where false"
_NO_STAKES = "select " + ", ".join(f"null as {name}" for name in tables.VALUE_AT_STAKE.columns) + " where false"


def doubt_values(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Write `gold.value_uncertainty` and `gold.value_at_stake`, and measure what errors of identity do to the models.

    Returns:
        `total`: interval of the sum of projected values, under both doubts and under each alone; counts; `bias`: see
        `identity_bias`. Without a fitted model or draws both tables are empty, and `reason` says so.
    """
    draws = config.value.identity_draws
    content = lake.read_json(MODEL_FILE)
    if not draws or content is None or not content["fitted"]:
        return _write_nothing(lake, "identity_draws is 0" if not draws else "no forecast was fitted")
    # Of a large file fewer were drawn; of one without doubt none, and then the parameters alone are.
    draws = lake.one(f"select count(distinct draw) from {tables.DOUBTFUL_PARTITIONS.path}") or draws
    summary, drawn = write_doubt(lake, config, content, draws)
    lake.say("measuring what errors of identity do")
    everybody = lake.rows("select count(*), count(distinct master_id) from silver.identities")[0]
    bias = bias_of_project(lake, config, drawn.error_rates(*everybody))
    lake.write_json(BIAS_FILE, bias)
    return summary | {"bias": bias}


def write_doubt(
    lake: Lakehouse, config: Config, content: Mapping[str, Any], draws: int
) -> tuple[dict[str, Any], DoubtfulSets]:
    """Write both tables by a fitted model; gives counts and the total, and the sets of records that were drawn."""
    models = SavedModels.read(content)
    lake.say(f"valuing customers in {draws} draws")
    customers = lake.sql("from gold.customer_value order by customer_id").to_arrow_table()
    with doubtful_sets(lake, draws) as drawn:
        doubtful = doubtful_histories(lake, drawn, config.value.refunds)
        found = value_intervals(models, customers, doubtful, draws=draws, seed=_SEED)
        pairs = _write_stakes(lake, doubtful, found)
        _write_intervals(lake, doubtful, found, draws)
    summary = {
        "draws": draws,
        "total": summary_of(found),
        "customers": len(found.customers),
        "customers_in_doubt": int((found.identity_share > 0).sum()),
        "mostly_identity": int((found.identity_share > 0.5).sum()),
        "pairs_at_stake": pairs,
    }
    return summary, drawn


def write_no_doubt(lake: Lakehouse) -> None:
    """Write both tables without a row: nobody bought."""
    lake.write(tables.VALUE_AT_STAKE, _NO_STAKES)
    lake.write(tables.VALUE_UNCERTAINTY, _NO_INTERVALS)


def _write_nothing(lake: Lakehouse, reason: str) -> dict[str, Any]:
    write_no_doubt(lake)
    lake.write_json(BIAS_FILE, {"rows": [], "reason": reason})
    return {"draws": 0, "reason": reason}


def _write_stakes(lake: Lakehouse, doubtful: DoubtfulHistories | None, found: ValueIntervals) -> int:
    if doubtful is None:
        lake.write(tables.VALUE_AT_STAKE, _NO_STAKES)
        return 0
    pairs = lake.sql(_PAIRS).fetchnumpy()
    left, right = (np.asarray(pairs[side], dtype=np.int64) for side in "lr")
    together, stake, total = stakes(doubtful.record_sets, left, right, found.worth, found.projected)
    known = np.isfinite(stake)
    table = pa.table(
        {"l": left[known], "r": right[known], "together": together[known], "stake": stake[known], "total": total[known]}
    )
    lake.con.register("staked_pairs", table)
    rows = lake.write(tables.VALUE_AT_STAKE, f"{_STAKES} order by all")
    lake.con.unregister("staked_pairs")
    return rows


def stakes(
    record_sets: Codes, left: Codes, right: Codes, worth: Floats, projected: Floats
) -> tuple[Floats, Floats, Floats]:
    """Compare the draws that put two records together with those that keep them apart.

    Args:
        record_sets: record x draw: the set of records that each is one person with.
        left: one record of each pair.
        right: the other.
        worth: value of each set, past and projected.
        projected: projected value of each set.

    Returns:
        Share of draws together; mean change of the value of the customer of either record, the greater; mean change
        of the projected value of both records' customers. NaN for pairs that are always together, or never.

    >>> record_sets = np.array([[0, 2], [1, 2]])
    >>> found = stakes(record_sets, np.array([0]), np.array([1]), np.array([5.0, 1.0, 6.5]), np.array([2.0, 0.5, 3]))
    >>> [part.tolist() for part in found]
    [[0.5], [5.5], [0.5]]
    """
    answers: list[NDArray[np.float64]] = []
    step = max(1, 20_000_000 // max(record_sets.shape[1], 1))
    for first in range(0, max(len(left), 1), step):
        one, other = record_sets[left[first : first + step]], record_sets[right[first : first + step]]
        same = one == other
        changes = [_change(worth[side], same) for side in (one, other)]
        both = projected[one] + np.where(same, 0.0, projected[other])
        answers.append(
            np.stack(
                [same.mean(axis=1), np.maximum(np.abs(changes[0]), np.abs(changes[1])), np.abs(_change(both, same))]
            )
        )
    share, stake, total = np.concatenate(answers, axis=1)
    return share, stake, total


def _change(values: Floats, same: NDArray[np.bool_]) -> Floats:
    """Mean where together less mean where apart; NaN if one of them never was."""
    together, apart = same.sum(axis=1), (~same).sum(axis=1)
    known = (together > 0) & (apart > 0)
    joined = (values * same).sum(axis=1) / np.maximum(together, 1)
    parted = (values * ~same).sum(axis=1) / np.maximum(apart, 1)
    return np.where(known, joined - parted, np.nan)


def _write_intervals(lake: Lakehouse, doubtful: DoubtfulHistories | None, found: ValueIntervals, draws: int) -> None:
    table = pa.table(
        {
            "master_id": pa.array(found.customers, pa.string()),
            "value": np.round(found.value, 6),
            "lower": np.round(found.lower, 6),
            "upper": np.round(found.upper, 6),
            "identity_share": np.round(found.identity_share, 9),
        }
    )
    lake.con.register("intervals", table)
    if doubtful is None:
        in_doubt = "select null::varchar as master_id, null::varchar[] as doubtful_records where false"
        parameters = {}
    else:
        lake.con.register("customer_parts", doubtful.drawn.changing())
        in_doubt, parameters = _RECORDS_IN_DOUBT, {"draws": draws}
    with lake.scratch("customers_in_doubt", in_doubt, parameters):
        lake.write(tables.VALUE_UNCERTAINTY, _WRITE)
    lake.con.unregister("intervals")
