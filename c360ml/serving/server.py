"""`c360ml serve`: listens, starts the processes that answer, and stops them when told."""

from __future__ import annotations

import functools
import ipaddress
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from c360ml.errors import ConfigError, ProjectError
from c360ml.serving.champion import ChampionScorer, count_records
from c360ml.serving.guard import ANSWER_SECONDS
from c360ml.serving.serve_settings import ServeSettings, make_app

_BACKLOG = 1024
_IDLE_SECONDS = 15
_SILENT_SECONDS = 30
"""A worker that says nothing for so long is replaced; uvicorn's 5 kill one that a busy machine starts slowly."""


@dataclass(frozen=True)
class Served:
    """What a server that has begun to listen serves, and where."""

    url: str
    model_version: str
    records: int


def serve(settings: ServeSettings, *, then: Callable[[Served], None]) -> None:
    """Serve a project's champion until the process is told to stop; requests in flight are answered first.

    Args:
        settings: what is served, and where.
        then: called when the server listens.

    Raises:
        ConfigError: others could reach the server without a token, or the address is not free.
        ModelError: there is no champion, or no index of it.
        ProjectError: there is no such folder, or the processes that answer could not start.
    """
    _check_reach(settings)
    scorer = ChampionScorer(settings.project)
    scorer.close()
    records = count_records(settings.project, scorer.champion)
    config = uvicorn.Config(
        functools.partial(make_app, settings),  # a factory, pickled for other processes
        factory=True,
        workers=settings.workers,
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=int(ANSWER_SECONDS),
        timeout_worker_healthcheck=_SILENT_SECONDS,
    )
    listener = _listener(settings)
    with listener:
        then(Served(_url(settings.host, listener), scorer.champion.version, records))
        if settings.workers == 1:
            _run_one(config, listener)
        else:
            _run_many(config, listener)


def _run_one(config: uvicorn.Config, listener: socket.socket) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopped)
    server = uvicorn.Server(config)
    server.run(sockets=[listener])


def _stopped(number: int, frame: object) -> None:
    """Hear again of the signal after uvicorn has obeyed it: the command then ends well, not by the signal."""


def _run_many(config: uvicorn.Config, listener: socket.socket) -> None:
    supervisor = Multiprocess(config, sockets=[listener])
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise ProjectError("the processes that answer must start", got="one that ended", hint="see the log above")


def _check_reach(settings: ServeSettings) -> None:
    if settings.token is None and not _is_loopback(settings.host):
        raise ConfigError(
            "a server that other machines reach must have a token",
            got=f"--host {settings.host} without a token",
            hint="set C360ML_TOKEN or --token-file, or leave --host out",
        )


def _is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address; of a name other than localhost nobody knows.

    >>> _is_loopback("127.0.0.1"), _is_loopback("::1"), _is_loopback("0.0.0.0"), _is_loopback("")
    (True, True, False, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listener(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            "the address to listen at must be this machine's and free",
            got=f"{settings.host} port {settings.port} ({type(error).__name__} {error.errno})",
            hint="name another with --port, or stop who listens there",
        ) from error
    # asyncio does so only for sockets that it opens itself; without it an answer waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(host: str, listener: socket.socket) -> str:
    named = f"[{host}]" if ":" in host else host
    return f"http://{named}:{listener.getsockname()[1]}"
