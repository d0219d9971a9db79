"""Every exception that c360ml raises on purpose, drawn as a tree.

C360Error
├── ConfigError          a setting is unknown, missing or out of range
├── SourceError          an input file cannot be read at all
├── ColumnError          a table lacks a column, or holds it in a wrong type
├── TableError           a lakehouse table is missing or not of its contract
├── ModelError           a model file is damaged, or from another version
├── NotFittedError       a model was asked before it was fitted
├── DataError            the data cannot answer the question (too few rows, no variation)
├── FitError             an estimation did not reach an optimum
├── ProjectError         a project folder is missing, foreign or in use
└── StoreError           an identity store has another writer, was opened to read only, or is damaged
"""

from __future__ import annotations


class C360Error(Exception):
    """Say what must be, what was got, and what to try.

    >>> raise ConfigError("threshold must be between 0 and 1", got=7, hint="leave it out to use the default")
    Traceback (most recent call last):
    ...
    c360ml.errors.ConfigError: threshold must be between 0 and 1. Got 7. Try: leave it out to use the default.
    """

    def __init__(self, rule: str, *, got: object, hint: str) -> None:
        self.rule, self.got, self.hint = rule, got, hint
        super().__init__(f"{rule}. Got {got}. Try: {hint}.")


class ConfigError(C360Error):
    """A setting is unknown, missing or out of range."""


class SourceError(C360Error):
    """An input file cannot be read at all."""


class ColumnError(C360Error):
    """A table lacks a column, or holds it in a wrong type."""


class TableError(C360Error):
    """A lakehouse table is missing or not of its contract."""


class ModelError(C360Error):
    """A model file is damaged, or from another version."""


class NotFittedError(C360Error):
    """A model was asked before it was fitted."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model} must be fitted before it answers", got="an unfitted model", hint="call .fit(...) first"
        )


class DataError(C360Error):
    """The data cannot answer the question."""


class FitError(C360Error):
    """An estimation did not reach an optimum."""


class ProjectError(C360Error):
    """A project folder is missing, foreign or in use."""


class StoreError(C360Error):
    """An identity store has another writer, was opened to read only, or is damaged."""
