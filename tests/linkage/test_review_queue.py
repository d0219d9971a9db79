"""The review queue: what is asked first, what is never asked, and what the reviewer sees."""

from __future__ import annotations

import csv

import pytest
from review_tables import write_table

from c360ml import tables
from c360ml.config import Config, Linkage
from c360ml.errors import ConfigError, TableError
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.review_queue import review_queue, write_queue


def make_lake(folder, pairs, people, values=()) -> Lakehouse:
    """A project whose last run scored `pairs` (l, r, weight) and found `people` (record = master)."""
    lake = Lakehouse(folder)
    masters = ", ".join(f"('{record}', '{master}')" for record, master in people.items())
    of_people = f"from (values {masters}) t(record_id, master_id)"
    write_table(lake, tables.IDENTITIES, f"select * {of_people}")
    write_table(
        lake,
        tables.RECORDS,
        f"select record_id, split_part(record_id, ':', 1) as source, 'Ann ' || record_id as name_raw {of_people}",
    )
    rows = ", ".join(
        f"('{left}', '{right}', {weight}, {people[left] == people[right]})" for left, right, weight in pairs
    )
    write_table(
        lake,
        tables.LINKS,
        f"""select *, 1 / (1 + 2.0 ** -match_weight) as match_probability
            from (values {rows}) t(record_id_l, record_id_r, match_weight, is_link)""",
    )
    if values:
        worth = ", ".join(f"('{master}', {value / 2}, {value / 2})" for master, value in values)
        columns = "customer_id, historical_value, projected_value"
        write_table(lake, tables.CUSTOMER_VALUE, f"select * from (values {worth}) t({columns})")
    return lake


def asked(queue, sampled=False) -> list[tuple[str, str]]:
    rows = queue.pairs.to_pylist()
    return [(row["record_id_l"], row["record_id_r"]) for row in rows if row["sampled"] == int(sampled)]


PEOPLE = {f"a:{n}": f"m{n}" for n in range(1, 9)}
APART = [("a:1", "a:2", 0.0), ("a:3", "a:4", -1.0), ("a:5", "a:6", 1.0), ("a:7", "a:8", -4.0)]


def test_the_likeliest_error_comes_first(tmp_path):
    """Of pairs that are apart the most probable matches are asked first."""
    with make_lake(tmp_path, APART, PEOPLE) as lake:
        queue = review_queue(lake, Config(), pairs=3)
        assert [("a:5", "a:6"), ("a:1", "a:2"), ("a:3", "a:4")] == asked(queue)
        assert {"pairs": 3, "would_merge": 3, "would_split": 0} == {
            name: queue.counts[name] for name in ("pairs", "would_merge", "would_split")
        }


def test_value_at_stake_comes_first(tmp_path):
    """Of equally doubtful pairs the one of the dearest customers is asked first, and says what they are worth."""
    equal = [(left, right, 0.0) for left, right, _ in APART]
    with make_lake(tmp_path, equal, PEOPLE, [("m3", 900.0), ("m7", 10.0), ("m8", 30.0)]) as lake:
        queue = review_queue(lake, Config(), pairs=3)
        assert [("a:3", "a:4"), ("a:7", "a:8")] == asked(queue)[:2]
        assert [900.0, 40.0, 0.0] == queue.pairs["value_at_stake"].to_pylist()


def test_costs_weigh_the_two_errors(tmp_path):
    """Where false merges are dear, pairs that are together are asked before pairs that are apart."""
    people = {**PEOPLE, "b:1": "n", "b:2": "n"}
    with make_lake(tmp_path, [*APART, ("b:1", "b:2", 2.0)], people) as lake:
        dear = Config(linkage=Linkage(false_merge_cost=100, missed_merge_cost=1))
        cheap = Config(linkage=Linkage(false_merge_cost=1, missed_merge_cost=100))
        assert ("b:1", "b:2") == asked(review_queue(lake, dear, pairs=3))[0]
        assert ("b:1", "b:2") == asked(review_queue(lake, cheap, pairs=7))[-1]


def test_only_reviews_that_pay(tmp_path):
    """With a cost of a review, only pairs are asked whose expected cost of an error exceeds it."""
    with make_lake(tmp_path, APART, PEOPLE) as lake:
        costs = Linkage(false_merge_cost=10, missed_merge_cost=3, review_cost=1.2)
        assert [("a:5", "a:6"), ("a:1", "a:2")] == asked(review_queue(lake, Config(linkage=costs), pairs=3))


def test_a_weak_bridge_before_a_strong_cluster(tmp_path):
    """A pair that alone holds two records together is asked before an equal one that a third record supports."""
    people = dict.fromkeys(("a:1", "a:2", "a:3"), "m") | dict.fromkeys(("b:1", "b:2"), "n")
    pairs = [("a:1", "a:2", 1.0), ("a:1", "a:3", 9.0), ("a:2", "a:3", 9.0), ("b:1", "b:2", 1.0)]
    with make_lake(tmp_path, pairs, people) as lake:
        queue = review_queue(lake, Config(), pairs=3)
        assert [("b:1", "b:2"), ("a:1", "a:2")] == asked(queue)
        assert "nothing else links the two" in queue.pairs["why"].to_pylist()[0]


