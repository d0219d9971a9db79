"""Decisions that come back: what is taken, what is left out, which of two wins, what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from review_tables import write_table

from c360ml import tables
from c360ml.config import Config, Linkage
from c360ml.errors import ColumnError, ConfigError, DataError, ProjectError, SourceError
from c360ml.lakehouse import Lakehouse
from c360ml.linkage import read_decisions
from c360ml.linkage.review_answers import check_nothing_is_lost, read_answers

HEAD = "record_id_l,record_id_r,decision"
DATED = f"{HEAD},reviewer,decided_at"


@pytest.fixture
def lake(tmp_path):
    """Six records: a and b are one customer, the others one each."""
    with Lakehouse(tmp_path) as lake:
        letters = "select unnest(['a', 'b', 'c', 'd', 'e', 'f']) as letter"
        write_table(lake, tables.RECORDS, f"select 's:' || letter as record_id, 's' as source from ({letters})")
        masters = "case letter when 'b' then 'A' else upper(letter) end as master_id"
        write_table(lake, tables.IDENTITIES, f"select 's:' || letter as record_id, {masters} from ({letters})")
        yield lake


def take(lake: Lakehouse, *rows: str, head: str = HEAD):
    """Read decisions given as lines; ids are letters."""
    file = lake.folder / "decided.csv"
    file.write_text("\n".join([head, *rows]) + "\n", "utf-8")
    return read_answers(lake, Config(), file)


def reviewed(lake: Lakehouse, name: str = "reviewed_pairs") -> list[dict[str, str]]:
    with (lake.folder / "labels" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def told(lake: Lakehouse, name: str = "reviewed_pairs") -> list[tuple[str, str, str]]:
    return [(row["record_id_l"], row["record_id_r"], row["decision"]) for row in reviewed(lake, name)]


def test_decisions_are_merged(lake):
    """Decisions are written with the lesser id first, whatever their order and case, and say what they will change."""
    answers = take(lake, "s:d,s:c, Match ", "s:a,s:b,NON-MATCH", "s:e,s:f,possible", "s:c,s:e,non-match")

    assert [
        ("s:a", "s:b", "non-match"),
        ("s:c", "s:d", "match"),
        ("s:c", "s:e", "non-match"),
        ("s:e", "s:f", "possible"),
    ] == told(lake)
    assert (4, 1, 2, 1) == (answers.rows, answers.matches, answers.non_matches, answers.possible)
    assert (1, 1, 4, 0) == (answers.will_merge, answers.will_split, answers.decided, answers.replaced)


def test_what_says_nothing_is_left_out_and_counted(lake):
    """Empty decisions, unknown records, a record with itself and two decisions on one pair are left out."""
    answers = take(
        lake, "s:a,s:b,", "s:a,s:x,match", ",s:b,match", "s:c,s:c,match", "s:d,s:e,match", "s:e,s:d,non-match"
    )

    assert (6, 1, 3, 1) == (answers.rows, answers.empty, answers.unknown_ids, answers.contradictory)
    assert (0, 0) == (answers.decided, answers.matches)
    assert [] == told(lake)


def test_the_file_read_last_wins(lake):
    """A later file replaces a decision, keeps the others, and what it replaced goes to the history."""
    take(lake, "s:a,s:b,match", "s:c,s:d,match")
    answers = take(lake, "s:b,s:a,non-match")

    assert (1, 2) == (answers.replaced, answers.decided)
    assert [("s:a", "s:b", "non-match"), ("s:c", "s:d", "match")] == told(lake)
    assert [("s:a", "s:b", "match")] == told(lake, "reviewed_pairs_history")


def test_the_later_date_wins(lake):
    """Of two dated decisions the later wins, in one file or in two, and both are kept with reviewer and date."""
    take(lake, "s:a,s:b,non-match,Ann,2025-02-01T10:00:00Z", "s:a,s:b,match,Bob,2025-03-01", head=DATED)
    answers = take(lake, "s:a,s:b,possible,Cy,2025-02-15", head=DATED)

    assert [("s:a", "s:b", "match")] == told(lake)
    assert ("Bob", "2025-03-01") == (reviewed(lake)[0]["reviewer"], reviewed(lake)[0]["decided_at"])
    assert 1 == answers.replaced
    assert [("s:a", "s:b", "possible")] == told(lake, "reviewed_pairs_history")
    assert "Cy" == reviewed(lake, "reviewed_pairs_history")[0]["reviewer"]


def test_reading_twice_changes_nothing(lake):
    """The same file read again leaves both files as they were."""
    take(lake, "s:a,s:b,match")
    take(lake, "s:a,s:b,non-match")
    before = (reviewed(lake), reviewed(lake, "reviewed_pairs_history"))
    answers = take(lake, "s:a,s:b,non-match")

    assert 0 == answers.replaced
    assert before == (reviewed(lake), reviewed(lake, "reviewed_pairs_history"))


def test_sampled_stays(lake):
    """That a pair was drawn at random survives, as a recalibration needs it."""
    take(lake, "s:a,s:b,match,1", "s:c,s:d,match,0", head=f"{HEAD},sampled")

    assert ["1", "0"] == [row["sampled"] for row in reviewed(lake)]


def test_constraints_read_what_was_written(lake):
    """The file of reviewed pairs is one that the constraints of the next run read."""
    take(lake, "s:b,s:a,non-match,Ann,2025-02-01", "s:e,s:f,possible,,", head=DATED)
    found = read_decisions(lake.con, lake.folder / "labels" / "reviewed_pairs.csv").fetchall()

    assert [("s:a", "s:b", "non-match"), ("s:e", "s:f", "possible")] == found


def test_matches_that_go_round_a_non_match_are_refused(lake):
    """Decisions that contradict each other through a third record are an error, and nothing is merged."""
    take(lake, "s:a,s:b,match")
    before = told(lake)
    with pytest.raises(DataError, match="keeps apart"):
        take(lake, "s:b,s:c,match", "s:a,s:c,non-match")
    assert before == told(lake)


def test_unknown_words_are_refused(lake):
    """A decision that is no decision is an error rather than a row left out."""
    with pytest.raises(ColumnError, match="1 rows of decided"):
        take(lake, "s:a,s:b,match", "s:c,s:d,mtach")
    with pytest.raises(ColumnError, match="'decision'"):
        take(lake, "s:a,s:b", head="record_id_l,record_id_r")


def test_files_that_are_no_csv_are_refused(lake, tmp_path):
    """A missing file, bytes that are no UTF-8, and a Parquet target are errors of their own."""
    with pytest.raises(SourceError, match="no file"):
        read_answers(lake, Config(), tmp_path / "nothing.csv")
    (tmp_path / "latin.csv").write_bytes(f"{HEAD},note\ns:a,s:b,match,caf\xe9\n".encode("latin-1"))
    with pytest.raises(SourceError, match="cannot be read"):
        read_answers(lake, Config(), tmp_path / "latin.csv")
    with pytest.raises(ConfigError, match="must be a CSV"):
        read_answers(lake, Config(linkage=Linkage(reviewed_pairs="labels/x.parquet")), tmp_path / "latin.csv")


def test_unread_decisions_are_not_written_over(lake, tmp_path):
    """A file with decisions that were not read back is not written over; once read, it may be."""
    file: Path = tmp_path / "to_review.csv"
    check_nothing_is_lost(lake, Config(), file)
    file.write_text(f"{HEAD}\ns:a,s:b,\ns:c,s:d,match\n")
    with pytest.raises(ProjectError, match="1 decisions that were not read"):
        check_nothing_is_lost(lake, Config(), file)
    read_answers(lake, Config(), file)
    check_nothing_is_lost(lake, Config(), file)


def test_semicolons_do_too(lake):
    """A spreadsheet that saves with semicolons is understood."""
    (lake.folder / "decided.csv").write_text("record_id_l;record_id_r;decision\ns:a;s:b;match\ns:c;s:d;non-match\n")
    answers = read_answers(lake, Config(), lake.folder / "decided.csv")

    assert (1, 1) == (answers.matches, answers.non_matches)
