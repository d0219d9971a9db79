"""Appending records gives what scoring all of them at once gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c360ml import tables
from c360ml.errors import ConfigError, DataError, ModelError, TableError
from c360ml.lakehouse import Lakehouse, connect
from c360ml.linkage import Constraints, LinkageModel
from c360ml.linkage.append import (
    APPENDED_CLUSTERS,
    APPENDED_LINKS,
    APPENDED_RECORDS,
    Appended,
    Linked,
    append,
    gained_of,
    linked_pairs,
    linked_records,
    lost_of,
)

Rows = list[tuple[Any, ...]]


@dataclass
class Store:
    """What a linkage left, in a connection, and the model that left it."""

    con: duckdb.DuckDBPyConnection
    model: dict[str, Any]
    constraints: Constraints

    def fresh_model(self) -> LinkageModel:
        model = LinkageModel.from_dict(self.model)
        model.constraints = self.constraints
        return model

    def bring_up_to_date(self) -> Appended:
        """Append what `now` has become."""
        linked = Linked("seen", "links", "linked_clusters", "learnt")
        appended = append(self.con, self.fresh_model(), "now", linked)
        self.keep(f"from {APPENDED_LINKS}", f"from {APPENDED_CLUSTERS}", f"from {APPENDED_RECORDS}")
        return appended

    def keep(self, links: str, clusters: str, seen: str) -> None:
        self.con.execute(f"create or replace table links as {links}").fetchall()
        self.con.execute(f"create or replace table linked_clusters as {clusters}").fetchall()
        self.con.execute(f"create or replace table seen as {seen}").fetchall()

    def add(self, ids: list[str]) -> None:
        self.con.execute("insert into now from everyone where record_id in (select unnest($1))", [ids]).fetchall()

    def stored(self) -> tuple[Rows, Rows]:
        return self._rows("from links"), self._rows("from linked_clusters")

    def scored_at_once(self) -> tuple[Rows, Rows]:
        model = self.fresh_model().score("now", con=self.con, statistics="learnt")
        clusters = model.cluster_table()
        return self._rows(linked_pairs(model.pairs_query(), clusters)), self._rows(f"from {clusters}")

    def _rows(self, query: str) -> Rows:
        return self.con.execute(f"from ({query}) order by all").fetchall()


def linked_store(project: Path, share: float, constraints: Constraints | None = None) -> tuple[Store, list[str]]:
    """A store that has linked a share of the small world's records, and the ids of the others."""
    with Lakehouse(project) as lake:
        everyone = lake.sql(f"from {lake.open(tables.RECORDS)}").to_arrow_table()
    con = connect()
    con.register("given_records", everyone)
    con.execute("create table everyone as from given_records").fetchall()
    ids = [row[0] for row in con.execute("select record_id from everyone order by md5(record_id)").fetchall()]
    first = int(share * len(ids))
    con.execute("create table now as from everyone where false").fetchall()
    store = Store(con, {}, constraints or Constraints())
    store.add(ids[:first])
    model = LinkageModel(constraints=store.constraints).fit("now", con=con)
    store.model = model.to_dict()
    con.execute("create table learnt as from term_statistics").fetchall()
    clusters = model.cluster_table()
    pairs = linked_pairs(model.pairs_query(), clusters)
    store.keep(pairs, f"from {clusters}", linked_records(con, model, "now"))
    return store, ids[first:]


@pytest.fixture(scope="module")
def half_linked(small_world_project: Path) -> tuple[Store, list[str]]:
    """A store that has linked half of the small world; tests begin with `restored`."""
    store, others = linked_store(small_world_project, 0.5)
    tables_left = {"now": "now", "links": "links", "clusters": "linked_clusters", "seen": "seen"}
    for name, table in ((f"first_{name}", table) for name, table in tables_left.items()):
        store.con.execute(f"create table {name} as from {table}").fetchall()
    return store, others


def restored(store: Store) -> Store:
    """The store as it was after the first linkage."""
    store.con.execute("create or replace table now as from first_now").fetchall()
    store.keep("from first_links", "from first_clusters", "from first_seen")
    return store


def test_what_a_model_scores_with_its_own_statistics_is_what_it_was_fitted_to(half_linked):
    """Statistics given back to their own file change nothing: pairs and clusters are those of the fit."""
    store = restored(half_linked[0])
    assert store.scored_at_once() == store.stored()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_batches_in_any_order_and_size_equal_one_run(half_linked, data):
    """Records appended in any order, in any batches, some changed and some withdrawn, end as one run has them."""
    store, others = restored(half_linked[0]), half_linked[1]
    order = data.draw(st.permutations(others[:120]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
    for start, stop in zip([0, *cuts], [*cuts, len(order)], strict=True):
        store.add(list(order[start:stop]))
        gone, changed = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40))
        store.con.execute(f"delete from now where hash(record_id) % 41 = {gone}").fetchall()
        store.con.execute(f"update now set surname = 'smith', email = null where hash(record_id) % 43 = {changed}")
        store.bring_up_to_date()
    assert store.scored_at_once() == store.stored()


def test_appending_nothing_changes_nothing(half_linked):
    """If no record is new, changed or gone, links and clusters stay as they are, to the last bit."""
    store = restored(half_linked[0])
    before = store.stored()
    assert store.bring_up_to_date() == Appended(0, 0, 0, 0, 0, 0)
    assert store.stored() == before


