"""A raw record is resolved as the batch would have linked it, never on nothing, and stored once for all to see."""

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c360ml import tables
from c360ml.errors import C360Error, ColumnError, DataError, ModelError, StoreError
from c360ml.identity import IdentityStore, inbox_records
from c360ml.identity.base_files import Base
from c360ml.identity.online_index import read_model
from c360ml.identity.resolution import checked_record
from c360ml.identity.store import new_master_id
from c360ml.identity.store_delta import Delta
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.online import OnlineScorer, model_digest
from c360ml.standardize.one_record import RecordStandardizer
from c360ml.standardize.records import RECORD_COLUMNS, ROLES

ZORA = {"given_name": "Zora", "surname": "Quillfeather", "email": "zora@quillfeather.org", "city": "Springfield"}
YANN = {"given_name": "Yann", "surname": "Xyzzyqwort", "email": "yann@xyzzyqwort.eu", "phone": "415 555 2671"}
NOTHING = [
    {},
    dict.fromkeys(ROLES),
    dict.fromkeys(ROLES, ""),
    dict.fromkeys(ROLES, " \t "),
    {"email": "noemail@none.com", "phone": "999-999-9999", "full_name": "UNKNOWN", "postcode": "00000"},
    {"gender": "m"},
    {"surname": "\x00\x01\x02"},
]
UNREADABLE = [
    ({"e-mail": "secret@x.org"}, ColumnError),
    ({"email": 7}, DataError),
    ({"email": ["secret"]}, DataError),
    ({"surname": b"secret"}, DataError),
    ({"surname": "secret" * 2000}, DataError),
    ({"surname": "x" * 10_000_000}, DataError),
    ({"surname": "secret\ud800"}, DataError),
    (["secret"], DataError),
    (None, DataError),
]


@pytest.fixture(scope="module")
def lake(indexed):
    """The small world's tables."""
    with Lakehouse(indexed) as lake:
        for table in (tables.CUSTOMERS, tables.RECORDS, tables.IDENTITIES, tables.LINKS, tables.GOLDEN_RECORDS):
            lake.open(table)
        yield lake


@pytest.fixture(scope="module")
def base(indexed):
    """The base of the small world."""
    (folder,) = (place for place in (indexed / "data" / "index").iterdir() if place.is_dir())
    return Base(folder, model_digest(read_model(indexed)))


@pytest.fixture(scope="module")
def store(indexed):
    """A store of the small world, to read."""
    with IdentityStore(indexed) as store:
        yield store


@pytest.fixture(scope="module")
def raw(lake):
    """Raw records by record id, as their sources sent them."""
    roles = ", ".join(f"nullif(trim({role}), '') as {role}" for role in ROLES)
    rows = lake.sql(f"""
        select source || ':' || source_key as record_id, {roles} from bronze.customers
        order by md5(source || source_key)
    """)
    return {row.pop("record_id"): row for row in rows.to_arrow_table().to_pylist()}


@pytest.fixture(scope="module")
def standardized(lake):
    """Standardized records by record id."""
    columns = ", ".join(RECORD_COLUMNS)
    rows = lake.sql(f"select record_id, {columns} from silver.records order by record_id").to_arrow_table()
    return {row.pop("record_id"): row for row in rows.to_pylist()}


@pytest.fixture(scope="module")
def masters(lake):
    """Customers by record id."""
    return dict(lake.rows("select record_id, master_id from silver.identities order by record_id"))


def key_of(record_id):
    source, _, key = record_id.partition(":")
    return {"source": source, "source_key": key}


# ---------------------------------------------------------------------- the same as the batch
def test_online_weights_are_the_batch_weights(lake, base, standardized):
    """The weight of a pair is the same online and in the batch, whichever of the two records is the new one."""
    scorer = OnlineScorer(read_model(lake.folder))
    stored = {row[0]: row[2:] for row in base.records.at(range(len(base.records)))}
    pairs = lake.rows("""
        select record_id_l, record_id_r, match_weight from silver.links
        order by md5(record_id_l || record_id_r) limit 300
    """)
    assert len(pairs) == 300
    for left, right, weight in pairs:
        for new, known in ((left, right), (right, left)):
            digits = scorer.digits(standardized[new], [stored[known]])
            assert weight == pytest.approx(float(scorer.match_weights(digits)[0]), abs=1e-9)


def test_one_record_is_standardized_as_in_its_table(raw, standardized):
    """A single record is standardized as it is among all records of its project."""
    standardizer = RecordStandardizer("US")
    some = list(raw)[:100]
    assert {record_id: standardized[record_id] for record_id in some} == {
        record_id: standardizer.standardize(checked_record(raw[record_id])) for record_id in some
    }


