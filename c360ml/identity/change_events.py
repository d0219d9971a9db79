"""What changed between two assignments of master IDs: events of customers and records, each with its reason.

Set-oriented, and small where little changed: of a first run only `created` events come, one a customer.

Why a customer changed is told by the first of these that holds:

- `reviewer`: reviewers' decision on a pair joins the records, or parts them;
- `constraint`: a rule of the config on sources parts them;
- `new record`: the strongest link that joins them is one of a record that was not there before;
- `record gone`, `source gone`: a record that held them together, or all records of its source, are no longer there;
- `model changed`: the linkage model is another than at the last event;
- `record changed`: the model is the same, so what the records say is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c360ml.identity.master_ids import HEIRS, KEPT_MASTERS, MASTER_RECORDS, MINTED_IDS, PREVIOUS_MASTERS
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.decisions import read_decisions

EVENTS = "identity_events"
"""Temporary table of the run's events, the ledger's columns from `event` to `edge_probability`."""
CHANGED_RECORDS = "changed_records"
"""Temporary table: record_id, old_id, new_id (null if the record is gone), whether old_id was living."""


@dataclass(frozen=True)
class Circumstances:
    """What may be the reason of a change.

    `forbidden` are pairs of sources that the config keeps apart, `reviewed_pairs` the reviewers' file if there is
    one, `model_changed` whether the model is another than at the last event, `first_run` whether nothing was known.
    """

    first_run: bool = False
    model_changed: bool = False
    forbidden: tuple[tuple[str, str], ...] = ()
    reviewed_pairs: Path | None = None


@contextmanager
def identity_events(lake: Lakehouse, circumstances: Circumstances, *, links: str = "silver.links") -> Iterator[str]:
    """Keep `identity_events` and `changed_records` for the length of a `with` block of `lasting_master_ids`.

    Args:
        lake: the lakehouse; `silver.records` must be open.
        circumstances: what may be the reason of a change.
        links: name of a table with the columns of silver.links.
    """
    facts = {
        "model_changed": circumstances.model_changed,
        "first_run": circumstances.first_run,
    }
    sources = {
        "left": [pair[0] for pair in circumstances.forbidden],
        "right": [pair[1] for pair in circumstances.forbidden],
    }
    with ExitStack() as stack:

        def keep(name: str, query: str, parameters: Mapping[str, Any] | None = None) -> None:
            stack.enter_context(lake.scratch(name, query, parameters))

        keep(CHANGED_RECORDS, _CHANGED_RECORDS)
        keep("retirements", _RETIREMENTS)
        keep("transfers", _TRANSFERS)
        keep("decided_pairs", _decided(lake, circumstances.reviewed_pairs))
        keep("forbidden_sources", _FORBIDDEN, sources)
        keep("cuts_by_rule", _CUTS_BY_RULE)
        keep("joining_edges", _JOINING.format(links=links))
        keep("parting_edges", _PARTING.format(links=links))
        keep("losses", _LOSSES)
        keep(EVENTS, _EVENTS, facts)
        yield EVENTS


# An ID that an upsert answered is news to the ledger: it is created, unless it gives way to another at once.
_CHANGED_RECORDS = f"""
    with given_way as (
        select minted.record_id, minted.master_id
        from {MINTED_IDS} as minted
        join {HEIRS} as heirs using (master_id)
        join {KEPT_MASTERS} as kept using (cluster_id)
        where kept.master_id <> minted.master_id
    )
    select
        record_id,
        coalesce(previous.master_id, given_way.master_id) as old_id,
        now.master_id as new_id,
        coalesce(previous.living, given_way.master_id is not null) as living
    from {PREVIOUS_MASTERS} as previous
    full join {MASTER_RECORDS} as now using (record_id)
    left join given_way using (record_id)
    where previous.master_id is distinct from now.master_id or not previous.living
