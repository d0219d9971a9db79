"""The command line: one command per thing a person wants; `run` does all."""

from c360ml.cli.commands import app, main

__all__ = ["app", "main"]
