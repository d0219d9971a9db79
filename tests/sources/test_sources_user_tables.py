"""Any table of a user's: the same rows from CSV, Parquet and JSON, and the same clear errors."""

import duckdb
import pytest

from c360ml.errors import SourceError
from c360ml.lakehouse import connect
from c360ml.sources import read_table


def read(path, content):
    """Write a file and read it as a table."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(connect(threads=2), path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id, name \nr1,Ann\nr2,\n"),
        ("a.tsv", "id\tname\nr1\tAnn\nr2\t\n"),
        ("a.ndjson", '{"id":"r1","name":"Ann"}\n{"id":"r2","name":null}\n'),
        ("a.json", '[{"id":"r1","name":"Ann"},{"id":"r2"}]'),
        ("page.json", '{"records":[{"id":"r1","name":"Ann"},{"id":"r2","name":null}]}'),
        ("what's [new].csv", "id,name\nr1,Ann\nr2,\n"),
    ],
)
def test_every_layout_gives_the_same_table(tmp_path, name, content):
    """Columns are named as in the file, blanks around names cut, empty values null."""
    table = read(tmp_path / name, content)

    assert ["id", "name"] == table.columns
    assert [("r1", "Ann"), ("r2", None)] == table.order("id").fetchall()


def test_parquet_keeps_its_types(tmp_path):
    """Parquet columns come as they are."""
    duckdb.sql("select 1 as id, date '2024-01-05' as day").write_parquet(str(tmp_path / "a.parquet"))
    table = read_table(connect(), tmp_path / "a.parquet")

    assert ["INTEGER", "DATE"] == [str(kind) for kind in table.types]


def test_csv_values_stay_text_and_keep_their_blanks(tmp_path):
    """Postcodes keep their zeros, values their blanks."""
    assert [("02139", " 7")] == read(tmp_path / "a.csv", "postcode, number\n02139, 7\n").fetchall()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty file"),
        ("header.csv", b"id,name\n", "at least one row"),
        ("rubbish.csv", b"\x8f\x12\xaa\xfe", "not UTF-8"),
        ("latin1.csv", "id,name\n1,Jos\xe9\n".encode("latin-1"), "not UTF-8 in line 2"),
        ("short.csv", b"id,name\n1,Jos\n2\n", "first in line 3"),
        ("quotes.csv", b'id,name\n1,"Jos" x\n2,b\n', "first in line 2"),
        ("cut.json", b'[{"id":"Jos"},', "fault in line 1"),
        ("cut.ndjson", b'{"id":1}\n{"id":2}\n{"id":"Jos\n', "fault in line 3"),
        ("broken.parquet", b"PAR1 rest", "damaged"),
    ],
)
def test_a_file_that_is_no_table_says_why(tmp_path, name, content, message):
    """Faults are told before any work begins, with file and line, and without the row."""
    with pytest.raises(SourceError, match=message) as raised:
        read(tmp_path / name, content)

    assert name in str(raised.value) and "Jos" not in str(raised.value)


def test_a_missing_file_says_so(tmp_path):
    """A path that leads nowhere is named."""
    with pytest.raises(SourceError, match=r"nowhere\.csv must be a file that can be read"):
        read_table(connect(), tmp_path / "nowhere.csv")
