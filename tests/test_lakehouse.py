"""The lakehouse keeps what it was given, whole or not at all."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c360ml import tables
from c360ml.errors import ColumnError, ModelError, ProjectError, TableError
from c360ml.lakehouse import EngineError, Lakehouse, as_relation, connect, same_kind
from c360ml.tables.contract import table

TYPES = sorted({column.type for each in tables.ALL for column in each.columns.values()})
EXAMPLES = {
    "BIGINT": [0, -(2**63), 2**63 - 1],
    "BIGINT[]": [[], [2**63 - 1], [-(2**63), None, 1]],
    "BOOLEAN": [True, False, True],
    "DATE": [date(1900, 2, 28), date(2024, 2, 29), date(2999, 12, 31)],
    "DOUBLE": [0.1 + 0.2, -1e300, float("inf")],
    "TIMESTAMPTZ": [
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
        datetime(2999, 1, 1, tzinfo=UTC),
    ],
    "VARCHAR": ["", 'O\'Brien "Zoë"\n\t,;', "名前 %20 😀"],
    "VARCHAR[]": [[], ["one"], ["two", None, "it's"]],
}
WIDE = table(
    "silver.wide",
    key="n",
    about="One column of every type that the contracts use.",
    columns="\n".join(["n BIGINT number", *(f"c{place} {kind} a column" for place, kind in enumerate(TYPES))]),
)
PLAIN = table("gold.plain", key="n", about="Two columns.", columns="n BIGINT number\n word VARCHAR word")


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path) as opened:
        yield opened


def write_wide(lake: Lakehouse, rows: list[tuple]) -> int:
    """Write rows of `n` and one value per type, bound as parameters."""
    columns = list(WIDE.columns)
    if not rows:
        return lake.write(WIDE, f"select {', '.join(f'null as {name}' for name in columns)} where false")
    kinds = [column.type for column in WIDE.columns.values()]
    selects = [
        "select "
        + ", ".join(
            f"$v{row}_{place}::{kind} as {name}" for place, (name, kind) in enumerate(zip(columns, kinds, strict=True))
        )
        for row in range(len(rows))
    ]
    values = {f"v{row}_{place}": value for row, each in enumerate(rows) for place, value in enumerate(each)}
    return lake.write(WIDE, " union all ".join(selects), values)


def read_wide(lake: Lakehouse) -> list[tuple]:
    """Read all rows through Arrow, in the order of `n`."""
    answer = lake.sql(f"select * from {lake.open(WIDE)} order by n").to_arrow_table()
    return [tuple(row.values()) for row in answer.to_pylist()]


def test_every_type_comes_back(lake):
    """What is written in any type of the contracts is read again unchanged, in UTC, by another process too."""
    rows = [(n, *(EXAMPLES[kind][n] for kind in TYPES)) for n in range(3)] + [(3, *(None for _ in TYPES))]
    assert len(rows) == write_wide(lake, rows)
    assert rows == read_wide(lake)
    with Lakehouse(lake.folder) as fresh:
        assert rows == read_wide(fresh)


def test_times_can_be_asked_for(lake):
    """A time is handed out as a Python datetime in UTC."""
    noon = datetime(2024, 1, 5, 12, tzinfo=UTC)
    assert [(noon,)] == lake.rows("select timestamptz '2024-01-05 12:00:00+00' as noon")


VALUES = {
    "BIGINT": st.integers(-(2**63), 2**63 - 1),
    "BOOLEAN": st.booleans(),
    "DATE": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "DOUBLE": st.floats(allow_nan=False),
    "TIMESTAMPTZ": st.datetimes(datetime(1600, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),
    "VARCHAR": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    "BIGINT[]": st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=3),
    "VARCHAR[]": st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*(st.none() | VALUES[kind] for kind in TYPES)), max_size=5))
def test_any_rows_come_back(lake, drawn):
    """Whatever the rows, they are read as they were written."""
    rows = [(n, *values) for n, values in enumerate(drawn)]
    write_wide(lake, rows)
    assert rows == read_wide(lake)


@pytest.mark.parametrize("each", tables.ALL, ids=lambda each: each.path)
def test_every_contract_can_be_empty(lake, each):
    """Each table of the contracts can be written without a row, and is read with its types."""
    nothing = ", ".join(f"null as {name}" for name in each.columns)
    assert 0 == lake.write(each, f"select {nothing} where false")
    with Lakehouse(lake.folder) as fresh:
        relation = fresh.sql(f"select * from {fresh.open(each)}")
        names = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
        assert [names.get(column.type, column.type) for column in each.columns.values()] == list(
            map(str, relation.types)
        )
        assert list(each.columns) == relation.columns


def test_values_are_cast_to_the_contract(lake):
    """A query's other types and order of columns become those of the contract."""
    lake.write(PLAIN, "select 7 as word, '3' as n")
    assert [(3, "7")] == lake.rows("select * from gold.plain")