def test_one_question_per_two_clusters_first(tmp_path):
    """A second pair between the same two clusters waits until other clusters had their turn."""
    people = {"a:1": "m", "a:2": "m", "b:1": "n", "c:1": "o", "d:1": "p"}
    pairs = [("a:1", "b:1", 1.0), ("a:2", "b:1", 0.9), ("c:1", "d:1", 0.0), ("a:1", "a:2", 15.0)]
    with make_lake(tmp_path, pairs, people) as lake:
        assert [("a:1", "b:1"), ("c:1", "d:1"), ("a:2", "b:1")] == asked(review_queue(lake, Config(), pairs=3))


@pytest.mark.parametrize(
    ("decisions", "never"),
    [
        ("a:1,a:2,non-match", ("a:1", "a:2")),
        ("a:2,a:1,possible", ("a:1", "a:2")),
        ("a:1,a:9,match\na:9,a:2,match", ("a:1", "a:2")),
        ("a:1,a:9,match\na:9,a:2,non-match", ("a:1", "a:2")),
    ],
    ids=["itself", "possible", "joined through another", "parted through another"],
)
def test_what_is_decided_is_not_asked(tmp_path, decisions, never):
    """A pair that decisions settle, directly or through other records, is asked neither by worth nor at random."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "reviewed_pairs.csv").write_text(f"record_id_l,record_id_r,decision\n{decisions}\n")
    with make_lake(tmp_path, APART, {**PEOPLE, "a:9": "m9"}) as lake:
        queue = review_queue(lake, Config(), pairs=100)
        everything = asked(queue) + asked(queue, sampled=True)
        assert never not in everything
        assert 3 == len(everything)
        assert decisions.count("\n") + 1 == queue.decided


def test_a_quarter_is_drawn_at_random(small_world_project):
    """One pair in four is drawn from all ranges of match weights, spread over the queue; no pair is asked twice."""
    with Lakehouse(small_world_project) as lake:
        queue = review_queue(lake, Config(), pairs=80)
        rows = queue.pairs.to_pylist()
    sampled = [row for row in rows if row["sampled"]]
    assert (80, 20) == (len(rows), len(sampled))
    assert len({(row["record_id_l"], row["record_id_r"]) for row in rows}) == len(rows)
    assert list(range(1, 81)) == [row["place"] for row in rows]
    assert 10 == sum(row["sampled"] for row in rows[:40])
    chances = [row["match_probability"] for row in sampled]
    assert min(chances) < 0.1 < 0.9 < max(chances)


def test_the_same_run_asks_the_same(small_world_project):
    """The same tables give the same queue in the same order at any number of threads."""
    queues = []
    for threads in (1, 4):
        with Lakehouse(small_world_project, threads=threads) as lake:
            queues.append(review_queue(lake, Config(), pairs=60).pairs)
    assert queues[0].equals(queues[1])


def test_the_file_shows_both_records(tmp_path):
    """The CSV has ids, probability, reason, value, both records side by side without empty fields, and no decision."""
    with make_lake(tmp_path, APART, PEOPLE) as lake:
        file = write_queue(lake, review_queue(lake, Config(), pairs=3), tmp_path / "labels" / "to_review.csv")
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    expected = ["record_id_l", "record_id_r", "match_probability", "sampled", "value_at_stake", "why"]
    assert [*expected, "source_l", "source_r", "name_l", "name_r", "decision"] == list(rows[0])
    assert ("Ann a:5", "Ann a:6", "0.6667", "") == tuple(
        rows[0][name] for name in ("name_l", "name_r", "match_probability", "decision")
    )
    assert [] == list(file.parent.glob(".*"))


def test_a_blind_reviewer_sees_no_probability(tmp_path):
    """A blind file tells neither the probability nor the reason."""
    with make_lake(tmp_path, APART, PEOPLE) as lake:
        file = write_queue(lake, review_queue(lake, Config(), pairs=3), tmp_path / "blind.csv", blind=True)
    assert not {"match_probability", "why"} & set(next(csv.reader(file.open(encoding="utf-8"))))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+cmd", "'-2+cmd"),
        ("+1 (405) 555-0101", "+1 (405) 555-0101"),
        ('O\'Neil, "Ann"', 'O\'Neil, "Ann"'),
    ],
)
def test_no_formula_reaches_a_spreadsheet(tmp_path, name, written):
    """Text that a spreadsheet would run gets an apostrophe; names and phone numbers stay as they are."""
    with make_lake(tmp_path, APART[:1], PEOPLE) as lake:
        quoted = name.replace("'", "''")
        lake.write(tables.RECORDS, f"select * replace ('{quoted}' as name_raw) from {lake.open(tables.RECORDS)}")
        file = write_queue(lake, review_queue(lake, Config(), pairs=1), tmp_path / "to_review.csv")
    assert written == next(csv.DictReader(file.open(encoding="utf-8")))["name_l"]


def test_what_cannot_be_asked(tmp_path):
    """A project that was never run, or a queue of no pair, is an error."""
    with Lakehouse(tmp_path) as lake:
        with pytest.raises(TableError, match="must exist"):
            review_queue(lake, Config())
        with pytest.raises(ConfigError, match="at least one pair"):
            review_queue(lake, Config(), pairs=0)
