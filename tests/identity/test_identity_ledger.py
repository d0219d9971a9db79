"""The ledger: what became of identities from run to run, told once, and readable as of any moment."""

import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_tables import lay, write_rows

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import ConfigError
from c360ml.identity import identify
from c360ml.identity.ledger import identities_as_of, identity_history, valid_events
from c360ml.identity.master_ids import lasting_master_ids
from c360ml.lakehouse import Lakehouse

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as lake:
        lake.opened_at = NOON
        yield lake


def person(*keys, year=2024, **fields):
    """Records of a person; a key with a colon names its source."""
    keys = (key if ":" in key else f"crm:{key}" for key in keys)
    return [{"record_id": key, "created_at": f"{year}-01-05 10:00:00+00", **fields} for key in keys]


def link(left, right, probability=0.9):
    """A scored pair."""
    return {"record_id_l": f"crm:{left}", "record_id_r": f"crm:{right}", "match_probability": probability}


def run(lake, *people, links=(), config=None, days=1):
    """Identify people a day after the last run; IDs by record."""
    lay(lake, *people, links=links)
    lake.opened_at += days * DAY
    summary = identify(lake, config or Config())
    return dict(lake.rows("select record_id, master_id from silver.identities")), summary


def told(lake, *columns, but=("created",)):
    """Events of the ledger, the given kinds left out."""
    rows = lake.rows(f"select event, {', '.join(columns)} from {valid_events(lake)} order by all")
    return [row for row in rows if row[0] not in but]


def test_first_run_tells_of_each_customer_once(lake):
    """A first run writes one event a customer, none a record, and the history of every record."""
    ids, summary = run(lake, person("a", "b"), person("c"))
    assert [("created", ids["crm:c"], 1, "first run"), ("created", ids["crm:a"], 2, "first run")] == sorted(
        told(lake, "master_id", "records", "reason", but=()), key=lambda row: row[2]
    )
    assert sorted(ids.items()) == sorted(identity_history(lake).project("record_id, master_id").fetchall())
    assert {"created": {"first run": 2}} == summary["changes"]["events"]


def test_rerun_changes_nothing_and_tells_nothing(lake):
    """The same input gives the same IDs, no event and no row of history."""
    people = person("a", "b"), person("c", email="c@x.com")
    before, _ = run(lake, *people)
    events, history = told(lake, "event_id", but=()), sorted(identity_history(lake).fetchall(), key=str)
    after, summary = run(lake, *people)
    assert (before, events, history) == (
        after,
        told(lake, "event_id", but=()),
        sorted(identity_history(lake).fetchall(), key=str),
    )
    assert ({}, 0, 0) == tuple(summary["changes"][name] for name in ("events", "golden_values", "share_of_records"))


def test_merge_names_both_ids_and_its_strongest_link(lake):
    """A merge tells who was merged into whom, how many records came, and the link that joined them."""
    old, new = person("a", year=2010), person("b", "c")
    before, _ = run(lake, old, new)
    run(lake, [*old, *new], links=[link("a", "b", 0.8), link("a", "c", 0.95), link("b", "c", 0.99)])
    assert [("merged", before["crm:a"], before["crm:b"], 2, "record changed", "crm:a", "crm:c", 0.95)] == told(
        lake, "master_id", "other_master_id", "records", "reason",
        "edge_record_id_l", "edge_record_id_r", "edge_probability",
    )  # fmt: skip
    assert [(before["crm:b"], before["crm:a"])] == redirects(lake)


def redirects(lake):
    """Retired IDs and where they lead."""
    lake.open(tables.MASTER_REDIRECTS)
    return lake.rows("select retired_master_id, master_id from silver.master_redirects order by all")


