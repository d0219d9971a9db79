"""Errors: one family, drawn as a tree, each saying what must be, what was got and what to try."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from pathlib import Path

import pytest

import c360ml
from c360ml import errors
from c360ml.errors import C360Error, NotFittedError

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
BUILTIN = {name for name, each in vars(builtins).items() if inspect.isclass(each) and issubclass(each, BaseException)}


@pytest.mark.parametrize("each", CLASSES)
def test_every_error_is_one_of_ours(each):
    """Whoever catches C360Error catches all of them."""
    assert issubclass(each, C360Error)


def test_the_tree_shows_every_error():
    """The tree at the top of the file shows all classes with their own words."""
    drawn = dict(re.findall(r"[├└]── (\w+) +(.+)", inspect.getdoc(errors)))
    written = {each.__name__: inspect.getdoc(each) for each in CLASSES if each is not C360Error}
    assert set(written) == set(drawn)
    assert written["ConfigError"] == f"{drawn['ConfigError'][0].upper()}{drawn['ConfigError'][1:]}."


@pytest.mark.parametrize("each", [each for each in CLASSES if each is not NotFittedError])
def test_messages_say_what_must_be_what_was_got_and_what_to_try(each):
    """A message has three parts, which can also be asked for one by one."""
    error = each("there must be a key", got="none", hint="add one")
    assert "there must be a key. Got none. Try: add one." == str(error)
    assert ("there must be a key", "none", "add one") == (error.rule, error.got, error.hint)


def test_an_unfitted_model_is_told_to_fit():
    """A model that was not fitted says its name and what to call."""
    assert "BgNbd must be fitted before it answers. Got an unfitted model. Try: call .fit(...) first." == str(
        NotFittedError("BgNbd")
    )


def test_the_package_raises_nothing_else():
    """No module raises a builtin exception; only a module's missing name is an AttributeError."""
    raised = []
    for path in sorted(Path(c360ml.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                thrown = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                raised += [(path.name, node.lineno, thrown.id)] if isinstance(thrown, ast.Name) else []
    assert [] == [each for each in raised if each[2] in BUILTIN and each[::2] != ("__init__.py", "AttributeError")]
