"""What reviewers decided, as it comes: checked, ordered, each pair once."""

import duckdb
import pandas as pd
import pytest

from c360ml.errors import ColumnError, DataError, SourceError
from c360ml.lakehouse import connect
from c360ml.linkage import read_decisions


def frame(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["record_id_l", "record_id_r", "decision"])


def test_pairs_are_ordered_and_come_once():
    """Order of ids, repetition, blanks and case make no difference."""
    given = frame(("b", "a", "Match"), (" a", "b ", "match"), ("d", "c", "non-match"), ("e", "f", "possible"))

    assert [("a", "b", "match"), ("c", "d", "non-match"), ("e", "f", "possible")] == (
        read_decisions(connect(), given).fetchall()
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_are_read(ending, tmp_path):
    """A CSV and a Parquet file are read alike; other columns are ignored, ids stay text."""
    file = tmp_path / f"pairs.{ending}"
    given = frame(("007", "08", "match")).assign(reviewer="someone")
    given.to_csv(file, index=False) if ending == "csv" else given.to_parquet(file)

    assert [("007", "08", "match")] == read_decisions(connect(), file).fetchall()
    assert [("007", "08", "match")] == read_decisions(connect(), str(file)).fetchall()


def test_contradiction_names_the_records():
    """One pair decided both ways is an error that names it."""
    with pytest.raises(DataError, match=r"1 such pairs, e\.g\. a and b"):
        read_decisions(connect(), frame(("a", "b", "match"), ("b", "a", "non-match")))


def test_doubt_contradicts_nothing():
    """A pair may be decided after it was possible."""
    assert 2 == len(read_decisions(connect(), frame(("a", "b", "possible"), ("a", "b", "match"))).fetchall())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("a", "b", "maybe"), "decision must be one of"),
        (("a", "b", None), "decision must be one of"),
        (("a", None, "match"), "1 rows without an id"),
        (("a", "", "match"), "1 rows without an id"),
        (("a", "a", "match"), "1 with one id twice"),
    ],
)
def test_bad_rows_are_refused(row, said):
    """An unknown decision, a missing id or a record paired with itself is an error."""
    with pytest.raises(DataError, match=said):
        read_decisions(connect(), frame(row))


def test_missing_columns_are_named():
    """A table without a column is refused by the column's name."""
    with pytest.raises(ColumnError, match="decision"):
        read_decisions(connect(), frame().drop(columns="decision"))


def test_missing_and_broken_files_are_refused(tmp_path):
    """A file that is not there, or no table, is an error that names the file only."""
    with pytest.raises(SourceError, match=r"no file pairs\.csv"):
        read_decisions(connect(), tmp_path / "pairs.csv")
    (tmp_path / "pairs.parquet").write_text("no parquet")
    with pytest.raises(SourceError, match=r"pairs\.parquet, which cannot be read"):
        read_decisions(connect(), tmp_path / "pairs.parquet")


def test_a_relation_of_another_connection_is_taken():
    """Decisions may come as a DuckDB relation."""
    given = duckdb.connect().sql("select 'a' as record_id_l, 'b' as record_id_r, 'match' as decision")

    assert [("a", "b", "match")] == read_decisions(connect(), given).fetchall()
