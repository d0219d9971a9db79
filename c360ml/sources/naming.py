"""Turn field maps into SQL: each row's JSON is read once, then its fields get our names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from c360ml.config import Source
from c360ml.errors import ConfigError
from c360ml.sources.csv_tables import UNREADABLE
from c360ml.sources.field_maps import (
    ENTITY_OF_KIND,
    FIELD_MAPS,
    Epoch,
    FieldMap,
    Joined,
    Labels,
    Origin,
    Parameter,
    RowHash,
)
from c360ml.sources.files import sql_text

PROVENANCE = ("source", "file", "row_number")
_EVENT_PARAMETERS = "$.event_params"
_EVENT_PARAMETERS_SHAPE = '[{"key": "VARCHAR", "value": {"string_value": "VARCHAR", "int_value": "VARCHAR"}}]'

MACROS = (
    "given(v) as nullif(trim(v), '')",
    # Ten digits are seconds, 13 milliseconds, 16 microseconds: right from 2001 to 2286.
    """epoch_as_text(v) as
        case when regexp_full_match(v, '[0-9]{10}([.][0-9]+)?|[0-9]{13}|[0-9]{16}')
             then strftime(make_timestamp((
                v::double * case length(split_part(v, '.', 1)) when 10 then 1e6 when 13 then 1e3 else 1 end
             )::bigint), '%Y-%m-%dT%H:%M:%S.%fZ')
             else v end""",
    f"""event_parameter(v, name) as list_extract(list_transform(
            list_filter(from_json(v, '{_EVENT_PARAMETERS_SHAPE}'), lambda p: p.key = name),
            lambda p: coalesce(p.value.string_value, p.value.int_value)
        ), 1)""",
)


def field_map(source: Source) -> FieldMap:
    """Take the map of a source's kind, its own `columns` over it.

    >>> source = Source(name="shop", kind="sales", files="*.csv", columns={"amount": "Price"})
    >>> field_map(source)["amount"]
    ('Price',)

    Raises:
        ConfigError: `columns` names a column that the kind has not.
    """
    ours = {*ENTITY_OF_KIND[source.kind].table.columns, *FIELD_MAPS[source.kind]} - {*PROVENANCE}
    unknown = sorted(set(source.columns) - ours)
    if unknown:
        raise ConfigError(
            f"`columns` of source {source.name} must be columns of kind {source.kind}",
            got=f"unknown: {', '.join(unknown)}",
            hint=f"choose from {', '.join(sorted(ours))}",
        )
    return {**FIELD_MAPS[source.kind], **{name: (field,) for name, field in source.columns.items()}}


def paths_of(origins: Iterable[Origin]) -> list[str]:
    """List the JSON paths that origins read.

    >>> paths_of(["Email", Epoch("timestamp"), "$.attributes.type"])
    ['$."Email"', '$."timestamp"', '$.attributes.type']
    """
    return list(dict.fromkeys(path for origin in origins for path in _paths(origin)))


def _paths(origin: Origin) -> list[str]:
    match origin:
        case str():
            return [_path(origin)]
        case Joined(fields):
            return [_path(field) for field in fields]
        case Parameter():
            return [_EVENT_PARAMETERS]
        case Labels() | Epoch():
            return [_path(origin.field)]
        case RowHash(field):
            return [_path(field)] if field else []


def _path(field: str) -> str:
    return field if field.startswith("$") else '$."' + field.replace('"', '\\"') + '"'


def named_rows_sql(source: Source, landed: str = "bronze.source_rows") -> str:
    """Write the query for a source's rows under our names, blanks around values cut, blank values null.

    `landed` names the table of landed rows. Besides the columns of the kind's table it answers `loaded_at`, `deleted`
    and `unreadable`.
    """
    fields = field_map(source)
    paths = [_path(UNREADABLE), *paths_of(origin for origins in fields.values() for origin in origins)]
    found, place = _found_sql(list(dict.fromkeys(paths)))
    columns = {name: _column_sql(fields.get(name, ()), place) for name in _columns(source)}
    if "customer_source" in columns:
        # Popped, to stand after customer_key, of which it speaks.
        named, known = columns.pop("customer_source"), _text_or_null(source.customer_source)
        columns["customer_source"] = f"case when customer_key is not null then coalesce({named}, {known}) end"
    values = ",\n            ".join(f"{value} as {name}" for name, value in columns.items())
    return f"""
        select source, file, row_number, loaded_at, {place[_path(UNREADABLE)]} is not null as unreadable,
            {values}
        from (
            select source, file, row_number, row_hash, loaded_at, {found}
            from {landed}
            where source = {sql_text(source.name)} and kind = {sql_text(source.kind)}
        )"""


_FIELD = re.compile(r'\$\."([^"\\*]+)"')


def _found_sql(paths: list[str]) -> tuple[str, dict[str, str]]:
    """Write the columns that read a row's JSON, and for each path the expression for its value.

    Fields of the row itself are read by `json_transform`, which is twice as fast; of a struct's fields the names must
    differ in more than case.
    """
    structs: list[dict[str, str]] = []
    place: dict[str, str] = {}
    for path in paths:
        if field := _FIELD.fullmatch(path):
            name = field[1]
            fit = next((number for number, names in enumerate(structs) if name.lower() not in names), len(structs))
            if fit == len(structs):
                structs.append({})
            structs[fit][name.lower()] = name
            place[path] = f"found_{fit}[{sql_text(name)}]"
    columns = [
        f"json_transform(raw, {sql_text(json.dumps(dict.fromkeys(names.values(), 'VARCHAR')))}) as found_{number}"
        for number, names in enumerate(structs)
    ]
    by_path = [path for path in paths if path not in place]
    if by_path:
        columns.append(f"json_extract_string(raw, [{', '.join(map(sql_text, by_path))}]) as found_by_path")
        place |= {path: f"found_by_path[{number}]" for number, path in enumerate(by_path, 1)}
    return ", ".join(columns), place


def _columns(source: Source) -> list[str]:
    table = ENTITY_OF_KIND[source.kind].table
    return [name for name in table.columns if name not in PROVENANCE] + ["deleted"]


def _column_sql(origins: tuple[Origin, ...], place: Mapping[str, str]) -> str:
    values = [_origin_sql(origin, place) for origin in origins]
    return f"coalesce({', '.join(values)})" if values else "null::varchar"


def _origin_sql(origin: Origin, place: Mapping[str, str]) -> str:
    values = [f"given({place[path]})" for path in _paths(origin)]
    match origin:
        case str():
            return values[0]
        case Joined():
            return f"nullif(concat_ws(' ', {', '.join(values)}), '')"
        case Epoch():
            return f"epoch_as_text({values[0]})"
        case Parameter(key):
            return f"event_parameter({values[0]}, {sql_text(key)})"
        case RowHash():
            return f"case when {values[0]} is not null then row_hash end" if values else "row_hash"
        case Labels(labels=labels, keep_others=keep_others):
            cases = " ".join(f"when {sql_text(code)} then {sql_text(label)}" for code, label in labels.items())
            return f"case lower({values[0]}) {cases} else {values[0] if keep_others else 'null'} end"


def _text_or_null(text: str | None) -> str:
    return "null" if text is None else sql_text(text)