"""
_KEPT_AND_KNOWN = f"(select * from {KEPT_MASTERS} semi join {PREVIOUS_MASTERS} using (master_id))"
_RETIREMENTS = f"""
    select heirs.master_id as old_id, kept.master_id as new_id
    from {HEIRS} as heirs
    join {KEPT_MASTERS} as kept using (cluster_id)
    where heirs.master_id <> kept.master_id
"""
# Records of a first run are new, and so is their customer: they are no transfer.
_TRANSFERS = f"""
    select
        changed.record_id,
        changed.old_id,
        changed.new_id,
        case
            when retirements.old_id is not null then 'merged'
            when changed.old_id is null or not changed.living then 'joined'
            when kept.master_id is null then 'split'
            else 'moved'
        end as event
    from {CHANGED_RECORDS} as changed
    left join {_KEPT_AND_KNOWN} as kept on kept.master_id = changed.new_id
    left join retirements on retirements.old_id = changed.old_id and retirements.new_id = changed.new_id
    where changed.new_id is not null
        and changed.new_id is distinct from changed.old_id
        and (kept.master_id is not null or changed.living)
"""
_FORBIDDEN = """
    with given as (select unnest($left::varchar[]) as source_l, unnest($right::varchar[]) as source_r)
    select source_l, source_r from given union select source_r, source_l from given
"""
_LOSSES = f"""
    with sources_now as (select distinct source from silver.records)
    select record_id, old_id,
        case when sources_now.source is null then 'source gone' else 'record gone' end as reason
    from {CHANGED_RECORDS}
    left join sources_now on sources_now.source = split_part(record_id, ':', 1)
    where new_id is null and living
"""


def _decided(lake: Lakehouse, reviewed_pairs: Path | None) -> str:
    if reviewed_pairs is None:
        return "select null::varchar as record_id, null::varchar as partner, null::varchar as decision where false"
    read_decisions(lake.con, reviewed_pairs)
    return """
        select record_id_l as record_id, record_id_r as partner, decision from reviewed_pairs
        union all
        select record_id_r, record_id_l, decision from reviewed_pairs
    """


# Both directions of the links and decisions of records that went from one customer to another.
_TOUCHING = """
    with touching as (
        select record_id_l as record_id, record_id_r as partner, record_id_l, record_id_r, match_probability,
            null as decision
        from {links} semi join transfers on transfers.record_id = record_id_l
        union all
        select record_id_r, record_id_l, record_id_l, record_id_r, match_probability, null
        from {links} semi join transfers on transfers.record_id = record_id_r
        union all
        select record_id, partner, null, null, null, decision
        from decided_pairs semi join transfers using (record_id)
    ),
"""
# An edge of a transfer, ranked by probability, ties by its records; of a merge and a split over all their records.
_STRONGEST = """
    select
        event, old_id, new_id, transferred,
        bool_or(coalesce(decision = '{decision}', false)) as reviewed,
        arg_max(
            struct_pack(l := record_id_l, r := record_id_r, p := match_probability, fresh := partner_is_new),
            {rank}
        ) filter (match_probability is not null) as edge
    from edges
    group by all
