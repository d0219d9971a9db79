"""What a person sees in a notebook while a run goes on: a table of steps that fills itself in.

Jupyter's own display is updated in place, so that no widget library is needed; the table stays below the cell.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from c360ml.display import heading, table
from c360ml.pipeline.run import Watcher

if TYPE_CHECKING:
    from c360ml.pipeline.run import StepResult
    from c360ml.pipeline.steps import Step


class NotebookProgress(Watcher):
    """Shows the steps of a run below the running cell.

    `run_pipeline` and `append_files` use it by themselves in a notebook; `Watcher()` instead keeps them quiet.
    """

    def __init__(self) -> None:
        self._rows: dict[str, tuple[str, str, str]] = {}
        self._running: str | None = None
        self._began = 0.0
        self._shown: Any = None

    def starts(self, step: Step) -> None:
        """Add the step's row."""
        self._running, self._began = step.name, time.perf_counter()
        self._show(step.name, step.title, "...", "")

    def says(self, message: str) -> None:
        """Note what the step is at."""
        name = self._running or "waiting"
        title = self._rows.get(name, ("Start", "", ""))[0]
        self._show(name, title, f"{time.perf_counter() - self._began:.1f}" if self._running else "", message)

    def ends(self, result: StepResult) -> None:
        """Fill the step's row in."""
        self._rows.pop("waiting", None)
        note = "unchanged" if result.skipped else ""
        self._show(result.name, result.title, "" if result.skipped else f"{result.seconds:.1f}", note)

    def _show(self, name: str, *row: str) -> None:
        jupyter: Any = import_module("IPython.display")
        self._rows[name] = (row[0], row[1], row[2])
        html = jupyter.HTML(f"<div>{heading('Progress')}{table(['step', 'seconds', ''], self._rows.values())}</div>")
        if self._shown is None:
            self._shown = jupyter.display(html, display_id=True)
        else:
            self._shown.update(html)


def usual_watcher() -> Watcher:
    """Give who watches a run that nobody asked to watch: a notebook's display in a notebook, else nobody.

    >>> type(usual_watcher()).__name__
    'Watcher'
    """
    return NotebookProgress() if _in_notebook() else Watcher()


def _in_notebook() -> bool:
    """Whether this process is a Jupyter kernel; IPython is not loaded to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")
