"""`c360ml id explain` and `c360ml forget`: the story of an ID, and the questions before an erasure."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from c360ml import tables
from c360ml.cli import app
from c360ml.errors import ConfigError, DataError
from c360ml.lakehouse import Lakehouse

RUNNER = CliRunner(env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def known(small_world_project):
    """A record of the small world and its master ID."""
    with Lakehouse(small_world_project) as lake:
        return lake.rows(f"select record_id, master_id from {lake.open(tables.IDENTITIES)} order by all limit 1")[0]


def test_explain_tells_of_a_living_id(small_world_project, known):
    """The story of an ID says that it is living, which records it has, when it was created and why."""
    record, master = known
    result = RUNNER.invoke(app, ["id", "explain", master, "--project", str(small_world_project)])
    assert 0 == result.exit_code, result.output
    assert all(word in result.output for word in (f"{master}: it is living", record, "created with", "first run"))


@pytest.mark.parametrize(("as_of", "said"), [("2020-01-01", "it was not there"), ("2999-01-01", "it belonged to")])
def test_explain_tells_who_a_record_was(small_world_project, known, as_of, said):
    """A record is told of as of any day: before the first run it was nobody, later it is its customer."""
    words = ["id", "explain", "--record", known[0], "--as-of", as_of, "--project", str(small_world_project)]
    result = RUNNER.invoke(app, words)
    assert f"as of {as_of} {said}" in result.output


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["id", "explain", "no-such-id"], DataError),
        (["id", "explain", "--record", "crm:nobody"], DataError),
        (["id", "explain"], ConfigError),
        (["id", "explain", "x", "--as-of", "2020-01-01"], ConfigError),
        (["forget", "--record", "crm:nobody", "--yes"], DataError),
        (["forget"], ConfigError),
        (["forget", "--record", "a", "--master-id", "b"], ConfigError),
    ],
)
def test_what_is_unknown_or_unclear_is_an_error_of_ours(small_world_project, words, error):
    """An unknown ID or record, and a question that names nobody or two, is one clear line."""
    result = RUNNER.invoke(app, [*words, "--project", str(small_world_project)])
    assert isinstance(result.exception, error)


def test_forget_asks_first(small_world_copy, known):
    """Without --yes the command shows the records and asks; no erases nothing."""
    words = ["forget", "--record", known[0], "--project", str(small_world_copy)]
    result = RUNNER.invoke(app, words, input="n\n")
    assert known[0] in result.output
    assert "Nothing was erased." in result.output
