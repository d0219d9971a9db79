"""The pairs most worth a person's time, with both records side by side.

    doubt    chance that the clusters are wrong about a pair, as the pair alone tells: its match probability if its
             records are apart, the rest to one if they are together
    cost     doubt x the cost of that error: of a missed merge for pairs apart, of a false merge for pairs together
    effect   what a flip would change: two clusters always become one; a cluster splits the less easily, the more
             other records are linked to both
    value    value at stake, on top of one mean customer that each pair counts: by how much the answer changes the
             value, past and to come, of the customer of one of the two records, as the draws of identity tell
             (gold.value_at_stake); for pairs that these do not know, the whole value of the customers concerned

A pair's priority is cost x effect x value, divided by its place among the pairs that ask about the same cluster or
the same two clusters, so that one answer comes before the next question of its kind. Pairs that decisions already
settle, themselves or through other decided pairs, are not asked.

Pairs chosen so say little of all the others. One pair in four is therefore drawn at random, as many from each range
of match weights, and marked `sampled`: from those a recalibration learns what match weights mean.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c360ml import tables
from c360ml.config import Config, Linkage
from c360ml.errors import ConfigError
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.decided_pairs import stratum
from c360ml.linkage.decisions import COLUMNS, read_decisions
from c360ml.linkage.reviewed_groups import group_matches, parted_groups
from c360ml.linkage.thresholds import ReviewBand, review_band, review_band_by_cost

# name in the file = SQL over a record; values as they came, where they are kept
FIELDS = {
    "source": "source",
    "name": "coalesce(name_raw, full_name)",
    "email": "coalesce(email_raw, email)",
    "phone": "coalesce(phone_raw, phone)",
    "date_of_birth": "coalesce(date_of_birth_raw, date_of_birth)",
    "national_id": "national_id",
    "gender": "gender",
    "address": "coalesce(address_raw, nullif(concat_ws(' ', street_number, street, unit), ''))",
    "city": "city",
    "state": "state",
    "postcode": "postcode",
    "updated_at": "updated_at::date::varchar",
}
_HIDDEN_FROM_BLIND = ("match_probability", "why")
_LEAST_DOUBT = 0.01
_CONSIDERED_PER_PAIR = 50
_LEAST_CONSIDERED = 5_000
_LEAST_LINK = 0.5
_ONE_SAMPLED_IN = 4

_UNSETTLED = f"""
    with doubted as (
        select record_id_l, record_id_r, match_weight, match_probability, is_link as together,
               case when is_link then 1 - match_probability else match_probability end as doubt
        from {tables.LINKS.path}
    ),
    grouped as (
        select doubted.*, coalesce(one.settled, record_id_l) as one, coalesce(other.settled, record_id_r) as other
        from doubted
        left join settled_records one on one.record_id = record_id_l
        left join settled_records other on other.record_id = record_id_r
    )
    select record_id_l, record_id_r, match_weight, match_probability, together, doubt
    from grouped
    anti join ({parted_groups("reviewed")}) settled
        on settled.one = least(grouped.one, grouped.other) and settled.other = greatest(grouped.one, grouped.other)
    anti join reviewed using (record_id_l, record_id_r)
    where grouped.one <> grouped.other
"""

_SAMPLED = f"""
    with strata as (
        select {stratum("match_weight")} as stratum,
               min_by({{'l': record_id_l, 'r': record_id_r}}, hash(record_id_l, record_id_r), $sampled) as drawn
        from unsettled_pairs group by stratum
    ),
    turns as (
        select stratum, unnest(drawn) as pair, generate_subscripts(drawn, 1) as turn from strata
    )
    select pair.l as record_id_l, pair.r as record_id_r from turns order by turn, stratum limit $sampled
