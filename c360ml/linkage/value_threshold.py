"""The threshold that costs least if an error costs a share of the value it moves: `gold.value_at_stake` by pair."""

from __future__ import annotations

from c360ml import tables
from c360ml.errors import DataError
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.thresholds import Threshold, threshold_by_cost

# Pairs in doubt have their own stake; an error in any other is taken to move as much as the mean of these.
_PAIRS = """
    with mean as (select round(avg(value_at_stake), 6) as stake from gold.value_at_stake)
    select match_probability, coalesce(value_at_stake, stake) * $false_share + $least as false_cost,
           coalesce(value_at_stake, stake) * $missed_share + $least as missed_cost
    from silver.links left join gold.value_at_stake using (record_id_l, record_id_r) cross join mean
"""
_LEAST_COST = 1e-6


def threshold_by_value(lake: Lakehouse, *, false_merge_share: float, missed_merge_share: float) -> Threshold:
    """Choose the match probability above which links pay, from the last run's value at stake by pair.

    Args:
        lake: the project's lakehouse, after a run.
        false_merge_share: share of the value moved that is lost if two people are taken for one; 0.05 is 5 %.
        missed_merge_share: share of it that is lost if one person is taken for two.

    Raises:
        TableError: the project was never run.
        DataError: nothing is at stake in any pair, or a share is not above 0.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> _ = lake.write(tables.LINKS, "select 'a' record_id_l, 'b' record_id_r, 2 match_weight, 0.8 match_probability,"
    ...     " 0 household_probability, true is_link")
    >>> _ = lake.write(tables.VALUE_AT_STAKE, "select 'a' record_id_l, 'b' record_id_r, 0.8 probability_together,"
    ...     " 500 value_at_stake, 20 total_at_stake")
    >>> threshold_by_value(lake, false_merge_share=0.01, missed_merge_share=0.05).pairs
    1
    """
    pairs, stakes = lake.open(tables.LINKS), lake.open(tables.VALUE_AT_STAKE)
    if not (false_merge_share > 0 and missed_merge_share > 0):
        raise DataError(
            "shares of value must be above 0", got=(false_merge_share, missed_merge_share), hint="0.05 is 5 %"
        )
    if not lake.one(f"select count(*) from {stakes} where value_at_stake > 0"):
        raise DataError(
            "value must be at stake in some pair", got=f"none of {pairs}", hint="run with value.identity_draws above 0"
        )
    shares = {"false_share": false_merge_share, "missed_share": missed_merge_share, "least": _LEAST_COST}
    costed = lake.sql(_PAIRS, shares).to_arrow_table()
    return threshold_by_cost(costed, false_merge_cost="false_cost", missed_merge_cost="missed_cost")
