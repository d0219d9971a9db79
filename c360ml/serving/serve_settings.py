"""What `c360ml serve` serves and where, and how each of its processes makes the application.

Importing this loads nothing heavy: a process that is started must answer its parent within seconds, and loads the
rest after that.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ServeSettings:
    """What is served, and where.

    Args:
        project: the project's folder.
        host: address to listen at.
        port: port to listen at; 0 for any that is free.
        workers: processes that answer.
        token: what requests must bear; None lets all through.
        most_body_bytes: size of the largest body.

    >>> ServeSettings(Path("my-company"), token="secret")
    ServeSettings(project=PosixPath('my-company'), host='127.0.0.1', port=5001, workers=1, most_body_bytes=1048576)
    """

    project: Path
    host: str = "127.0.0.1"
    port: int = 5001
    workers: int = 1
    token: str | None = field(default=None, repr=False)
    most_body_bytes: int = 1024 * 1024


def make_app(settings: ServeSettings) -> Any:
    """Make the ASGI application in the process that runs it, with a log on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)sZ %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    for name, level in (("c360ml.serving", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    from c360ml.serving.application import create_app

    return create_app(settings)
