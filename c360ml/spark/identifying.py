"""The step `identify` on Spark: who lives where, who is who and what changed is found in tasks, as `identity` does.

Golden values are chosen a customer at a time. DuckDB on the driver checks that every record has a cluster, counts, and
follows retired IDs to living ones, see `identity.redirects`: of these there are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.config import Config, Source
from c360ml.identity.golden import (
    GOLDEN_CHOICES,
    golden_changes_sql,
    golden_choices,
    golden_sql,
    provenance_sql,
)
from c360ml.identity.golden_rules import Survivorship, chosen_rules
from c360ml.identity.households import EVERYBODY, HOUSEHOLD_MEMBERS
from c360ml.identity.identify import (
    IDENTITIES_SQL,
    READS,
    WRITES,
    check_clusters,
    customer_counts,
    rules_digest,
)
from c360ml.identity.ledger import GOLDEN_CHANGE_ROWS, LEFT_OF_GOLDEN_CHANGES, facts_of_run, next_moment
from c360ml.identity.master_ids import MASTER_RECORDS
from c360ml.identity.redirects import write_redirects
from c360ml.lakehouse import Lakehouse
from c360ml.linkage import online
from c360ml.linkage.step import MODEL_FILE
from c360ml.spark.frames import Frames
from c360ml.spark.households import PEOPLE, households
from c360ml.spark.ledger import columns_of_table, note_events
from c360ml.spark.master_ids import lasting_master_ids
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
    lake.say("finding the master IDs of the previous run on Spark")
    masters = lasting_master_ids(frames)
    owners = masters.owners.drop("part")
    lake.say("choosing golden values on Spark")
    answers = frames.keep(_choices(frames, config.sources, rules, owners))
    lake.say("finding households on Spark")
    members = households(frames, output(answers, "people"), owners, masters.homes)
    lake.say("writing what changed to the ledger")
    moment, model = next_moment(lake), lake.read_json(MODEL_FILE)
    digest = online.model_digest(model) if model else None
    changes = note_events(frames, config, masters, moment, digest)
    facts = facts_of_run(lake, tables.GOLDEN_RECORDS, moment, digest)
    changes["golden_values"] = _write(frames, rules, output(answers, "choices"), owners, members, facts)
    write_redirects(lake)
    note_inputs(lake, tables.IDENTITY_INPUTS, rules=rules_digest(config, rules), read=read, wrote=WRITES)
    return customer_counts(lake) | masters.became | {"changes": changes}


def _write(
    frames: Frames,
    rules: tuple[Survivorship, ...],
    choices: DataFrame,
    owners: DataFrame,
    members: DataFrame,
    facts: dict[str, Any],
) -> int:
    """Write the tables that say who is who, after golden values that changed; returns how many did."""
    contracts = {
        "golden": tables.GOLDEN_RECORDS,
        "provenance": tables.GOLDEN_PROVENANCE,
        "identities": tables.IDENTITIES,
    }
    inputs = {
        "choices": Input(choices, "master_id"),
        MASTER_RECORDS: Input(owners, "master_id"),
        HOUSEHOLD_MEMBERS: Input(members, "master_id"),
    }
    before = (tables.GOLDEN_RECORDS, tables.GOLDEN_PROVENANCE)
    stand = all(frames.lake.version(table) is not None for table in before)
    if stand:
        inputs |= {table.path: Input(frames.read(table), "master_id") for table in before}
    outputs = {name: columns_of_table(table) for name, table in contracts.items()}
    outputs["changed"] = columns_of_table(tables.IDENTITY_LEDGER)
    work = partial(_golden_rows, rules, facts if stand else None)
    kept = frames.keep(spread(inputs, work, outputs, partitions=frames.partitions))
    frames.append(tables.IDENTITY_LEDGER, output(kept, "changed"), replacing=LEFT_OF_GOLDEN_CHANGES.format(**facts))
    frames.lake.say("writing identities and golden records")
    for name, table in contracts.items():
        frames.write(table, output(kept, name))
    return output(kept, "changed").count()


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


def _golden_rows(
    rules: tuple[Survivorship, ...], facts: dict[str, Any] | None, lake: Lakehouse
) -> Iterator[tuple[str, str]]:
    """Golden records, provenance and identities; without `facts` nothing is known of what stood before."""
    lake.rows(f"create temp view {GOLDEN_CHOICES} as {_nested('choices', rules)}")
    if facts is not None:
        rows = GOLDEN_CHANGE_ROWS.format(changes=f"({golden_changes_sql(rules)})")
        lake.rows(f"create temp table changed as {rows}", facts)
        yield "changed", "from changed"
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
