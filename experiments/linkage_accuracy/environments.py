"""One virtual environment for each peer, built from its requirements, and scripts run in it under a time limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".environments"


class NotRunError(Exception):
    """Why a system has no figure: it could not be built, failed, or ran out of time."""


def cache_folder(*parts: str) -> Path:
    """A folder below the cache, which git ignores by a file of its own."""
    folder = CACHE.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    return folder


def python_of(name: str, requirements: Path) -> Path:
    """The Python of an environment with exactly these requirements, built if it is not there."""
    folder = cache_folder(name)
    stamp = folder / "requirements.txt"
    interpreter = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        _checked([sys.executable, "-m", "venv", "--clear", str(folder)], name)
        _checked([str(interpreter), "-m", "pip", "install", "--quiet", "-r", str(requirements)], name)
        stamp.write_text(requirements.read_text())
    return interpreter


def _checked(command: list[str], name: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise NotRunError(f"{name} cannot be installed: {errors[-1] if errors else 'pip says nothing'}")


def run_script(interpreter: Path | str, script: Path, argument: Path, timeout: float) -> dict[str, object]:
    """Run a script in its environment; gives the JSON of its last line.

    Raises:
        NotRunError: it failed, or ran longer than the timeout, in seconds.
    """
    process = subprocess.Popen(
        [str(interpreter), str(script), str(argument)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"},
    )
    try:
        printed, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise NotRunError(f"still running after {timeout:.0f} s") from None
    if process.returncode:
        raise NotRunError(_last_line(errors) or f"ended with code {process.returncode}")
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def _last_line(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
