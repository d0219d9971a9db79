"""Append: new, changed and vanished records into linked ones, with the model as it is.

Only new or changed records are blocked, against the stored block keys of the others; only pairs with one of them are
compared; only components that they or vanished records touch are clustered again. What is compared of a record depends
on it and on the model's statistics alone (see `statistics`), a pair counts for its two records, and clusters lie within
components of pairs above the merge weight: so appending in any order and in batches of any size gives the links and
clusters that scoring all records at once with the same model gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c360ml.linkage.blocking import MOST_RECORDS_PER_KEY, add_block_keys
from c360ml.linkage.decisions import read_decisions
from c360ml.linkage.features import NAMED_FEATURES
from c360ml.linkage.pair_tables import LEAST_WEIGHT_KEPT
from c360ml.linkage.reach import add_joined
from c360ml.linkage.stored_keys import stored_keys_sql

if TYPE_CHECKING:
    import duckdb

    from c360ml.linkage.model import LinkageModel

APPENDED_LINKS = "appended_links"
APPENDED_CLUSTERS = "appended_clusters"
APPENDED_RECORDS = "appended_records"
_COLUMNS = {
    APPENDED_LINKS: "record_id_l, record_id_r, match_weight, match_probability, household_probability, is_link",
    APPENDED_CLUSTERS: "record_id, cluster_id, cohesion",
    APPENDED_RECORDS: "record_id, content_hash, block_keys",
}
_KEYS = {APPENDED_LINKS: "record_id_l, record_id_r", APPENDED_CLUSTERS: "record_id", APPENDED_RECORDS: "record_id"}
_NO_LINKS = """
    select null::varchar as record_id_l, null::varchar as record_id_r, null::double as match_weight,
           null::double as match_probability, null::double as household_probability where false
