"""What README and CHANGELOG say is so: commands, settings, code blocks, paths, version; tests say what they keep."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer.main
from rich.table import Table

import c360ml
import c360ml.errors
from c360ml.cli import app
from c360ml.cli.template import settings_table
from c360ml.config import Config, Section, Source
from c360ml.standardize.records import ROLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
COMMANDS = typer.main.get_command(app).commands
SHOWN_IN_PYTHON = (
    "BgNbd",
    "GammaGamma",
    "KMeansSegmenter",
    "LinkageModel",
    "RfmScorer",
    "customer_lifetime_value",
    "purchase_history",
)


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def block(name: str) -> str:
    found = re.search(rf"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", README, re.DOTALL)
    assert found, f"README has no block {name}"
    return found[1].strip()


def options(command: str) -> set[str]:
    of_group = getattr(COMMANDS[command], "commands", {}).values()
    parameters = [each for part in (COMMANDS[command], *of_group) for each in part.params]
    return {option for parameter in parameters for option in parameter.opts} | {"--help"}


# ---------------------------------------------------------------------- commands
def test_readme_starts_with_the_two_commands():
    """The first two commands that a newcomer sees are the demo and the tests, word for word."""
    first, second = code_blocks("bash")[:2]
    assert "pip install . && c360ml demo" in first.splitlines()
    assert 'pip install ".[test]" && pytest -n auto --dist loadfile' in second.splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command):
    """Each command has a row in the README's table of commands, with the options it cannot do without."""
    row = re.search(rf"^\| `c360ml {command}\b.*", README, re.MULTILINE)
    assert row
    required = {parameter.opts[0] for parameter in COMMANDS[command].params if parameter.required}
    assert set() == {option for option in required if option.startswith("--") and option not in row[0]}
    assert COMMANDS[command].help


def test_commands_of_the_readme_exist():
    """Every `c360ml` line of the README names a command and options that there are."""
    lines = [line for text in code_blocks("bash") for line in text.splitlines()]
    lines += re.findall(r"`(c360ml [^`]*)`", README)
    told = [shlex.split(part, comments=True) for line in lines for part in line.split("&&") if "c360ml " in part]
    calls = [words[1:] for words in told if words[0] == "c360ml"]
    assert len(calls) > 10
    for command, *words in calls:
        named = {word.strip("[]") for word in words if word.strip("[]").startswith("--")}
        assert set() == named - options(command), command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help(command):
    """Each option says what it is for."""
    assert [] == [parameter.name for parameter in COMMANDS[command].params if not parameter.help]


def test_readme_names_the_column_roles():
    """The README lists the roles of `c360ml link`, all of them in their order."""
    listed = re.search(r"Roles: `([^`]*)`", README)
    assert list(ROLES) == re.split(r",\s+", listed[1])


# ---------------------------------------------------------------------- settings
def settings() -> list[str]:
    sections = {name: field.annotation for name, field in Config.model_fields.items() if name != "sources"}
    return [
        f"{name}.{setting}"
        for name, section in {**sections, "sources": Source}.items()
        if issubclass(section, Section)
        for setting in section.model_fields
    ]


@pytest.mark.parametrize("setting", settings())
def test_every_setting_is_in_the_readme(setting):
    """Each setting has a row in the README's table of settings."""
    assert f"| `{setting}` |" in block("settings")


