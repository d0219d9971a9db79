"""Landing: every row arrives once, untouched, under its own number; what cannot be read says so."""

import glob
import json
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c360ml.config import Config
from c360ml.errors import ConfigError, SourceError
from c360ml.lakehouse import Lakehouse
from c360ml.sources import land


def config(kind="customers", files="*"):
    """Make a config of one source, x."""
    return Config.parse({"sources": [{"name": "x", "kind": kind, "files": files}]})


def landed(folder, name, content, **kwargs):
    """Write one file, land it, and show (row number, row) of what arrived."""
    folder.mkdir(exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(content)
    with Lakehouse(folder, threads=2) as lake:
        summary = land(lake, config(files=glob.escape(name), **kwargs))
        rows = lake.rows("select row_number, raw from bronze.source_rows order by row_number")
    assert summary == {"rows": len(rows), "files": 1, "by_source": {"x": len(rows)}}
    return [(number, json.loads(raw)) for number, raw in rows]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,name\n1,Ann\n2,Bo\n"),
        ("crlf.csv", "id,name\r\n1,Ann\r\n2,Bo\r\n"),
        ("mixed_new_lines.csv", "id,name\r\n1,Ann\n2,Bo\r\n"),
        ("bom.csv", "\ufeffid,name\n1,Ann\n2,Bo"),
        ("semicolon.csv", "id;name\n1;Ann\n2;Bo\n"),
        ("tab.txt", "id\tname\n1\tAnn\n2\tBo\n"),
        ("pipe.csv", 'id|"name"\n1|"Ann"\n2|Bo\n'),
        ("blank_lines.csv", "id,name\n\n1,Ann\n\n2,Bo\n\n"),
        ("blanks_in_header.csv", " id , name\n1,Ann\n2,Bo\n"),
        ("trailing_comma.csv", "id,name\n1,Ann,\n2,Bo,\n"),
        ("what's [new]?.csv", "id,name\n1,Ann\n2,Bo\n"),
        ("rows.ndjson", '{"id":"1","name":"Ann"}\n{"id":"2","name":"Bo"}\n'),
        ("bom.ndjson", '\ufeff{"id":"1","name":"Ann"}\n{"id":"2","name":"Bo"}\n'),
        ("array.json", '[{"id":"1","name":"Ann"},\n {"id":"2","name":"Bo"}]'),
        ("page.json", '{"done":true, "records":[{"id":"1","name":"Ann"},{"id":"2","name":"Bo"}]}'),
        ("odata.json", '{"@odata.context":"c","value":[{"id":"1","name":"Ann"},{"id":"2","name":"Bo"}]}'),
        ("pages.json", '{"records":[{"id":"1","name":"Ann"}]}\n{"records":[{"id":"2","name":"Bo"}]}\n'),
        ("empty_page.json", '{"records":[]}\n{"records":[{"id":"1","name":"Ann"},{"id":"2","name":"Bo"}]}\n'),
        ("pretty.json", '{\n "id": "1",\n "name": "Ann"\n}\n{\n "id": "2",\n "name": "Bo"\n}\n'),
    ],
)
def test_every_layout_lands_the_same_rows(tmp_path, name, content):
    """CSV of any dialect and JSON of any layout give the same rows in the same order."""
    assert [(1, {"id": "1", "name": "Ann"}), (2, {"id": "2", "name": "Bo"})] == landed(tmp_path, name, content)


def test_parquet_lands_with_its_types(tmp_path):
    """Parquet values become JSON values, numbered as in the file."""
    duckdb.sql("select i as id, date '2024-01-05' + i::int as day from range(3) t(i)").write_parquet(
        str(tmp_path / "a.parquet")
    )
    with Lakehouse(tmp_path) as lake:
        land(lake, config(files="*.parquet"))

        assert [(1, '{"id":0,"day":"2024-01-05"}'), (2, '{"id":1,"day":"2024-01-06"}')] == lake.rows(
            "select row_number, raw from bronze.source_rows order by 1 limit 2"
        )


def test_row_hash_and_load_time(tmp_path):
    """A row's hash is the MD5 of its raw text, and all rows of a run share one load time."""
    (tmp_path / "a.csv").write_text("id,name\n1,Ann\n2,Bo\n")
    with Lakehouse(tmp_path) as lake:
        land(lake, config())

        assert [(True, 1, "x", "customers", "a.csv")] == lake.rows(
            "select bool_and(row_hash = md5(raw)), count(distinct loaded_at), min(source), min(kind), min(file)"
            " from bronze.source_rows where loaded_at between now() - interval 1 minute and now()"
        )


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_rows_are_numbered_in_their_file(tmp_path, threads):
    """Each row has its own place in its own file, however many files and threads there are."""
    for number in range(4):
        ids = range(number * 20_000 + 1, number * 20_000 + 20_001 + number)
        (tmp_path / f"{number}.csv").write_text("id,n\n" + "".join(f"{i},{i - ids[0] + 1}\n" for i in ids))
        (tmp_path / f"{number}.ndjson").write_text("".join(f'{{"n":{i - ids[0] + 1}}}\n' for i in ids))
        page = ",".join(f'{{"n":{i + 1}}}' for i in range(50))
        later = ",".join(f'{{"n":{i + 51}}}' for i in range(number))
        (tmp_path / f"{number}.json").write_text(f'{{"value":[{page}]}}\n{{"value":[{later}]}}')
    with Lakehouse(tmp_path, threads=threads) as lake:
        assert 160_000 + 12 + 200 + 6 == land(lake, config())["rows"]
        assert 0 == lake.one(
            "select count(*) from bronze.source_rows where (raw->>'n')::bigint is distinct from row_number"
        )