def test_every_batch_key_is_found_online(lake, base, standardized):
    """Records that share an online key with a record are at least those that the batch compared it with."""
    scorer = OnlineScorer(read_model(lake.folder))
    ids = list(standardized)
    assert ids == [row[0] for row in base.records.at(range(len(base.records)))]
    position = {record_id: place for place, record_id in enumerate(ids)}
    partners = {record_id: {record_id} for record_id in ids[::5]}
    for left, right in lake.rows("select record_id_l, record_id_r from silver.links"):
        for one, other in ((left, right), (right, left)):
            partners.get(one, set()).add(other)

    missing = [
        record_id
        for record_id, others in partners.items()
        if len(others) > 1
        and not {position[other] for other in others if other != record_id}
        <= set(base.positions(scorer.block_keys(standardized[record_id])))
    ]

    assert [] == missing
    assert any(rule.split_by for rule in scorer.model.rules_)


def test_known_records_find_their_customer(store, raw, masters):
    """A record that is already known resolves to its own customer."""
    asked = [record_id for record_id, row in raw.items() if row["email"] and (row["surname"] or row["full_name"])][:60]
    found = [store.resolve(raw[record_id]).master_id == masters[record_id] for record_id in asked]
    assert np.mean(found) >= 0.95


def test_an_answer_explains_itself(lake, store, raw):
    """The steps of an explanation sum to the weight, and golden record and value are those of the last run."""
    record = next(row for row in raw.values() if row["email"] and row["phone"] and row["surname"])
    answer = store.resolve(record)
    *steps, total = answer.explanation
    assert total["weight"] == pytest.approx(sum(step["weight"] for step in steps))
    assert answer.match_probability == pytest.approx(1 / (1 + 2 ** -total["weight"]))
    expected = lake.rows(
        "select household_id, full_name, email, records from silver.golden_records where master_id = $id",
        {"id": answer.master_id},
    )[0]
    golden = answer.golden_record
    assert expected == (answer.household_id, golden["full_name"], golden["email"], golden["records"])
    assert answer.customer == store.customer(answer.master_id)
    assert answer.customer["household_id"] == answer.household_id
    assert store.customer("nobody") is None
    assert answer == store.resolve(record)


# ---------------------------------------------------------------------- bad input
@pytest.mark.parametrize("record", NOTHING, ids=range(len(NOTHING)))
def test_nothing_is_matched_on_emptiness(store, record):
    """A record without anything usable is new, with probability 0."""
    answer = store.resolve(record)
    assert (None, True, 0.0, 0) == (answer.master_id, answer.is_new, answer.match_probability, answer.candidates)


def test_stored_nothing_attracts_nothing(project):
    """Records without anything usable that were stored are customers of their own, and match nothing later."""
    with IdentityStore(project, writable=True) as store:
        answers = [store.upsert(record, source="web", source_key=str(key)) for key, record in enumerate(NOTHING)]
        assert len(NOTHING) == len({answer.master_id for answer in answers})
        assert all(answer.is_new for answer in answers)
        assert all(store.resolve(record).is_new for record in NOTHING)


def test_a_stranger_is_new(store):
    """A person nobody knows is new, even in a city and with a first name that are known."""
    answer = store.resolve(
        {"given_name": "Mary", "surname": "Xyzzyqwort", "email": "m@nowhere.eu", "city": "Springfield"}
    )
    assert answer.is_new
    assert answer.match_probability < 0.5


@pytest.mark.parametrize(("record", "error"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_bad_records_are_refused_without_repeating_them(project, record, error):
    """A record that cannot be read is refused with a clear error that does not repeat it, and is not stored."""
    with IdentityStore(project, writable=True) as store:
        for ask in (store.resolve, lambda bad: store.upsert(bad, source="web", source_key="1")):
            with pytest.raises(error) as caught:
                ask(record)
            assert "secret" not in str(caught.value)
    assert [] == inbox_records(project)


@pytest.mark.parametrize(
    "key",
    [("Web", "1"), ("", "1"), ("web", ""), ("web", None), (None, "1"), ("web", 7), ("web", "x" * 10_001), ("a:b", "1")],
)
def test_bad_keys_are_refused(project, key):
    """An upsert needs a source name and a key, both of text."""
    with IdentityStore(project, writable=True) as store, pytest.raises(DataError):
        store.upsert(ZORA, source=key[0], source_key=key[1])
    assert [] == inbox_records(project)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(ROLES), st.text(max_size=40), max_size=6))
def test_any_text_gets_an_answer(store, record):
    """Whatever text comes in, the answer is a probability or an error of ours."""
    try:
        answer = store.resolve(record)
    except C360Error:
        return
    assert 0 <= answer.match_probability <= 1
    assert answer.is_new == (answer.master_id is None)