def test_split_names_the_customer_it_came_from(lake):
    """A split tells the new ID, the old one and the strongest link that was cut."""
    before, _ = run(lake, person("a", "b", "c"))
    after, _ = run(lake, person("a"), person("b", "c"), links=[link("a", "b", 0.4)])
    expected = ("split", after["crm:a"], before["crm:a"], 1, "record changed", "crm:a", "crm:b", 0.4)
    assert [expected] == told(
        lake, "master_id", "other_master_id", "records", "reason",
        "edge_record_id_l", "edge_record_id_r", "edge_probability",
    )  # fmt: skip


def test_joined_moved_and_left_name_the_record(lake):
    """A new record joins, one that changes its customer moves, one that is gone has left."""
    before, _ = run(lake, person("a", "b", "c"), person("x", "y"))
    run(lake, person("a", "b", "n"), person("c", "x"))
    assert [
        ("joined", before["crm:a"], None, "crm:n", "new record"),
        ("left", before["crm:x"], None, "crm:y", "record gone"),
        ("moved", before["crm:x"], before["crm:a"], "crm:c", "record gone"),
    ] == [
        (*row[:4], row[4] if row[0] != "moved" else "record gone")
        for row in told(lake, "master_id", "other_master_id", "record_id", "reason")
    ]


def test_new_record_that_joins_two_customers_is_the_reason(lake):
    """A merge by a record that was not there before says so."""
    run(lake, person("a"), person("b"))
    run(lake, person("a", "n", "b"), links=[link("a", "n"), link("b", "n"), link("a", "b", 0.1)])
    assert [("new record",)] == [row[1:] for row in told(lake, "reason") if row[0] == "merged"]


def test_reviewer_and_constraint_are_reasons(lake):
    """A merge by a reviewer's match and splits by a non-match or by a rule on sources say so."""
    labels = lake.folder / "labels"
    labels.mkdir()
    run(lake, person("a"), person("b"), person("c", "d"), person("e", "f"))
    (labels / "reviewed_pairs.csv").write_text(
        "record_id_l,record_id_r,decision\ncrm:a,crm:b,match\ncrm:c,crm:d,non-match\n"
    )
    run(lake, person("a", "b"), person("c"), person("d"), person("e", "f"))
    assert [("merged", "reviewer"), ("split", "reviewer")] == told(lake, "reason")
    config = Config.parse({"linkage": {"duplicate_free_sources": ["crm"]}})
    run(lake, person("a", "b"), person("c"), person("d"), person("e"), person("f"), config=config)
    assert ("split", "constraint") in told(lake, "reason")


def test_source_that_is_missing_for_a_while(lake):
    """One source fewer keeps all untouched IDs; its own customers are retired, and come back with their IDs."""
    people = person("a", "web:a"), person("b"), person("web:c", "web:d")
    before, _ = run(lake, *people)
    fewer, summary = run(lake, person("a"), person("b"))
    assert {key: before[key] for key in ("crm:a", "crm:b")} == fewer
    assert (1, 0) == (summary["vanished"], summary["new_ids"])
    assert [(before["web:c"], None)] == redirects(lake)
    assert {"source gone"} == {row[1] for row in told(lake, "reason")}
    again, summary = run(lake, *people)
    assert (before, []) == (again, redirects(lake))
    assert (1, {"record came back": 1}) == (summary["returned"], summary["changes"]["events"]["returned"])


def test_another_model_is_the_reason(lake):
    """When the model is another and customers change, the summary tells the share of records and why."""
    lake.write_json("models/linkage.json", {"threshold": 0.5})
    run(lake, person("a", "b"), person("c"))
    lake.write_json("models/linkage.json", {"threshold": 0.9})
    _, summary = run(lake, person("a"), person("b"), person("c"))
    assert (3, 1, 1 / 3) == tuple(
        summary["changes"][name] for name in ("known_records", "records_with_another_customer", "share_of_records")
    )
    assert {"created": {"split": 1}, "split": {"model changed": 1}} == summary["changes"]["events"]


