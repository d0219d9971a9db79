"""Append: intervals of value, worked out again for customers who were touched or share a doubt with one who was.

Of them everything is as `doubt_values` says it, by the same draws of parameters, but that the draws of identity move
the parameters by these customers' histories alone. The interval of the total is the one of the last run, moved with
the total; what errors of identity do to the models is measured by runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.customer_value.doubt import doubt_values, write_doubt, write_no_doubt
from c360ml.customer_value.identity_bias import BIAS_FILE
from c360ml.customer_value.shared_doubt import doubted_records
from c360ml.customer_value.step import MODEL_FILE
from c360ml.lakehouse import LakehousePart
from c360ml.table_changes import (
    changed_keys,
    code_of,
    digest_of,
    known_inputs,
    note_inputs,
    touched_since,
    versions_of,
)

if TYPE_CHECKING:
    from c360ml.config import Config
    from c360ml.lakehouse import Lakehouse

MOST_TOUCHED = 1 / 3
"""Where a larger share of the customers is touched, the intervals of all of them are worked out."""
_READS = (tables.CUSTOMER_ACTIVITY, tables.OBSERVATION, tables.DOUBTFUL_PARTITIONS)
_WROTE = (tables.VALUE_AT_STAKE, tables.VALUE_UNCERTAINTY)
_CUSTOMERS = """
    select master_id from ({touched})
    union
    select master_id from silver.identities semi join doubted_records using (record_id)
"""
_STAKES = """
    select record_id as record_id_l from doubted_records
    union
    select record_id from redrawn_records
"""
_COUNTS = """
    select count(*), count(*) filter (where identity_share > 0), count(*) filter (where identity_share > 0.5),
        coalesce(sum(value::decimal(38, 6)), 0)::double, (select count(*) from gold.value_at_stake)
    from gold.value_uncertainty
"""


def draw_values(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Work out the intervals of all customers, see `doubt_values`, and note what they were made of."""
    read = versions_of(lake, _READS)
    summary = doubt_values(lake, config)
    told = {name: part for name, part in summary.items() if name != "bias"}
    lake.write_json(BIAS_FILE, {**(lake.read_json(BIAS_FILE) or {}), "summary": told})
    note_inputs(lake, tables.INTERVAL_INPUTS, rules=_rules(lake, config), read=read, wrote=_WROTE)
    return summary


def append_value_doubt(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Work out intervals again where customers, or who else they may be, changed; all if the last day moved.

    Returns:
        What `doubt_values` told, with today's counts and total, and `valued_again`: how many customers.
    """
    rules, read, bias = _rules(lake, config), versions_of(lake, _READS), lake.read_json(BIAS_FILE) or {}
    last = bias.get("summary", {})
    versions = known_inputs(lake, tables.INTERVAL_INPUTS, rules=rules, read=_READS, wrote=_WROTE)
    touched = _touched(lake, versions) if last.get("draws") else None
    if versions is None or touched is None:
        return draw_values(lake, config)
    for table in _WROTE:
        lake.open(table)
    redrawn = changed_keys(lake, tables.DOUBTFUL_PARTITIONS, versions[tables.DOUBTFUL_PARTITIONS.path], ["part"])
    with (
        lake.scratch("redrawn_records", f"select distinct record_id from ({redrawn})"),
        doubted_records(lake, touched, "redrawn_records"),
        lake.scratch("doubted_customers", _CUSTOMERS.format(touched=touched)),
        lake.scratch("doubted_buyers", "select master_id as customer_id from doubted_customers"),
        lake.scratch("doubted_stakes", _STAKES),
    ):
        again = int(lake.one("select count(*) from doubted_customers"))
        if again > MOST_TOUCHED * lake.one("select count(*) from gold.value_uncertainty"):
            return draw_values(lake, config)
        if again:
            _write_again(lake, config, last["draws"])
    note_inputs(lake, tables.INTERVAL_INPUTS, rules=rules, read=read, wrote=_WROTE)
    return _summary(lake, last) | {"bias": {k: v for k, v in bias.items() if k != "summary"}, "valued_again": again}


def _touched(lake: Lakehouse, versions: Mapping[str, int] | None) -> str | None:
    if versions is None or versions[tables.OBSERVATION.path] != lake.version(tables.OBSERVATION):
        return None
    return touched_since(lake, versions[tables.CUSTOMER_ACTIVITY.path])


def _write_again(lake: Lakehouse, config: Config, draws: int) -> None:
    shown = {tables.DOUBTFUL_PARTITIONS.path: "doubted_records", tables.CUSTOMER_VALUE.path: "doubted_buyers"}
    replaced = {tables.VALUE_AT_STAKE.path: "doubted_stakes", tables.VALUE_UNCERTAINTY.path: "doubted_customers"}
    buyers = lake.one(f"select count(*) from {tables.CUSTOMER_VALUE.path} semi join doubted_buyers using (customer_id)")
    with LakehousePart(lake, shown, replaced) as part:
        if buyers:
            write_doubt(part, config, lake.read_json(MODEL_FILE) or {}, draws)
        else:
            write_no_doubt(part)


def _summary(lake: Lakehouse, last: Mapping[str, Any]) -> dict[str, Any]:
    customers, in_doubt, mostly, value, pairs = lake.rows(_COUNTS)[0]
    total = dict(last["total"])
    moved = value / total["value"] if total["value"] else 1.0
    for name in ("mean", "lower", "upper"):
        total[name] *= moved
        for alone in ("parameters_alone", "identity_alone"):
            total[alone] = total[alone] | {name: last["total"][alone][name] * moved}
    return {
        **last,
        "total": total | {"value": value},
        "customers": customers,
        "customers_in_doubt": in_doubt,
        "mostly_identity": mostly,
        "pairs_at_stake": pairs,
    }


def _rules(lake: Lakehouse, config: Config) -> str:
    return digest_of(code_of(__file__), config.value.model_dump(mode="json"), lake.read_json(MODEL_FILE))
