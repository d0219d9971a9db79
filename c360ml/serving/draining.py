"""Stopping without losing a request: first not ready, then no new connection, then the requests in flight."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import Any

DRAIN_SECONDS = 1.0
"""How long a server that was told to stop says so before it closes its door."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Draining:
    """Hears that the process shall stop, and passes it on to the server a moment later; a second time at once.

    `stops` says whether it was heard.
    """

    def __init__(self) -> None:
        self.stops = False
        self._server: dict[int, Any] = {}
        self._loop: asyncio.AbstractEventLoop

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Listen for the length of a `with` block; in a process of several, also for the end of the first."""
        if threading.current_thread() is not threading.main_thread():
            yield  # in a test's thread there are no signals
            return
        self._loop = asyncio.get_running_loop()
        self._server = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        orphaned = asyncio.create_task(_stop_with_parent())
        try:
            yield
        finally:
            orphaned.cancel()
            with suppress(asyncio.CancelledError):
                await orphaned

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.stops:
            self._server[number](number, frame)
            return
        self.stops = True
        self._loop.call_soon_threadsafe(self._loop.call_later, DRAIN_SECONDS, self._server[number], number, None)


async def _stop_with_parent() -> None:
    """Stop a worker whose parent was killed and can stop it no more."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        await asyncio.sleep(1)
    if parent is not None:
        signal.raise_signal(signal.SIGTERM)
