"""Read JSON: an object a line, or whole documents, which are pages, arrays or single objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from c360ml.errors import SourceError
from c360ml.lakehouse import EngineError
from c360ml.sources.csv_tables import UNREADABLE, lines_sql
from c360ml.sources.files import Extract, Reading, sql_path, wrong_encoding

if TYPE_CHECKING:
    import duckdb

MAX_DOCUMENT_BYTES = 1 << 28
_IS_OBJECT = "(line like '{%' or ltrim(line) like '{%') and json_valid(line)"
_IS_ROW = "(line like '{%' or trim(line) <> '')"
_ROW_OF_LINE = f"""case when {_IS_OBJECT} then line
    else to_json({{'{UNREADABLE}': 'no JSON object', 'fields': [line]}})::varchar end"""
PAGE_FIELDS = ("records", "value")  # Salesforce REST and Dataverse OData
_ROWS_OF_DOCUMENT = f"""case when json_type(json) = 'ARRAY' then json_extract(json, '$[*]')
    {
    " ".join(
        f"when json_type(json, '$.{field}') = 'ARRAY' then json_extract(json, '$.{field}[*]')" for field in PAGE_FIELDS
    )
}
    else [json] end"""

_COUNT_OF_DOCUMENT = f"""case when json_type(json) = 'ARRAY' then json_array_length(json)
    {
    " ".join(
        f"when json_type(json, '$.{field}') = 'ARRAY' then json_array_length(json, '$.{field}')"
        for field in PAGE_FIELDS
    )
}
    else 1 end"""


@dataclass(frozen=True)
class LinesShape:
    """Files with an object a line."""

    def numbered_sql(self, paths: list[Path]) -> str:
        """Write a query for each row's file, number over all files, and JSON text."""
        return f"""
            select unit, n, {_ROW_OF_LINE} as raw
            from (select filename as unit, row_number() over () as n, line from {lines_sql(paths)})
            where {_IS_ROW}"""


@dataclass(frozen=True)
class DocumentsShape:
    """Files of whole documents; a unit is a document."""

    def numbered_sql(self, paths: list[Path]) -> str:
        """Write a query for each row's document over all files, number in it, and JSON text."""
        return f"""
            select document::varchar as unit, generate_subscripts(rows, 1) as n, unnest(rows)::varchar as raw
            from (
                select {_ROWS_OF_DOCUMENT} as rows, row_number() over () as document
                from {documents_sql(paths)}
            )"""


def documents_sql(paths: list[Path]) -> str:
    """Write the call that reads files as their documents: one column, `json`."""
    return (
        f"read_json_objects([{', '.join(map(sql_path, paths))}], format = 'unstructured', "
        f"filename = true, maximum_object_size = {MAX_DOCUMENT_BYTES})"
    )


def read_lines_through(con: duckdb.DuckDBPyConnection, extract: Extract) -> Reading:
    """Count the rows of a file with an object a line.

    Raises:
        SourceError: the file is not UTF-8, or most of its lines are no JSON objects.
    """
    try:
        lines, rows, objects = con.execute(
            f"""
            select count(*), count(*) filter ({_IS_ROW}), count(*) filter ({_IS_OBJECT})
            from {lines_sql([extract.path])}
            """
        ).fetchall()[0]
    except EngineError:
        raise unreadable_json(extract) from None
    if 2 * objects < rows:
        raise SourceError(
            f"{extract.name} must hold one JSON object a line",
            got=f"{rows - objects} of {lines} lines that are none",
            hint="export it again; the file may be cut off",
        )
    return Reading(extract.path, extract.name, LinesShape(), rows, (lines,))


def read_documents_through(con: duckdb.DuckDBPyConnection, extract: Extract) -> Reading:
    """Count the rows of each document of a file.

    Raises:
        SourceError: the file is not UTF-8, not JSON, or cut off.
    """
    try:
        counts = con.execute(
            f"""
            select rows
            from (
                select {_COUNT_OF_DOCUMENT} as rows, row_number() over () as document
                from {documents_sql([extract.path])}
            )
            order by document
            """
        ).fetchall()
    except EngineError:
        raise unreadable_json(extract) from None
    by_document = tuple(rows for (rows,) in counts)
    return Reading(extract.path, extract.name, DocumentsShape(), sum(by_document), by_document)


def unreadable_json(extract: Extract) -> SourceError:
    """Find where a file breaks off; DuckDB's message is not shown, since it may quote the row."""
    try:
        text = extract.path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        return wrong_encoding(extract.name, error.object.count(b"\n", 0, error.start) + 1)
    return SourceError(
        f"{extract.name} must be valid JSON: objects, an array, or pages with `records` or `value`",
        got=_first_fault(text),
        hint="export it again; the file may be cut off",
    )


def _first_fault(text: str) -> str:
    decoder = json.JSONDecoder()
    position = 0
    try:
        while position < len(text):
            _, end = decoder.raw_decode(text, position)
            position = end + len(text[end:]) - len(text[end:].lstrip())
    except json.JSONDecodeError as error:
        return f"a fault in line {error.lineno}, column {error.colno}"
    return "text that JSON does not allow, or a value longer than 256 MB"