def test_chain_of_merges_leads_to_the_living_end(lake):
    """An ID that was retired twice removed leads to the living one, and is never given again."""
    a, b, c, d = (person(key, year=year) for key, year in (("a", 2010), ("b", 2011), ("c", 2012), ("d", 2013)))
    ids, _ = run(lake, a, b, c, d)
    run(lake, a, b, [*c, *d])
    run(lake, a, [*b, *c, *d])
    run(lake, [*a, *b, *c, *d])
    assert {(ids[f"crm:{key}"], ids["crm:a"]) for key in "bcd"} == set(redirects(lake))
    after, _ = run(lake, a, b, c, d)
    assert set() == {after[f"crm:{key}"] for key in "bcd"} & set(ids.values())


def test_golden_change_names_records_and_no_value(lake):
    """A golden value that changes is told by the records that gave it, once."""
    run(lake, person("a", phone="+1") + person("b"))
    run(lake, person("a", phone="+1") + person("b", phone="+2", updated_at="2026-01-01 00:00:00+00"))
    assert [("golden_changed", "phone", "crm:a", "crm:b")] == told(lake, "field", "before", "after")
    run(lake, person("a", phone="+1") + person("b"))
    assert ("golden_changed", "phone", "crm:b", "crm:a") in told(lake, "field", "before", "after")


def test_as_of_never_sees_the_future(lake):
    """Who a record was at a moment is what the run before that moment said."""
    first, _ = run(lake, person("a", year=2010), person("b"))
    second, _ = run(lake, person("a", "b", year=2010))
    third, _ = run(lake, person("a", year=2010))
    moments = [NOON, *(NOON + days * DAY for days in (1, 2, 3))]
    assert [{}, first, second, third] == [dict(identities_as_of(lake, moment).fetchall()) for moment in moments]
    assert first == dict(identities_as_of(lake, "2026-06-03").fetchall())
    spans = identity_history(lake).project("record_id, valid_from, valid_to").order("all").fetchall()
    assert ("crm:b", NOON + DAY, NOON + 2 * DAY) in [(key, start, end) for key, start, end in spans]
    with pytest.raises(ConfigError, match="2026-06-01"):
        identities_as_of(lake, "some day")


@pytest.mark.parametrize("killed_at", [tables.IDENTITY_HISTORY, tables.GOLDEN_RECORDS, tables.IDENTITIES])
def test_run_that_was_killed_is_told_once(lake, monkeypatch, killed_at):
    """A run killed between its tables counts for nothing, and done again it adds nothing twice."""
    people = person("a", year=2010, phone="+1"), person("b", phone="+2")
    run(lake, *people)
    before = told(lake, "event_id", but=())
    with monkeypatch.context() as patch:
        for name in ("write", "append"):
            work = getattr(Lakehouse, name)
            patch.setattr(Lakehouse, name, lambda self, table, *rest, _work=work, **named: (
                killed() if table is killed_at else _work(self, table, *rest, **named)))  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            run(lake, [*people[0], *people[1]])
    assert before == [row for row in told(lake, "event_id", but=()) if row[0] != "golden_changed"]
    run(lake, [*people[0], *people[1]])
    assert {"created": 2, "merged": 1, "golden_changed": 1} == dict(
        Counter(row[0] for row in told(lake, "event", but=()))
    )
    raw = lake.rows(f"select event_id from {lake.open(tables.IDENTITY_LEDGER)}")
    assert len(raw) == len(set(raw)) == 4
    assert 3 == lake.one(f"select count(*) from {lake.open(tables.IDENTITY_HISTORY)}")


def killed():
    """Stop as a person does who loses patience."""
    raise KeyboardInterrupt


# ---------------------------------------------------------------------- against a second implementation
KEYS = "abcdefg"
clusterings = st.lists(st.integers(0, 3), min_size=len(KEYS), max_size=len(KEYS))


