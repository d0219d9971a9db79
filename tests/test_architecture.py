"""The shape of the package: which room may do what, and in which order the steps flow."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from c360ml import tables
from c360ml.config import Config
from c360ml.pipeline import STEPS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "c360ml"
MODULES = sorted(PACKAGE.rglob("*.py"))
HOMES = {
    "deltalake": {"lakehouse", "spark"},
    "duckdb": {"lakehouse"},
    "lifetimes": {"customer_value"},
    "mlflow": {"tracking", "serving"},
    "pyspark": {"spark"},
    "sklearn": {"segments", "linkage"},
    "splink": {"linkage"},
    "sqlglot": {"row_sql"},
}
MOST_LINES = 400
PUBLIC_INDEXES = {"pypi.org", "files.pythonhosted.org"}


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported_libraries(tree: ast.Module) -> set[str]:
    """First names of all imports that happen at run time, import_module("...") among them."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for statement in node.body
        for inner in ast.walk(statement)
    }
    names = [name for node in ast.walk(tree) if id(node) not in for_types for name in _names(node)]
    return {name.partition(".")[0] for name in names}


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=aliases):
            return [alias.name for alias in aliases]
        case ast.ImportFrom(module=str(module), level=0):
            return [module]
        case ast.Call(func=ast.Name(id="import_module" | "__import__"), args=[ast.Constant(value=str(name)), *_]):
            return [name]
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
            return [name]
    return []


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_heavy_libraries_stay_in_their_homes(path):
    """A heavy library is imported only by the rooms that are its home, so that its next version touches one folder."""
    strangers = {
        library
        for library in imported_libraries(parse(path))
        if room_of(path) not in HOMES.get(library, {room_of(path)})
    }
    assert set() == strangers


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_modules_are_short_and_say_what_they_are_for(path):
    """Every module has a docstring, at most 400 lines, and a name that says more than utils."""
    assert ast.get_docstring(parse(path))
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES
    assert path.stem not in {"utils", "misc", "helpers", "common"}


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_modules_do_not_print_and_do_not_assert(path):
    """The package never prints and never asserts: it says things through its progress hooks and its errors."""
    found = [
        node.lineno
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print")
    ]
    assert [] == found


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name == "__init__.py" and path.parent != PACKAGE], ids=label
)
def test_rooms_open_with_names_and_no_logic(path):
    """A room's __init__ holds a docstring and names taken from its modules, nothing that runs."""
    logic = [
        ast.unparse(node)
        for node in parse(path).body[1:]
        if not isinstance(node, ast.ImportFrom) and not ast.unparse(node).startswith(("__all__", "ALL"))
    ]
    assert [] == logic


def test_planted_breaks_are_caught():
    """The import walk sees imports inside functions and by name, and forgives those for type checkers."""
    tree = ast.parse(
        "if TYPE_CHECKING:\n    import duckdb\n"
        "def f():\n    from mlflow.models import x\n    import_module('sklearn.cluster')\n"
        "    importlib.import_module('splink')\n"
    )
    assert {"mlflow", "sklearn", "splink"} == imported_libraries(tree)


def test_steps_read_only_what_was_written_before():
    """No step reads a table before the step that writes it has run."""
    written: set[str] = set()
    for step in STEPS:
        assert set() == {table.path for table in step.reads} - written, step.name
        written |= {table.path for table in step.writes}


def test_every_table_is_written_by_exactly_one_step():
    """Each table of the contracts has one step that writes it, and no step writes a table without contract."""
    writers = Counter(table.path for step in STEPS for table in step.writes)
    assert dict.fromkeys((table.path for table in tables.ALL), 1) == dict(writers)


def test_step_names_and_settings_are_known():
    """Steps have names of their own, and name sections that the config has."""
    assert len(STEPS) == len({step.name for step in STEPS})
    assert set() == {name for step in STEPS for name in step.settings} - set(Config.model_fields)


@pytest.mark.slow
def test_imports_point_one_way(tmp_path):
    """The import contract of pyproject.toml holds: rooms know what is below them, never each other."""
    linter = Path(sys.executable).with_name("lint-imports")
    command = [linter, "--config", ROOT / "pyproject.toml", "--no-cache"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def tracked_texts() -> dict[str, str]:
    """Files that git knows or would take, with their text; binary ones are left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git work tree")  # a downloaded archive has no list of its files
    texts = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes())[:4096]:
            texts[name] = content.decode("utf-8", "replace")
    return texts


def package_indexes() -> set[str]:
    """Hosts of the package indexes that this machine is set up for, the public ones apart."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    named = "\n".join([listed, *(value for name, value in os.environ.items() if "INDEX" in name)])
    return set(re.findall(r"https?://(?:[^/@\s']*@)?([^/:'\s]+)", named)) - PUBLIC_INDEXES


def test_no_file_speaks_of_this_machine():
    """No file of the repository holds a path of the machine it was made on, or its package index."""
    places = {str(place) for place in (ROOT, Path(sys.prefix), Path.home()) if len(place.parts) > 2}
    words = {f"{place}/" for place in places} | {"/" + "work/"} | package_indexes()
    found = {(name, word) for name, text in tracked_texts().items() for word in words if word in text}
    assert set() == found
