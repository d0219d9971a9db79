"""Bad input: each fault is one clear line or a counted dead letter, and nothing is half done."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from fault_projects import CONFIG, CUSTOMERS, SALES, own_project

from c360ml import tables
from c360ml.cli import main
from c360ml.errors import ColumnError, ConfigError, DataError, SourceError
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import STEPS, run_pipeline, value_table

CUSTOMER_HEADER, SALE_HEADER = CUSTOMERS[0], SALES[0]
SALES_BLOCK = CONFIG.index('[[sources]]\nname = "sales"')
RUBBISH = bytes((7 * n * n + 13) % 256 for n in range(4_000))


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


# what is spoiled, the error, and what its message must name
REFUSED = {
    "an empty file": ({"customers": b"\n"}, SourceError, r"extracts/customers\.csv must be .*Got an empty file"),
    "a file of rubbish": ({"customers": RUBBISH}, SourceError, r"extracts/customers\.csv must be"),
    "prose": ({"sales": "lorem ipsum\n" * 9}, SourceError, r"extracts/sales\.csv must start with a header line"),
    "a web page": (
        {"sales": "<html>Session expired</html>"},
        SourceError,
        r"extracts/sales\.csv .*Got XML or a web page",
    ),
    "a workbook": ({"sales": b"PK\x03\x04" + RUBBISH}, SourceError, r"extracts/sales\.csv .*Excel workbook"),
    "UTF-16": ({"sales": lines(*SALES).encode("utf-16")}, SourceError, r"extracts/sales\.csv .*Got UTF-16 text"),
    "a wrong encoding": (
        {"customers": lines(*CUSTOMERS, "900,Zoë,Zimmer,,,").encode("latin-1")},
        SourceError,
        r"extracts/customers\.csv must be UTF-8 text\. Got bytes that are not UTF-8 in line 18",
    ),
    "no key column": (
        {"customers": lines(*(row.partition(",")[2] for row in CUSTOMERS))},
        ColumnError,
        r"extracts/customers\.csv must have a column for source_key: id",
    ),
    "no amount column": (
        {"sales": lines(*(row.rpartition(",")[0] for row in SALES))},
        ColumnError,
        r"extracts/sales\.csv must have a column for amount: amount",
    ),
    "most rows of another width": (
        {"sales": lines(SALE_HEADER, *["1,2"] * 9)},
        SourceError,
        r"extracts/sales\.csv must have the 4 fields of its header",
    ),
    "all columns empty": (
        {"customers": lines(CUSTOMER_HEADER, *(f"{n},,,,," for n in range(9)))},
        DataError,
        r"at least one column must hold two different values",
    ),
    "one record": ({"customers": lines(*CUSTOMERS[:2])}, DataError, r"linkage needs at least two records\. Got 1"),
    "no record": ({"customers": lines(CUSTOMER_HEADER)}, DataError, r"linkage needs at least two records\. Got 0"),
    "no file": (
        {"config": CONFIG.replace("sales.csv", "deals*.csv")},
        SourceError,
        r"source sales must have at least one file\. Got nothing matches extracts/deals\*\.csv",
    ),
    "no source": ({"config": "[value]\nhorizon_weeks = 4\n"}, ConfigError, r"at least one source"),
    "sales alone": ({"config": CONFIG[SALES_BLOCK:]}, ConfigError, r"source sales must name the `customer_source`"),
    "an unknown setting": (
        {"config": CONFIG + "[value]\nhorizon = 4\n"},
        ConfigError,
        r"setting value\.horizon is wrong.*c360ml settings",
    ),
    "a setting out of range": (
        {"config": CONFIG + "[linkage]\nmatch_probability_threshold = 1.5\n"},
        ConfigError,
        r"setting linkage\.match_probability_threshold is wrong",
    ),
    "a column of the file that is not there": (
        {"config": CONFIG.replace('amount = "amount"', 'amount = "price"')},
        ColumnError,
        r"extracts/sales\.csv must have a column for amount: price",
    ),
    "a column of ours that is none": (
        {"config": CONFIG.replace('amount = "amount"', 'amont = "amount"')},
        ConfigError,
        r"`columns` of source sales must be columns of kind sales\. Got unknown: amont",
    ),
    "damaged settings": ({"config": CONFIG + "[value\n"}, ConfigError, r"c360ml\.toml must be valid TOML"),
    "missing labels": (
        {"config": CONFIG + '[evaluation]\ntrue_ids = "labels/true.csv"\n'},
        SourceError,
        r"\[evaluation\] true_ids must name a CSV or Parquet file of the project\. Got no file labels/true\.csv",
    ),
    "labels without their columns": (
        {"config": CONFIG + '[evaluation]\ntrue_ids = "extracts/sales.csv"\n'},
        ColumnError,
        r"extracts/sales\.csv must have the columns record_id, true_id",
    ),
}


def tell(argv: list[str], monkeypatch, capsys) -> str:
    """Run the command line, which must refuse with exit code 2, and give what it says on stderr."""
    monkeypatch.setattr(sys, "argv", ["c360ml", *map(str, argv)])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert 2 == ended.value.code, told.out + told.err
    assert "Traceback" not in told.out + told.err
    return told.err


def unfinished(folder: Path) -> list[str]:
    """Files that are neither whole nor gone."""
    return [path.name for path in folder.rglob("*") if ".partial" in path.name or ".tmp" in path.name]


@pytest.mark.parametrize("fault", REFUSED)
def test_fault_is_one_clear_line(fault, tmp_path, monkeypatch, capsys):
    """A project that cannot be run ends with exit code 2 and one line that names file or setting."""
    spoiled, error, told = REFUSED[fault]
    project = own_project(tmp_path / "project", **spoiled)
    with pytest.raises(error, match=told) as raised:
        run_pipeline(project)
    line = tell(["run", "--project", project], monkeypatch, capsys)
    assert f"{error.__name__}: {raised.value}\n" == line


@pytest.mark.parametrize("fault", REFUSED)
def test_fault_leaves_nothing_half_done(fault, tmp_path):
    """What a refused run leaves are whole tables of finished steps, and no gold."""
    spoiled, error, _ = REFUSED[fault]
    project = own_project(tmp_path / "project", **spoiled)
    with pytest.raises(error):
        run_pipeline(project)
    assert [] == unfinished(project)
    with Lakehouse(project) as lake:
        done = (lake.read_json("data/manifest.json") or {"steps": {}})["steps"]
        assert [step.name for step in STEPS[: len(done)]] == list(done)
        for table in (table for step in STEPS if step.name in done for table in step.writes):
            lake.rows(f"select count(columns(*)) from {lake.open(table)}")
        assert [] == [table.path for table in tables.ALL if table.layer == "gold" and lake.version(table) is not None]


def test_a_fault_in_a_running_project_keeps_its_answers(tmp_path):
    """When a new extract cannot be read, the tables of the last run stay, and the next good one goes on."""
    project = own_project(tmp_path / "project")
    run_pipeline(project)
    sales = project / "extracts" / "sales.csv"
    good = sales.read_text()
    sales.write_bytes(RUBBISH)
    with pytest.raises(SourceError):
        run_pipeline(project)
    with Lakehouse(project) as lake:
        assert 8 == lake.one(f"select count(*) from {lake.open(tables.CUSTOMER_360)}")
    sales.write_text(good)
    assert not run_pipeline(project).changed


# ---------------------------------------------------------------------- faults that a run survives
def test_bad_rows_become_dead_letters(tmp_path):
    """Duplicate ids, days to come, rows cut short and amounts that are none are refused one by one, with counts."""
    project = own_project(
        tmp_path / "project",
        customers=lines(*CUSTOMERS, *CUSTOMERS[1:4], ",No,Key,,,"),
        sales=lines(
            *SALES,
            "901,10,2999-01-01,5",
            "902,10,2024-05-01,abc",
            "903,10,2024-05-01,",
            "904,10,2024-05-01,nan",
            "905,10,2024-05-01,1e400",
            "906,10",
            "907,10,2024-05-01,5,6",
            "908,,2024-05-01,5",
            "909,10,someday,5",
            "910,10,,5",
            '911,10,2024-05-01,"$1,200.50"',
        ),
    )
    result = run_pipeline(project)
    assert {
        "crm:duplicate_key": 3,
        "crm:key_missing": 1,
        "sales:amount_invalid": 3,
        "sales:amount_missing": 1,
        "sales:customer_missing": 1,
        "sales:date_in_future": 1,
        "sales:date_invalid": 1,
        "sales:date_missing": 1,
        "sales:row_unreadable": 2,
    } == result.summary("validate")["rejected_by_reason"]
    assert 8 == result.summary("identify")["customers"]
    assert 3480.0 + 1200.5 == result.summary("value")["historical_value"]
    with Lakehouse(project) as lake:
        raw = lake.one(f"select raw from {lake.open(tables.DEAD_LETTERS)} where reason = 'date_in_future'")
    assert {"order_id": "901", "customer_id": "10", "date": "2999-01-01", "amount": "5"} == json.loads(raw)


SURVIVED = {
    "refunds": ({"sales": lines(*SALES, "901,10,2024-05-01,-5")}, 8, 8, 3475.0),
    "refunds alone": ({"sales": lines(SALE_HEADER, "1,10,2024-05-01,-5", "2,20,2024-05-02,-7")}, 8, 0, 0.0),
    "no purchase": ({"sales": lines(SALE_HEADER)}, 8, 0, 0.0),
    "one source": ({"config": CONFIG[:SALES_BLOCK]}, 8, 0, 0.0),
    "one purchase": ({"sales": lines(*SALES[:2])}, 8, 1, 101.5),
    "sales to nobody we know": ({"sales": lines(*SALES, "901,999,2024-05-01,70")}, 8, 8, 3480.0),
    "columns without a value": (
        {"customers": lines(CUSTOMER_HEADER, *(",".join(row.split(",")[:4]) + ",," for row in CUSTOMERS[1:]))},
        None,
        8,
        3480.0,
    ),
}


@pytest.mark.parametrize("fault", SURVIVED)
def test_thin_data_runs_through(fault, tmp_path):
    """Refunds, no purchases, no events, a single source or empty columns: every customer has a row all the same."""
    spoiled, customers, buyers, historical_value = SURVIVED[fault]
    project = own_project(tmp_path / "project", **spoiled)
    result = run_pipeline(project)
    assert customers in (None, result.summary("identify")["customers"])
    value = result.summary("value")
    assert (buyers, historical_value) == (value["customers"], value["historical_value"])
    assert not value["fitted"] and value["reason"]
    with Lakehouse(project) as lake:
        assert result.summary("identify")["customers"] == lake.one(
            f"select count(*) from {lake.open(tables.CUSTOMER_360)}"
        )


def test_absurd_amount_is_refused_or_counted(tmp_path):
    """An amount beyond all money stops no run: it is a dead letter."""
    project = own_project(tmp_path / "project", sales=lines(*SALES, "901,10,2024-05-01,1e300"))
    assert {"sales:amount_invalid": 1} == run_pipeline(project).summary("validate")["rejected_by_reason"]


# ---------------------------------------------------------------------- one file: link and value
ROLES = "given_name=first_name,surname=last_name,email=email,phone=phone,postcode=zip"
LINK_FAULTS = {
    "no file": ({"file": "nothing.csv"}, r"SourceError: nothing\.csv must be a file"),
    "an empty file": ({"content": ""}, r"SourceError: people\.csv .*empty file"),
    "rubbish": ({"content": RUBBISH}, r"SourceError: people\.csv must be"),
    "a wrong encoding": (
        {"content": lines(*CUSTOMERS, "900,Zoë,Zim,,,").encode("latin-1")},
        r"SourceError: people\.csv must be UTF-8 text\. Got bytes that are not UTF-8 in line 18",
    ),
    "a header alone": ({"content": lines(CUSTOMER_HEADER)}, r"SourceError: people\.csv must have at least one row"),
    "one record": ({"content": lines(*CUSTOMERS[:2])}, r"DataError: linkage needs at least two records"),
    "all columns empty": (
        {"content": lines(CUSTOMER_HEADER, *(f"{n},,,,," for n in range(9)))},
        r"DataError: at least one column must hold two different values",
    ),
    "no id column": ({"--id": "key"}, r"ColumnError: every named column must be in the table\. Got no column key"),
    "no id column beside truth": ({"--id": "key", "--truth": "id"}, r"ColumnError: .*\. Got no column key"),
    "ids that repeat": ({"--id": "zip"}, r"DataError: ids must be unique"),
    "an unknown column": ({"--columns": "surname=family"}, r"ColumnError: .*Got no column family"),
    "an unknown role": ({"--columns": "nickname=last_name"}, r"ColumnError: a role must be one of .*Got nickname"),
    "a role without column": ({"--columns": "surname"}, r"ConfigError: --columns must be role=column"),
    "a role twice": ({"--columns": "surname=last_name,surname=zip"}, r"ConfigError: --columns must be role=column"),
    "no role": ({"--columns": ""}, r"ColumnError: at least one column must have a role"),
    "no truth column": ({"--truth": "who"}, r"ColumnError: the truth column must be in the table\. Got who"),
    "truth that is compared": ({"--truth": "zip"}, r"ColumnError: the truth column must not be compared"),
    "an unknown source column": ({"--source": "system"}, r"ColumnError: .*Got no column system"),
    "a threshold above one": ({"--threshold": "2"}, r"ConfigError: threshold must be a probability"),
}
VALUE_FAULTS = {
    "no file": ({"file": "nothing.csv"}, r"SourceError: nothing\.csv must be a file"),
    "an empty file": ({"content": ""}, r"SourceError: sales\.csv .*empty file"),
    "rubbish": ({"content": RUBBISH}, r"SourceError: sales\.csv must be"),
    "no amount column": ({"--amount": "price"}, r"ColumnError: .*price"),
    "no quantity column": ({"--quantity": "units"}, r"ColumnError: .*units"),
    "dates that are none": ({"--date": "amount"}, r"DataError: every date must be a date"),
    "amounts that are none": ({"--amount": "date"}, r"DataError: every amount must be a plain number"),
    "amounts beyond all money": (
        {"content": lines(*SALES, "901,10,2024-05-01,1e300")},
        r"DataError: every amount must be a plain number",
    ),
    "no customer": (
        {"content": lines(SALE_HEADER, "1,,2024-05-01,5", "2,,2024-05-01,5")},
        r"DataError: .*with a customer",
    ),
    "refunds alone": (
        {"content": lines(SALE_HEADER, "1,10,2024-05-01,-5")},
        r"DataError: there must be at least one purchase",
    ),
    "a day that is none": ({"--observation-end": "yesterday"}, r"DataError: a day must be a date or ISO text"),
    "an end before all": ({"--observation-end": "1999-01-01"}, r"DataError: there must be at least one purchase by"),
}


def refuse(
    command: str, name: str, rows: list[str], options: dict, fault: dict, folder: Path, monkeypatch, capsys
) -> str:
    """Run a one-file command with a fault; nothing may be left in the folder of answers."""
    content = fault.pop("content", lines(*rows))
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(folder)
    options = options | {key: value for key, value in fault.items() if key.startswith("--")} | {"--out": "answers"}
    told = tell(
        [command, fault.get("file", name), *(each for pair in options.items() for each in pair)], monkeypatch, capsys
    )
    assert not Path("answers").exists()
    assert 1 == told.count("\n")
    return told


@pytest.mark.parametrize("fault", LINK_FAULTS)
def test_link_refuses_in_one_line(fault, tmp_path, monkeypatch, capsys):
    """`c360ml link` on a file or with a column that will not do says so in one line and writes nothing."""
    spoiled, expected = LINK_FAULTS[fault]
    options = {"--id": "id", "--columns": ROLES}
    told = refuse("link", "people.csv", CUSTOMERS, options, dict(spoiled), tmp_path, monkeypatch, capsys)
    assert re.match(expected, told), told


@pytest.mark.parametrize("fault", VALUE_FAULTS)
def test_value_refuses_in_one_line(fault, tmp_path, monkeypatch, capsys):
    """`c360ml value` on a file or with a column that will not do says so in one line and writes nothing."""
    spoiled, expected = VALUE_FAULTS[fault]
    options = {"--customer": "customer_id", "--date": "date", "--amount": "amount"}
    told = refuse("value", "sales.csv", SALES, options, dict(spoiled), tmp_path, monkeypatch, capsys)
    assert re.match(expected, told), told


def test_value_leaves_out_days_to_come(tmp_path):
    """A sale dated in the future is left out and counted, and does not make all customers look long gone."""
    (tmp_path / "sales.csv").write_text(lines(*SALES, "901,10,2999-01-01,70"))
    options = {"customer": "customer_id", "date": "date", "amount": "amount", "out": tmp_path / "answers"}
    valued = value_table(tmp_path / "sales.csv", **options)
    assert 3480.0 == valued.metrics["historical_value"]
    assert max(valued.customers["age_weeks"].to_pylist()) < 500


@pytest.mark.parametrize("command", [["init"], ["link", "x.csv", "--id", "a", "--columns", "b=c", "--out"]])
def test_a_file_in_place_of_a_folder_is_refused(command, tmp_path, monkeypatch, capsys):
    """A file where a folder must be is told before any work."""
    (tmp_path / "file").write_text("precious")
    told = tell([*command, tmp_path / "file"], monkeypatch, capsys)
    assert "is a file" in " ".join(told.replace("│", " ").split())
    assert "precious" == (tmp_path / "file").read_text()