def expected_masters(before, clusters, created):
    """The rule of master IDs in plain Python: the ID that each cluster keeps, None for a new one."""
    followers = {number: [] for number in range(len(clusters))}
    for master in sorted(set(before.values())):
        theirs = {key for key, owner in before.items() if owner == master}
        parts = [
            (
                -len(theirs & cluster),
                min((created[key] is None, created[key] or 0, key) for key in theirs & cluster),
                number,
            )
            for number, cluster in enumerate(clusters)
            if theirs & cluster
        ]
        if parts:
            followers[min(parts)[2]].append(master)
    return [min(masters) if (masters := followers[number]) else None for number in range(len(clusters))]


def test_master_ids_follow_the_rule():
    """Any clustering after any other gives the IDs that a plain second implementation gives, at any order of rows."""
    with tempfile.TemporaryDirectory() as folder, Lakehouse(folder, threads=1) as lake:

        @settings(max_examples=20, deadline=None)
        @given(
            clusterings, clusterings, st.lists(st.none() | st.integers(1, 3), min_size=len(KEYS), max_size=len(KEYS))
        )
        def holds(then, now, years):
            created = dict(zip(KEYS, years, strict=True))
            before = {key: f"m{label}" for key, label in zip(KEYS, then, strict=True) if label}
            clusters = [
                {key for key, label in zip(KEYS, now, strict=True) if label == each} for each in sorted(set(now) - {0})
            ]
            lay_views(lake, before, clusters, created)
            with lasting_master_ids(lake, previous="previous_rows", clusters="cluster_rows"):
                got = dict(lake.rows("select record_id, master_id from master_records"))
            expected = expected_masters(before, clusters, created)
            ids = [{got[key] for key in cluster} for cluster in clusters]
            assert all(len(each) == 1 for each in ids)
            assert len(ids) == len(set.union(set(), *ids))
            assert expected == [each if (each := min(found)) in before.values() else None for found in ids]

        holds()


def lay_views(lake, before, clusters, created):
    """Put a few rows where IDs are matched, without a Delta table."""
    years = {key: "null" if year is None else f"'200{year}-01-01 00:00Z'" for key, year in created.items()}
    rows = {
        "silver.records": [f"('{key}', {years[key]}::timestamptz, null::timestamptz)" for key in KEYS],
        "previous_rows": [f"('{key}', '{master}')" for key, master in sorted(before.items())] or ["(null, null)"],
        "cluster_rows": [f"('{key}', '{min(each)}', 1)" for each in clusters for key in sorted(each, reverse=True)]
        or ["(null, null, null)"],
    }
    columns = {
        "silver.records": "record_id, created_at, updated_at",
        "previous_rows": "record_id, master_id",
        "cluster_rows": "record_id, cluster_id, cohesion",
    }
    for name, values in rows.items():
        lake.rows(f"drop view if exists {name}")
        lake.rows(
            f"create view {name} as select * from (values {', '.join(values)}) as rows({columns[name]}) "
            "where record_id is not null"
        )


def test_touched_customers_alone_get_what_all_of_them_get(lake):
    """Given only the touched records, IDs are those that a match of everything gives."""
    run(lake, person("a", "b"), person("c"), person("d"))
    lay(lake, person("a"), person("b", "c"), person("d"))
    with lasting_master_ids(lake):
        everything = dict(lake.rows("select record_id, master_id from master_records"))
    lake.rows("create temp table touched as from silver.identities where record_id <> 'crm:d'")
    lake.rows("create temp table parts as from silver.clusters where record_id <> 'crm:d'")
    with lasting_master_ids(lake, previous="touched", clusters="parts"):
        touched = dict(lake.rows("select record_id, master_id from master_records"))
    assert {key: everything[key] for key in ("crm:a", "crm:b", "crm:c")} == touched


def test_history_of_a_project_from_before_the_ledger(lake):
    """A project whose identities are older than its ledger keeps its IDs."""
    write_rows(lake, tables.IDENTITIES, [{"record_id": "crm:a", "master_id": "m-1", "household_id": "H1"}])
    ids, _ = run(lake, person("a"))
    assert {"crm:a": "m-1"} == ids
    assert ids == dict(identities_as_of(lake, lake.opened_at).fetchall())
