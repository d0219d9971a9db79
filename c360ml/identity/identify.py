"""The step that turns clusters into customers."""

from __future__ import annotations

from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import TableError
from c360ml.identity.golden import golden_choices, golden_sql, provenance_sql
from c360ml.identity.households import households
from c360ml.identity.master_ids import lasting_master_ids
from c360ml.lakehouse import Lakehouse


def identify(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Give every record its customer and household, and every customer a golden record.

    Raises:
        TableError: silver.clusters does not hold each record of silver.records once.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> nothing = ", ".join(f"null as {name}" for name in tables.RECORDS.columns)
    >>> ann = "'crm:1' as record_id, 'crm' as source, 'ann' as given_name, 'o''neil' as surname"
    >>> _ = lake.write(tables.RECORDS, f"select * replace ({ann}) from (select {nothing})")
    >>> _ = lake.write(tables.CLUSTERS, "select 'crm:1' as record_id, 'crm:1' as cluster_id, 1 as cohesion")
    >>> _ = lake.rows("create view silver.links as select null::varchar as record_id_l, "
    ...               "null::varchar as record_id_r, null::double as household_probability where false")
    >>> identify(lake, Config())["customers"]
    1
    >>> lake.rows("select full_name, records from silver.golden_records")
    [("Ann O'Neil", 1)]
    """
    _check_clusters(lake)
    lake.say("finding the master IDs of the previous run")
    with lasting_master_ids(lake) as became_of_ids:
        lake.say("choosing golden values")
        with golden_choices(lake, config.sources):
            lake.say("finding households")
            with households(lake):
                lake.say("writing identities and golden records")
                lake.write(tables.IDENTITIES, _IDENTITIES)
                lake.write(tables.GOLDEN_RECORDS, golden_sql())
                lake.write(tables.GOLDEN_PROVENANCE, provenance_sql())
    return _counts(lake) | became_of_ids


def _check_clusters(lake: Lakehouse) -> None:
    repeated, unclustered, unknown = lake.rows("""
        select
            (select count(*) - count(distinct record_id) from silver.clusters),
            (select count(*) from silver.records anti join silver.clusters using (record_id)),
            (select count(*) from silver.clusters anti join silver.records using (record_id))
    """)[0]
    if repeated or unclustered or unknown:
        raise TableError(
            "silver.clusters must hold each record of silver.records once",
            got=f"{unclustered} records without cluster, {repeated} repeated, {unknown} unknown",
            hint="run the step `link` again",
        )


_IDENTITIES = """
    select record_id, master_id, household_id, cohesion
    from master_records
    join household_members using (master_id)
"""


def _counts(lake: Lakehouse) -> dict[str, Any]:
    customers, records, largest_cluster, households_, largest_household = lake.rows("""
        with customers as (
            select household_id, count(*) as members, sum(records) as records, max(records) as largest
            from silver.golden_records
            group by household_id
        )
        select
            coalesce(sum(members), 0)::bigint,
            coalesce(sum(records), 0)::bigint,
            coalesce(max(largest), 0),
            count(*),
            coalesce(max(members), 0)
        from customers
    """)[0]
    return {
        "customers": customers,
        "households": households_,
        "records_per_customer": records / customers if customers else 0.0,
        "largest_cluster": largest_cluster,
        "largest_household": largest_household,
    }