"""
_NOTHING_DECIDED = "select null::varchar as record_id_l, null::varchar as record_id_r, null as decision where false"


@dataclass(frozen=True)
class Linked:
    """Names of the tables that the last linkage left: records seen with their keys, links, clusters, statistics.

    Links tell whether both records are of one cluster: see `linked_pairs`.
    """

    records: str
    links: str
    clusters: str
    statistics: str


@dataclass(frozen=True)
class Appended:
    """What appending did: records new, changed and vanished; compared pairs; records clustered again.

    `keys_outgrown` counts block keys that more records share by now than blocking would allow if it were learnt anew.
    """

    new: int
    changed: int
    vanished: int
    compared_pairs: int
    touched_records: int
    keys_outgrown: int

    @property
    def nothing(self) -> bool:
        """Whether the records are those that were linked."""
        return not (self.new or self.changed or self.vanished)


def is_compared(column: str) -> bool:
    """Whether records are compared by a column, or linked by what it says.

    >>> is_compared("surname"), is_compared("updated_at")
    (True, False)
    """
    return column in (*NAMED_FEATURES, "source", "email_kind") or column.startswith("attribute_")


def content_hashes(con: duckdb.DuckDBPyConnection, records: str) -> str:
    """SQL of `record_id, content_hash` of standardized records: a digest of all that is compared."""
    columns = [row[0] for row in con.execute(f"describe select * from {records}").fetchall()]
    parts = ", ".join(f'"{name}"' for name in sorted(filter(is_compared, columns)))
    return f"select record_id::varchar as record_id, md5(to_json(row({parts}))::varchar) as content_hash from {records}"


def linked_records(con: duckdb.DuckDBPyConnection, model: LinkageModel, records: str) -> str:
    """SQL of what a linkage has seen of each record, when the model has fitted or scored all of them."""
    return f"""
        from ({content_hashes(con, records)}) join (select record_id, {stored_keys_sql(model.rules_)} as block_keys
            from linkage_features) using (record_id)
    """


def linked_pairs(pairs: str, clusters: str) -> str:
    """SQL of scored pairs, and of each whether both records are of one cluster.

    Args:
        pairs: SQL of the pairs.
        clusters: name of a table `record_id, cluster_id`.
    """
    return f"""
        select pairs.*, l.cluster_id = r.cluster_id as is_link
        from ({pairs}) pairs
        join {clusters} l on l.record_id = record_id_l join {clusters} r on r.record_id = record_id_r
    """


def gained_of(appended: str) -> str:
    """Name of the temporary table of the rows that one of the appended tables gained."""
    return f"gained_{appended}"


def lost_of(appended: str) -> str:
    """Name of the temporary table of the keys of the rows that one of the appended tables lost, or has otherwise."""
    return f"lost_{appended}"


def append(
    con: duckdb.DuckDBPyConnection, model: LinkageModel, records: str, linked: Linked, asked: str | None = None
) -> Appended:
    """Link what changed since; makes the temporary views `appended_links, appended_clusters, appended_records`.

    They show all links, clusters and records seen, as the tables of `linked` held them. What each of these lost and
    gained is kept as temporary tables, see `lost_of` and `gained_of`; but if `reaches_all`, all is made anew.

    Args:
        con: connection that holds the tables.
        model: the fitted model that made the links.
        records: all standardized records as they are now.
        linked: what the last linkage left.
        asked: SQL of the `record_id` of records of which some may have changed; without it all may have.
    """
    changes = _find_changes(con, records, linked, asked)
    if reaches_all(model):
        return _score_all(con, model, records, linked, changes)
    _block_new(con, model, records, linked)
    pairs, outgrown = _compare_new(con, model, records, linked)
    touched = _find_touched(con, model, linked)
    _cluster_touched(con, model, records, linked)
    _find_links(con, linked)
    return Appended(*changes, pairs, touched, outgrown)


def reaches_all(model: LinkageModel) -> bool:
    """Whether a new record can change any other, so that all are scored again.

    It can if evidence is withheld by what all clusters hold, or if the stored weights do not tell components.
    """
    recalibrated = model.recalibration_.form_ != "identity"
    return bool(model.constraints.most_people_per) or recalibrated or _cut(model) < LEAST_WEIGHT_KEPT


def _cut(model: LinkageModel) -> float:
    """Weight above which a pair may hold a cluster together."""
    return min(0.0, model.merge_weight_)


def _find_changes(
    con: duckdb.DuckDBPyConnection, records: str, linked: Linked, asked: str | None
) -> tuple[int, int, int]:
    """Write `records_now` and `changed_records`: those that are new or other than they were, and those gone."""
    of_asked = ""
    if asked is not None:
        con.execute(f"create or replace temp table asked_records as {asked}").fetchall()
        of_asked = "semi join asked_records using (record_id)"
    con.execute(f"create or replace temp view records_asked as select * from {records} {of_asked}").fetchall()
    con.execute(f"create or replace temp table records_now as {content_hashes(con, 'records_asked')}").fetchall()
    con.execute(f"""
        create or replace temp table changed_records as
        select record_id, present.content_hash is not null as present, linked.content_hash is not null as known
        from records_now present full join (from {linked.records} {of_asked}) linked using (record_id)
        where present.content_hash is distinct from linked.content_hash
    """).fetchall()
    found: tuple[int, int, int] = con.execute("""
        select count(*) filter (not known), count(*) filter (known and present), count(*) filter (not present)
        from changed_records
    """).fetchall()[0]
    return found


def _block_new(con: duckdb.DuckDBPyConnection, model: LinkageModel, records: str, linked: Linked) -> None:
    """Write `changed_keys`, the block keys of new and changed records, and what the records seen lost and gained."""
    # A feature table has at least two records: one that stays makes up for it.
    con.execute(f"""
        create or replace temp table blocked_records as
        select record_id from changed_records where present
        union select min(record_id) from {linked.records} anti join changed_records using (record_id)
    """).fetchall()
    con.execute("create or replace temp table changed_keys (record_id varchar, block_keys bigint[])").fetchall()
    if _count_blocked(con, records) > 1:
        model._open("records_to_block", con, linked.statistics)
        add_block_keys(con, model.blocking_, given=True)
        con.execute(f"""
            insert into changed_keys
            select record_id, {stored_keys_sql(model.rules_)} from linkage_features
            semi join changed_records using (record_id)
        """).fetchall()
    con.execute(f"""
        create or replace temp table {gained_of(APPENDED_RECORDS)} as
        select record_id, content_hash, block_keys
        from records_now semi join changed_records using (record_id) left join changed_keys using (record_id)
    """).fetchall()
    con.execute(f"""
        create or replace temp table {lost_of(APPENDED_RECORDS)} as select record_id from changed_records where known
    """).fetchall()
    _show(con, APPENDED_RECORDS, linked.records)


def _show(con: duckdb.DuckDBPyConnection, appended: str, before: str) -> None:
    """Make a view of a table as it was, less what it lost, and what it gained."""
    con.execute(f"""
        create or replace temp view {appended} as
        select {_COLUMNS[appended]} from {before} anti join {lost_of(appended)} using ({_KEYS[appended]})
        union all
        select {_COLUMNS[appended]} from {gained_of(appended)}
    """).fetchall()


def _note_difference(con: duckdb.DuckDBPyConnection, appended: str, before: str, standing: str, now: str) -> None:
    """Write what a table loses and gains where some of its rows make room for others; what is the same stays.

    Args:
        con: the connection.
        appended: name that the whole will have.
        before: the table.
        standing: SQL of those of its rows.
        now: SQL of the others.
    """
    columns, key = _COLUMNS[appended], _KEYS[appended]
    con.execute(f"create or replace temp table rows_before as select {columns} from ({standing})").fetchall()
    con.execute(f"create or replace temp table rows_now as select {columns} from ({now})").fetchall()
    con.execute(f"""
        create or replace temp table {lost_of(appended)} as
        select {key} from (from rows_before anti join rows_now using ({columns}))
    """).fetchall()
    con.execute(f"""
        create or replace temp table {gained_of(appended)} as from rows_now anti join rows_before using ({columns})
    """).fetchall()
    for name in ("rows_before", "rows_now"):
        con.execute(f"drop table {name}").fetchall()
    _show(con, appended, before)


def _count_blocked(con: duckdb.DuckDBPyConnection, records: str) -> int:
    """Show the records named in `blocked_records` as `records_to_block`; returns their number."""
    con.execute(f"""
        create or replace temp view records_to_block as
        select * from {records} semi join blocked_records using (record_id)
    """).fetchall()
    return int(con.execute("select count(*) from records_to_block").fetchall()[0][0])


def _compare_new(con: duckdb.DuckDBPyConnection, model: LinkageModel, records: str, linked: Linked) -> tuple[int, int]:
    """Write `new_pairs`: scored pairs of a new or changed record with any other that shares a block key."""
    con.execute(f"create or replace temp table new_pairs as {_NO_LINKS}").fetchall()
    con.execute(f"""
        create or replace temp table blocked_records as
        with stored as (select record_id, unnest(block_keys) as k from {linked.records}),
        asked as (select distinct unnest(block_keys) as k from changed_keys),
        sharing as (select distinct record_id from stored semi join asked using (k))
        select record_id from changed_keys
        union all
        select record_id from sharing anti join changed_records using (record_id)
    """).fetchall()
    if _count_blocked(con, records) < 2:
        return 0, 0
    model._open("records_to_block", con, linked.statistics)
    model._start_engine(given=True)
    rules = [rule.column for rule in model.rules_]
    con.execute("""
        create or replace temp table new_features as
        select linkage_features.* from linkage_features semi join changed_records using (record_id)
    """).fetchall()
    found = " union ".join(
        f"""
        select least(new.rid, other.rid) as rid_l, greatest(new.rid, other.rid) as rid_r
        from new_features new join linkage_features other on new.{key} = other.{key} and new.rid <> other.rid
        """
        for key in rules
    )
    con.execute(f"create or replace temp table candidate_pairs as {found}").fetchall()
    model._engine.compare(model._pairs.numbered.permit("candidate_pairs"), into="new_vectors")
    con.execute("create or replace temp table scored_pairs as select *, true as blocked from new_vectors").fetchall()
    model._pairs.score(model.scorer_)
    con.execute(f"create or replace temp table new_pairs as {model.pairs_query()}").fetchall()
    pairs = con.execute("select count(*) from candidate_pairs").fetchall()[0][0]
    outgrown = sum(con.execute(_OUTGROWN.format(key=key)).fetchall()[0][0] for key in rules)
    for table in ("new_features", "new_vectors", "candidate_pairs", "scored_pairs", "blocked_records"):
        con.execute(f"drop table {table}").fetchall()
    return int(pairs), int(outgrown)


_OUTGROWN = f"""
    select count(*) from (
        select {{key}} from linkage_features where {{key}} in (select {{key}} from new_features)
        group by all having count(*) > {MOST_RECORDS_PER_KEY}
    )
