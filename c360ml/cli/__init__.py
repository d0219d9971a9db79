"""The command line: one command per thing a person wants; `run` does all."""

from c360ml.cli.append_command import append
from c360ml.cli.blocking_command import blocking
from c360ml.cli.commands import app, main
from c360ml.cli.drift_command import drift
from c360ml.cli.evaluate_command import evaluate
from c360ml.cli.forget_command import forget
from c360ml.cli.id_command import explain
from c360ml.cli.plan_command import plan
from c360ml.cli.promote_command import promote
from c360ml.cli.review_command import review
from c360ml.cli.serve_command import serve
from c360ml.cli.threshold_command import threshold

__all__ = [
    "app",
    "append",
    "blocking",
    "drift",
    "evaluate",
    "explain",
    "forget",
    "main",
    "plan",
    "promote",
    "review",
    "serve",
    "threshold",
]
