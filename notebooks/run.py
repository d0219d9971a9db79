"""Execute every notebook from top to bottom, as CI does: python notebooks/run.py [NAME ...]."""

from __future__ import annotations

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


def main() -> None:
    """Run the notebooks named, or all; the first failing cell ends it."""
    names = sys.argv[1:] or sorted(path.name for path in HERE.glob("[0-9]*.py"))
    for name in names:
        print(f"{name}: {execute(HERE / name):.0f} s", flush=True)
    print(f"{len(names)} passed, 0 failed")


if __name__ == "__main__":
    main()
