"""Append: identities and golden records brought up to date where records were added, changed or withdrawn."""

from __future__ import annotations

from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import TableError
from c360ml.identity.golden import golden_choices
from c360ml.identity.golden_rules import chosen_rules
from c360ml.identity.households import HOUSEHOLD_MEMBERS, households
from c360ml.identity.identify import (
    READS,
    WRITES,
    customer_counts,
    identify,
    rules_digest,
    write_customers,
)
from c360ml.identity.master_ids import lasting_master_ids
from c360ml.identity.redirects import write_redirects
from c360ml.identity.touched import (
    HOME_OWNERS,
    TOUCHED_CLUSTERS,
    TOUCHED_MASTERS,
    TOUCHED_PREVIOUS,
    TOUCHED_RECORDS,
    touched_customers,
    touched_homes,
)
from c360ml.lakehouse import Lakehouse
from c360ml.table_changes import known_inputs, note_inputs, versions_of

MOST_TOUCHED = 0.5
"""Where a larger share of the records is touched, looking at all customers costs less than telling them apart."""


def append_identities(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Identify the customers whose records changed; row for row what `identify` would have written.

    Where it cannot be told what changed, or most did, all customers are identified.

    Raises:
        TableError: silver.clusters does not hold each touched record of silver.records once.
    """
    rules = chosen_rules(config.golden.model_dump())
    digest, read = rules_digest(config, rules), versions_of(lake, READS)
    versions = known_inputs(lake, tables.IDENTITY_INPUTS, rules=digest, read=READS, wrote=WRITES)
    if versions is None:
        return identify(lake, config)
    for table in WRITES:
        lake.open(table)
    lake.say("finding the customers that changed")
    with touched_customers(lake, versions, rules) as touched:
        if touched > MOST_TOUCHED * lake.one("select count(*) from silver.records"):
            return identify(lake, config)
        _check_touched(lake)
        untouched = lake.one(
            f"select count(*) from silver.golden_records anti join {TOUCHED_MASTERS} using (master_id)"
        )
        with (
            lasting_master_ids(lake, previous=TOUCHED_PREVIOUS, clusters=TOUCHED_CLUSTERS) as became_of_ids,
            golden_choices(lake, config.sources, rules),
            touched_homes(lake, versions) as people,
            households(lake, people, HOME_OWNERS),
            lake.scratch("moved_homes", _MOVED_HOMES),
            lake.scratch("lost_customers", _LOST_CUSTOMERS),
            lake.scratch("lost_records", _LOST_RECORDS),
        ):
            changes = write_customers(lake, config, rules, _AMENDED)
    write_redirects(lake)
    note_inputs(lake, tables.IDENTITY_INPUTS, rules=digest, read=read, wrote=WRITES)
    became_of_ids["kept_ids"] += untouched
    return customer_counts(lake) | became_of_ids | {"changes": changes, "touched_records": touched}


def _check_touched(lake: Lakehouse) -> None:
    wrong = lake.one(f"""
        select count(*)
        from (select record_id, count(*) as times from {TOUCHED_CLUSTERS} group by record_id) as clustered
        full join (from silver.records semi join {TOUCHED_RECORDS} using (record_id)) as records using (record_id)
        where times is distinct from 1 or records.record_id is null
    """)
    if wrong:
        raise TableError(
            "silver.clusters must hold each record of silver.records once",
            got=f"{wrong} records without cluster, repeated or unknown",
            hint="run the step `link` again",
        )


_MOVED_HOMES = f"""
    select master_id, now.household_id
    from silver.golden_records as before
    join {HOUSEHOLD_MEMBERS} as now using (master_id)
    anti join {TOUCHED_MASTERS} using (master_id)
    where before.household_id <> now.household_id
"""
_LOST_CUSTOMERS = f"select master_id from {TOUCHED_MASTERS} union all select master_id from moved_homes"
_LOST_RECORDS = f"""
    select record_id from {TOUCHED_RECORDS}
    union all
    select record_id from silver.identities semi join moved_homes using (master_id)
"""
_IN_ANOTHER_HOME = """
    select stays.* replace (moved_homes.household_id as household_id)
    from {table} as stays join moved_homes using (master_id)
"""
_AMENDED = {
    tables.GOLDEN_RECORDS.path: ("lost_customers", _IN_ANOTHER_HOME.format(table=tables.GOLDEN_RECORDS.path)),
    tables.GOLDEN_PROVENANCE.path: (TOUCHED_MASTERS, f"from {tables.GOLDEN_PROVENANCE.path} where false"),
    tables.IDENTITIES.path: ("lost_records", _IN_ANOTHER_HOME.format(table=tables.IDENTITIES.path)),
}