def test_files_of_other_columns_keep_their_columns(tmp_path):
    """Files of one source may differ in columns and their order."""
    (tmp_path / "1.csv").write_text("id,name\n1,Ann\n")
    (tmp_path / "2.csv").write_text("name,id,city\nBo,2,Rome\n")
    with Lakehouse(tmp_path) as lake:
        land(lake, config())

        assert [
            ("1.csv", '{"id":"1","name":"Ann"}'),
            ("2.csv", '{"name":"Bo","id":"2","city":"Rome"}'),
        ] == lake.rows("select file, raw from bronze.source_rows order by file")


def test_repeated_and_blank_column_names_get_a_number(tmp_path):
    """No field is lost when a header repeats a name or leaves it out."""
    assert [(1, {"id": "1", "ID_2": "2", "column_3": "3"})] == landed(tmp_path, "a.csv", "id,ID,\n1,2,3\n")


def test_values_with_delimiters_quotes_and_new_lines(tmp_path):
    """Quoted values keep delimiters, quotes and new lines, in rows with and without a fault elsewhere."""
    good = '1,"say ""hi"", Bo\nLee"\n'
    row = {"id": "1", "name": 'say "hi", Bo\nLee'}

    assert [(1, row)] == landed(tmp_path, "a.csv", f"id,name\n{good}")
    assert row == landed(tmp_path, "b.csv", f"id,name\n{good}{good}4\n")[1][1]


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("7", ["7"]),
        ("7,8,9", ["7", "8", "9"]),
        ("7," * 30 + "8", ["7," * 30 + "8"]),
        ('7,"Bo" Lee', ['7,"Bo" Lee']),
        ('"7,Bo', ['"7,Bo']),
    ],
)
def test_lines_that_are_no_rows_are_kept_whole(tmp_path, line, fields):
    """A CSV line with too few or many fields or broken quotes keeps its place and all its text."""
    rows = landed(tmp_path, "a.csv", f'id,name\n1,Ann\n{line}\n2,Bo\n3,"C, D"\n')

    assert [(1, {"id": "1", "name": "Ann"}), (3, {"id": "2", "name": "Bo"}), (4, {"id": "3", "name": "C, D"})] == [
        row for row in rows if "unreadable_row" not in row[1]
    ]
    assert [(2, fields)] == [(n, row["fields"]) for n, row in rows if "unreadable_row" in row]


def test_an_unclosed_quote_at_the_end_loses_nothing(tmp_path):
    """Text after a quote that is never closed is kept in an unreadable row."""
    rows = landed(tmp_path, "a.csv", 'id,name\n1,Ann\n2,"Bo\n3,Cy\n')

    assert (1, {"id": "1", "name": "Ann"}) == rows[0]
    assert "Bo" in json.dumps(rows[1:]) and "Cy" in json.dumps(rows[1:])


def test_files_that_are_read_at_once_do_not_mix(tmp_path):
    """Files whose broken rows are mended beside each other each keep their own rows and numbers."""
    for number in range(8):
        (tmp_path / f"{number}.csv").write_text(f'id,name\n1,of {number}\n2,"broken" {number}\n3,last\n')
    with Lakehouse(tmp_path, threads=4) as lake:
        land(lake, config(files="*.csv"))
        rows = lake.rows("select file, row_number, raw from bronze.source_rows order by all")
    names = [(file, number, json.loads(raw).get("name")) for file, number, raw in rows if number != 2]
    assert names == [
        (f"{number}.csv", place, name) for number in range(8) for place, name in ((1, f"of {number}"), (3, "last"))
    ]
    assert [json.loads(raw)["fields"] for _, number, raw in rows if number == 2] == [
        [f'2,"broken" {number}'] for number in range(8)
    ]


def test_of_several_faults_that_of_the_first_file_is_told(tmp_path):
    """Which fault is told does not depend on which of the files read at once is done first."""
    (tmp_path / "a.json").write_text('[{"id": "1"}' + ',{"id": "2"}' * 20_000)
    (tmp_path / "b.json").write_text('[{"id": ')
    for _ in range(5):
        with Lakehouse(tmp_path, threads=2) as lake, pytest.raises(SourceError, match=r"^a\.json"):
            land(lake, config(files="*.json"))


