"""What stands between the network and the scorer: token, limits, clean errors, and a log without contents.

A request is answered by an error that names the rule it broke and nothing of what it said. What the log holds of a
request is method, path, status, milliseconds and bytes; a method or path that is none of ours is not repeated.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_SECONDS = 10.0
ANSWER_SECONDS = 60.0
MOST_AT_ONCE = 128
"""Requests of one process that are read or answered at the same time; more are told to come back."""
_DISCARD_SECONDS = 2.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"})
_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_logger = logging.getLogger("c360ml.serving")


class RefusedError(Exception):
    """A request that is answered by an error; the message holds nothing of the request."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def body(self) -> bytes:
        """Give the error as JSON, in the form of MLflow's."""
        return json.dumps({"error_code": self.code, "message": self.message}).encode()


@dataclass
class Exchange:
    """One request and what was answered so far."""

    scope: Scope
    receive: Receive
    _send: Send
    status: int = 0
    received: int = 0
    sent: int = 0
    ended: bool = False
    """Whether the body was read to its end."""
    began: float = field(default_factory=time.perf_counter)

    def header(self, name: bytes) -> str | None:
        """Give a header's value; None without it."""
        found = next((value for key, value in self.scope["headers"] if key == name), None)
        return None if found is None else found.decode("latin-1").strip()

    async def read(self) -> bytes:
        """Read the next part of the body, and count it."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            self.ended = True
            raise RefusedError(400, "BAD_REQUEST", "the request must be sent to its end")
        part: bytes = message.get("body", b"")
        self.received += len(part)
        self.ended = not message.get("more_body", False)
        return part

    async def send(self, message: Message) -> None:
        """Send a part of the answer, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)


class Guard:
    """An ASGI application around another that lets only sound requests through.

    Args:
        app: the application.
        paths: its paths; of these the log may speak.
        open_paths: paths that need no token.
        posted_paths: paths that take a body, by POST.
        token: what a request must bear; None lets all through.
        most_body_bytes: size of the largest body.
    """

    def __init__(
        self,
        app: App,
        *,
        paths: Collection[str],
        open_paths: Collection[str],
        posted_paths: Collection[str],
        token: str | None,
        most_body_bytes: int,
    ) -> None:
        self._app = app
        self._paths, self._open_paths = frozenset(paths), frozenset(open_paths)
        self._posted_paths = frozenset(posted_paths)
        self._token = None if token is None else token.encode()
        self._most_body_bytes = most_body_bytes
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass on what is none."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # without an answer uvicorn refuses a web socket
        exchange = Exchange(scope, receive, send)
        try:
            await self._answer(exchange)
        finally:
            self._log(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            self._check_token(exchange)
            if exchange.scope["path"] in self._open_paths:
                await self._pass_on(exchange, b"")
            else:
                await self._within_limits(exchange)
        except RefusedError as error:
            await _discard_rest(exchange)
            await _send_error(exchange, error)
        except Exception as error:
            _logger.error("internal error: %s", _told(error))
            await _send_error(exchange, RefusedError(500, "INTERNAL_ERROR", "the request could not be answered"))

    async def _within_limits(self, exchange: Exchange) -> None:
        if self._at_once >= MOST_AT_ONCE:
            raise RefusedError(
                503, "TEMPORARILY_UNAVAILABLE", "too many requests at once: come back later", {"retry-after": "1"}
            )
        self._at_once += 1
        try:
            has_body = exchange.scope["method"] == "POST" and exchange.scope["path"] in self._posted_paths
            await self._pass_on(exchange, await self._body(exchange) if has_body else b"")
        finally:
            self._at_once -= 1

    async def _pass_on(self, exchange: Exchange, body: bytes) -> None:
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._app(exchange.scope, receive, exchange.send)
        except TimeoutError as error:
            raise RefusedError(
                504, "DEADLINE_EXCEEDED", f"an answer must be found within {ANSWER_SECONDS:.0f} seconds"
            ) from error

    def _check_token(self, exchange: Exchange) -> None:
        if self._token is None or exchange.scope["path"] in self._open_paths:
            return
        scheme, _, given = (exchange.header(b"authorization") or "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        if scheme.lower() != "bearer" or not right:
            raise RefusedError(
                401,
                "UNAUTHENTICATED",
                "the header Authorization must bear the server's token: Bearer ...",
                {"www-authenticate": "Bearer"},
            )

    async def _body(self, exchange: Exchange) -> bytes:
        _check_content(exchange)
        length = exchange.header(b"content-length")
        if length is not None and int(length) > self._most_body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while not exchange.ended:
                    parts.append(await exchange.read())
                    if exchange.received > self._most_body_bytes:
                        raise self._too_large()
        except TimeoutError as error:
            raise RefusedError(
                408, "REQUEST_TIMEOUT", f"a body must be sent within {BODY_SECONDS:.0f} seconds"
            ) from error
        return b"".join(parts)

    def _too_large(self) -> RefusedError:
        return RefusedError(413, "REQUEST_TOO_LARGE", f"a body must have at most {self._most_body_bytes:,} bytes")

    def _log(self, exchange: Exchange) -> None:
        method, path = exchange.scope["method"], exchange.scope["path"]
        _logger.info(
            "%s %s %d %.1f ms %d bytes in %d bytes out",
            method if method in _METHODS else "(other)",
            path if path in self._paths else "(other)",
            exchange.status,
            1000 * (time.perf_counter() - exchange.began),
            exchange.received,
            exchange.sent,
        )


def _check_content(exchange: Exchange) -> None:
    kind, *parameters = (part.strip().lower() for part in (exchange.header(b"content-type") or "").split(";"))
    encoding = exchange.header(b"content-encoding") or "identity"
    sound = all(parameter.replace('"', "") in {"", "charset=utf-8"} for parameter in parameters)
    if kind != "application/json" or not sound or encoding.lower() != "identity":
        raise RefusedError(
            415, "UNSUPPORTED_MEDIA_TYPE", "a body must be application/json in UTF-8, and not compressed"
        )


async def _discard_rest(exchange: Exchange) -> None:
    """Read what a client still sends, for a while: who is cut off while sending may not see the answer."""
    waits = (exchange.header(b"expect") or "").lower() == "100-continue" and not exchange.received
    has_body = exchange.header(b"content-length") not in (None, "0") or exchange.header(b"transfer-encoding")
    if not has_body or waits or exchange.status:
        return
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            while not exchange.ended:
                await exchange.read()
    except (TimeoutError, RefusedError):
        return


async def _send_error(exchange: Exchange, error: RefusedError) -> None:
    if exchange.status:
        return  # the answer has begun
    body = error.body()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    if not exchange.ended and exchange.scope["method"] == "POST":
        headers["connection"] = "close"
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await exchange.send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await exchange.send({"type": "http.response.body", "body": body})


def _told(error: Exception) -> str:
    """Name an error and its place, without its message, which may quote a record."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
    return f"{type(error).__name__}{where}"