@pytest.mark.parametrize(
    "failing",
    [
        "select range as n, case when range = 199999 then error('late') else 'new' end as word from range(200000)",
        "select 1 as n, cast('x' as bigint)::varchar as word",
        "select 'no number' as n, 'new' as word",
        "select 1 as n, 'new' as word from nowhere",
    ],
)
def test_a_failing_query_leaves_the_old_version(lake, failing):
    """A write that fails, even in its last row, leaves table, version and files to read as they were."""
    lake.write(PLAIN, "select 1 as n, 'old' as word")
    with pytest.raises((EngineError, OSError, Exception), match=r"late|x|no number|nowhere"):
        lake.write(PLAIN, failing)
    assert 0 == lake.version(PLAIN)
    assert [(1, "old")] == lake.rows(f"select * from {lake.open(PLAIN)}")


def test_a_failing_first_write_leaves_no_table(lake):
    """A table whose first write fails does not exist afterwards."""
    with pytest.raises(Exception, match="late"):
        lake.write(
            PLAIN, "select range as n, case when range = 9 then error('late') else '' end as word from range(10)"
        )
    assert lake.version(PLAIN) is None


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select 1 as n", "missing ['word'], unknown []"),
        ("select 1 as n, 'a' as word, 2 as more", "missing [], unknown ['more']"),
        ("select 1 as number, 'a' as word", "missing ['n'], unknown ['number']"),
    ],
)
def test_wrong_columns_are_refused(lake, query, told):
    """A query without exactly the contract's columns is refused, and says which are wrong."""
    with pytest.raises(ColumnError) as caught:
        lake.write(PLAIN, query)
    assert told == caught.value.got
    assert lake.version(PLAIN) is None


def test_versions_stay_readable(lake):
    """Each write is a new version, and earlier ones can still be read."""
    for word in ("first", "second", "third"):
        lake.write(PLAIN, "select 1 as n, $word as word", {"word": word})
    assert 2 == lake.version(PLAIN)
    assert "third" == lake.one(f"select word from {lake.open(PLAIN)}")
    assert "first" == lake.one(f"select word from {lake.open(PLAIN, version=0)}")


def test_tables_are_read_from_the_log_and_not_the_folder(lake):
    """After an overwrite the folder holds files of older versions and strays: none of their rows is read."""
    lake.write(PLAIN, "select range as n, 'old' as word from range(5)")
    lake.write(PLAIN, "select 1 as n, 'new' as word")
    lake.rows(f"copy (select 9 as n, 'stray' as word) to '{lake.path(PLAIN)}/stray.parquet'")
    assert len(list(lake.path(PLAIN).glob("*.parquet"))) >= 3
    assert [(1, "new")] == lake.rows(f"select * from {lake.open(PLAIN)}")


def test_a_table_may_be_made_from_itself(lake):
    """A query may read the version that it replaces."""
    lake.write(PLAIN, "select 1 as n, 'a' as word")
    lake.write(PLAIN, "select n + 1 as n, word || 'b' as word from gold.plain")
    assert [(2, "ab")] == lake.rows("select * from gold.plain")


def test_a_table_written_by_another_delta_writer_is_read(lake):
    """A table that delta-rs wrote by itself is read like our own."""
    write_deltalake(lake.path(PLAIN), pa.table({"n": [4], "word": ["four"]}))
    write_deltalake(lake.path(PLAIN), pa.table({"n": [5], "word": ["five"]}), mode="append")
    assert [(4, "four"), (5, "five")] == lake.rows(f"select * from {lake.open(PLAIN)} order by n")


TOLD = table(
    "gold.told",
    key="n",
    about="Columns that a log may quote, and one that it may not.",
    columns="""
    n BIGINT number
    word VARCHAR word
    day DATE day
    moment TIMESTAMPTZ time
    share DOUBLE share
    name VARCHAR * name
    """,
)


