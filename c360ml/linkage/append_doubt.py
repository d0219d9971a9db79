"""Append: draws of who is who, made again where links changed.

Units and components lie within what pairs of a probability above 0.05, clusters and reviewers join. A component of
which no pair and no record changed is drawn as it was; the others are drawn anew, by other random numbers than a draw
of all components would take: alike, and not the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.lakehouse import Lakehouse, LakehousePart
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.decisions import read_decisions
from c360ml.linkage.doubt import doubt_identities
from c360ml.linkage.doubtful_units import SURE_WEIGHT
from c360ml.linkage.step import constraints_of
from c360ml.table_changes import changed_keys, code_of, digest_of, known_inputs, note_inputs, versions_of

MOST_TOUCHED = 1 / 3
"""Where a larger share of the records is joined with one that changed, all components are drawn again."""
_READS = (tables.RECORDS, tables.LINKS)
_WROTE = (tables.DOUBTFUL_PARTITIONS,)
_CHANGED = """
    select unnest([record_id_l, record_id_r]) as record_id from ({links})
    union
    select record_id from ({records})
"""
_JOINED = f"""
    with pairs as (
        select record_id_l as a, record_id_r as b from silver.links where is_link or match_weight > {-SURE_WEIGHT}
        union all
        select record_id_l, record_id_r from ({{decided}}) where decision = 'match'
    )
    select a, b from pairs union all select b, a from pairs
"""
_SPREAD = """
    insert into redrawn_records
    select distinct b as record_id
    from joined_records semi join redrawn_records on record_id = a
    anti join redrawn_records known on known.record_id = b
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
    changed = _CHANGED.format(
        links=changed_keys(lake, tables.LINKS, versions[tables.LINKS.path], ["match_weight", "is_link"]),
        records=changed_keys(lake, tables.RECORDS, versions[tables.RECORDS.path], columns),
    )
    with lake.scratch("redrawn_records", changed):
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
    with lake.scratch("joined_records", _JOINED.format(decided=decided)):
        while lake.one(_SPREAD):
            pass
    return int(lake.one("select count(*) from redrawn_records"))


def _draw_again(lake: Lakehouse, config: Config) -> dict[str, Any]:
    draws = lake.one("select count(distinct draw) from silver.doubtful_partitions") or config.value.identity_draws
    same = config.model_copy(update={"value": config.value.model_copy(update={"identity_draws": draws})})
    shown, replaced = {tables.RECORDS.path: "redrawn_records"}, {tables.DOUBTFUL_PARTITIONS.path: "redrawn_records"}
    with LakehousePart(lake, shown, replaced) as part:
        return doubt_identities(part, same)


def _rules(config: Config, constraints: Constraints) -> str:
    """Digest of code, settings and reviewers' decisions."""
    reviewed = constraints.reviewed_pairs
    decided = None if reviewed is None else Path(reviewed).read_bytes()
    return digest_of(code_of(__file__), config.linkage.model_dump(mode="json"), config.value.identity_draws, decided)
