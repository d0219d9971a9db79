"""Append: draws of who is who, made again where links changed.

Units and components lie within what pairs of a probability above 0.05, clusters and reviewers join: so only what is
joined with a change is looked at. A component of it that is as it was keeps its draws (see `standing_components`); the
others are drawn anew, by other random numbers than a draw of all components would take: alike, and not the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse, LakehousePart
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.decisions import read_decisions
from c360ml.linkage.doubt import STANDING_RECORDS, doubt_identities
from c360ml.linkage.doubtful_units import SURE_WEIGHT
from c360ml.linkage.reach import add_joined
from c360ml.linkage.step import constraints_of
from c360ml.table_changes import (
    changed_keys,
    code_of,
    digest_of,
    known_inputs,
    lost_and_gained,
    note_inputs,
    versions_of,
)

MOST_TOUCHED = 1 / 3
"""Where a larger share of the records is joined with one that changed, all components are drawn again."""
_READS = (tables.RECORDS, tables.LINKS)
_WROTE = (tables.DOUBTFUL_PARTITIONS,)
_CHANGED_LINKS = f"""
    select record_id_l, record_id_r,
        coalesce(before.is_link, false) or coalesce(now.is_link, false) as together,
        greatest(before.match_weight, now.match_weight) > {-SURE_WEIGHT} as near
    from ({{lost}}) before full join ({{gained}}) now using (record_id_l, record_id_r)
    where (before.match_weight, before.is_link) is distinct from (now.match_weight, now.is_link)
"""
_CHANGED_RECORDS = """
    select record_id from ({records})
    union
    select unnest([record_id_l, record_id_r]) from changed_links where together
"""
# A pair that is not near matters only between two records that did not change, see `standing_components`.
_CHANGED_ENDS = """
    select record_id from changed_records
    union
    select unnest([record_id_l, record_id_r]) from changed_links where near
    union
    select unnest([record_id_l, record_id_r]) from changed_links
    anti join changed_records l on l.record_id = record_id_l anti join changed_records r on r.record_id = record_id_r
    where not near
"""
_JOINED = f"""
    select record_id_l as a, record_id_r as b from silver.links where is_link or match_weight > {-SURE_WEIGHT}
    union all
    select record_id_l, record_id_r from ({{decided}}) where decision = 'match'
"""
_NOTHING_DECIDED = "select null::varchar as record_id_l, null::varchar as record_id_r, null as decision where false"


def draw_identities(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Draw all partitions, see `doubt_identities`, and note what they were made of."""
    read = versions_of(lake, _READS)
    summary = doubt_identities(lake, config)
    rules = _rules(config, constraints_of(lake, config.linkage))
    note_inputs(lake, tables.DOUBT_INPUTS, rules=rules, read=read, wrote=_WROTE)
    return summary


def append_doubt(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Draw partitions again of records that are joined with one that is new, changed or gone, or in a changed pair.

    Returns:
        draws, records and records in doubt, and of those drawn again what `doubt_identities` tells.
    """
    constraints = constraints_of(lake, config.linkage)
    rules, read = _rules(config, constraints), versions_of(lake, _READS)
    versions = known_inputs(lake, tables.DOUBT_INPUTS, rules=rules, read=_READS, wrote=_WROTE)
    if versions is None or not config.value.identity_draws:
        return draw_identities(lake, config)
    lake.open(tables.DOUBTFUL_PARTITIONS)
    columns = ["source", *sorted({*constraints.most_values_per_person, *constraints.most_people_per})]
    found = lost_and_gained(lake, tables.LINKS, versions[tables.LINKS.path])
    lost, gained = found or ("", "")  # `known_inputs` has seen that they are there
    records = changed_keys(lake, tables.RECORDS, versions[tables.RECORDS.path], columns)
    with (
        lake.scratch("changed_links", _CHANGED_LINKS.format(lost=lost, gained=gained)),
        lake.scratch("changed_records", _CHANGED_RECORDS.format(records=records)),
        lake.scratch("redrawn_records", _CHANGED_ENDS),
        lake.scratch("changed_pairs", "from changed_links where not together"),
    ):
        touched = _spread(lake, constraints)
        if touched > MOST_TOUCHED * lake.one("select count(*) from silver.records"):
            return draw_identities(lake, config)
        told = _draw_again(lake, config) if touched else {}
    note_inputs(lake, tables.DOUBT_INPUTS, rules=rules, read=read, wrote=_WROTE)
    draws, in_doubt, records = lake.rows("""
        select count(distinct draw), count(distinct record_id), (select count(*) from silver.records)
        from silver.doubtful_partitions
    """)[0]
    return {"draws": draws, "records": records, "records_in_doubt": in_doubt, "drawn_again": told}


def _spread(lake: Lakehouse, constraints: Constraints) -> int:
    """Add to `redrawn_records` all that are joined with one of them, over any number of others."""
    reviewed = constraints.reviewed_pairs
    decided = _NOTHING_DECIDED if reviewed is None else read_decisions(lake.con, reviewed).sql_query()
    return add_joined(lake.con, "redrawn_records", _JOINED.format(decided=decided))


def _draw_again(lake: Lakehouse, config: Config) -> dict[str, Any]:
    draws = lake.one("select count(distinct draw) from silver.doubtful_partitions") or config.value.identity_draws
    same = config.model_copy(update={"value": config.value.model_copy(update={"identity_draws": draws})})
    shown, replaced = {tables.RECORDS.path: "redrawn_records"}, {tables.DOUBTFUL_PARTITIONS.path: "outdated_records"}
    lake.rows(f"create or replace temp table {STANDING_RECORDS} as from redrawn_records where false")
    lake.rows(f"""
        create or replace temp view outdated_records as
        from redrawn_records anti join {STANDING_RECORDS} using (record_id)
    """)
    with LakehousePart(lake, shown, replaced) as part:
        return doubt_identities(part, same, ("changed_records", "changed_pairs"))


def _rules(config: Config, constraints: Constraints) -> str:
    """Digest of code, settings and reviewers' decisions."""
    reviewed = constraints.reviewed_pairs
    decided = None if reviewed is None else Path(reviewed).read_bytes()
    return digest_of(code_of(__file__), config.linkage.model_dump(mode="json"), config.value.identity_draws, decided)
