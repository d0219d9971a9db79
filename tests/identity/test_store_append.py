"""A batch of raw records is stored whole or not at all, as one upsert after the other would have stored it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from c360ml import tables
from c360ml.errors import C360Error, ColumnError, DataError, StoreError
from c360ml.identity import IdentityStore, inbox_records
from c360ml.identity.store_append import MOST_RECORDS
from c360ml.identity.store_delta import Delta
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.records import ROLES

ZORA = {"given_name": "Zora", "surname": "Quillfeather", "email": "zora@quillfeather.org", "city": "Springfield"}
YANN = {"given_name": "Yann", "surname": "Xyzzyqwort", "email": "yann@xyzzyqwort.eu", "phone": "415 555 2671"}


@pytest.fixture(scope="module")
def batch(indexed):
    """Known raw records under new keys, strangers between them, and one key twice."""
    roles = ", ".join(f"nullif(trim({role}), '') as {role}" for role in ROLES)
    with Lakehouse(indexed) as lake:
        rows = lake.sql(f"""
            select {roles} from {lake.open(tables.CUSTOMERS)} order by md5(source || source_key) limit 40
        """)
        known = rows.to_arrow_table().to_pylist()
    people = [*known[:20], ZORA, *known[20:], YANN, {**ZORA, "phone": "415 555 2672"}, {}]
    keyed = [{"source_key": str(number), **person} for number, person in enumerate(people)]
    return [*keyed, {"source_key": "3", **YANN}]


def test_a_batch_is_stored_as_its_records_would_be(project, batch, tmp_path):
    """Append answers and stores what one upsert after the other does, but for the new customers' IDs."""
    one_by_one = Path(shutil.copytree(project, tmp_path / "one_by_one"))
    with IdentityStore(one_by_one, writable=True) as store:
        expected = [
            store.upsert(
                {role: text for role, text in row.items() if role != "source_key"},
                source="web",
                source_key=row["source_key"],
            )
            for row in batch
        ]
    with IdentityStore(project, writable=True) as store:
        answers = store.append(iter(batch), source="web").to_pylist()
        assert store.resolve(ZORA).master_id == answers[20]["master_id"]
    assert [f"web:{row['source_key']}" for row in batch] == [answer["record_id"] for answer in answers]
    assert [answer.is_new for answer in expected] == [answer["is_new"] for answer in answers]
    assert [answer.match_probability for answer in expected] == [answer["match_probability"] for answer in answers]
    ids = {one.master_id: other["master_id"] for one, other in zip(expected, answers, strict=True)}
    assert [ids[one.master_id] for one in expected] == [answer["master_id"] for answer in answers]
    assert all(one == other for one, other in ids.items() if one not in {e.master_id for e in expected if e.is_new})
    stored = [[(row["record_id"], row["fields"]) for row in inbox_records(each)] for each in (one_by_one, project)]
    assert stored[0] == stored[1]


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.Table.from_pylist], ids=["pandas", "arrow"])
def test_a_table_is_a_batch(project, kind):
    """Tables are batches, numbers in them are text, and nothing is null."""
    rows = [{"source_key": 1, "surname": "Quillfeather", "phone": 4155552671}, {"source_key": 2, "surname": None}]
    with IdentityStore(project, writable=True) as store:
        told = store.append(kind(rows[:1]), source="web")
        assert ["record_id", "master_id", "is_new", "match_probability"] == told.column_names
        store.append(
            pa.Table.from_pylist(rows[1:], pa.schema([("source_key", pa.int64()), ("surname", pa.string())])),
            source="web",
        )
    assert [("web:1", {"surname": "Quillfeather", "phone": "4155552671"}), ("web:2", {})] == [
        (row["record_id"], row["fields"]) for row in inbox_records(project)
    ]


def test_an_empty_batch_stores_nothing(project):
    """No records, no rows."""
    with IdentityStore(project, writable=True) as store:
        assert 0 == store.append([], source="web").num_rows


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"source_key": "9", "e-mail": "secret"}, ColumnError),
        ({"source_key": "9", "email": 7}, DataError),
        ({"surname": "secret"}, DataError),
        ({"source_key": " ", "surname": "secret"}, DataError),
        (["secret"], DataError),
    ],
)
def test_one_bad_record_refuses_the_batch(project, bad, error):
    """A batch with a record that cannot be read is refused without repeating it, and none of it is stored."""
    with IdentityStore(project, writable=True) as store, pytest.raises(error) as caught:
        store.append([{"source_key": "1", **ZORA}, bad], source="web")
    assert "secret" not in str(caught.value)
    assert [] == inbox_records(project)


def test_what_is_no_batch_is_refused(project):
    """A single record, a text, too many records, a bad source, and a store that only reads."""
    with IdentityStore(project, writable=True) as store:
        for records, source in (
            ({"source_key": "1", **ZORA}, "web"),
            ("records", "web"),
            (7, "web"),
            ([{"source_key": "1"}] * (MOST_RECORDS + 1), "web"),
            ([{"source_key": "1"}], "no source"),
        ):
            with pytest.raises(C360Error):
                store.append(records, source=source)
    with IdentityStore(project) as store, pytest.raises(StoreError, match="writable"):
        store.append([], source="web")
    assert [] == inbox_records(project)


def test_an_error_in_the_middle_stores_nothing(project, monkeypatch):
    """If a record of the batch cannot be written, the ones before it are not there either."""
    put = Delta.put

    def fail_at_two(delta, model, record, block_keys):
        if record.record_id == "web:2":
            raise OSError("disk full")
        put(delta, model, record, block_keys)

    monkeypatch.setattr(Delta, "put", fail_at_two)
    with IdentityStore(project, writable=True) as store:
        with pytest.raises(OSError, match="disk full"):
            store.append([{"source_key": str(key), **ZORA} for key in range(3)], source="web")
        assert store.resolve(ZORA).is_new
    assert [] == inbox_records(project)


APPENDS = """
import json, sys
from c360ml.identity import IdentityStore
with IdentityStore(sys.argv[1], writable=True) as store:
    for batch in range(10_000):
        people = [{"source_key": f"{batch}-{n}", "surname": f"Quill{batch}x{n}"} for n in range(5)]
        told = store.append(people, source="web").to_pylist()
        print(json.dumps({row["record_id"]: row["master_id"] for row in told}), flush=True)
"""


def test_a_killed_append_is_whole_or_nothing(project):
    """After kill -9 every acknowledged batch is there under its IDs, and of the next all five records or none."""
    process = subprocess.Popen([sys.executable, "-c", APPENDS, str(project)], stdout=subprocess.PIPE, text=True)
    told = [json.loads(process.stdout.readline()) for _ in range(4)]
    os.kill(process.pid, signal.SIGKILL)
    told += [json.loads(line) for line in process.stdout.read().splitlines() if line.endswith("}")]
    process.wait()
    process.stdout.close()
    stored = {row["record_id"]: row["master_id"] for row in inbox_records(project)}
    acknowledged = {record: master for batch in told for record, master in batch.items()}
    assert acknowledged == {record: stored[record] for record in acknowledged}
    assert len(stored) - len(acknowledged) in {0, 5}
