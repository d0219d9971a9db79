"""Master IDs last from run to run."""

import tempfile
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_tables import lay

from c360ml import tables
from c360ml.identity.master_ids import lasting_master_ids
from c360ml.lakehouse import Lakehouse


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as lake:
        yield lake


def run(lake):
    """Find master IDs and remember them, as the step does."""
    with lasting_master_ids(lake) as became_of_ids:
        lake.write(tables.IDENTITIES, "select *, 'H' as household_id from master_records")
    return dict(lake.rows("select record_id, master_id from silver.identities")), became_of_ids


def person(*keys, created_at="2024-01-05 10:00:00+00"):
    """Records with the given keys."""
    return [{"record_id": f"crm:{key}", "created_at": created_at} for key in keys]


def test_new_id_is_uuid7_of_earliest_record(lake):
    """A new master ID is a version 7 UUID whose time is the creation of the earliest record."""
    lay(lake, person("a", created_at="2024-01-05 10:00:00+00") + person("b", created_at="2020-02-03 00:00:00.25+00"))
    ids, _ = run(lake)
    got = uuid.UUID(ids["crm:a"])
    assert (7, uuid.RFC_4122) == (got.version, got.variant)
    assert 1580688000250 == got.int >> 80


def test_id_without_any_date_is_valid(lake):
    """A customer whose records have no date gets an ID of time zero."""
    lay(lake, person("a", created_at=None))
    ids, _ = run(lake)
    assert 0 == uuid.UUID(ids["crm:a"]).int >> 80


def test_new_ids_are_unique_at_the_same_instant(lake):
    """Ten thousand customers created in one millisecond get ten thousand IDs."""
    lake.rows(
        "create view silver.records as select 'crm:' || i as record_id, "
        "timestamptz '2024-01-01 00:00Z' as created_at, null::timestamptz as updated_at from range(10000) t(i)"
    )
    lake.rows(
        "create view silver.clusters as select record_id, record_id as cluster_id, 1 as cohesion from silver.records"
    )
    ids, became = run(lake)
    assert 10_000 == len(set(ids.values())) == became["new_ids"]


def test_same_inputs_give_same_ids_in_another_lakehouse(lake, tmp_path):
    """IDs come from the data, not from a clock or dice."""
    people = [person("a", "b"), person("c")]
    lay(lake, *people)
    with Lakehouse(tmp_path / "another", threads=1) as another:
        lay(another, *(list(reversed(rows)) for rows in reversed(people)))
        assert run(lake)[0] == run(another)[0]


def test_rerun_keeps_all_ids(lake):
    """A second run over the same clusters keeps every ID and makes none."""
    lay(lake, person("a", "b"), person("c"))
    before, _ = run(lake)
    after, became = run(lake)
    assert before == after
    assert {"new_ids": 0, "kept_ids": 2, "merged": 0, "split": 0, "vanished": 0, "returned": 0} == became


def test_new_record_takes_the_id_of_its_cluster(lake):
    """A record that joins a customer does not change the customer's ID, even if it is the oldest."""
    lay(lake, person("b"))
    before, _ = run(lake)
    lay(lake, person("b") + person("a", created_at="2001-01-01 00:00:00+00"))
    after, _ = run(lake)
    assert {"crm:a": before["crm:b"], "crm:b": before["crm:b"]} == after


def test_merge_keeps_the_older_id(lake):
    """When two customers turn out to be one, the older ID survives, however few its records."""
    lay(lake, person("old", created_at="2010-01-01 00:00:00+00"), person("x", "y", "z"))
    before, _ = run(lake)
    lay(lake, person("old", "x", "y", "z"))
    after, became = run(lake)
    assert {before["crm:old"]} == set(after.values())
    assert (1, 0, 0) == (became["merged"], became["split"], became["new_ids"])


def test_split_keeps_the_id_with_most_records(lake):
    """When a customer is split, the part with most records keeps the ID and the rest get new ones."""
    lay(lake, person("a", "b", "c"))
    before, _ = run(lake)
    lay(lake, person("a"), person("b", "c"))
    after, became = run(lake)
    assert before["crm:b"] == after["crm:b"] == after["crm:c"]
    assert after["crm:a"] not in before.values()
    assert (1, 1, 1) == (became["split"], became["new_ids"], became["kept_ids"])


@pytest.mark.parametrize(("oldest", "keeps"), [(None, "a"), ("2001-01-01 00:00:00+00", "b")])
def test_split_in_halves_keeps_the_id_with_the_oldest_record(lake, oldest, keeps):
    """Equal parts: the one with the oldest record keeps the ID; of equally old ones the least record_id counts."""
    old = person("b", created_at=oldest) if oldest else person("b")
    lay(lake, person("a", "c", "d") + old)
    before, _ = run(lake)
    lay(lake, old + person("c"), person("a", "d"))
    after, _ = run(lake)
    assert before["crm:a"] == after[f"crm:{keeps}"]
    assert after["crm:a"] != after["crm:b"]


def test_part_that_split_off_never_gets_an_id_in_use(lake):
    """The record that once gave an ID does not give it again while the old customer still has it."""
    lay(lake, person("a", "b", "c"))
    first, _ = run(lake)
    lay(lake, person("a"), person("b", "c"))
    run(lake)
    lay(lake, person("a", "b", "c"))
    third, _ = run(lake)
    lay(lake, person("a"), person("b", "c"))
    fourth, _ = run(lake)
    assert 2 == len(set(fourth.values()))
    assert third["crm:b"] == fourth["crm:b"]
    assert first["crm:a"] in {third["crm:a"], fourth["crm:a"], fourth["crm:b"]}


def test_record_that_moves_leaves_both_ids(lake):
    """A record that moves from one customer to another changes neither ID."""
    lay(lake, person("a", "b", "c"), person("x", "y"))
    before, _ = run(lake)
    lay(lake, person("a", "b"), person("c", "x", "y"))
    after, became = run(lake)
    assert before | {"crm:c": before["crm:x"]} == after
    assert (0, 1) == (became["merged"], became["split"])


def test_vanished_customer_is_counted(lake):
    """A customer none of whose records came again is counted as vanished."""
    lay(lake, person("a"), person("b"))
    run(lake)
    lay(lake, person("b"))
    after, became = run(lake)
    assert {"crm:b"} == set(after)
    assert 1 == became["vanished"]


clusterings = st.lists(st.integers(0, 4), min_size=1, max_size=8)


@settings(max_examples=10, deadline=None)
@given(st.lists(clusterings, min_size=2, max_size=3))
def test_any_history_gives_each_cluster_one_id_of_its_own(history):
    """After any merges and splits each cluster has one ID of its own, and unchanged clusters keep theirs."""
    with tempfile.TemporaryDirectory() as folder, Lakehouse(folder, threads=1) as lake:
        before: dict[frozenset[str], str] = {}
        for labels in history:
            groups = [[f"{i}" for i, label in enumerate(labels) if label == k] for k in sorted(set(labels))]
            lay(lake, *(person(*group) for group in groups))
            ids, _ = run(lake)
            clusters = [frozenset(f"crm:{key}" for key in group) for group in groups]
            now = {cluster: ids[min(cluster)] for cluster in clusters}
            assert {record: now[c] for c in clusters for record in c} == ids
            assert len(clusters) == len(set(now.values()))
            unchanged = {c: i for c, i in before.items() if c in now}
            assert unchanged == {c: now[c] for c in unchanged}
            before = now
