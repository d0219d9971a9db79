"""Which pairs are compared: every candidate rule measured on the data, hot keys split, hubs never alone.

A key that more than `MOST_RECORDS_PER_KEY` records share, or that is a hub value (see `hubs`), is split: its records
must agree on a further part. What is still too large is skipped, and its pairs are counted. `blocking_choice` chooses
among the measured rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from c360ml.linkage.blocking_parts import BlockingRule, available_parts, candidate_rules, part, within_chance
from c360ml.linkage.features import Features
from c360ml.linkage.hubs import HUB_VALUES
from c360ml.linkage.statistics import note_statistics, statistics_of

if TYPE_CHECKING:
    import duckdb

__all__ = ["BlockedRule", "BlockingRule", "add_block_keys", "candidate_rules", "measure_rules"]

MOST_RECORDS_PER_KEY = 100
_CHEAP_PAIRS_PER_RECORD = 1
_WHOLE = 2**32
IS_ANCHOR = "((hash(rid, 11) >> 32) < $limit)"
"""SQL that says whether a record is an anchor, see `measure_rules`."""


@dataclass(frozen=True)
class BlockedRule:
    """A candidate rule measured on the data.

    `pairs` agree on the key; `split_pairs` of them on a key that was split; `hot_pairs` were skipped with `hot_keys`,
    of which the largest is shared by `hottest_records`, of which one is `hottest_example`. Of the choice: `new_pairs`
    are estimated not to be found by the rules chosen before, and `matches_share`, `new_matches_share` are the
    estimated shares of matches found in all and of those not found before. In a large file, counts of rules that were
    not chosen are estimates, too.
    """

    rule: BlockingRule
    pairs: int
    hot_pairs: int = 0
    chosen: bool = False
    split_pairs: int = 0
    hot_keys: int = 0
    hottest_records: int = 0
    hottest_example: str | None = None
    new_pairs: float = 0.0
    matches_share: float = 0.0
    new_matches_share: float = 0.0

    def summary(self) -> dict[str, str | int | float | bool | None]:
        """Plain JSON, without any value of a record."""
        return {
            "rule": self.rule.name,
            "split_by": self.rule.split_by,
            "pairs": self.pairs,
            "hot_pairs": self.hot_pairs,
            "chosen": self.chosen,
            "split_pairs": self.split_pairs,
            "hot_keys": self.hot_keys,
            "hottest_records": self.hottest_records,
            "hottest_example": self.hottest_example,
            "new_pairs": round(self.new_pairs),
            "matches_share": round(self.matches_share, 6),
            "new_matches_share": round(self.new_matches_share, 6),
        }


def measure_rules(
    con: duckdb.DuckDBPyConnection,
    features: Features,
    *,
    anchors: int,
    most_pairs: float,
    agreeing: Mapping[str, float] | None = None,
) -> tuple[tuple[BlockedRule, ...], float]:
    """Count the pairs of the candidate rules, and sample them into the table `sampled_agreements`.

    A hash of its number draws records as anchors, the same for every rule. Keys are counted where they hold an
    anchor: counts are exact if all records are anchors, estimates otherwise. Sampled pairs are those whose lesser
    record is an anchor, so that each is there once for every rule that finds it. A rule is not measured if some of
    its parts alone are a rule that finds few pairs: it could only find fewer of the same.

    Args:
        con: connection that holds the feature table.
        features: the feature table.
        anchors: anchors to draw, about.
        most_pairs: rules that find more pairs are not sampled.
        agreeing: of each part, the share of all pairs that agree on it, if the feature table holds only the records
            that share a key with an anchor.

    Returns:
        The rules, and the share of records that are anchors.
    """
    share = min(1.0, anchors / features.records)
    names = available_parts(features.filled)
    _write_parts(con, names, share)
    agreeing = agreeing or _agreeing(con, names, features.records)
    rules = within_chance(candidate_rules(features.filled), agreeing, features.records)
    con.execute("create or replace temp table sampled_agreements (rid_l bigint, rid_r bigint, rule integer)").fetchall()
    measured: list[BlockedRule] = []
    cheap: list[frozenset[str]] = []
    for rule in rules:
        if any(parts < set(rule.parts) for parts in cheap):
            continue
        each = _measure(con, rule, share)
        if each.pairs + each.hot_pairs <= _CHEAP_PAIRS_PER_RECORD * features.records:
            cheap.append(frozenset(rule.parts))
        if 0 < each.pairs <= most_pairs:
            con.execute(f"""
                insert into sampled_agreements
                select l.rid, r.rid, {len(measured)} from rule_keys l join rule_keys r using (k)
                where l.anchor and l.rid < r.rid
            """).fetchall()
        measured.append(each)
    for table in ("block_parts", "rule_keys", "key_sizes", "split_sizes"):
        con.execute(f"drop table if exists {table}").fetchall()
    return tuple(measured), share


def _write_parts(con: duckdb.DuckDBPyConnection, names: tuple[str, ...], share: float) -> None:
    con.execute(
        f"create or replace temp table block_parts as {parts_query(names)}", {"limit": anchor_limit(share)}
    ).fetchall()


def anchor_limit(share: float) -> int:
    """What `parts_query` takes for its parameter `limit`, so that a share of the records are anchors."""
    return int(share * _WHOLE)


def parts_query(names: tuple[str, ...]) -> str:
    """SQL that hashes each part once; rules are counted on hashes of hashes."""
    parts = ", ".join(
        f"case when ({part(name).sql}) is not null then hash({part(name).sql}) end as {name}" for name in names
    )
    hubs = ", ".join(f"{kind}_hub" for kind in HUB_VALUES)
    return f"select rid, record_id, {IS_ANCHOR} as anchor, {hubs}, {parts} from linkage_features"


def _agreeing(con: duckdb.DuckDBPyConnection, names: tuple[str, ...], records: int) -> dict[str, float]:
    """Share of all pairs of records that agree on each part."""
    shares = {}
    for name in names:
        pairs = con.execute(f"""
            select coalesce(sum(n * (n - 1) / 2), 0)
            from (select count(*) as n from block_parts where {name} is not null group by {name})
        """).fetchall()[0][0]
        shares[name] = float(pairs) / (records * (records - 1) / 2)
    return shares


def part_keys_query(rule: BlockingRule) -> str:
    """SQL of the keys of a rule over `block_parts`: `rid, anchor, k, s, hub`."""
    filled = " and ".join(f"{name} is not null" for name in rule.parts)
    parts = ", ".join(rule.parts)
    split_by = rule.split_by
    split = f"case when {split_by} is not null then hash({parts}, {split_by}, 1) end" if split_by else "null::ubigint"
    return f"""
        select rid, anchor, hash({parts}, 0) as k, {split} as s, {rests_on_hub(rule)} as hub
        from block_parts where {filled}
    """


def keyed_query(rule: BlockingRule) -> str:
    """SQL of the keys of a rule over the feature table: `rid, anchor, k, s, hub`; `s` is in place of a hot key."""
    return f"""
        select rid, true as anchor, {rule.key} as k, {rule.split_key} as s, {rests_on_hub(rule)} as hub
        from linkage_features where ({rule.key}) is not null
    """


def rests_on_hub(rule: BlockingRule) -> str:
    """SQL that says whether the key of a record is a hub value alone."""
    return " or ".join(f"{kind}_hub" for kind in rule.hubs) or "false"


def _measure(con: duckdb.DuckDBPyConnection, rule: BlockingRule, share: float) -> BlockedRule:
    """Write the keys of a rule that hold an anchor as `rule_keys`, hot keys split or left out, and count."""
    keyed = part_keys_query(rule)
    near = "where k in (select k from keyed where anchor)" if share < 1 else ""
    con.execute(f"create or replace temp table rule_keys as with keyed as ({keyed}) from keyed {near}").fetchall()
    con.execute(f"""
        create or replace temp table key_sizes as
        select k, count(*) as n, count(*) filter (anchor) as anchors, min(rid) as example,
               n > {MOST_RECORDS_PER_KEY} or bool_or(hub) as hot
        from rule_keys group by k having n > 1
    """).fetchall()
    pairs, hot_keys, hottest, example = con.execute("""
        select coalesce(sum(anchors * (n - 1)) / 2, 0), coalesce(sum(anchors / n) filter (hot), 0),
               max(n) filter (hot), min_by(example, (-n, example)) filter (hot)
        from key_sizes
    """).fetchall()[0]
    if hottest is None:
        return BlockedRule(rule, round(pairs / share))
    con.execute("""
        create or replace temp table rule_keys as
        select rid, anchor, if(hot, s, k) as k, coalesce(hot, false) as split
        from rule_keys left join key_sizes using (k)
    """).fetchall()
    con.execute("""
        create or replace temp table split_sizes as
        select k, count(*) as n from rule_keys where k is not null group by k
    """).fetchall()
    con.execute(f"""
        create or replace temp table rule_keys as
        select rule_keys.*, n from rule_keys join split_sizes using (k) where n <= {MOST_RECORDS_PER_KEY}
    """).fetchall()
    example = con.execute(f"select record_id from block_parts where rid = {example}").fetchall()[0][0]
    kept, split = con.execute("""
        select coalesce(sum(n - 1) / 2, 0), coalesce(sum(n - 1) filter (split) / 2, 0) from rule_keys where anchor
    """).fetchall()[0]
    return BlockedRule(
        rule,
        pairs=round(kept / share),
        hot_pairs=round((pairs - kept) / share),
        split_pairs=round(split / share),
        hot_keys=max(round(hot_keys / share), 1),
        hottest_records=int(hottest),
        hottest_example=str(example),
    )


def add_block_keys(
    con: duckdb.DuckDBPyConnection, rules: tuple[BlockedRule, ...], *, given: bool = False
) -> tuple[BlockedRule, ...]:
    """Put one key column per chosen rule into `linkage_features`: hot keys and hubs split, or null.

    Args:
        con: connection that holds the feature table and its statistics.
        rules: measured rules.
        given: whether the statistics say which keys are hot; otherwise the records do, and it is noted there.

    Returns:
        The rules, the chosen ones with exact counts.
    """
    chosen = [each.rule for each in rules if each.chosen]
    listed = ", ".join([*(f"{kind}_hub" for kind in HUB_VALUES), *(f"{rule.key} as {rule.column}" for rule in chosen)])
    con.execute(f"create or replace temp table block_keys as select rid, {listed} from linkage_features").fetchall()
    counted: list[BlockedRule] = []
    for each in rules:
        if not each.chosen:
            counted.append(each)
            continue
        exact = _correct_given_keys(con, each.rule) if given else _correct_hot_keys(con, each.rule)
        if not given:
            _note_hot_keys(con, each.rule)
        choice = {name: getattr(each, name) for name in ("new_pairs", "matches_share", "new_matches_share")}
        counted.append(replace(exact, chosen=True, **choice))
        con.execute(f"create or replace temp table keys_{each.rule.column} as from corrected_keys").fetchall()
    columns = "".join(
        f", if(keys_{rule.column}.rid is null, block_keys.{rule.column}, keys_{rule.column}.k) as {rule.column}"
        for rule in chosen
    )
    joins = " ".join(f"left join keys_{rule.column} using (rid)" for rule in chosen)
    con.execute(f"""
        create or replace temp table linkage_features as
        select linkage_features.*{columns} from linkage_features join block_keys using (rid) {joins}
    """).fetchall()
    tables = ("block_keys", "corrected_keys", "key_sizes", "split_sizes")
    for table in (*tables, *(f"keys_{rule.column}" for rule in chosen)):
        con.execute(f"drop table if exists {table}").fetchall()
    return tuple(counted)


def _correct_hot_keys(con: duckdb.DuckDBPyConnection, rule: BlockingRule) -> BlockedRule:
    """Count the keys of a rule in `block_keys`; write `corrected_keys(rid, k)`: hot keys split, or null."""
    key = rule.column
    con.execute(f"""
        create or replace temp table key_sizes as
        select {key} as k, count(*) as n, min(rid) as example,
               n > {MOST_RECORDS_PER_KEY} or bool_or({rests_on_hub(rule)}) as hot
        from block_keys where {key} is not null group by {key} having n > 1
    """).fetchall()
    pairs, hot_keys, hottest, example, kept = con.execute("""
        select coalesce(sum(n * (n - 1)) / 2, 0), count(*) filter (hot), max(n) filter (hot),
               min_by(example, (-n, example)) filter (hot), coalesce(sum(n * (n - 1)) filter (not hot) / 2, 0)
        from key_sizes
    """).fetchall()[0]
    _split_keys(con, rule, f"{key} in (select k from key_sizes where hot)")
    con.execute("""
        create or replace temp table split_sizes as
        select k, count(*) as n from split_keys where k is not null group by k
    """).fetchall()
    con.execute(f"""
        create or replace temp table corrected_keys as
        select rid, split_sizes.k
        from split_keys left join split_sizes on split_sizes.k = split_keys.k and n <= {MOST_RECORDS_PER_KEY}
    """).fetchall()
    if hottest is None:
        return BlockedRule(rule, round(pairs))
    split = con.execute(
        f"select coalesce(sum(n * (n - 1)) / 2, 0) from split_sizes where n <= {MOST_RECORDS_PER_KEY}"
    ).fetchall()[0][0]
    record_id = con.execute(f"select record_id from linkage_features where rid = {example}").fetchall()[0][0]
    return BlockedRule(
        rule,
        pairs=round(kept + split),
        hot_pairs=round(pairs - kept - split),
        split_pairs=round(split),
        hot_keys=int(hot_keys),
        hottest_records=int(hottest),
        hottest_example=str(record_id),
    )


def _split_keys(con: duckdb.DuckDBPyConnection, rule: BlockingRule, hot: str) -> None:
    """Write `split_keys(rid, k)` of the records in `block_keys` of which SQL says that their key is hot."""
    con.execute(f"""
        create or replace temp table split_keys as
        select rid, {rule.split_key} as k
        from linkage_features semi join (select rid from block_keys where {hot}) found using (rid)
    """).fetchall()


def _note_hot_keys(con: duckdb.DuckDBPyConnection, rule: BlockingRule) -> None:
    note_statistics(con, f"hot:{rule.column}", "select k as value, n as number from key_sizes where hot")
    if con.execute("select count(*) from key_sizes where hot").fetchall()[0][0]:
        skipped = f"select k as value, n as number from split_sizes where n > {MOST_RECORDS_PER_KEY}"
        note_statistics(con, f"skipped:{rule.column}", skipped)


def _correct_given_keys(con: duckdb.DuckDBPyConnection, rule: BlockingRule) -> BlockedRule:
    """Write `corrected_keys` where the statistics name a key hot or skipped, however many records share it here."""
    key = rule.column
    hot = f"(select value::ubigint from {statistics_of(f'hot:{key}')})"
    skipped = f"(select value::ubigint as k from {statistics_of(f'skipped:{key}')})"
    _split_keys(con, rule, f"{key} is not null and ({rests_on_hub(rule)} or {key} in {hot})")
    con.execute(f"""
        create or replace temp table corrected_keys as
        select rid, if(skipped.k is null, split_keys.k, null) as k
        from split_keys left join {skipped} skipped on skipped.k = split_keys.k
    """).fetchall()
    pairs = con.execute(f"""
        with corrected as (
            select if(corrected_keys.rid is null, {key}, k) as k from block_keys left join corrected_keys using (rid)
        )
        select coalesce(sum(n * (n - 1) / 2), 0)
        from (select count(*) as n from corrected where k is not null group by k)
    """).fetchall()[0][0]
    return BlockedRule(rule, round(pairs))
