"""The index is replaced whole, never under a reader's feet, and what was upserted outlives it until it is landed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import ModelError, StoreError, TableError
from c360ml.identity import (
    IdentityStore,
    build_index,
    clear_inbox,
    forget_upserts,
    inbox_records,
    keep_indexes,
    write_inbox,
)
from c360ml.identity.base_files import Base, write_about, write_keys, write_rows
from c360ml.identity.online_index import read_model
from c360ml.identity.store_delta import Added, Delta
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.online import model_digest
from c360ml.sources import land, validate

ZORA = {"given_name": "Zora", "surname": "Quillfeather", "email": "zora@quillfeather.org", "city": "Springfield"}
YANN = {"given_name": "Yann", "surname": "Xyzzyqwort", "email": "yann@xyzzyqwort.eu", "phone": "415 555 2671"}
INDEX = Path("data") / "index"


def bases(folder):
    return sorted(place.name for place in (folder / INDEX).iterdir() if place.is_dir())


def upsert(folder, *records, source="web"):
    with IdentityStore(folder, writable=True) as store:
        return [store.upsert(record, source=source, source_key=str(key)) for key, record in enumerate(records)]


@pytest.fixture
def project(small_world_copy):
    """A copy of the small world with its index."""
    with Lakehouse(small_world_copy) as lake:
        build_index(lake)
    return small_world_copy


# ---------------------------------------------------------------------- files
@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(st.text(max_size=6), st.lists(st.integers(0, 5), max_size=4)), max_size=40),
    batch=st.integers(1, 9),
    asked=st.lists(st.integers(0, 6), max_size=6),
)
def test_files_hold_what_was_written(tmp_path_factory, rows, batch, asked):
    """Rows are found by position and first item, keys by value, whatever the batches; as a dictionary finds them."""
    folder = tmp_path_factory.mktemp("base")
    rows = sorted(dict(rows).items(), key=lambda row: row[0].encode())
    lines = pa.table({"line": pa.array([json.dumps([name, keys]) + "\n" for name, keys in rows], pa.string())})
    pairs = sorted({(key, place) for place, (_, keys) in enumerate(rows) for key in keys})
    keys = pa.table(
        {
            "block_key": pa.array([2**63 + key for key, _ in pairs], pa.uint64()),
            "position": pa.array([place for _, place in pairs], pa.uint32()),
        }
    )
    assert len(rows) == write_rows(folder, "records", lines.to_batches(batch))
    for nothing in ("customers", "terms"):
        write_rows(folder, nothing, [])
    assert len(pairs) == write_keys(folder, keys.to_batches(batch))
    names = {"columns": [], "golden_columns": [], "customer_columns": []}
    write_about(folder, {"model_digest": "d", "country": "US", **names})

    base = Base(folder, "d")

    assert [[name, keys] for name, keys in rows] == base.records.at(range(len(rows)))
    assert list(range(len(rows))) == [base.records.find(name) for name, _ in rows]
    assert base.records.find("no such name") is None
    expected = sorted({place for key, place in pairs if key in asked})
    assert expected == base.positions([2**63 + key for key in asked])
    assert base.customers.find("") is None
    assert base.number_of("rarity:surname|lee") is None


def test_a_hot_key_of_added_records_is_not_looked_up(project):
    """A key that more than 100 added records share finds none of them; one of 100 finds all."""
    delta = Delta(project)
    (digest,) = delta.bases()
    model, _ = delta.base(digest)
    with delta.transaction(write=True):
        for number in range(101):
            record = Added(f"web:{number:03d}", number, "m", "{}", {}, [number], {})
            delta.put(model, record, [1, 2**64 - 1] if number < 100 else [1])
    assert [] == delta.candidates(model, [1], None)
    assert [[f"web:{number:03d}", "m", number] for number in range(1, 100)] == delta.candidates(
        model, [1, 2**64 - 1], "web:000"
    )
    delta.close()


# ---------------------------------------------------------------------- building
def test_an_index_takes_the_place_of_the_old_one(project):
    """A reader goes on while an index is built, follows to the new one, and the old one's files are gone."""
    (old,) = bases(project)
    with IdentityStore(project) as reader, Lakehouse(project) as lake:
        before = reader.resolve(ZORA)
        new = build_index(lake)
        assert [new.name] == bases(project)
        assert old != new.name
        assert before == reader.resolve(ZORA)


