"""The command line: one command per thing a person wants; `run` does all."""

from c360ml.cli.blocking_command import blocking
from c360ml.cli.commands import app, main
from c360ml.cli.evaluate_command import evaluate
from c360ml.cli.review_command import review
from c360ml.cli.threshold_command import threshold

__all__ = ["app", "blocking", "evaluate", "main", "review", "threshold"]
