"""`c360ml demo`, `init` and `run`: a whole project from the command line."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from c360ml import tables
from c360ml.cli import app
from c360ml.lakehouse import Lakehouse

# Files of the columns that the config of `c360ml init` names.
CUSTOMERS = "id,first_name,last_name,email,phone,date_of_birth,address,city,state,zip\n" + "".join(
    f"{n}{twin},{'Al' if twin else 'Albert'},{surname},{surname.lower()}@post.net,405-555-01{n:02},1970-03-{n:02},"
    f"{n} Oak St,Tulsa,OK,7410{n % 4}\n"
    for n, surname in enumerate(["Archer", "Baker", "Cooper", "Draper", "Evans", "Fisher", "Gardner", "Hunter"], 10)
    for twin in (0, 1)
)
SALES = "order_id,customer_id,date,amount\n" + "".join(
    f"{order},{10 + order % 8}{order % 2},2024-0{1 + order % 9}-1{order % 7},{100 + order}.50\n"
    for order in range(1, 31)
)


def run(*words: object) -> str:
    """Run a command that must succeed; gives what it prints."""
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(word) for word in words])
    if result.exception:
        raise result.exception
    return result.output


def runs_in_mlflow(folder: Path) -> int:
    """Count the runs in a project's MLflow store."""
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as con:
        return con.execute("select count(*) from runs").fetchone()[0]


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> tuple[Path, str]:
    """A project made by init, given two files and run, and what that printed."""
    folder = tmp_path_factory.mktemp("own") / "project"
    run("init", folder)
    (folder / "extracts" / "customers.csv").write_text(CUSTOMERS)
    (folder / "extracts" / "sales.csv").write_text(SALES)
    return folder, run("run", "--project", folder)


@pytest.mark.slow
def test_own_files_run_without_a_change_to_the_config(own):
    """Files with the columns that init's config names run through, and every answer is where the screen says."""
    folder, printed = own
    for place in ("report.html", "data/3_gold/customer_360", "models/linkage.json", "mlruns/mlflow.db"):
        assert (folder / place).exists(), place
    assert str(folder / "report.html") in "".join(printed.split())
    with Lakehouse(folder) as lake:
        assert 8 == lake.one(f"select count(*) from {lake.open(tables.CUSTOMER_360)}")
        assert 3480.0 == lake.one("select sum(historical_value) from gold.customer_360")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "figure"),
    [("rows read", "46 from 2 files"), ("rows rejected", "0"), ("customer records", "16"), ("master customers", "8")],
)
def test_screen_tells_what_was_found(own, row, figure):
    """The tables at the end say what was read, refused and resolved."""
    assert re.search(rf"^{row} +{figure}\s*$", own[1], re.MULTILINE), own[1]


@pytest.mark.slow
def test_nothing_personal_reaches_mlflow(own):
    """No file of the MLflow store, database, artifact or model, holds an address or a name of a customer."""
    words = (b"post.net", b"Archer", b"archer", b"405-555", b"+1405555", b"Oak St")
    files = [path for path in (own[0] / "mlruns").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [] == [(path.name, word) for path in files for word in words if word in path.read_bytes()]


@pytest.mark.slow
def test_unchanged_rerun_says_so(own):
    """A rerun of unchanged input says so, and leaves report and MLflow alone."""
    folder, _ = own
    before = (runs_in_mlflow(folder), (folder / "report.html").read_bytes())
    assert "Nothing changed since the last run" in run("run", "--project", folder)
    assert before == (runs_in_mlflow(folder), (folder / "report.html").read_bytes())


@pytest.mark.slow
def test_lost_report_is_made_again(own):
    """A report that was deleted is made again, though no step has to run."""
    folder, _ = own
    (folder / "report.html").unlink()
    run("run", "--project", folder)
    assert (folder / "report.html").is_file()


@pytest.mark.slow
def test_demo_shows_everything(tmp_path):
    """The demo makes a world, runs it, and shows counts, accuracy, parameters, value, segments and places."""
    printed = run("demo", "--customers", 300, "--seed", 5, "--out", tmp_path / "demo")
    for told in (
        "rows read",
        "rows rejected",
        "candidate pairs",
        "master customers",
        "households",
        "pairwise, true ids",
        "B-cubed, true ids",
        "pairwise, labelled pairs",
        "historical CLV",
        "tier VIP",
        "RFM Champions",
        "Spring test drive",
        "report.html",
        "mlflow server --backend-store-uri",
    ):
        assert told in printed, told
    assert (tmp_path / "demo" / "report.html").is_file()
    assert "Nothing changed" in run("run", "--project", tmp_path / "demo")