def test_settings_of_the_readme_are_those_of_the_program():
    """The README's table of settings says what `c360ml settings` says, defaults and meanings."""
    table: Table = settings_table()
    rows = list(zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True))
    expected = [f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |" for name, default, meaning in rows]
    assert expected == block("settings").splitlines()[2:]


# ---------------------------------------------------------------------- code and figures
@pytest.mark.parametrize("code", code_blocks("python"), ids=lambda code: code.split()[-1][:30])
def test_python_of_the_readme_runs(code, tmp_path, monkeypatch, capsys):
    """Each Python block of the README runs by itself, prints something, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", re.findall(r"<!-- (.*?): begin -->", README))
def test_no_block_of_the_readme_is_empty(name):
    """What the README announces as printed by a program is there."""
    assert block(name)


def test_paths_of_the_readme_exist():
    """Files and folders that the README names are in the repository."""
    named = set(re.findall(r"`((?:c360ml|experiments|tests|notebooks|data/sample)/[\w./-]*)`", README))
    assert named
    assert set() == {path for path in named if not (ROOT / path).exists()}


@pytest.mark.parametrize("name", SHOWN_IN_PYTHON)
def test_python_names_show_an_example(name):
    """What users call from Python shows itself in its docstring and in the README."""
    assert ">>>" in getattr(c360ml, name).__doc__
    assert name in "".join(code_blocks("python"))


# ---------------------------------------------------------------------- docstrings
ROOMS = sorted(path.parent.name for path in (ROOT / "c360ml").glob("*/__init__.py") if path.parent.name != "cli")
"""Rooms that users import from; a command's docstring is its help."""


def callables_of(room: str) -> Iterator[tuple[str, Callable[..., object]]]:
    """Functions that a room shows, and the methods of its classes that are written in c360ml."""
    module = import_module(f"c360ml.{room}")
    for name in getattr(module, "__all__", ()):
        shown = getattr(module, name)
        if inspect.isfunction(shown):
            yield name, shown
        elif inspect.isclass(shown):
            methods = inspect.getmembers(shown, lambda each: inspect.isfunction(each) or inspect.ismethod(each))
            for part, method in methods:
                if not part.startswith("_") and method.__module__.startswith("c360ml."):
                    yield f"{name}.{part}", method


@pytest.mark.parametrize("room", ROOMS)
def test_public_docstrings_tell_arguments_and_errors(room):
    """A docstring with arguments tells all of them, and every error of ours that is raised there is named."""
    missing = {}
    for name, shown in callables_of(room):
        text = inspect.getdoc(shown) or ""
        arguments = [each for each in inspect.signature(shown).parameters if each not in {"self", "cls"}]
        told = re.findall(r"^ +(\w+): ", text.partition("Args:")[2], re.MULTILINE)
        untold = [each for each in arguments if told and each not in told]
        raised = set(re.findall(r"raise (\w+Error)\(", inspect.getsource(shown))) - {"AttributeError"}
        silent = sorted(error for error in raised if error not in text and hasattr(c360ml.errors, error))
        if not text or untold or silent:
            missing[name] = [*untold, *silent]
    assert {} == missing


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_shows_says_what_it_is_for(room):
    """Each name of a room's `__all__` that is a class or a function opens with one sentence."""
    module = import_module(f"c360ml.{room}")
    shown = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    told = {
        name: inspect.getdoc(each) or ""
        for name, each in shown.items()
        if inspect.isroutine(each) or inspect.isclass(each)
    }
    assert [] == [name for name, text in told.items() if not text.split("\n")[0].endswith((".", ":"))]


# ---------------------------------------------------------------------- pages of models
PAGES = sorted(path for path in (ROOT / "models").glob("*.md") if path.name != "README.md")
PARTS = ("Answers", "Formula", "Supposes", "When it fails, and what is said then", "Parameters", "Source")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_model_pages_run(page):
    """The example of a model's page gives what the page says."""
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted >= 3
    assert found.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_model_pages_are_whole(page):
    """Each page tells what the model answers, formula, suppositions, failures, parameters and source; it is linked."""
    text = page.read_text("utf-8")
    assert [] == [part for part in PARTS if f"**{part}**" not in text and f"**{part}.**" not in text]
    assert f"({page.name})" in (ROOT / "models" / "README.md").read_text("utf-8")
    assert "$" in text


def test_every_estimator_has_a_page():
    """Each public model is named on a page of its own."""
    told = "".join(page.read_text("utf-8") for page in PAGES)
    models = ("LinkageModel", "BgNbd", "MbgNbd", "ParetoNbd", "GammaGamma", "RfmScorer", "KMeansSegmenter")
    assert [] == [name for name in models if f".{name}`" not in told]


# ---------------------------------------------------------------------- notebooks
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.py"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_say_what_they_teach_and_why(path):
    """A notebook opens with what one learns, draws charts, and uses no magic, no sleep, no absolute path."""
    text = path.read_text("utf-8")
    cells = re.split(r"^# %%", text, flags=re.MULTILINE)[1:]
    prose = [cell for cell in cells if cell.startswith(" [markdown]")]
    assert "You will learn" in prose[0]
    assert re.search(r"alt\.Chart|plot_", text)
    assert not re.search(r"^[%!]|sleep\(|[\"']/[a-z]+/", text, re.MULTILINE)
    assert 2 * len(prose) >= len(cells) - len(prose)
    assert [f"{number:02d}" for number in range(1, len(NOTEBOOKS) + 1)] == [each.name[:2] for each in NOTEBOOKS]


# ---------------------------------------------------------------------- version
def test_changelog_tells_of_this_version():
    """The newest entry of the changelog is the package's version, and entries are dated."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    entries = re.findall(r"^## \[(.*?)\](?: - (\d{4}-\d\d-\d\d))?$", changelog, re.MULTILINE)
    released = [entry for entry in entries if entry[0] != "Unreleased"]
    assert c360ml.__version__ == released[0][0]
    assert all(day for _, day in released)


def test_version_is_written_once():
    """The version is that of the package; pyproject.toml takes it from there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert ["version"] == project["project"]["dynamic"]
    assert {"attr": "c360ml.__version__"} == project["tool"]["setuptools"]["dynamic"]["version"]


# ---------------------------------------------------------------------- tests
def rules_of(path: Path) -> list[ast.FunctionDef]:
    """Find the test functions of a module."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_every_test_says_its_rule(path):
    """Each test has a docstring of one sentence: the rule that it keeps."""
    told = {node.name: ast.get_docstring(node) or "" for node in rules_of(path)}
    several = re.compile(r"[.!?]\s+[A-Z]")
    assert told
    assert [] == [
        name for name, text in told.items() if not text.endswith(".") or several.search(text) or "\n\n" in text
    ]


def test_test_files_have_names_of_their_own():
    """No two test files share a name, since pytest imports them by it."""
    names = [path.name for path in TESTS]
    assert len(names) == len(set(names))
