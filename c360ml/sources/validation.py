"""Validate landed rows: those that keep the rules get our column names, the others become dead letters.

Landed rows = accepted rows + dead letters, always.
"""

from __future__ import annotations

import re
from typing import Any

from c360ml import tables
from c360ml.config import Config, Source
from c360ml.errors import ColumnError, ConfigError
from c360ml.lakehouse import Lakehouse
from c360ml.sources import naming, rules
from c360ml.sources.field_maps import CUSTOMERS, ENTITIES, ENTITY_OF_KIND, Entity
from c360ml.sources.files import sql_text, with_inbox
from c360ml.table_changes import code_of, digest_of, note_inputs, versions_of


def validate(lake: Lakehouse, config: Config) -> dict[str, Any]:
    r"""Read `bronze.source_rows`, write the bronze tables of accepted rows and `bronze.dead_letters`.

    >>> import tempfile; from pathlib import Path; from c360ml.sources.landing import land
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("user_id,name,email\n1,Ann Lee,ann@lee.org\n,Bo,bo@lee.org\n")
    >>> source = {"name": "web", "kind": "digital_customers", "files": "*.csv"}
    >>> lake, config = Lakehouse(folder), Config.parse({"sources": [source]})
    >>> _ = land(lake, config)
    >>> validate(lake, config)["rejected_by_reason"]
    {'web:key_missing': 1}

    Raises:
        ColumnError: a file lacks a column without which none of its rows can be used.
        ConfigError: a source maps a column that is none, or names a customer source that is none.
    """
    config = prepare(lake, config)
    read = versions_of(lake, (tables.SOURCE_ROWS,))
    with lake.scratch("refused", NO_REFUSED):
        for entity in ENTITIES:
            _validate_entity(lake, config, entity)
        lake.write(tables.DEAD_LETTERS, _DEAD_LETTERS)
    return note_valid(lake, config, read)


def prepare(lake: Lakehouse, config: Config) -> Config:
    """Check the sources, make the macros that rules speak of; gives the config with the sources of upserts.

    Raises:
        ConfigError: a source names a customer source that is none.
    """
    config = with_inbox(lake.folder, config)
    _check_customer_sources(config)
    names = ", ".join(map(sql_text, _customer_sources(config)))
    is_customer_source = f"is_customer_source(v) as list_contains([{names}], v)"
    for macro in (*naming.MACROS, *rules.MACROS, is_customer_source):
        lake.rows(f"create or replace temp macro {macro}")
    return config


def rules_digest(config: Config) -> str:
    """Digest of all that decides whether a landed row is accepted: code, sources, customer sources."""
    return digest_of(code_of(__file__), [source.model_dump() for source in config.sources])


def note_valid(lake: Lakehouse, config: Config, read: dict[str, int]) -> dict[str, Any]:
    """Note what the tables were made of, and count their rows."""
    note_inputs(lake, tables.VALIDATION_INPUTS, rules=rules_digest(config), read=read, wrote=WRITES)
    rejected = dict(lake.rows("select entity, count(*) from bronze.dead_letters group by all"))
    by_entity = {
        entity.name: {
            "accepted": lake.one(f"select count(*) from {entity.table.path}"),
            "rejected": rejected.get(entity.name, 0),
        }
        for entity in ENTITIES
    }
    reasons = lake.rows("select source || ':' || reason, count(*) from bronze.dead_letters group by 1 order by 1")
    accepted = sum(counts["accepted"] for counts in by_entity.values())
    return {
        "read": accepted + sum(rejected.values()),
        "accepted": accepted,
        "rejected": sum(rejected.values()),
        "rejected_by_reason": dict(reasons),
        "by_entity": by_entity,
    }


WRITES = (*(entity.table for entity in ENTITIES), tables.DEAD_LETTERS)
"""Tables that validation writes."""
NO_REFUSED = """
    select null::varchar as source, null::varchar as file, null::bigint as row_number,
        null::varchar as entity, null::varchar as reason
    where false
"""
_DEAD_LETTERS = """
    select source, file, row_number, entity, reason, raw, loaded_at
    from refused join bronze.source_rows using (source, file, row_number)
"""


def _check_customer_sources(config: Config) -> None:
    known = _customer_sources(config)
    for source in config.sources:
        must_name = ENTITY_OF_KIND[source.kind].name in {"purchases", "services"}
        named = source.customer_source
        if named not in known and (named or (must_name and "customer_source" not in source.columns)):
            raise ConfigError(
                f"source {source.name} must name the `customer_source` whose customer keys its rows hold",
                got=named or "none",
                hint=f"choose from {', '.join(known)}" if known else "add a customer source to c360ml.toml",
            )


def _customer_sources(config: Config) -> list[str]:
    return [source.name for source in config.sources if ENTITY_OF_KIND[source.kind] is CUSTOMERS]