"""

_OPEN = f"""
    with costed as (
        select unsettled_pairs.*, sampled_pairs.record_id_l is not null as sampled,
               doubt * case when together then $false_merge_cost else $missed_merge_cost end as expected_cost
        from unsettled_pairs left join sampled_pairs using (record_id_l, record_id_r)
    ),
    placed as (
        select costed.*, l.master_id as master_l, r.master_id as master_r
        from costed
        join {tables.IDENTITIES.path} l on l.record_id = record_id_l
        join {tables.IDENTITIES.path} r on r.record_id = record_id_r
        where sampled or (doubt >= {_LEAST_DOUBT} and expected_cost > $review_cost)
    ),
    valued as (
        select placed.*, coalesce(
                   stake,
                   coalesce(l.value, 0.0) + case when master_l = master_r then 0.0 else coalesce(r.value, 0.0) end
               ) as value_at_stake
        from placed
        left join pair_stakes using (record_id_l, record_id_r)
        left join customer_worth l on l.master_id = master_l
        left join customer_worth r on r.master_id = master_r
    )
    select *, expected_cost * (1 + greatest(value_at_stake, 0.0) / $mean_value) as worth
    from valued
    order by sampled desc, worth desc, record_id_l, record_id_r
    limit $considered
"""

_CHOSEN = f"""
    with links as (
        select record_id_l as record_id, record_id_r as neighbour
        from {tables.LINKS.path} where is_link and match_probability > {_LEAST_LINK}
        union all
        select record_id_r, record_id_l
        from {tables.LINKS.path} where is_link and match_probability > {_LEAST_LINK}
    ),
    near as (
        select links.* from links
        semi join (select record_id_l as record_id from open_pairs union all select record_id_r from open_pairs) asked
            using (record_id)
    ),
    supports as (
        select record_id_l, record_id_r, count(*) as support
        from open_pairs
        join near l on l.record_id = record_id_l
        join near r on r.record_id = record_id_r and r.neighbour = l.neighbour
        where together
        group by all
    ),
    sizes as (
        select master_id, count(*) as records from {tables.IDENTITIES.path}
        semi join (select master_l as master_id from open_pairs union all select master_r from open_pairs) asked
            using (master_id)
        group by master_id
    ),
    judged as (
        select open_pairs.*, coalesce(support, 0) as support, l.records as records_l, r.records as records_r,
               round(worth / (1 + coalesce(support, 0)), 9) as priority
        from open_pairs
        left join supports using (record_id_l, record_id_r)
        join sizes l on l.master_id = master_l
        join sizes r on r.master_id = master_r
    ),
    in_turn as (
        select *, row_number() over (
                   partition by sampled, least(master_l, master_r), greatest(master_l, master_r)
                   order by priority desc, record_id_l, record_id_r
               ) as turn
        from judged
    ),
    ranked as (
        select *, row_number() over (
                   partition by sampled
                   order by case when sampled then hash(record_id_r, record_id_l) else 0 end, priority / turn desc,
                            record_id_l, record_id_r
               ) as rank,
               count(*) filter (sampled) over () as all_sampled
        from in_turn
    )
    select row_number() over (
               order by case when sampled then 1.0 * rank else rank / ({_ONE_SAMPLED_IN} - 1.0) end, sampled
           ) as place,
           record_id_l, record_id_r, match_probability, together, doubt, sampled::int as sampled, value_at_stake,
           case when sampled then 'drawn at random: '
                when match_probability > $lower and match_probability < $upper then 'in the review band: '
                else '' end
           || case when together then printf('together in a customer of %d records; ', records_l)
                   || case when support = 0 then 'nothing else links the two'
                           else printf('%d other records link the two', support) end
                   || case when match_probability < {_LEAST_LINK} then ', though this pair says no' else '' end
              else printf('apart; a match joins customers of %d and %d records', records_l, records_r)
                   || case when match_probability > {_LEAST_LINK} then ', though other pairs say no' else '' end
              end as why
    from ranked
    where sampled or rank <= $pairs - all_sampled
    order by place
