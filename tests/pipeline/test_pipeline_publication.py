"""Readers see what the last finished run published: all of it, whatever a run at work or a killed one has written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pipeline_projects import contents, ran, set_in_config, versions
from test_pipeline_append import STRANGER, extract, identities
from test_pipeline_run import run_and_be_killed

from c360ml import tables
from c360ml.errors import ProjectError, TableError
from c360ml.identity import IdentityStore, build_index, inbox_records
from c360ml.identity.online_index import bases_of, published_index
from c360ml.identity.store_delta import Delta
from c360ml.lakehouse import PUBLISHED_FILE, Lakehouse
from c360ml.pipeline import append_files, run_pipeline
from c360ml.pipeline.append import add_files
from c360ml.pipeline.forget import forget_person
from c360ml.pipeline.publication import undo_unpublished
from c360ml.pipeline.run import Watcher

ZORA = {"given_name": "Zora", "surname": "Quillfeather", "email": "zora@quillfeather.example", "phone": "415 555 2671"}
HORIZON = "[value]\nhorizon_weeks = 13"
MODELS = ("models/customer_value.json", "models/linkage.json", "models/segments.json")


def seen(folder: Path) -> dict[str, object]:
    """Every table and model as a reader sees it."""
    with Lakehouse(folder, published=True) as lake:
        found: dict[str, object] = {name: lake.read_json(name) for name in MODELS}
        for table in tables.ALL:
            if lake.version(table) is not None:
                lake.open(table)
                query = f"select bit_xor(hash(t)), count(*) from {table.path} t"
                found[table.path] = lake.rows(query)[0]
    return found


@pytest.fixture
def indexed_copy(small_world_copy):
    """A copy of the small world with its index."""
    with Lakehouse(small_world_copy) as lake:
        build_index(lake)
    return small_world_copy


class Looker(Watcher):
    """Looks at the project as a reader whenever a step has ended."""

    def __init__(self, folder):
        self.folder, self.looks, self.written = folder, [], []

    def ends(self, result):
        self.looks.append(seen(self.folder))
        self.written.append(versions(self.folder))


def test_a_reader_sees_nothing_of_a_run_at_work(indexed_copy):
    """In the middle of a run every table, model and answer is that of before; at its end all are the new ones."""
    before = seen(indexed_copy)
    with Lakehouse(indexed_copy, published=True) as early:
        early.open(tables.CUSTOMER_VALUE)
        total = "select sum(projected_value) from gold.customer_value"
        was = early.one(total)
        set_in_config(indexed_copy, HORIZON)
        looker, answers = Looker(indexed_copy), []

        def look(lake, result):
            build_index(lake)
            looker.looks.append(seen(indexed_copy))
            with IdentityStore(indexed_copy) as store:
                answers.append(store.customer(master_id)["projected_value"])

        with IdentityStore(indexed_copy) as store:
            early.open(tables.CUSTOMER_360)
            master_id, projected = early.rows(
                "select master_id, projected_value from gold.customer_360 where projected_value > 0 order by 1 limit 1"
            )[0]
            run_pipeline(indexed_copy, watcher=looker, then=look)
            after = seen(indexed_copy)
            assert [projected] == answers
            assert projected > store.customer(master_id)["projected_value"]
        assert [] == [look for look in looker.looks if look != before]
        assert looker.written[0] != looker.written[-1]
        assert {"gold.customer_value", "models/customer_value.json"} < {
            name for name in after if after[name] != before[name]
        }
        # Who had it open before goes on reading what was then.
        early.open(tables.CUSTOMER_VALUE)
        assert was == early.one(total)
    with Lakehouse(indexed_copy, published=True) as later:
        later.open(tables.CUSTOMER_VALUE)
        assert was > later.one(total)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["silver.linked_records", "silver.identities", "gold.customer_360"])
def test_a_killed_append_is_not_seen(small_world_copy, tmp_path, at):
    """After a kill readers see the state before; the next append publishes the state after, as if nothing had been."""
    unharmed = Path(shutil.copytree(small_world_copy, tmp_path / "unharmed"))
    file = extract(tmp_path, STRANGER)
    append_files(unharmed, [file], source="dms")
    before = seen(small_world_copy)
    add_files(small_world_copy, [file], "dms")
    run_and_be_killed(small_world_copy, at, append=True)
    assert before == seen(small_world_copy)
    append_files(small_world_copy)
    assert identities(small_world_copy) == identities(unharmed)
    published = json.loads((small_world_copy / PUBLISHED_FILE).read_text("utf-8"))["versions"]
    assert versions(small_world_copy) == {table.path: published.get(table.path) for table in tables.ALL}


def test_a_failed_publication_is_not_seen(small_world_copy):
    """If reports fail, nothing is published; the next run, which has no step to do, publishes."""
    before = seen(small_world_copy)
    set_in_config(small_world_copy, HORIZON)

    def fail(lake, result):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_pipeline(small_world_copy, then=fail)
    assert before == seen(small_world_copy)
    assert [] == ran(run_pipeline(small_world_copy))
    assert before["gold.customer_value"] != seen(small_world_copy)["gold.customer_value"]


def test_a_project_that_never_published_reads_as_it_is(small_world_copy):
    """Without `published.json` a reader sees the newest tables; the next run writes it."""
    before = seen(small_world_copy)
    (small_world_copy / PUBLISHED_FILE).unlink()
    assert before == seen(small_world_copy)
    assert not run_pipeline(small_world_copy).changed
    assert before == seen(small_world_copy)
    assert (small_world_copy / PUBLISHED_FILE).is_file()


def test_a_published_lakehouse_is_not_written_to(small_world_project):
    """Who reads what is published writes no table, and is told of tables that were not published."""
    with Lakehouse(small_world_project, published=True) as lake:
        query = f"from {lake.open(tables.CLUSTERS)}"
        for write in (
            lambda: lake.write(tables.CLUSTERS, query),
            lambda: lake.append(tables.CLUSTERS, query),
            lambda: lake.delete(tables.CLUSTERS, "true"),
            lambda: lake.forget_versions(tables.CLUSTERS),
            lambda: lake.restore(tables.CLUSTERS, 0),
        ):
            with pytest.raises(ProjectError, match="opened to read"):
                write()
        assert lake.version(tables.TOMBSTONES) is None
        with pytest.raises(TableError, match="must exist"):
            lake.open(tables.TOMBSTONES)


# ---------------------------------------------------------------------- the index
def test_published_names_the_base_of_its_tables(indexed_copy):
    """A run without a scorer brings an index that is at work up to date, and says which base belongs to the tables."""
    old = published_index(indexed_copy)
    set_in_config(indexed_copy, HORIZON)
    run_pipeline(indexed_copy)
    published = json.loads((indexed_copy / PUBLISHED_FILE).read_text("utf-8"))
    assert {} == old
    assert bases_of(indexed_copy, published["versions"]) == published["index"]
    delta = Delta(indexed_copy)
    assert delta.bases() == published["index"]
    delta.close()
    assert 1 == len([place for place in (indexed_copy / "data" / "index").iterdir() if place.is_dir()])


def test_a_run_killed_before_its_index_was_switched(indexed_copy, monkeypatch):
    """The store that is opened next answers from the published base, and upserts are neither lost nor seen twice."""
    with IdentityStore(indexed_copy, writable=True) as store:
        zora = store.upsert(ZORA, source="web", source_key="1")

    class Killed(BaseException):
        pass

    def die(*arguments):
        raise Killed

    with monkeypatch.context() as broken, pytest.raises(Killed):
        broken.setattr("c360ml.identity.online_index._make_current", die)
        append_files(indexed_copy)
    ((digest, name),) = published_index(indexed_copy).items()
    delta = Delta(indexed_copy)
    assert name != delta.bases()[digest]
    delta.close()
    with IdentityStore(indexed_copy) as store:
        assert zora.master_id == store.resolve(ZORA).master_id
    delta = Delta(indexed_copy)
    assert {digest: name} == delta.bases()
    assert [] == delta.record_ids(1)
    delta.close()
    assert [] == inbox_records(indexed_copy)
    assert [] == ran(append_files(indexed_copy))


# ---------------------------------------------------------------------- undone
def test_a_person_is_forgotten_from_what_is_published(small_world_copy, tmp_path):
    """Forgetting undoes a killed run first: readers see one state, without the person, and the run is done again."""
    add_files(small_world_copy, [extract(tmp_path, STRANGER)], "dms")
    run_and_be_killed(small_world_copy, "silver.golden_records", append=True)
    before = {table.path: contents(small_world_copy, table) for table in (tables.CUSTOMERS, tables.LINKS)}
    record = min(identities(small_world_copy))
    forget_person(small_world_copy, record=record)
    with Lakehouse(small_world_copy, published=True) as lake:
        for table in (tables.IDENTITIES, tables.CUSTOMERS, tables.RECORDS, tables.LINKS):
            lake.open(table)
        known = {row[0] for row in lake.rows("select record_id from silver.identities")}
        landed = {row[0] for row in lake.rows("select source || ':' || source_key from bronze.customers")}
        assert record not in known
        assert known == landed
    assert before["bronze.customers"] != contents(small_world_copy, tables.CUSTOMERS)
    run_pipeline(small_world_copy)
    assert "dms:C9999999" in identities(small_world_copy)
    assert record not in identities(small_world_copy)


def test_undoing_takes_everything_back(small_world_copy):
    """Tables and models that a stopped run wrote are as published again, and the run does its work anew."""
    before = seen(small_world_copy)
    set_in_config(small_world_copy, HORIZON)

    def fail(lake, result):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_pipeline(small_world_copy, then=fail)
    with Lakehouse(small_world_copy) as lake:
        undo_unpublished(lake)
        assert before["models/customer_value.json"] == lake.read_json("models/customer_value.json")
        lake.open(tables.CUSTOMER_VALUE)
        query = "select bit_xor(hash(t)), count(*) from gold.customer_value t"
        assert before["gold.customer_value"] == lake.rows(query)[0]
    assert "value" in ran(run_pipeline(small_world_copy))
