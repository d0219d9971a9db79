"""`c360ml serve`: a project's scorer over HTTP."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from c360ml.cli.commands import app, console
from c360ml.errors import ConfigError

if TYPE_CHECKING:
    from c360ml.serving.server import Served

TOKEN_VARIABLE = "C360ML_TOKEN"
_LEAST_TOKEN = 16


@app.command()
def serve(
    project: Annotated[Path, typer.Option(help="Project folder, after a run.")] = Path("."),
    port: Annotated[int, typer.Option(help="Port to listen at; 0 for any that is free.", min=0, max=65_535)] = 5001,
    host: Annotated[str, typer.Option(help="Address to listen at; others than this machine's need a token.")] = (
        "127.0.0.1"
    ),
    workers: Annotated[int, typer.Option(help="Processes that answer.", min=1, max=64)] = 1,
    token_file: Annotated[
        Path | None, typer.Option(help=f"File of the token that requests must bear; else {TOKEN_VARIABLE}.")
    ] = None,
    max_body_kb: Annotated[int, typer.Option(help="Size of the largest request.", min=1, max=65_536)] = 1024,
) -> None:
    """Answer over HTTP who a raw record is and what that customer is worth, until stopped."""
    from c360ml.serving.serve_settings import ServeSettings
    from c360ml.serving.server import serve as run_server

    settings = ServeSettings(project.resolve(), host, port, workers, _token(token_file), max_body_kb * 1024)

    def listening(served: Served) -> None:
        for line in _lines(served, secured=settings.token is not None, workers=workers):
            console.print(line, highlight=False, soft_wrap=True, markup=False)

    run_server(settings, then=listening)


def _token(file: Path | None) -> str | None:
    """Read the token; None without one.

    Raises:
        ConfigError: it cannot be read, or is too short to be safe.
    """
    if file is None and TOKEN_VARIABLE not in os.environ:
        return None
    try:
        token = (os.environ[TOKEN_VARIABLE] if file is None else file.read_text("ascii")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the token's file must hold ASCII text", got=type(error).__name__, hint="openssl rand -hex 32 > token"
        ) from error
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"a token must have at least {_LEAST_TOKEN} visible ASCII characters",
            got="another",
            hint="openssl rand -hex 32",
        )
    return token


def _lines(served: Served, *, secured: bool, workers: int) -> list[str]:
    token = f' -H "Authorization: Bearer ${TOKEN_VARIABLE}"' if secured else ""
    record = json.dumps({"given_name": "Ada", "surname": "Lovelace", "email": "ada.lovelace@analytical-engine.org"})
    processes = "1 process" if workers == 1 else f"{workers} processes"
    return [
        f"Serving c360-scorer version {served.model_version} on {served.url} ({processes}); Ctrl-C stops",
        f"index   {served.records:,} records",
        f"docs    {served.url}/docs",
        f"try     curl {served.url}/resolve{token} -H 'Content-Type: application/json' -d '{record}'",
    ]
