"""Commands that answer at once: help, version, settings, init, and what `--columns` may say."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import c360ml
from c360ml.cli import app
from c360ml.cli.commands import parse_columns
from c360ml.cli.template import write_template
from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import ConfigError, ProjectError
from c360ml.sources.naming import field_map

COMMANDS = ("demo", "init", "run", "link", "value", "settings", "version")


def told(*words: str) -> str:
    """What a command prints on a wide screen."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, words)
    assert 0 == result.exit_code, result.output
    return result.output


def test_help_lists_the_commands():
    """`c360ml --help` shows each command with what it does."""
    listed = re.findall(r"^│ (\w+) +\w", told("--help"), re.MULTILINE)
    assert list(COMMANDS) == [word for word in listed if word in COMMANDS]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    """Each command explains itself and its options."""
    assert f"c360ml {command}" in told(command, "--help").replace("root", "c360ml")


def test_version_is_the_package_version():
    """`c360ml version` prints the version and nothing else."""
    assert f"{c360ml.__version__}\n" == told("version")


def test_settings_show_all():
    """`c360ml settings` shows every setting by its full name."""
    shown = told("settings")
    for name, field in Config.model_fields.items():
        if name != "sources":
            for setting in field.annotation.model_fields:
                assert f"{name}.{setting}" in shown
    assert "sources.customer_source" in shown


# ---------------------------------------------------------------------- init
def test_init_makes_a_project(tmp_path):
    """`c360ml init DIR` makes the folders and a config, and says what to do next."""
    folder = tmp_path / "new" / "project"
    assert f"c360ml run --project {folder}" in told("init", str(folder)).replace("\n", " ").replace("  ", " ")
    assert [CONFIG_FILE, "data", "extracts", "labels", "mlruns", "models"] == sorted(
        path.name for path in folder.iterdir()
    )


def test_template_says_the_defaults(tmp_path):
    """The config that init writes is valid and changes no default."""
    config = Config.load(write_template(tmp_path))
    assert Config(sources=config.sources) == config
    assert [("customers", "customers"), ("sales", "sales")] == [(each.name, each.kind) for each in config.sources]
    assert all(field_map(source) for source in config.sources)


def test_template_shows_every_setting_with_its_default(tmp_path):
    """Every setting has a line, and uncommenting those that have a default changes nothing."""
    lines = write_template(tmp_path).read_text("utf-8").splitlines()
    uncommented = [re.sub(r"^# (\w+ = [^ #])", r"\1", line) for line in lines]
    config = Config.parse(tomllib.loads("\n".join(uncommented)))
    assert Config(sources=config.sources) == config
    sections = [field.annotation for name, field in Config.model_fields.items() if name != "sources"]
    for setting in (setting for section in sections for setting in section.model_fields):
        assert any(re.match(rf"# {setting} =", line) for line in lines), setting


def test_init_never_overwrites(tmp_path):
    """A folder that is a project already stays as it is."""
    (tmp_path / CONFIG_FILE).write_text("# mine")
    with pytest.raises(ProjectError, match="init needs a folder without a project"):
        write_template(tmp_path)
    assert "# mine" == (tmp_path / CONFIG_FILE).read_text()


def test_demo_never_writes_into_a_folder_of_others(tmp_path):
    """The demo refuses a folder that holds anything but a project."""
    (tmp_path / "thesis.txt").write_text("precious")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert isinstance(result.exception, ProjectError)
    assert ["thesis.txt"] == [path.name for path in tmp_path.iterdir()]


# ---------------------------------------------------------------------- --columns
NAMES = st.text(st.characters(exclude_characters=",=", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1)


@given(st.dictionaries(NAMES, NAMES, max_size=5))
def test_columns_are_read_as_written(roles):
    """Roles and columns come back whatever they are called, blanks around them cut."""
    assert roles == parse_columns(" , ".join(f" {role} = {column} " for role, column in roles.items()))


def test_attributes_keep_their_names():
    """A column that plays no named role is an attribute with a name of its own."""
    assert {"surname": "last", "attribute:job": "occupation"} == parse_columns("surname=last,attribute:job=occupation")


@pytest.mark.parametrize("text", ["surname", "=last", "surname=", "a=b,a=c", "surname;last"])
def test_columns_that_say_nothing_are_refused(text):
    """An entry without role or column, or a role that comes twice, is shown with an example."""
    with pytest.raises(ConfigError, match=r'role=column.*e\.g\. --columns "given_name=first_name'):
        parse_columns(text)