def test_the_log_tells_what_files_hold_but_no_personal_data(lake):
    """Readers of Delta may skip files by bounds that are those of the rows; personal values are not quoted."""
    lake.write(
        TOLD,
        """
        select i as n, chr((97 + i % 26)::int) || i as word, date '2024-02-28' + i::int as day, now() as moment,
            i / 3 as share, if(i = 7, null, 'Ann Lee ' || i) as name
        from range(300000) t(i)
        """,
    )
    told = DeltaTable(lake.path(TOLD)).get_add_actions(flatten=True)
    found = {name: told[name].to_pylist() for name in told.schema.names}
    assert [300000] == found["num_records"]
    assert ([0], [299999]) == (found["min.n"], found["max.n"])
    assert (["a0"], ["z99995"]) == (found["min.word"], found["max.word"])
    assert [date(2024, 2, 28)] == found["min.day"]
    assert [1] == found["null_count.name"]
    log = "".join(file.read_text() for file in (lake.path(TOLD) / "_delta_log").glob("*.json"))
    assert "Ann Lee" not in log


def test_rows_are_deleted_by_any_column(lake):
    """What the log tells of a file does not hide rows from a condition on them."""
    rows = """
        select i as n, chr((97 + i)::int) as word, date '2024-02-28' + i::int as day, now() as moment, i / 4 as share,
    """
    conditions = ["n = 2", "word = 'd'", "day = date '2024-03-03'", "share = 1.25", "name = 'Ann 6'", "name is null"]
    for count in (1, 2):  # the second write replaces the first
        lake.write(TOLD, rows + f"if(i = 7, null, 'Ann ' || i) as name from range({8 * count}) t(i)")
    assert [1] * 6 == [lake.delete(TOLD, condition) for condition in conditions]
    assert 10 == lake.one(f"select count(*) from {TOLD.path}")


def test_a_changed_contract_replaces_the_table(lake):
    """A table whose contract has other columns than it was written with is written whole in one commit."""
    lake.write(PLAIN, "select 1 as n, 'a' as word")
    wider = table("gold.plain", key="n", about="Three columns.", columns="n BIGINT number\n word DATE day\n o DOUBLE x")
    assert 1 == lake.write(wider, "select 2 as n, date '2024-02-29' as word, 0.5 as o")
    assert 1 == lake.version(wider)
    assert [(2, date(2024, 2, 29), 0.5)] == lake.rows(f"from {lake.open(wider)}")
    assert "Three columns." == DeltaTable(lake.path(wider)).metadata().description
    assert "a" == lake.one(f"select word from {lake.open(PLAIN, version=0)}")


def test_a_failing_query_leaves_no_file(lake):
    """Files of a write that fails in its last row do not stay beside the table's."""
    lake.write(PLAIN, "select 1 as n, 'old' as word")
    before = sorted(lake.path(PLAIN).rglob("*"))
    with pytest.raises(EngineError, match="late"):
        lake.write(
            PLAIN, "select i as n, if(i = 399999, error('late'), repeat('x', i % 90)) as word from range(400000) t(i)"
        )
    assert before == sorted(lake.path(PLAIN).rglob("*"))


def test_a_missing_table_is_a_clear_error(lake):
    """A table that was never written is named, with what to do."""
    assert lake.version(PLAIN) is None
    with pytest.raises(TableError, match=r"table gold\.plain must exist.*c360ml run"):
        lake.open(PLAIN)


def test_foreign_delta_features_are_refused(lake):
    """A table that a plain reader would read wrongly is refused rather than read wrongly."""
    write_deltalake(
        lake.path(PLAIN), pa.table({"n": [1], "word": ["a"]}), configuration={"delta.enableDeletionVectors": "true"}
    )
    with pytest.raises(TableError, match=r"must be plain Delta.*deletionVectors"):
        lake.open(PLAIN)


@pytest.mark.parametrize("name", ["with space", "it's", "Zoë", 'say "it\'s"', "a;b,c:d#e"])
def test_project_folders_may_have_any_name(tmp_path, name):
    """Blanks, quotes, signs and accents in a folder's name do no harm."""
    with Lakehouse(tmp_path / name) as lake:
        lake.write(PLAIN, "select 1 as n, 'a' as word")
        lake.write(PLAIN, "select 2 as n, 'b' as word")
        assert [(2, "b")] == lake.rows(f"select * from {lake.open(PLAIN)}")
    assert (tmp_path / name / "data" / "3_gold" / "plain" / "_delta_log").is_dir()


@pytest.mark.parametrize("name", ["100%", "[new]", "st*r", "why?", "back\\slash"])
def test_unusable_folder_names_are_refused(tmp_path, name):
    """A folder whose name delta-rs or DuckDB would misread is refused before anything is written."""
    with pytest.raises(ProjectError, match="path must be without"):
        Lakehouse(tmp_path / name)
    assert [] == list(tmp_path.iterdir())


