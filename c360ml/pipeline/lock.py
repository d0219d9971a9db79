"""One program at a time in a project: who comes second waits, and is told for whom."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from c360ml.errors import ProjectError

LOCK_FILE = "data/.lock"
HOLDER_FILE = "data/.lock_holder.json"
_SECONDS_BETWEEN_LOOKS = 5.0


@contextmanager
def project_lock(folder: Path, say: Callable[[str], None] = lambda message: None) -> Iterator[None]:
    """Hold a project for the length of a `with` block, after whoever holds it now.

    The operating system frees the lock of a process that dies, so that nobody waits for the dead.

    Args:
        folder: the project's folder.
        say: hears for whom this waits.

    Raises:
        ProjectError: this very thread holds the project, so that it would wait for itself.

    >>> import tempfile
    >>> with project_lock(Path(tempfile.mkdtemp())):
    ...     pass
    """
    (folder / LOCK_FILE).parent.mkdir(parents=True, exist_ok=True)
    # thread_local=False: another thread of this process waits as another process does.
    lock = FileLock(folder / LOCK_FILE, timeout=_SECONDS_BETWEEN_LOOKS, thread_local=False)
    _take(lock, folder, say)
    holder = folder / HOLDER_FILE
    try:
        _note(holder)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _take(lock: FileLock, folder: Path, say: Callable[[str], None]) -> None:
    timeout = 0.0
    while True:
        try:
            lock.acquire(timeout=timeout)
            return
        except Timeout:
            timeout = _SECONDS_BETWEEN_LOOKS
        holder = _holder(folder)
        if holder and _myself() == {name: holder.get(name) for name in _myself()}:
            raise ProjectError(
                "a project runs once at a time", got=f"a run within a run of {folder}", hint="start it afterwards"
            )
        say(_words(holder))


def _myself() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "thread": threading.get_ident()}


def _note(holder: Path) -> None:
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    partial = holder.with_name(f"{holder.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps({**_myself(), "since": since}), "utf-8")
    partial.replace(holder)


def _holder(folder: Path) -> dict[str, Any]:
    """Who holds the project, as noted; empty in the moment before they note it."""
    try:
        noted: dict[str, Any] = json.loads((folder / HOLDER_FILE).read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return noted


def _words(holder: dict[str, Any]) -> str:
    if not holder:
        return "waiting for another program that is at work in the project"
    return f"waiting for process {holder['pid']} on {holder['host']}, at work in the project since {holder['since']}"