def test_a_failed_build_leaves_the_old_index(project, monkeypatch):
    """An index is replaced whole or not at all, whatever part of the build fails."""
    before = bases(project)
    with Lakehouse(project) as lake:
        with pytest.raises(ModelError):
            build_index(lake, model={"format_version": 0})
        with monkeypatch.context() as broken:
            for written in ("index_filling.write_keys", "index_filling.write_about"):
                broken.setattr(f"c360ml.identity.{written}", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                build_index(lake)
        # A build that was killed leaves its folder.
        (project / INDEX / ".building-killed").mkdir()
        assert before == [name for name in bases(project) if not name.startswith(".")]
        build_index(lake)
    assert 1 == len(bases(project))


def test_records_without_identity_are_no_index(project):
    """An index is not built from tables that do not belong together."""
    with Lakehouse(project) as lake:
        lake.open(tables.IDENTITIES)
        lake.write(tables.IDENTITIES, "from silver.identities order by record_id limit 100")
        with pytest.raises(TableError, match="100 of"):
            build_index(lake)


def test_one_index_is_built_at_a_time(project):
    """A second builder is told at once."""
    from filelock import FileLock

    with FileLock(project / INDEX / ".building.lock"), Lakehouse(project) as lake:
        with pytest.raises(StoreError, match="one program"):
            build_index(lake)


def test_only_kept_models_keep_their_index(project):
    """Indexes of other models are deleted; an open reader of one still answers, a writer is told to open again."""
    model = read_model(project)
    other = {**model, "seed": 99}
    with Lakehouse(project) as lake:
        build_index(lake, model=other)
    assert 2 == len(bases(project))
    with IdentityStore(project, model=other, writable=True) as store:
        store.upsert(ZORA, source="web", source_key="1")
        keep_indexes(project, [model])
        assert [model_digest(model)] == [name.partition("-")[0] for name in bases(project)]
        assert store.resolve(ZORA).is_new
        with pytest.raises(ModelError, match="open the store again"):
            store.upsert(YANN, source="web", source_key="2")
    assert ["web:1"] == [row["record_id"] for row in inbox_records(project)]


# ---------------------------------------------------------------------- the inbox
def test_upserts_outlive_a_new_index(project, tmp_path):
    """What no run has landed is found after the index was built again, by the same model and by another."""
    stored = upsert(project, ZORA, YANN)
    model = read_model(project)
    other = {**model, "seed": 99}
    with Lakehouse(project) as lake:
        build_index(lake)
        build_index(lake, model=other)
    for content in (model, other):
        with IdentityStore(project, model=content) as store:
            assert [answer.master_id for answer in stored] == [store.resolve(each).master_id for each in (ZORA, YANN)]
    assert stored == upsert(project, ZORA, YANN)


def test_a_record_of_the_base_stays_replaced_in_a_new_index(project):
    """A replaced record of the base is hidden in the next base, too, until the inbox was landed."""
    with Lakehouse(project) as lake:
        lake.open(tables.IDENTITIES)
        record_id = lake.one("select min(record_id) from silver.identities")
        source, _, key = record_id.partition(":")
        with IdentityStore(project, writable=True) as store:
            stored = store.upsert(ZORA, source=source, source_key=key)
        for landed in (False, True):
            if landed:
                clear_inbox(project, inbox_records(project)[-1]["sequence"])
            build_index(lake)
            delta = Delta(project)
            (digest,) = delta.bases()
            model, name = delta.base(digest)
            records = Base(project / INDEX / name, digest).records
            position = records.find(record_id)
            assert (set() if landed else {position}) == delta.hidden(model, list(range(len(records))))
            delta.close()
            with IdentityStore(project) as store:
                assert (None if landed else stored.master_id) == store.resolve(ZORA).master_id


def test_the_inbox_is_cleared_up_to_what_was_landed(project):
    """What was upserted after the inbox was read stays; the rest is seen until the next index, then not."""
    upsert(project, ZORA)
    up_to = write_inbox(project)
    upsert(project, ZORA, YANN)
    assert 1 == clear_inbox(project, up_to)
    assert ["web:1"] == [row["record_id"] for row in inbox_records(project)]
    assert [] == inbox_records(project, after=inbox_records(project)[-1]["sequence"])
    with IdentityStore(project) as store:
        assert not store.resolve(ZORA).is_new
        with Lakehouse(project) as lake:
            build_index(lake)
        assert store.resolve(ZORA).is_new
        assert not store.resolve(YANN).is_new


def test_the_inbox_is_landed_like_any_source(project):
    """What is upserted lands without a word in the config: every field arrives, a later file wins."""
    upsert(project, ZORA, YANN)
    write_inbox(project)
    upsert(project, YANN, YANN, source="app")
    up_to = write_inbox(project)
    assert 0 == write_inbox(project / "elsewhere")
    files = sorted(file.name for file in (project / "data" / "inbox").iterdir())
    assert [f"app-{up_to:012d}.jsonl", "web-000000000002.jsonl", f"web-{up_to:012d}.jsonl"] == files
    (project / "shop.csv").write_text("source_key,surname\n7,Orr\n", "utf-8")
    config = Config.parse({"sources": [{"name": "web", "kind": "customers", "files": "shop.csv"}]})
    with Lakehouse(project) as lake:
        land(lake, config)
        validate(lake, config)
        rows = lake.rows("""
            select source, source_key, given_name, surname, email, phone, created_at is not null
            from bronze.customers order by source, source_key
        """)
    yann = ("Yann", "Xyzzyqwort", "yann@xyzzyqwort.eu", "415 555 2671", True)
    assert [
        ("app", "0", *yann),
        ("app", "1", *yann),
        ("web", "0", "Zora", "Quillfeather", "zora@quillfeather.org", None, True),
        ("web", "1", *yann),
        ("web", "7", None, "Orr", None, None, False),
    ] == rows


def test_forgotten_upserts_leave_no_trace(project):
    """Erased records are in no file of the delta any more, and are found no more; others stay."""
    upsert(project, ZORA, YANN)
    assert 0 == forget_upserts(project / "elsewhere", ["web:0"])
    assert 1 == forget_upserts(project, ["web:0", "web:unknown"])
    with IdentityStore(project) as store:
        assert store.resolve(ZORA).is_new
        assert not store.resolve(YANN).is_new
    content = b"".join(file.read_bytes() for file in (project / INDEX).glob("delta.sqlite*")).lower()
    assert b"quillfeather" not in content
    assert b"xyzzyqwort" in content


# ---------------------------------------------------------------------- kill -9
UPSERTS = """
import sys
from c360ml.identity import IdentityStore
with IdentityStore(sys.argv[1], writable=True) as store:
    for number in range(10_000):
        store.upsert({"given_name": "Zora", "surname": f"Quill{number}"}, source="web", source_key=str(number))
        print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_it_acknowledged(project):
    """After kill -9 all acknowledged upserts are there, at most one more, inbox and view agree, and one may write."""
    process = subprocess.Popen([sys.executable, "-c", UPSERTS, str(project)], stdout=subprocess.PIPE, text=True)
    for _ in range(5):
        last = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    last = max([last, *map(int, process.stdout.read().split())])
    process.wait()
    process.stdout.close()
    delta = Delta(project)
    (digest,) = delta.bases()
    seen = delta.record_ids(delta.base(digest)[0])
    inbox = [(row["record_id"], row["sequence"]) for row in delta.inbox()]
    delta.close()
    assert seen == inbox
    numbers = [int(record_id.partition(":")[2]) for record_id, _ in inbox]
    assert list(range(len(numbers))) == numbers
    assert len(numbers) - (last + 1) in {0, 1}
    first = upsert(project, {"given_name": "Zora", "surname": "Quill0"})
    assert first == upsert(project, {"given_name": "Zora", "surname": "Quill0"})
    assert len(inbox) == len(inbox_records(project))


def test_stored_columns_are_those_of_the_batch(project):
    """Rarity of terms and names at contacts and houses of a single record are what the batch wrote of the same one."""
    with IdentityStore(project) as store:
        base, scorer = store._base, store._viewer.scorer
        rows = [base.records[position][2:] for position in range(0, len(base.records), 3)]
        records = [dict(zip(scorer.columns, row, strict=True)) for row in rows]
        assert rows == [list(scorer.stored(record, base.number_of)) for record in records]
        assert any(record["surname_rarity"] == 1 for record in records)
        assert any(record["phone_names"] > 1 for record in records)