def test_lines_that_are_no_json_objects_are_kept_whole(tmp_path):
    """A bad NDJSON line keeps its place and its text; blank lines count as lines but not as rows."""
    rows = landed(tmp_path, "a.ndjson", '{"id":1}\n\n{"id":\n[2]\n{"id":4}\n{"id":5}\n')

    assert [
        (1, {"id": 1}),
        (3, {"unreadable_row": "no JSON object", "fields": ['{"id":']}),
        (4, {"unreadable_row": "no JSON object", "fields": ["[2]"]}),
        (5, {"id": 4}),
        (6, {"id": 5}),
    ] == rows


@pytest.mark.parametrize(("name", "content"), [("a.csv", "id,name\n"), ("a.json", "[]")])
def test_a_table_without_rows_is_no_fault(tmp_path, name, content):
    """A day without data has a header or an empty page, and lands nothing."""
    assert [] == landed(tmp_path, name, content)


BAD = [
    ("empty.csv", b"", r"empty file \(0 bytes\)"),
    ("blank.csv", b" \n \n", "empty file"),
    ("binary.csv", b"id,name\n1,\x00\x01\n", "zero byte in line 2"),
    ("rubbish.csv", b"\x8f\x12\xaa\xfe\xd0", "not UTF-8 in line 1"),
    ("words.csv", b"lorem ipsum dolor\nsit amet\n", "first line without any of"),
    ("latin1.csv", "id,name\n1,Ann\n2,Jos\xe9\n".encode("latin-1"), "not UTF-8 in line 3"),
    ("latin1_late.csv", b"id,name\n" + b"1,Ann\n" * 20_000 + b"2,Jos\xe9\n", "not UTF-8 in line 20002"),
    ("latin1.json", '[{"name":"Jos\xe9"}]'.encode("latin-1"), "not UTF-8 in line 1"),
    ("latin1_late.json", b"[\n" + b'{"a":"Ann"},\n' * 9_000 + b'{"a":"Jos\xe9"}]', "not UTF-8 in line 9002"),
    ("latin1_late.ndjson", b'{"a":"Ann"}\n' * 9_000 + b'{"a":"Jos\xe9"}\n', "not UTF-8 in line 9001"),
    ("utf16.csv", "id,name\n1,Ann\n".encode("utf-16"), "UTF-16"),
    ("utf16le.csv", "id,name\n1,Ann\n".encode("utf-16-le"), "UTF-16"),
    ("book.xlsx", b"PK\x03\x04rest", "Excel"),
    ("a.csv.gz", b"\x1f\x8brest", "gzip"),
    ("page.html", b"<html>log in</html>", "web page"),
    ("cut.json", b'{"records":[{"Id":"1"},\n{"Id":', "fault in line 2, column 7"),
    ("cut_array.json", b'[{"Id":"1"},\n{"Id":"2"', "fault in line 2"),
    ("cut.ndjson", b'{"Id":', "fault in line 1, column 7"),
    ("words.json", b"lorem ipsum", "starts with neither"),
    ("broken.parquet", b"PAR1 rest", "damaged"),
    ("other_delimiter.csv", b"id,name\n" + b"1;Ann\n" * 9, "9 of 9 rows that have not, first in line 2"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=[name for name, _, _ in BAD])
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content, message):
    """An unreadable file stops the run with its name, the line if known, and what to do."""
    with pytest.raises(SourceError, match=message) as raised:
        landed(tmp_path, name, content)

    assert name in raised.value.rule
    assert "Jos" not in str(raised.value), "errors hold no personal data"
    assert raised.value.hint


def test_a_source_without_files_says_what_was_looked_for(tmp_path):
    """A glob that matches nothing is an error that names source and glob."""
    with Lakehouse(tmp_path) as lake, pytest.raises(SourceError, match=r"source x .* nothing matches in/\*\.csv"):
        land(lake, config(files="in/*.csv"))


def test_a_project_without_sources_says_so(tmp_path):
    """Landing nothing at all is a mistake in the config."""
    with Lakehouse(tmp_path) as lake, pytest.raises(ConfigError, match="at least one source"):
        land(lake, Config())


field = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\x01\x02", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(field, field), min_size=1, max_size=6))
def test_whatever_csv_writes_lands_unchanged(tmp_path, rows):
    """What a CSV writer quotes comes back value for value, an empty value as null."""
    text = "id,name\n" + "".join(",".join('"' + v.replace('"', '""') + '"' for v in row) + "\n" for row in rows)

    assert [{"id": a or None, "name": b or None} for a, b in rows] == [
        row for _, row in landed(Path(tmp_path), "a.csv", text)
    ]
