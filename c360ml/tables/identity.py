"""Silver: what became of identities from run to run, and who asked to be forgotten."""

from c360ml.tables.contract import table

IDENTITY_LEDGER = table(
    "silver.identity_ledger",
    key="event_id",
    about="Every change of an identity, one event a row, never rewritten; `valid_events` leaves out killed runs.",
    columns="""
    event_id      VARCHAR      digest of the event and of the version that it made
    run_id        VARCHAR      the run, named by its time
    happened_at   TIMESTAMPTZ  time of the run
    event         VARCHAR      created, joined, merged, split, moved, left, retired, returned, golden_changed, erased
    master_id     VARCHAR      the person; null if erased
    other_master_id VARCHAR    merged: the retired ID; split, moved: the ID that the records had before
    record_id     VARCHAR      record that joined, moved or left
    records       BIGINT       records that the event concerns
    reason        VARCHAR      first run, new record, reviewer, constraint, model changed, source gone, ...
    edge_record_id_l VARCHAR   strongest link across what was joined or parted: its lesser record
    edge_record_id_r VARCHAR   its greater record
    edge_probability DOUBLE    its match probability
    model_digest  VARCHAR      linkage model of the run
    field         VARCHAR      golden_changed: the field
    before        VARCHAR      golden_changed: record that gave the value before
    after         VARCHAR      golden_changed: record that gives it now
    table_version BIGINT       Delta version of silver.identities (of golden_records if golden_changed) with the change
""",
)
IDENTITY_HISTORY = table(
    "silver.identity_history",
    key="record_id table_version",
    about="Who each record was since when: a row per change of its customer, never rewritten.",
    columns="""
    record_id     VARCHAR      record
    master_id     VARCHAR      the person from then on; null once the record was gone
    valid_from    TIMESTAMPTZ  time of the run; it ends at the record's next row
    run_id        VARCHAR      the run
    table_version BIGINT       Delta version of silver.identities with the change
""",
)
MASTER_REDIRECTS = table(
    "silver.master_redirects",
    key="retired_master_id",
    about="Where every retired master ID leads.",
    columns="""
    retired_master_id VARCHAR  ID that names nobody any more
    master_id     VARCHAR      the living ID that it leads to, over any number of merges; null if its records are gone
    run_id        VARCHAR      the run that retired it
    retired_at    TIMESTAMPTZ  time of that run
    reason        VARCHAR      why it was retired
""",
)
TOMBSTONES = table(
    "silver.tombstones",
    key="digest",
    about="Who asked to be forgotten: salted digests, nothing else; landing keeps their rows out.",
    columns="""
    digest        VARCHAR      SHA-256 of salt, kind and key
    kind          VARCHAR      record, email or master_id
    salt          VARCHAR      the project's salt
    forgotten_at  TIMESTAMPTZ  time of the erasure
""",
)
"""Written by `c360ml forget` alone, so it is in no step and not in `ALL`."""
