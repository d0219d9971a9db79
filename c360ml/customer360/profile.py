"""The step that writes one row per customer: who they are, what they did, what they are worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from c360ml import tables
from c360ml.config import Config
from c360ml.customer360.activity import DAYS_PER_YEAR
from c360ml.customer360.identity_impact import TOLD_CUSTOMERS, record_impact
from c360ml.lakehouse import Lakehouse
from c360ml.table_changes import write_changes
from c360ml.tables import Table


def profile_customers(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Write gold.customer_360 and gold.households, and what changes of identities did to customers.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> reads = (tables.GOLDEN_RECORDS, tables.CUSTOMER_ACTIVITY, tables.CUSTOMER_VALUE, tables.CUSTOMER_SEGMENTS)
    >>> for table in reads:
    ...     columns = ", ".join(f"null as {name}" for name in table.columns)
    ...     _ = lake.write(table, f"select {columns} where false")
    >>> _ = lake.write(tables.OBSERVATION, "select date '2024-01-01' as observation_start, "
    ...                                    "date '2024-12-31' as observation_end")
    >>> profile_customers(lake, Config())["customers"]
    0
    """
    return _profile(lake, Lakehouse.write)


def append_profiles(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Bring both tables up to date by writing only rows that are not what they were."""
    return _profile(lake, write_changes)


def _profile(lake: Lakehouse, write: Callable[[Lakehouse, Table, str], int]) -> dict[str, Any]:
    changes = record_impact(lake, profiles_sql(TOLD_CUSTOMERS))
    lake.say("writing one row per customer")
    write(lake, tables.CUSTOMER_360, PROFILE_SQL)
    write(lake, tables.HOUSEHOLDS, HOUSEHOLDS_SQL)
    households = lake.one(f"select count(*) from {tables.HOUSEHOLDS.path}")
    return profile_counts(lake) | {"households": households, "identity_changes": changes}


def _activity_columns() -> str:
    """Counts and sums of nothing are zero, a list of nothing is empty; a mean or a day stays unknown."""
    zeros = {"BIGINT": "0", "VARCHAR[]": "[]"}
    unknown = {"days_since_last_activity"}
    zero_sums = {"purchase_revenue", "service_revenue", "purchases_per_year", "engagement_score"}
    lines = []
    for name, column in tables.CUSTOMER_ACTIVITY.columns.items():
        zero = "0" if name in zero_sums else zeros.get(column.type)
        if name in tables.CUSTOMER_360.columns and name != "master_id":
            known = zero is None or name in unknown
            lines.append(f"activity.{name}" if known else f"coalesce(activity.{name}, {zero}) as {name}")
    return ",\n        ".join(lines)


_PROFILES = f"""
    with customers as (
        select
            golden.*,
            date_diff(
                'day', least(golden.first_seen_at::date, activity.first_activity_on), observation_end
            ) as days
        from (from silver.golden_records {{asked}}) as golden
        left join gold.customer_activity as activity using (master_id), gold.observation
    )
    select
        master_id,
        household_id,
        full_name,
        email,
        phone,
        city,
        state,
        postcode,
        status,
        marketing_consent,
        records,
        sources as data_sources,
        quality_score,
        first_seen_at::date as earliest_record_on,
        last_seen_at::date as latest_record_on,
        greatest(days, 0) as tenure_days,
        greatest(days, 0) / {DAYS_PER_YEAR} as tenure_years,
        {_activity_columns()},
        coalesce(historical_value, 0) as historical_value,
        coalesce(projected_value, 0) as projected_value,
        coalesce(historical_value, 0) + coalesce(projected_value, 0) as customer_value,
        probability_alive,
        coalesce(expected_purchases, 0) as expected_purchases,
        rfm_score,
        rfm_segment,
        kmeans_segment,
        behaviour_segment,
        value_tier,
        action_segment,
        preferred_channel,
        preferred_brand,
        preferred_model,
        service_loyalty,
        engagement_band
    from customers
    left join gold.customer_activity as activity using (master_id)
    left join gold.customer_value as customer_values on customer_values.customer_id = master_id
    left join gold.customer_segments as segments using (master_id)
"""


def profiles_sql(customers: str | None = None) -> str:
    """Give SQL of gold.customer_360.

    Args:
        customers: name of a table of `master_id`; without it all customers.

    >>> "semi join asked" in profiles_sql("asked")
    True
    """
    return _PROFILES.format(asked=f"semi join {customers} using (master_id)" if customers else "")


PROFILE_SQL = profiles_sql()

HOUSEHOLDS_SQL = """
    select
        household_id,
        count(*) as members,
        list_sort(list(master_id)) as master_ids,
        sum(records)::bigint as records,
        count(*) filter (where purchases > 0) as buyers,
        sum(purchases)::bigint as purchases,
        sum(historical_value::decimal(38, 4))::double as historical_value,
        sum(projected_value::decimal(38, 4))::double as projected_value,
        sum(customer_value::decimal(38, 4))::double as customer_value,
        max(last_activity_on) as last_activity_on
    from gold.customer_360
    group by household_id
"""


def profile_counts(lake: Lakehouse) -> dict[str, Any]:
    """Count customers and sum their value."""
    names = (
        "customers",
        "buyers",
        "service_customers",
        "digital_customers",
        "customers_without_activity",
        "multi_source_customers",
        "mean_tenure_years",
        "mean_engagement_score",
        "historical_value",
        "projected_value",
        "customer_value",
    )
    values = lake.rows("""
        select
            count(*),
            count(*) filter (where purchases > 0),
            count(*) filter (where service_visits > 0),
            count(*) filter (where digital_interactions > 0),
            count(*) filter (where last_activity_on is null),
            count(*) filter (where len(data_sources) > 1),
            (sum(tenure_years::decimal(38, 6)) / count(*))::double,
            (sum(engagement_score::decimal(38, 4)) / count(*))::double,
            coalesce(sum(historical_value::decimal(38, 4)), 0)::double,
            coalesce(sum(projected_value::decimal(38, 4)), 0)::double,
            coalesce(sum(customer_value::decimal(38, 4)), 0)::double
        from gold.customer_360
    """)[0]
    return dict(zip(names, values, strict=True))