"""
_RANK = "row(match_probability, record_id_l, record_id_r)"
_TRANSFERRED = "case when transfers.event in ('joined', 'moved') then record_id end as transferred"
_JOINING = (
    _TOUCHING
    + f"""
    edges as (
        select transfers.event, transfers.old_id, transfers.new_id, {_TRANSFERRED},
            touching.* exclude (record_id), previous.record_id is null as partner_is_new
        from touching
        join transfers using (record_id)
        join {MASTER_RECORDS} as partners on partners.record_id = touching.partner
        left join {PREVIOUS_MASTERS} as previous on previous.record_id = touching.partner
        where transfers.event <> 'split' and partners.master_id = transfers.new_id
            and (previous.master_id is distinct from transfers.old_id or transfers.old_id is null)
    )
    """
    + _STRONGEST.format(decision="match", rank=_RANK)
)
_PARTING = (
    _TOUCHING
    + f"""
    edges as (
        select transfers.event, transfers.old_id, transfers.new_id, {_TRANSFERRED},
            touching.* exclude (record_id), false as partner_is_new
        from touching
        join transfers using (record_id)
        join {MASTER_RECORDS} as partners on partners.record_id = touching.partner
        join {PREVIOUS_MASTERS} as previous on previous.record_id = touching.partner
        where transfers.event in ('split', 'moved')
            and previous.master_id = transfers.old_id and partners.master_id <> transfers.new_id
    )
    """
    + _STRONGEST.format(decision="non-match", rank=_RANK)
)
_CUTS_BY_RULE = f"""
    select distinct transfers.old_id, transfers.new_id
    from transfers
    join {PREVIOUS_MASTERS} as previous on previous.master_id = transfers.old_id
    join {MASTER_RECORDS} as partners on partners.record_id = previous.record_id
    join forbidden_sources on source_l = split_part(transfers.record_id, ':', 1)
        and source_r = split_part(previous.record_id, ':', 1)
    where transfers.event in ('split', 'moved') and partners.master_id <> transfers.new_id
"""
_EVENTS = f"""
    with moves as (
        select event, old_id, new_id, case when event in ('joined', 'moved') then record_id end as record_id,
            count(*) as records
        from transfers
        group by all
    ),
    reasoned as (
        select
            moves.*,
            case
                when joining.reviewed or parting.reviewed then 'reviewer'
                when moves.event in ('split', 'moved') and cuts_by_rule.old_id is not null then 'constraint'
                when moves.event = 'joined' and moves.old_id is null then 'new record'
                when moves.event = 'joined' then 'record came back'
                when joining.edge.fresh then 'new record'
                when moves.event in ('split', 'moved') then lost.reason
            end as reason,
            coalesce(joining.edge, parting.edge) as edge
        from moves
        left join joining_edges as joining
            on joining.event = moves.event and joining.new_id = moves.new_id
            and joining.old_id is not distinct from moves.old_id
            and joining.transferred is not distinct from moves.record_id
        left join parting_edges as parting
            on parting.event = moves.event and parting.new_id = moves.new_id
            and parting.old_id = moves.old_id and parting.transferred is not distinct from moves.record_id
        left join cuts_by_rule on cuts_by_rule.old_id = moves.old_id and cuts_by_rule.new_id = moves.new_id
        left join (select old_id, max(reason) as reason from losses group by old_id) as lost
            on lost.old_id = moves.old_id
    ),
    new_customers as (
        select
            new_id,
            count(*) as records,
            bool_or(living) as was_known
        from {CHANGED_RECORDS}
        anti join {_KEPT_AND_KNOWN} on master_id = new_id
        where new_id is not null
        group by new_id
    ),
    gone as (
        select old_id, count(*) as records, max(reason) as reason
        from losses
        anti join {HEIRS} on master_id = old_id
        group by old_id
    ),
    came_back as (
        select new_id, count(*) as records
        from {CHANGED_RECORDS}
        where old_id = new_id and not living
        group by new_id
    ),
    events as (
        select 'created' as event, new_id as master_id, null as other_master_id, null as record_id, records,
            case when $first_run then 'first run' when was_known then 'split' else 'new record' end as reason,
            null as edge
        from new_customers
        union all
        select event, new_id, old_id, record_id, records,
            coalesce(reason, case when $model_changed then 'model changed' else 'record changed' end), edge
        from reasoned
        union all
        select 'left', old_id, null, record_id, 1, reason, null from losses
        union all
        select 'retired', old_id, null, null, records, reason, null from gone
        union all
        select 'returned', new_id, null, null, records, 'record came back', null from came_back
    )
    select * exclude (edge), edge.l as edge_record_id_l, edge.r as edge_record_id_r, edge.p as edge_probability
    from events
"""
