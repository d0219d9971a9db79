"""Execute every notebook from top to bottom, as CI does: python notebooks/run.py [NAME ...]."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbclient

HERE = Path(__file__).parent


def execute(path: Path) -> float:
    """Run one percent script as a notebook in a kernel of its own; returns its seconds."""
    started = time.perf_counter()
    notebook = jupytext.read(path)
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute()
    return time.perf_counter() - started


def _processor_seconds() -> float:
    """What the kernels that have ended cost."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run the notebooks named, or all; the first failing cell ends it."""
    names = sys.argv[1:] or sorted(path.name for path in HERE.glob("[0-9]*.py"))
    for name in names:
        before = _processor_seconds()
        seconds = execute(HERE / name)
        print(f"{name}: {seconds:.0f} s, of the processors {_processor_seconds() - before:.0f} s", flush=True)
    print(f"{len(names)} passed, 0 failed")


if __name__ == "__main__":
    main()