def test_quotes_do_not_break_out(project):
    """Text that looks like SQL or JSON is text, in fields and in keys."""
    texts = ("'); drop table records; --", "O''Brien'", "$1", "\\'", '{"a": [', "%s", "\x00\x1f\n\r\u2028")
    with IdentityStore(project, writable=True) as store:
        for text in texts:
            record = {"surname": text, "given_name": text, "full_name": text, "address": text}
            assert store.resolve(record).is_new
            stored = store.upsert(record, source="web", source_key=f"k{text}")
            assert stored == store.upsert(record, source="web", source_key=f"k{text}")
    assert len(texts) == len(inbox_records(project))


# ---------------------------------------------------------------------- upsert
def test_an_upsert_is_there_for_everybody(project):
    """A stored record is a new customer, at once known to open readers and to later ones, value unknown."""
    with IdentityStore(project) as reader, IdentityStore(project, writable=True) as writer:
        assert reader.resolve(ZORA).is_new
        stored = writer.upsert(ZORA, source="web", source_key="1")
        found = reader.resolve(ZORA)
    assert (True, "7", 36) == (stored.is_new, stored.master_id[14], len(stored.master_id))
    assert (stored.master_id, False) == (found.master_id, found.is_new)
    assert (None, "Zora Quillfeather", 1) == (
        found.customer,
        found.golden_record["full_name"],
        found.golden_record["records"],
    )
    with IdentityStore(project) as later:
        assert found == later.resolve(ZORA)


def test_the_same_upsert_again_changes_nothing(project, raw):
    """The same content of the same source and key is answered as before and leaves the inbox as it was."""
    record = next(row for row in raw.values() if row["email"] and row["phone"])
    with IdentityStore(project, writable=True) as store:
        for key, content in (("1", ZORA), ("2", record), ("3", {})):
            first = store.upsert(content, source="web", source_key=key)
            inbox = inbox_records(project)
            assert first == store.upsert(dict(reversed(content.items())), source="web", source_key=key)
            assert inbox == inbox_records(project)


def test_upsert_decides_as_resolve_does(project, raw, masters):
    """A record of a new key goes to the customer that resolve names."""
    with IdentityStore(project, writable=True) as store:
        for number, record_id in enumerate(list(raw)[:40]):
            expected = store.resolve(raw[record_id])
            stored = store.upsert(raw[record_id], source="web", source_key=str(number))
            assert (expected.is_new, expected.match_probability) == (stored.is_new, stored.match_probability)
            if not expected.is_new:
                assert expected == stored
                assert store.resolve(raw[record_id]).master_id in {expected.master_id, masters[record_id]}


def test_an_updated_record_is_replaced(project):
    """The old content of a record is found no more, nor in its customer's golden record; the new content is."""
    with IdentityStore(project, writable=True) as store:
        first = store.upsert(ZORA, source="web", source_key="1")
        second = store.upsert(YANN, source="web", source_key="1")
        assert store.resolve(ZORA).is_new
        assert (first.master_id, False) == (second.master_id, second.is_new)
        assert "Yann Xyzzyqwort" == store.resolve(YANN).golden_record["full_name"]
    (row,) = inbox_records(project)
    assert (YANN, "web:1", first.master_id) == (row["fields"], row["record_id"], row["master_id"])


def test_a_known_record_that_did_not_change_stays(project, raw, masters):
    """Storing records again that a run knows leaves each with its customer, also where another matches better."""
    with IdentityStore(project, writable=True) as store:
        for record_id in list(raw)[:60]:
            stored = store.upsert(raw[record_id], **key_of(record_id))
            assert (masters[record_id], False) == (stored.master_id, stored.is_new)


def test_a_known_record_that_became_another_person(project, raw, masters):
    """Alone it keeps its customer; among others it leaves with a new ID, and theirs stays."""
    of_master = {}
    for record_id, master in masters.items():
        of_master.setdefault(master, []).append(record_id)
    alone = next(ids[0] for ids in of_master.values() if len(ids) == 1)
    leaver, stayer = next(
        ids for ids in of_master.values() if len(ids) == 2 and all(raw[each]["email"] for each in ids)
    )
    with IdentityStore(project, writable=True) as store:
        stored = store.upsert(ZORA, **key_of(alone))
        assert (masters[alone], False) == (stored.master_id, stored.is_new)
        stored = store.upsert(YANN, **key_of(leaver))
        assert stored.is_new
        assert stored.master_id not in of_master
        assert stored.master_id == store.resolve(YANN).master_id
        assert masters[stayer] == store.upsert(raw[stayer], **key_of(stayer)).master_id
        # Now the last record of the old customer changes, too: it is alone there.
        assert masters[stayer] == store.upsert({"surname": "Blackwood"}, **key_of(stayer)).master_id