def test_scratch_is_gone_after_the_block(lake):
    """A scratch table lives as long as its block, whatever happens in it."""
    with pytest.raises(ZeroDivisionError), lake.scratch("notes", "select $n as n", {"n": 3}) as name:
        assert 3 == lake.one(f"select n from {name}")
        _ = 1 / 0
    with pytest.raises(EngineError):
        lake.rows("select * from notes")


# ---------------------------------------------------------------------- JSON files
def test_json_comes_back(lake):
    """A JSON file is read as it was written; one that is not there is None."""
    content = {"a": [1, 2.5, None, True, "Zoë"], "b": {"c": {}}}
    assert lake.folder / "models" / "x.json" == lake.write_json("models/x.json", content)
    assert content == lake.read_json("models/x.json")
    assert lake.read_json("models/y.json") is None


@pytest.mark.parametrize("bad", [{"a": float("nan")}, {"a": object()}, {"a": {1, 2}}])
def test_json_that_cannot_be_written_leaves_the_old_file(lake, bad):
    """What is no JSON is refused before anything is written."""
    lake.write_json("x.json", {"old": 1})
    with pytest.raises((TypeError, ValueError)):
        lake.write_json("x.json", bad)
    assert {"old": 1} == lake.read_json("x.json")
    assert ["x.json"] == sorted(os.listdir(lake.folder))


def test_json_is_written_whole_or_not_at_all(lake, monkeypatch):
    """A process that dies before the file is complete leaves the old file to be read."""
    lake.write_json("x.json", {"old": 1})

    def die(source, target):
        assert {"new": 2} == json.loads(Path(source).read_text())
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        lake.write_json("x.json", {"new": 2})
    assert {"old": 1} == lake.read_json("x.json")


def test_damaged_json_is_a_clear_error(lake):
    """A JSON file cut short is named, with what to do."""
    (lake.folder / "x.json").write_text('{"a": ')
    with pytest.raises(ModelError, match=r"x\.json must be JSON.*delete it"):
        lake.read_json("x.json")


# ---------------------------------------------------------------------- tables from outside
def outside_tables() -> dict[str, object]:
    rows = pd.DataFrame({"n": [1, 2], "word": ["a", None]})
    return {
        "pandas": rows,
        "arrow": pa.Table.from_pandas(rows),
        "reader": pa.Table.from_pandas(rows).to_reader(),
        "duckdb": duckdb.connect().sql("select * from (values (1, 'a'), (2, null)) as t(n, word)"),
    }


@pytest.mark.parametrize("kind", outside_tables())
def test_tables_of_every_kind_come_in(kind):
    """Pandas frames, Arrow tables and readers, and relations of other connections are taken."""
    con = connect()
    assert [(1, "a"), (2, None)] == as_relation(con, outside_tables()[kind]).order("n").fetchall()


@pytest.mark.parametrize("kind", ["pandas", "arrow", "duckdb"])
def test_tables_go_out_as_they_came_in(kind):
    """An answer is of the kind of table that was given."""
    given_table = outside_tables()[kind]
    assert type(given_table) is type(same_kind(connect().sql("select 1 as n"), given_table))


@pytest.mark.parametrize("wrong", [[1, 2], {"a": [1]}, "people.csv", None, 7])
def test_what_is_no_table_is_refused(wrong):
    """A list, a dict, a path or nothing is told what would be a table."""
    with pytest.raises(ColumnError, match="must be a pandas DataFrame, an Arrow table or a DuckDB relation"):
        as_relation(connect(), wrong)


def test_connections_keep_to_their_limits():
    """Memory, threads and time zone are set as asked."""
    con = connect(memory_limit_gb=0.5, threads=1)
    asked = "select current_setting('threads'), current_setting('TimeZone'), current_setting('memory_limit')"
    threads, zone, memory = con.execute(asked).fetchall()[0]
    assert (1, "UTC") == (threads, zone)
    assert memory.startswith(("476", "512"))


def test_joins_as_written_hash_the_right_side(tmp_path):
    """The right side of a join is the one that is hashed, though it has more rows; afterwards DuckDB chooses."""
    join = "explain select * from range(10) few(i) join range(1_000_000) many(i) using (i)"

    def sides(lake):
        ((_, plan),) = lake.rows(join)
        return re.findall(r"~([\d,]+) rows", plan.splitlines()[-2])

    with Lakehouse(tmp_path) as lake:
        assert ["1,000,000", "10"] == sides(lake)
        with lake.joins_as_written():
            assert ["10", "1,000,000"] == sides(lake)
        assert ["1,000,000", "10"] == sides(lake)
