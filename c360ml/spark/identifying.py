"""The step `identify` on Spark: golden values are chosen in tasks, a customer at a time, as `identity.golden` does.

Which IDs last and the ledger need a few narrow columns of all customers: DuckDB on the driver does these, out of core
if they are large.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.config import Config, Source
from c360ml.identity.golden import GOLDEN_CHOICES, golden_choices, golden_sql, provenance_sql
from c360ml.identity.golden_rules import Survivorship, chosen_rules
from c360ml.identity.households import EVERYBODY, HOUSEHOLD_MEMBERS, homes_before_sql
from c360ml.identity.identify import (
    IDENTITIES_SQL,
    READS,
    WRITES,
    check_clusters,
    customer_counts,
    note_changes,
    rules_digest,
)
from c360ml.identity.master_ids import MASTER_RECORDS, lasting_master_ids
from c360ml.identity.redirects import write_redirects
from c360ml.lakehouse import Lakehouse
from c360ml.spark.frames import Frames
from c360ml.spark.households import PEOPLE, households
from c360ml.spark.tasks import Input, output, spread
from c360ml.table_changes import note_inputs, versions_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_CUSTOMER = {
    "master_id": "VARCHAR",
    "records": "BIGINT",
    "quality_score": "DOUBLE",
    "first_seen_at": "TIMESTAMPTZ",
    "last_seen_at": "TIMESTAMPTZ",
    "sources": "VARCHAR[]",
}


def identify(frames: Frames, config: Config) -> dict[str, Any]:
    """Do what `identity.identify` does."""
    lake = frames.lake
    check_clusters(lake)
    rules, read = chosen_rules(config.golden.model_dump()), versions_of(lake, READS)
    lake.say("finding the master IDs of the previous run")
    with lasting_master_ids(lake) as became_of_ids:
        lake.say("choosing golden values on Spark")
        owners = frames.of_query(f"select record_id, master_id, cohesion from {MASTER_RECORDS}")
        answers = frames.keep(_choices(frames, config.sources, rules, owners))
        choices = frames.keep(output(answers, "choices"))
        lake.rows(f"create or replace temp view {GOLDEN_CHOICES} as {_nested(_files(frames, choices), rules)}")
        lake.say("finding households on Spark")
        before = frames.of_query(homes_before_sql(lake))
        members = households(frames, output(answers, "people"), owners, before)
        changes = note_changes(lake, config, rules)
        _write(frames, rules, choices, owners, members)
        lake.rows(f"drop view {GOLDEN_CHOICES}")
    write_redirects(lake)
    note_inputs(lake, tables.IDENTITY_INPUTS, rules=rules_digest(config, rules), read=read, wrote=WRITES)
    return customer_counts(lake) | became_of_ids | {"changes": changes}


def _files(frames: Frames, rows: DataFrame) -> str:
    return f"read_parquet({frames.files_of(rows)!r})"


def _write(
    frames: Frames, rules: tuple[Survivorship, ...], choices: DataFrame, owners: DataFrame, members: DataFrame
) -> None:
    contracts = {
        "golden": tables.GOLDEN_RECORDS,
        "provenance": tables.GOLDEN_PROVENANCE,
        "identities": tables.IDENTITIES,
    }
    answers = spread(
        {
            "choices": Input(choices, "master_id"),
            MASTER_RECORDS: Input(owners, "master_id"),
            HOUSEHOLD_MEMBERS: Input(members, "master_id"),
        },
        partial(_golden_rows, rules),
        {name: {column: each.type for column, each in table.columns.items()} for name, table in contracts.items()},
        partitions=frames.partitions,
    )
    kept = frames.keep(answers)
    frames.lake.say("writing identities and golden records")
    for name, table in contracts.items():
        frames.write(table, output(kept, name))


# ---------------------------------------------------------------------- in the tasks
def _choices(
    frames: Frames, sources: tuple[Source, ...], rules: tuple[Survivorship, ...], owners: DataFrame
) -> DataFrame:
    """All customers: outputs `choices`, each choice's values in columns of their own, and `people`."""
    from pyspark.sql import functions as sf

    records = frames.read(tables.RECORDS).join(
        owners.select("record_id", sf.col("master_id").alias("owner")), "record_id"
    )
    return spread(
        {
            tables.RECORDS.path: Input(records, "owner", keep=False),
            MASTER_RECORDS: Input(owners.select("record_id", "master_id"), "master_id"),
        },
        partial(_choose, sources, rules),
        {"choices": {**_CUSTOMER, **_flat_types(rules)}, "people": PEOPLE},
        partitions=frames.partitions,
    )


def _choose(sources: tuple[Source, ...], rules: tuple[Survivorship, ...], lake: Lakehouse) -> Iterator[tuple[str, str]]:
    flat = ", ".join(
        [f"{rule.name}_choice.{field} as {_flat(rule, field)}" for rule in rules for field in _fields(rule)]
        + [f"{rule.name}_runner_up, {rule.name}_candidates" for rule in rules]
    )
    with golden_choices(lake, sources, rules):
        yield "choices", f"select {', '.join(_CUSTOMER)}, {flat} from {GOLDEN_CHOICES}"
        yield "people", EVERYBODY


def _golden_rows(rules: tuple[Survivorship, ...], lake: Lakehouse) -> Iterator[tuple[str, str]]:
    lake.rows(f"create temp view {GOLDEN_CHOICES} as {_nested('choices', rules)}")
    yield "golden", golden_sql(rules)
    yield "provenance", provenance_sql(rules)
    yield "identities", IDENTITIES_SQL


def _nested(flat: str, rules: tuple[Survivorship, ...]) -> str:
    """SQL of `golden_choices` from its flat columns."""
    structs = ", ".join(
        f"struct_pack({', '.join(f'{field} := {_flat(rule, field)}' for field in _fields(rule))}) as {rule.name}_choice"
        for rule in rules
    )
    return f"select *, {structs} from {flat}"


def _fields(rule: Survivorship) -> tuple[str, ...]:
    return ("record_id", *rule.fields)


def _flat(rule: Survivorship, field: str) -> str:
    return f"{rule.name}__{field}"


def _flat_types(rules: tuple[Survivorship, ...]) -> dict[str, str]:
    types = {name: column.type for name, column in tables.GOLDEN_RECORDS.columns.items()} | {"record_id": "VARCHAR"}
    columns = {_flat(rule, field): types[field] for rule in rules for field in _fields(rule)}
    for rule in rules:
        columns |= {f"{rule.name}_runner_up": "VARCHAR", f"{rule.name}_candidates": "BIGINT"}
    return columns