"""


@dataclass(frozen=True)
class ReviewQueue:
    """Pairs to review, most worth it first: ids, probability, why, value at stake, then the fields of both records.

    `pairs` holds personal data, and stays in the project's folder. `decided` counts the pairs decided so far.
    """

    pairs: pa.Table = field(repr=False)
    band: ReviewBand
    decided: int

    @property
    def counts(self) -> dict[str, float]:
        """What the queue holds, in numbers."""
        together = np.asarray(self.pairs["together"].to_pylist(), dtype=bool)
        return {
            "pairs": self.pairs.num_rows,
            "would_merge": int((~together).sum()),
            "would_split": int(together.sum()),
            "expected_errors": float(np.sum(self.pairs["doubt"].to_pylist())),
            "value_at_stake": float(np.sum(self.pairs["value_at_stake"].to_pylist())),
        }


def review_queue(lake: Lakehouse, config: Config, *, pairs: int = 200) -> ReviewQueue:
    """Choose the pairs to review from the tables of the last run.

    Args:
        lake: the project's lakehouse.
        config: its settings; with `review_cost`, only pairs are asked whose expected cost of an error exceeds it,
            beside those drawn at random.
        pairs: most pairs to ask.

    Raises:
        TableError: the project was never run.
        ConfigError: the number of pairs is below one.
    """
    if pairs < 1:
        raise ConfigError("a review must ask at least one pair", got=pairs, hint="200 is usual")
    for table in (tables.RECORDS, tables.LINKS, tables.IDENTITIES):
        lake.open(table)
    settings, band = config.linkage, _band(lake, config.linkage)
    lake.say("leaving out what is decided")
    decided = _settle(lake, settings)
    lake.say("weighing doubt, effect and value")
    asked = {
        "false_merge_cost": settings.false_merge_cost or 1.0,
        "missed_merge_cost": settings.missed_merge_cost or 1.0,
        "review_cost": settings.review_cost or 0.0,
        "mean_value": _mean_value(lake),
        "considered": max(_LEAST_CONSIDERED, _CONSIDERED_PER_PAIR * pairs),
    }
    lake.rows(f"create or replace temp view unsettled_pairs as {_UNSETTLED}")
    _open_stakes(lake)
    with (
        lake.scratch("sampled_pairs", _SAMPLED, {"sampled": pairs // _ONE_SAMPLED_IN}),
        lake.scratch("open_pairs", _OPEN, asked),
        lake.scratch("chosen_pairs", _CHOSEN, {"lower": band.lower, "upper": band.upper, "pairs": pairs}),
    ):
        return ReviewQueue(_side_by_side(lake), band, decided)


def write_queue(lake: Lakehouse, queue: ReviewQueue, file: Path, *, blind: bool = False) -> Path:
    """Write a queue as CSV for a reviewer, with an empty column `decision`, whole or not at all.

    Text that a spreadsheet would take for a formula gets an apostrophe before it.

    Args:
        lake: the project's lakehouse.
        queue: what to ask.
        file: the CSV, in the project's folder.
        blind: leave out what the model thinks.
    """
    hidden = ("place", "together", "doubt", *(_HIDDEN_FROM_BLIND if blind else ()))
    columns = [name for name in queue.pairs.column_names if name not in hidden]
    shown = ", ".join(_shown(name, queue.pairs.schema.field(name).type) for name in columns)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    lake.con.register("queued_pairs", queue.pairs)
    lake.sql(f"select {shown}, null::varchar as decision from queued_pairs order by place").write_csv(
        str(partial), header=True
    )
    lake.con.unregister("queued_pairs")
    return partial.replace(file)


def _shown(name: str, kind: pa.DataType) -> str:
    if not pa.types.is_string(kind):
        return f'round("{name}", 4) as "{name}"' if pa.types.is_floating(kind) else f'"{name}"'
    # What spreadsheets run as a formula (OWASP, "CSV Injection"); a phone number is none.
    formula = f"""regexp_matches("{name}", '^[=@+\\t\\r-]') and not regexp_full_match("{name}", '[+-][0-9 ().-]+')"""
    return f"""case when {formula} then concat('''', "{name}") else "{name}" end as "{name}" """


def _band(lake: Lakehouse, settings: Linkage) -> ReviewBand:
    counted = f"select match_probability, count(*) as pairs from {tables.LINKS.path} group by all"
    scored = lake.sql(counted).to_arrow_table()
    if settings.review_cost and settings.false_merge_cost and settings.missed_merge_cost:
        return review_band_by_cost(
            scored,
            false_merge_cost=settings.false_merge_cost,
            missed_merge_cost=settings.missed_merge_cost,
            review_cost=settings.review_cost,
        )
    return review_band(scored, target_precision=settings.target_precision or 0.99)


def _settle(lake: Lakehouse, settings: Linkage) -> int:
    """Write the decided pairs, `reviewed`, and the groups that they join; returns how many pairs are decided."""
    file = lake.folder / settings.reviewed_pairs
    given: Any = file if file.is_file() else _NOTHING_DECIDED
    lake.rows(f"create or replace temp table reviewed as {read_decisions(lake.con, given).sql_query()}")
    group_matches(lake, "reviewed")
    return int(lake.one("select count(*) from reviewed"))


_NOTHING_DECIDED = pa.table({name: pa.array([], pa.string()) for name in COLUMNS})


def _mean_value(lake: Lakehouse) -> float:
    """Write `customer_worth`, what each customer has spent and is expected to; returns the mean, or 1 without any."""
    known = lake.version(tables.CUSTOMER_VALUE) is not None
    source = lake.open(tables.CUSTOMER_VALUE) if known else "(select null, null, null where false) none(customer_id, "
    if not known:
        source += "historical_value, projected_value)"
    lake.rows(f"""
        create or replace temp table customer_worth as
        select customer_id::varchar as master_id,
               coalesce(historical_value, 0)::double + coalesce(projected_value, 0)::double as value
        from {source}
    """)
    mean = lake.one("select round(avg(value), 6) from customer_worth where value > 0")
    return float(mean or 1.0)


def _open_stakes(lake: Lakehouse) -> None:
    """Show what is at stake in each pair in doubt as `pair_stakes`; nothing if that was never worked out."""
    known = lake.version(tables.VALUE_AT_STAKE) is not None
    source = lake.open(tables.VALUE_AT_STAKE) if known else "(select null where false) none(value_at_stake)"
    ids = "record_id_l, record_id_r" if known else "null::varchar as record_id_l, null::varchar as record_id_r"
    lake.rows(f"create or replace temp view pair_stakes as select {ids}, value_at_stake::double as stake from {source}")


def _side_by_side(lake: Lakehouse) -> pa.Table:
    """Put the records of the chosen pairs side by side, without fields that none of them has."""
    columns = ", ".join(f"l.{name} as {name}_l, r.{name} as {name}_r" for name in FIELDS)
    fields = ", ".join(f"{sql} as {name}" for name, sql in FIELDS.items())
    found: pa.Table = lake.sql(f"""
        with shown as (
            select record_id, {fields} from {tables.RECORDS.path}
            semi join (select record_id_l as record_id from chosen_pairs union all select record_id_r from chosen_pairs)
                using (record_id)
        )
        select chosen_pairs.*, {columns}
        from chosen_pairs
        join shown l on l.record_id = record_id_l
        join shown r on r.record_id = record_id_r
        order by place
    """).to_arrow_table()
    empty = [
        f"{name}{side}"
        for name in FIELDS
        if all(found[f"{name}{end}"].null_count == found.num_rows for end in ("_l", "_r"))
        for side in ("_l", "_r")
    ]
    return found.drop_columns(empty)