def _validate_entity(lake: Lakehouse, config: Config, entity: Entity) -> None:
    """Write the table of one entity, and add what is refused to `refused`."""
    columns = list(entity.table.columns)
    sources = sources_of(config, entity)
    if not sources:
        nothing = ", ".join(f"null as {column}" for column in columns)
        lake.write(entity.table, f"select {nothing} where false")
        return
    judged = " union all ".join(map(judged_sql, sources))
    with (
        lake.scratch("judged", judged),
        lake.scratch("repeated", repeated_sql(entity)),
    ):
        for source in sources:
            check_columns(lake, source)
        lake.rows(REFUSE, {"entity": entity.name})
        accepted = lake.write(
            entity.table,
            f"""
            select {", ".join(columns)}
            from judged anti join repeated using (source, file, row_number)
            where reason is null""",
        )
        lake.say(f"{entity.name}: {accepted:,} accepted")


def sources_of(config: Config, entity: Entity) -> list[Source]:
    """List the sources whose rows become an entity."""
    return [source for source in config.sources if ENTITY_OF_KIND[source.kind] is entity]


REFUSE = """
    insert into refused
    select source, file, row_number, $entity, reason from judged where reason is not null
    union all
    select source, file, row_number, $entity, 'duplicate_key' from repeated
"""


def judged_sql(source: Source, landed: str = tables.SOURCE_ROWS.path) -> str:
    """Write the query for a source's named rows, each with the first rule it breaks."""
    cases = "\n".join(f"when {rule.broken_when} then {sql_text(rule.name)}" for rule in rules.RULES[source.kind])
    readings = rules.READINGS.get(source.kind, {})
    read = "".join(f", {reading} as {name}" for name, reading in readings.items())
    return f"""
        select * exclude ({", ".join(["loaded_at", "unreadable", "deleted", *readings])}),
            case when unreadable then 'row_unreadable' {cases} end as reason
        from (select *{read} from ({naming.named_rows_sql(source, landed)}))"""


def repeated_sql(entity: Entity) -> str:
    """Write the query for acceptable rows that give way to another of their key.

    Of rows with one key the latest counts, later changed or later in the files. If earlier ones say the same, the
    first of these stays, so that a row that is delivered again changes nothing. A row that its source has deleted
    takes earlier versions of itself along.
    """
    changed = "as_time(updated_at)" if "updated_at" in entity.table.columns else "null"
    content = ", ".join(name for name in entity.table.columns if name not in ("file", "row_number"))
    return f"""
        with usable as (
            select * from judged
            where source_key is not null and coalesce(reason, 'deleted_in_source') = 'deleted_in_source'
        ),
        -- Numbers are grouped faster than texts; if two keys have one, their rows still rank apart.
        repeated_keys as (select hash(source, source_key) as digest from usable group by all having count(*) > 1),
        versions as (
            select source, source_key, file, row_number, reason, hash({content}, reason) as content,
                first_value(content) over (
                    partition by source, source_key
                    order by {changed} desc nulls last, file desc, usable.row_number desc
                ) as latest
            from usable semi join repeated_keys on hash(usable.source, usable.source_key) = digest
        ),
        ranked as (
            select source, file, row_number, reason,
                row_number() over (
                    partition by source, source_key
                    order by content = latest desc, file, versions.row_number
                ) as place
            from versions
        )
        select source, file, row_number from ranked where place > 1 and reason is null"""


def check_columns(lake: Lakehouse, source: Source) -> None:
    """Stop at a file that lacks a column that its kind must have; an empty column is no lack."""
    fields = naming.field_map(source)
    for column in ENTITY_OF_KIND[source.kind].required:
        paths = naming.paths_of(fields[column])
        for (file,) in lake.rows(_FILES_WITHOUT.format(column=column), {"source": source.name}):
            of_file = {"source": source.name, "file": file}
            if not lake.one(_HAS_ANY_PATH, {**of_file, "paths": paths}):
                raise ColumnError(
                    f"{file} must have a column for {column}: {' or '.join(map(_as_name, paths))}",
                    got=_as_list([name for (name,) in lake.rows(_FIELDS, of_file)]),
                    hint=f'name it at source {source.name} in c360ml.toml: columns = {{ {column} = "..." }}',
                )


_FILES_WITHOUT = """
    select file from judged
    where source = $source and reason is distinct from 'row_unreadable'
    group by file having count({column}) = 0 order by file
"""
_OF_FILE = "from bronze.source_rows where source = $source and file = $file"
_HAS_ANY_PATH = f"select coalesce(bool_or(list_contains(json_exists(raw, $paths), true)), false) {_OF_FILE}"
_FIELDS = f"select distinct unnest(json_keys(raw)) from (select raw {_OF_FILE} and row_number <= 100) order by 1"
_MOST_NAMES_SHOWN = 20


def _as_name(path: str) -> str:
    return path.removeprefix('$."').removesuffix('"')


def _as_list(names: list[str]) -> str:
    """List column names; if they look like values, the first row took the header's place: show none."""
    if any(re.search(r"@|\d{4}", name.partition("@odata")[0]) for name in names):
        return f"{len(names)} columns whose names look like values, as if there were no header"
    more = f" and {len(names) - _MOST_NAMES_SHOWN} more" if len(names) > _MOST_NAMES_SHOWN else ""
    return f"columns {', '.join(names[:_MOST_NAMES_SHOWN])}{more}"
