"""The description of `c360ml serve` (OpenAPI 3.1), and a page of it that needs no network."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from pydantic.json_schema import models_json_schema

from c360ml import __version__
from c360ml.identity.resolution import LONGEST_TEXT
from c360ml.serving.schemas import Answer
from c360ml.standardize.records import ROLES

MOST_RECORDS = 1000
"""Most records of one request; a table is scored with `mlflow.pyfunc.load_model` instead."""
OPEN_PATHS = ("/health", "/ping", "/ready", "/docs", "/openapi.json")
POSTED_PATHS = ("/resolve", "/invocations")
PATHS = (*OPEN_PATHS, *POSTED_PATHS, "/version")

_REFERENCE = "#/components/schemas/"
_EXAMPLE = {"given_name": "Ada", "surname": "Lovelace", "email": "ada.lovelace@analytical-engine.org"}
_ERRORS = {
    "400": "The body is no JSON, or not of this form.",
    "401": "The token is missing or wrong.",
    "408": "The body was sent too slowly.",
    "413": "The body is too large.",
    "415": "The body is not said to be JSON in UTF-8, or is compressed.",
    "422": "A field or value is not as described, or the records are too many.",
    "500": "An error of the server.",
    "503": "Too many requests at once, or the index cannot be read: come back later.",
    "504": "No answer was found in time.",
}


def described(*, secured: bool) -> dict[str, Any]:
    """Describe the server.

    Args:
        secured: whether requests must bear a token.

    >>> sorted(described(secured=True)["paths"])[:3]
    ['/docs', '/health', '/invocations']
    """
    components: dict[str, Any] = {"schemas": _schemas()}
    if secured:
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "c360ml",
            "version": __version__,
            "description": "Who is this customer record, and what is that customer worth?",
        },
        "paths": _paths([{"bearer": []}] if secured else []),
        "components": components,
    }


def _paths(security: list[dict[str, list[str]]]) -> dict[str, Any]:
    status = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    version = {"type": "object", "additionalProperties": {"type": "string"}}
    not_ready = {"503": _json("Not ready, or about to stop.", status)}
    return {
        "/resolve": _post("Resolve one record", "Record", "Answer", _EXAMPLE, security),
        "/invocations": _post(
            "Resolve up to 1,000 records, in the form of `mlflow models serve`",
            "Invocation",
            "Predictions",
            {"inputs": [_EXAMPLE]},
            security,
        ),
        "/health": {"get": _get("Whether the process is alive", _json("It is.", status))},
        "/ping": {"get": _get("The same, by MLflow's other name", _json("It is.", status))},
        "/ready": {"get": _get("Whether it can answer", _json("It can.", status), not_ready)},
        "/version": {
            "get": {**_get("Versions of c360ml and of the model", _json("These.", version), _errors("401", "503"))}
            | {"security": security}
        },
        "/docs": {"get": _get("This description as a page", {"description": "HTML.", "content": {"text/html": {}}})},
        "/openapi.json": {"get": _get("This description", _json("OpenAPI 3.1.", {"type": "object"}))},
    }


def _get(summary: str, answer: dict[str, Any], others: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": answer, **(others or {})}}


def _post(
    summary: str, given: str, answered: str, example: dict[str, Any], security: list[dict[str, list[str]]]
) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REFERENCE + given}, "example": example}}
    return {
        "post": {
            "summary": summary,
            "security": security,
            "requestBody": {"required": True, "content": content},
            "responses": {"200": _json("The answer.", {"$ref": _REFERENCE + answered}), **_errors(*_ERRORS)},
        }
    }


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors(*statuses: str) -> dict[str, Any]:
    return {status: _json(_ERRORS[status], {"$ref": _REFERENCE + "Error"}) for status in statuses}


def _schemas() -> dict[str, Any]:
    _, made = models_json_schema([(Answer, "serialization")], ref_template=_REFERENCE + "{model}")
    text = {"type": ["string", "null"], "maxLength": LONGEST_TEXT}
    record = {
        "type": "object",
        "description": "A customer record as a source would send it; every field is optional text.",
        "properties": dict.fromkeys(ROLES, text),
        "additionalProperties": False,
    }
    anything = {"description": "Anything else is answered by an `error` in its place."}
    listed = {
        "type": "array",
        "maxItems": MOST_RECORDS,
        "items": {"anyOf": [{"$ref": _REFERENCE + "Record"}, anything]},
    }
    return {
        **made["$defs"],
        "Record": record,
        "Invocation": {"type": "object", "required": ["inputs"], "properties": {"inputs": listed}},
        "Predictions": {
            "type": "object",
            "required": ["predictions"],
            "properties": {"predictions": {"type": "array", "items": {"$ref": _REFERENCE + "Answer"}}},
        },
        "Error": {
            "type": "object",
            "required": ["error_code", "message"],
            "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
        },
    }


# ---------------------------------------------------------------------- the page
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin-top: 2.5rem; border-top: 1px solid #ddd; padding-top: 1rem } code, pre { font: 14px/1.5 monospace }
pre { background: #f4f4f6; padding: .8rem; overflow-x: auto; border-radius: 4px }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .2rem .8rem .2rem 0;
vertical-align: top; border-bottom: 1px solid #eee }
"""


def docs_page(description: dict[str, Any]) -> str:
    """Show a description as one page of HTML without scripts.

    >>> "curl" in docs_page(described(secured=False))
    True
    """
    info = description["info"]
    secured = "securitySchemes" in description["components"]
    calls = [
        _call_section(method, path, call, secured=secured)
        for path, methods in description["paths"].items()
        for method, call in methods.items()
    ]
    schemas = [_schema_section(name, schema) for name, schema in description["components"]["schemas"].items()]
    title = f"{info['title']} {info['version']}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><p>{escape(info['description'])} "
        'For programs: <a href="openapi.json">openapi.json</a>.</p>'
        f"{''.join(calls)}<h2>Schemas</h2>{''.join(schemas)}</body></html>"
    )


def _call_section(method: str, path: str, call: dict[str, Any], *, secured: bool) -> str:
    token = " -H 'Authorization: Bearer TOKEN'" if secured and call.get("security") else ""
    command = f"curl http://HOST:PORT{path}{token}"
    if "requestBody" in call:
        example = json.dumps(call["requestBody"]["content"]["application/json"]["example"])
        command += f" -H 'Content-Type: application/json' -d '{example}'"
    rows = "".join(
        f"<tr><td>{status}</td><td>{escape(answer['description'])} {_links(answer)}</td></tr>"
        for status, answer in call["responses"].items()
    )
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(call['summary'])}.</p>"
        f"<pre>{escape(command)}</pre><table>{rows}</table>"
    )


def _links(answer: dict[str, Any]) -> str:
    schema = answer["content"].get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").removeprefix(_REFERENCE)
    return f'<a href="#{name}">{name}</a>' if name else ""


def _schema_section(name: str, schema: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td><code>{escape(_kind(of))}</code></td></tr>"
        for field, of in schema.get("properties", {}).items()
    )
    about = escape(schema.get("description", ""))
    return f'<h3 id="{name}">{name}</h3><p>{about}</p><table>{rows}</table>'


def _kind(schema: dict[str, Any]) -> str:
    """Say what a field holds.

    >>> _kind({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]})
    'list of string, or null'
    """
    if "anyOf" in schema:
        return ", or ".join(_kind(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REFERENCE)
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kind = schema.get("type", "anything")
    return kind if isinstance(kind, str) else ", or ".join(kind)