def test_a_failed_upsert_leaves_nothing(project, monkeypatch):
    """An error in the middle of an upsert leaves the store as it was, and the next one succeeds."""
    with IdentityStore(project, writable=True) as store:
        with monkeypatch.context() as broken:
            broken.setattr(Delta, "put", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                store.upsert(ZORA, source="web", source_key="1")
        assert [] == inbox_records(project)
        assert store.upsert(ZORA, source="web", source_key="1").is_new


def test_new_ids_are_uuids_of_version_7_by_age():
    """A minted ID is of version 7 and the RFC's variant, and later ones sort later from millisecond to millisecond."""
    ids = [new_master_id() for _ in range(500)]
    assert 500 == len(set(ids))
    assert {"7"} == {each[14] for each in ids}
    assert {each[19] for each in ids} <= set("89ab")
    assert [each[:13] for each in ids] == sorted(each[:13] for each in ids)


# ---------------------------------------------------------------------- many readers, one writer
def test_threads_get_the_same_answers(store, raw):
    """Several threads at once get what one after the other would."""
    records = list(raw.values())[:12]
    expected = [store.resolve(record) for record in records]
    with ThreadPoolExecutor(4) as pool:
        assert expected == list(pool.map(store.resolve, records))


def test_there_is_one_writer(project):
    """A second writer is told at once, a reader that upserts, too; when the first has closed, another may open."""
    with IdentityStore(project, writable=True):
        with pytest.raises(StoreError, match="one writer"):
            IdentityStore(project, writable=True)
        with IdentityStore(project) as reader, pytest.raises(StoreError, match="writable"):
            reader.upsert(ZORA, source="web", source_key="1")
    with IdentityStore(project, writable=True) as store:
        assert store.upsert(ZORA, source="web", source_key="1").is_new


def test_readers_see_an_upsert_whole(project):
    """While one store upserts the same record now as one person, now as another, readers find exactly one of them."""
    with IdentityStore(project, writable=True) as writer:
        master = writer.upsert(ZORA, source="web", source_key="1").master_id
        done = threading.Event()
        seen = []

        def read():
            with IdentityStore(project) as reader:
                while not done.is_set():
                    for record, name in ((ZORA, "Zora Quillfeather"), (YANN, "Yann Xyzzyqwort")):
                        answer = reader.resolve(record)
                        seen.append(
                            (answer.master_id, answer.golden_record and answer.golden_record["full_name"], name)
                        )

        thread = threading.Thread(target=read)
        thread.start()
        for number in range(60):
            writer.upsert((YANN, ZORA)[number % 2], source="web", source_key="1")
        done.set()
        thread.join()
    assert {(found, name) for found, name, _ in seen} <= {(None, None), *((master, name) for _, _, name in seen)}
    assert all(name == expected for found, name, expected in seen if found)


# ---------------------------------------------------------------------- files that are not as they should be
def test_an_index_of_another_model_is_refused(project):
    """An index answers only for the model it was built with."""
    other = {**read_model(project), "seed": 99}
    with pytest.raises(ModelError, match=r"must have its online index.*one of another model"):
        IdentityStore(project, model=other)
    with sqlite3.connect(project / "data" / "index" / "delta.sqlite") as con:
        con.execute("update bases set digest = ?", (model_digest(other),))
    con.close()
    with pytest.raises(ModelError, match="built by the model"):
        IdentityStore(project, model=other)


@pytest.mark.parametrize("name", ["keys.u64", "records.jsonl", "customers.u64"])
def test_a_cut_index_is_refused(project, name):
    """A file of another size than was written is noticed when the store is opened."""
    (file,) = project.glob(f"data/index/*/{name}")
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ModelError, match="must be whole"):
        IdentityStore(project)


def test_a_missing_or_damaged_index_is_refused(project):
    """Without a whole index there is a clear error that says what to do, not an empty answer."""
    (about,) = project.glob("data/index/*/about.json")
    about.write_text("[]")
    with pytest.raises(ModelError, match="must be whole"):
        IdentityStore(project)
    shutil.rmtree(about.parent)
    with pytest.raises(ModelError, match=r"no folder.*c360ml run"):
        IdentityStore(project)
    delta = project / "data" / "index" / "delta.sqlite"
    delta.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="whole SQLite file"):
        IdentityStore(project)
    delta.unlink()
    with pytest.raises(ModelError, match=r"no file.*c360ml run"):
        IdentityStore(project)


def test_a_delta_of_another_version_is_refused(project):
    """A store that a later version wrote is not read by this one."""
    with sqlite3.connect(project / "data" / "index" / "delta.sqlite") as con:
        con.execute("pragma user_version = 99")
    con.close()
    with pytest.raises(StoreError, match="version 99"):
        IdentityStore(project)


def test_a_project_without_a_model_is_told_to_run(tmp_path):
    """Before the first run there is no model, and the error says what to do."""
    with pytest.raises(ModelError, match="c360ml run"):
        IdentityStore(tmp_path)