def test_only_rows_that_differ_are_written_again(half_linked):
    """What appending takes out and adds has no row in common, and is all that changes."""
    store, others = restored(half_linked[0]), half_linked[1]
    store.add(others[:30])
    before = {name: set(store._rows(f"from {name}")) for name in ("links", "linked_clusters")}
    store.bring_up_to_date()
    for name, appended in (("links", APPENDED_LINKS), ("linked_clusters", APPENDED_CLUSTERS)):
        now = set(store._rows(f"from {name}"))
        assert now - before[name] == set(store._rows(f"from {gained_of(appended)}"))
        keys = len(store.con.sql(f"from {lost_of(appended)}").columns)
        assert {row[:keys] for row in before[name] - now} == set(store._rows(f"from {lost_of(appended)}"))


def test_only_records_asked_for_are_looked_at(half_linked):
    """Of records that are said not to have changed, none is: they are not even read."""
    store, others = restored(half_linked[0]), half_linked[1]
    store.add(others[:2])
    linked = Linked("seen", "links", "linked_clusters", "learnt")
    asked = f"select '{others[0]}' as record_id"
    assert append(store.con, store.fresh_model(), "now", linked, asked).new == 1


def test_only_what_is_touched_is_clustered_again(half_linked):
    """One record that resembles nobody touches itself alone."""
    store = restored(half_linked[0])
    store.con.execute("""
        insert into now by name select 'web:alone' as record_id, 'web' as source, 'zzyx' as given_name,
               'qqvortel' as surname, 'zz@qqvortel.example' as email
    """).fetchall()
    appended = store.bring_up_to_date()
    assert (appended.new, appended.touched_records) == (1, 1)
    assert store.con.execute("from linked_clusters where record_id = 'web:alone'").fetchall() == [
        ("web:alone", "web:alone", 1.0)
    ]


@pytest.mark.parametrize(
    "constraints",
    [Constraints(most_people_per={"phone": 2}), Constraints(never_link=(("dms", "sf"),), largest_cluster=4)],
    ids=["withheld evidence", "forbidden sources and a budget"],
)
def test_constraints_hold_for_appended_records(small_world_project, constraints):
    """Constraints act on appended records as they would in one run, also those that reach beyond a component."""
    with Lakehouse(small_world_project) as lake:
        sources = [row[0] for row in lake.rows(f"select distinct source from {lake.open(tables.RECORDS)} order by 1")]
    if constraints.never_link:
        constraints = Constraints(never_link=((sources[0], sources[1]),), largest_cluster=4)
    store, others = linked_store(small_world_project, 0.6, constraints)
    store.add(others)
    store.bring_up_to_date()
    assert store.scored_at_once() == store.stored()


def test_new_decisions_of_reviewers_are_heeded(small_world_project):
    """Pairs that reviewers joined or told apart since the last linkage are so after appending."""
    store, others = linked_store(small_world_project, 0.8)
    left, right = store.con.execute("""
        select min(record_id), max(record_id) from linked_clusters group by cluster_id having count(*) = 2 limit 1
    """).fetchall()[0]
    strangers = store.con.execute("""
        select cluster_id from linked_clusters group by all having count(*) = 1 order by 1 limit 2
    """).fetchall()
    decided = pa.table(
        {
            "record_id_l": [left, strangers[0][0]],
            "record_id_r": [right, strangers[1][0]],
            "decision": ["non-match", "match"],
        }
    )
    store.constraints = Constraints(reviewed_pairs=decided)
    store.add(others)
    store.bring_up_to_date()
    cluster = dict(store.con.execute("select record_id, cluster_id from linked_clusters").fetchall())
    assert cluster[left] != cluster[right]
    assert cluster[strangers[0][0]] == cluster[strangers[1][0]]
    assert store.scored_at_once() == store.stored()


def test_statistics_of_nothing_are_refused(half_linked):
    """A model is not scored with an empty table of statistics: its rarities would all be wrong."""
    store = restored(half_linked[0])
    store.con.execute("create or replace temp table none_learnt as from learnt where false").fetchall()
    with pytest.raises(TableError, match="statistics must be whole"):
        store.fresh_model().score("now", con=store.con, statistics="none_learnt")


def test_a_file_without_like_records_scores_to_nobody_alike(half_linked):
    """Scoring, unlike fitting, does not need a candidate pair: every record is a customer of its own."""
    store = restored(half_linked[0])
    strangers = store.con.sql("""
        select 'r' || n as record_id, 'first' || n as given_name, chr((96 + n)::int) || 'ore' as surname
        from range(1, 4) numbers(n)
    """).to_arrow_table()
    model = LinkageModel.from_dict(store.model).score(strangers)
    assert model.cluster()["cluster_id"].to_pylist() == ["r1", "r2", "r3"]
    with pytest.raises(DataError):
        LinkageModel().fit(strangers)


def test_errors_of_the_append_step_say_what_to_do(small_world_copy):
    """A project without a model, or with other settings than it was trained with, is told to run."""
    from c360ml.config import Config
    from c360ml.linkage import append_links

    config = Config.load(small_world_copy / "c360ml.toml")
    with Lakehouse(small_world_copy) as lake:
        lake.open(tables.RECORDS)
        changed = config.model_copy(update={"linkage": config.linkage.model_copy(update={"seed": 5})})
        with pytest.raises(ConfigError, match="c360ml run"):
            append_links(lake, changed)
        (small_world_copy / "models" / "linkage.json").unlink()
        with pytest.raises(ModelError, match="c360ml run"):
            append_links(lake, config)
