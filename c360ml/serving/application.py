"""The application that `c360ml serve` runs: a project's champion over HTTP, in MLflow's form and as a typed call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from c360ml import __version__
from c360ml.errors import C360Error, ColumnError, DataError
from c360ml.serving.champion import ChampionScorer
from c360ml.serving.draining import Draining
from c360ml.serving.guard import App, Guard, RefusedError
from c360ml.serving.openapi import MOST_RECORDS, OPEN_PATHS, PATHS, POSTED_PATHS, described, docs_page
from c360ml.serving.schemas import Answer
from c360ml.serving.scorer import SCORER
from c360ml.serving.serve_settings import ServeSettings

Made = TypeVar("Made")
_RECORDS_PER_TURN = 20
"""After so many records of one request the others have their turn."""


def create_app(settings: ServeSettings) -> App:
    """Make the application; it opens the index when the server starts it.

    >>> from pathlib import Path
    >>> callable(create_app(ServeSettings(Path("my-company"))))
    True
    """
    service = _Service(settings)
    routes = [
        Route("/health", service.health),
        Route("/ping", service.health),
        Route("/ready", service.ready),
        Route("/version", service.version),
        Route("/openapi.json", service.openapi),
        Route("/docs", service.docs),
        Route("/resolve", service.resolve, methods=["POST"]),
        Route("/invocations", service.invocations, methods=["POST"]),
    ]
    handlers = {HTTPException: _no_such, RefusedError: _refused, Exception: _failed}
    inner = Starlette(routes=routes, lifespan=service.lifespan, exception_handlers=handlers)
    inner.router.redirect_slashes = False
    return Guard(
        inner,
        paths=PATHS,
        open_paths=OPEN_PATHS,
        posted_paths=POSTED_PATHS,
        token=settings.token,
        most_body_bytes=settings.most_body_bytes,
    )


class _Service:
    """One thread holds the scorer, so that the event loop goes on accepting, refusing and saying how it is."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="c360ml-scorer")
        self._draining = Draining()
        self._description = described(secured=settings.token is not None)
        self._scorer: ChampionScorer

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Open the index before the first request, close it after the last."""
        self._scorer = await self._scored(lambda: ChampionScorer(self._settings.project))
        try:
            async with self._draining.watched():
                yield
        finally:
            await self._scored(self._scorer.close)
            self._thread.shutdown()

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        if self._draining.stops:
            return JSONResponse({"status": "stopping"}, 503)
        try:
            await self._scored(self._scorer.check)
        except C360Error:
            return JSONResponse({"status": "not ready"}, 503)
        return JSONResponse({"status": "ready", "model_version": self._scorer.champion.version})

    async def version(self, request: Request) -> Response:
        return JSONResponse({"c360ml": __version__, "model": SCORER, "model_version": self._scorer.champion.version})

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(self._description)

    async def docs(self, request: Request) -> Response:
        return HTMLResponse(docs_page(self._description))

    async def resolve(self, request: Request) -> Response:
        record = _parsed(await request.body())
        try:
            answer = await self._scored(lambda: self._scorer.resolve(record))
        except (ColumnError, DataError) as error:
            raise RefusedError(422, "INVALID_PARAMETER_VALUE", error.rule) from error
        except C360Error as error:
            raise RefusedError(503, "TEMPORARILY_UNAVAILABLE", error.rule) from error
        return Response(answer.model_dump_json(exclude={"error"}), media_type="application/json")

    async def invocations(self, request: Request) -> Response:
        content = _parsed(await request.body())
        records = content.get("inputs") if isinstance(content, Mapping) else None
        if not isinstance(records, list):
            raise RefusedError(
                400, "INVALID_PARAMETER_VALUE", 'the body must be {"inputs": [...]}, with a list of records'
            )
        if len(records) > MOST_RECORDS:
            raise RefusedError(422, "INVALID_PARAMETER_VALUE", f"a request must have at most {MOST_RECORDS:,} records")
        answers: list[str] = []
        for first in range(0, len(records), _RECORDS_PER_TURN):
            answers += await self._scored(partial(self._answers, records[first : first + _RECORDS_PER_TURN]))
        return Response(f'{{"predictions":[{",".join(answers)}]}}', media_type="application/json")

    def _answers(self, records: list[Any]) -> list[str]:
        return [self._answer(record) for record in records]

    def _answer(self, record: Any) -> str:
        answer: Answer = self._scorer.answer(record)
        return answer.model_dump_json()

    async def _scored(self, work: Callable[[], Made]) -> Made:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _parsed(body: bytes) -> Any:
    """Read JSON, strictly: NaN and Infinity are no JSON."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        # Both may quote the body; the cause is dropped with the exception.
        raise RefusedError(400, "BAD_REQUEST", "the body must be JSON in UTF-8") from error


def _no_constant(name: str) -> None:
    raise RefusedError(400, "BAD_REQUEST", "the body must be JSON, which has no NaN and no Infinity")


async def _no_such(request: Request, error: Exception) -> Response:
    refused = RefusedError(404, "NOT_FOUND", "there is no such path: see /docs")
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = dict(error.headers or {})
        refused = RefusedError(405, "METHOD_NOT_ALLOWED", "the path has another method: see /docs", allowed)
    return await _refused(request, refused)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        return await _failed(request, error)
    return Response(error.body(), error.status, error.headers, "application/json")


async def _failed(request: Request, error: Exception) -> Response:
    """Answer what nobody thought of; Starlette then raises it on, and the guard notes it."""
    return await _refused(request, RefusedError(500, "INTERNAL_ERROR", "the request could not be answered"))