"""


def _find_touched(con: duckdb.DuckDBPyConnection, model: LinkageModel, linked: Linked) -> int:
    """Write `touched_records`: all that links or reviewers join, over any number of others, to a changed record."""
    reviewed = model.constraints.reviewed_pairs
    decided = _NOTHING_DECIDED if reviewed is None else read_decisions(con, reviewed).sql_query()
    con.execute(f"create or replace temp table decided_now as {decided}").fetchall()
    # What reviewers decided may have changed since.
    con.execute("""
        create or replace temp table touched_records as
        select record_id from changed_records union select unnest([record_id_l, record_id_r]) from decided_now
    """).fetchall()
    cut = _cut(model)
    joined = f"""
        select record_id_l as a, record_id_r as b from {linked.links} where match_weight > {cut}
        union all select record_id_l, record_id_r from new_pairs where match_weight > {cut}
        union all select record_id_l, record_id_r from decided_now where decision = 'match'
    """
    return add_joined(con, "touched_records", joined)


def _cluster_touched(con: duckdb.DuckDBPyConnection, model: LinkageModel, records: str, linked: Linked) -> None:
    """Write `touched_pairs`, `touched_clusters`, and what the clusters lost and gained."""
    con.execute(f"""
        create or replace temp view records_at_hand as
        select * from {records} semi join touched_records using (record_id)
    """).fetchall()
    clusters = "select record_id::varchar as record_id, record_id::varchar as cluster_id, 1.0 as cohesion"
    clusters = f"{clusters} from records_at_hand"
    con.execute(f"create or replace temp table touched_pairs as {_NO_LINKS}").fetchall()
    if con.execute("select count(*) from records_at_hand").fetchall()[0][0] > 1:
        model.score("records_at_hand", con=con, statistics=linked.statistics)
        con.execute(f"create or replace temp table touched_pairs as {model.pairs_query()}").fetchall()
        clusters = f"from {model.cluster_table()}"
    con.execute(f"create or replace temp table touched_clusters as {clusters}").fetchall()
    standing = f"from {linked.clusters} semi join touched_records using (record_id)"
    _note_difference(con, APPENDED_CLUSTERS, linked.clusters, standing, "from touched_clusters")


def _find_links(con: duckdb.DuckDBPyConnection, linked: Linked) -> None:
    """Write what the links lost and gained: pairs of changed records, and those among touched ones, scored again.

    A touched record and one that is not are of two clusters: no pair that may hold a cluster together joins them.
    """
    standing = f"""
        with ends as (
            select links.*, cl.record_id is not null or cr.record_id is not null as changed,
                   tl.record_id is not null and tr.record_id is not null as touched
            from {linked.links} links
            left join changed_records cl on cl.record_id = record_id_l
            left join changed_records cr on cr.record_id = record_id_r
            left join touched_records tl on tl.record_id = record_id_l
            left join touched_records tr on tr.record_id = record_id_r
        )
        from ends where changed or touched
    """
    now = f"""
        from ({linked_pairs("from touched_pairs", "touched_clusters")})
        union all by name
        select new_pairs.*, false as is_link
        from new_pairs
        left join touched_records l on l.record_id = record_id_l
        left join touched_records r on r.record_id = record_id_r
        where l.record_id is null or r.record_id is null
    """
    _note_difference(con, APPENDED_LINKS, linked.links, standing, now)


def _score_all(
    con: duckdb.DuckDBPyConnection, model: LinkageModel, records: str, linked: Linked, changes: tuple[int, int, int]
) -> Appended:
    model.score(records, con=con, statistics=linked.statistics)
    clusters = model.cluster_table()
    whole = {
        APPENDED_LINKS: linked_pairs(model.pairs_query(), clusters),
        APPENDED_CLUSTERS: f"from {clusters}",
        APPENDED_RECORDS: linked_records(con, model, records),
    }
    for name, query in whole.items():
        con.execute(f"create or replace temp view {name} as {query}").fetchall()
    summary: dict[str, Any] = model.summary()
    return Appended(*changes, summary["candidate_pairs"], summary["records"], 0)
