"""`c360ml blocking`: a table, a page and a file that say which rules a table of people needs."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from c360ml.cli import app
from c360ml.errors import ColumnError

GIVEN = ("ann", "bob", "carla", "dan", "eva", "finn", "gina", "hugo", "ida", "jon", "kim", "leo", "mona", "ned", "olga")
COLUMNS = "given_name=first,surname=last,email=mail,date_of_birth=born"


def run(*words: object) -> str:
    """Run a command that must succeed; gives what it prints."""
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(word) for word in words])
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Forty people twice, the second time without birth date or e-mail; a desk shares one address."""
    rows = []
    for n in range(40):
        person = {"first": GIVEN[n % 15], "last": f"sur{n % 13}", "born": f"19{50 + n}-0{1 + n % 9}-11", "who": f"w{n}"}
        mail = "desk@shop.biz" if n < 9 else f"m{n}@x.org"
        rows.append({**person, "key": f"a{n}", "mail": mail})
        rows.append(
            {**person, "key": f"b{n}", "mail": mail if n % 2 else None, "born": person["born"] if n % 3 else None}
        )
    path = tmp_path_factory.mktemp("blocking") / "people.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def blocked(table, tmp_path_factory):
    """What the command printed, and the folder that it wrote."""
    out = tmp_path_factory.mktemp("blocked")
    return run("blocking", table, "--id", "key", "--columns", COLUMNS, "--truth", "who", "--out", out), out


def test_it_prints_rules_totals_and_recall(blocked):
    """The tables name the chosen rules, hub values, and recall both estimated and true."""
    printed, out = blocked
    report = json.loads((out / "blocking.json").read_text())
    first = next(rule for rule in report["rules"] if rule["chosen"])

    assert all(word in printed for word in (first["rule"], "candidate pairs", "estimated recall", "true recall"))
    assert f"{report['true_recall']['recall']:.4f}" in printed
    assert "1 email" in printed


def test_page_has_charts_and_no_personal_data(blocked):
    """The page draws rules, recall and hubs, and holds no name or e-mail of the table."""
    page = (blocked[1] / "report.html").read_text()

    assert all(title in page for title in ("Estimated recall against candidate pairs", "Pairs that each rule adds"))
    assert "Hub values by kind" in page
    assert not any(value in page for value in ("desk@shop.biz", "m17@x.org", "1967-09-11"))


def test_without_truth_nothing_is_said_of_it(table, tmp_path):
    """Without --truth there is an estimate only."""
    printed = run("blocking", table, "--id", "key", "--columns", COLUMNS, "--out", tmp_path)

    assert "estimated recall" in printed
    assert "true recall" not in printed


def test_truth_must_not_be_compared(table, tmp_path):
    """A truth column with a role is refused."""
    with pytest.raises(ColumnError, match="no role"):
        run("blocking", table, "--id", "key", "--columns", COLUMNS, "--truth", "mail", "--out", tmp_path)
