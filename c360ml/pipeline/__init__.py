"""The flow: steps in order (`steps`, read that first), runs that do only what changed, single tables."""

from c360ml.pipeline.append import append_files
from c360ml.pipeline.one_table import LinkedTable, ValuedTable, link_table, value_table
from c360ml.pipeline.run import RunResult, StepResult, run_pipeline
from c360ml.pipeline.steps import STEPS, Step

__all__ = [
    "STEPS",
    "LinkedTable",
    "RunResult",
    "Step",
    "StepResult",
    "ValuedTable",
    "append_files",
    "link_table",
    "run_pipeline",
    "value_table",
]
