"""The step that puts every customer into segments and a value tier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.segments.behaviour import BEHAVIOUR_RULES, BEHAVIOURS, first_match_sql
from c360ml.segments.kmeans import LEAST_CUSTOMERS, KMeansSegmenter
from c360ml.segments.rfm import RfmScorer
from c360ml.segments.rfm_map import RFM_SEGMENTS
from c360ml.segments.value_tiers import VALUE_TIER_RULES, VALUE_TIERS, ValueTiers

if TYPE_CHECKING:
    from c360ml.config import Config
    from c360ml.lakehouse import Lakehouse

MODEL_FILE = "models/segments.json"

_BUYERS = """
    select
        activity.master_id as customer_id,
        greatest(date_diff('day', last_purchase_on, observation_end), 0) as days_since_last_purchase,
        purchases,
        coalesce(purchase_revenue, 0) as total_spend,
        coalesce(historical_value + projected_value, purchase_revenue, 0) as customer_value
    from gold.customer_activity as activity
    join silver.golden_records using (master_id)
    cross join gold.observation
    left join gold.customer_value as value on value.customer_id = activity.master_id
    where purchases > 0
"""
_NO_SCORES = """
    select
        null::varchar as customer_id,
        null::varchar as rfm_score,
        null::varchar as rfm_segment,
        null::varchar as kmeans_segment
    where false
"""
_SEGMENTS = f"""
    with customers as (
        select
            golden.master_id,
            coalesce(activity.purchases, 0) as purchases,
            coalesce(service_visits, 0) as service_visits,
            coalesce(digital_interactions, 0) as digital_interactions,
            days_since_last_activity,
            customer_value
        from silver.golden_records as golden
        left join gold.customer_activity as activity using (master_id)
        left join buyers on buyers.customer_id = golden.master_id
    )
    select
        master_id,
        rfm_score,
        coalesce(rfm_segment, 'PROSPECT') as rfm_segment,
        coalesce(kmeans_segment, 'PROSPECT') as kmeans_segment,
        {first_match_sql(BEHAVIOUR_RULES)} as behaviour_segment,
        {first_match_sql(VALUE_TIER_RULES)} as value_tier
    from customers
    left join scores on scores.customer_id = customers.master_id
    order by master_id
"""


def segment_customers(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Write `gold.customer_segments` for every golden record, and the models to `models/segments.json`.

    RFM and clusters are learned from customers with a purchase; the others are PROSPECT there. Value is
    what they spent and are expected to spend.

    Returns:
        Counts by value tier, RFM, KMeans and behavioural segment; what was learned of each.
    """
    settings = config.segments
    tiers = ValueTiers(
        settings.vip_percentile,
        settings.premium_percentile,
        settings.standard_percentile,
        settings.engaged_events,
    )
    with lake.scratch("buyers", _BUYERS):
        buyers = int(lake.one("select count(*) from buyers"))
        lake.say(f"segmenting {buyers:,} customers with a purchase")
        tiers.fit(lake.sql("select customer_id, customer_value from buyers"))
        rfm, kmeans = _fit(lake, config, buyers)
        with lake.scratch("scores", *_scores(rfm, kmeans)):
            lake.write(
                tables.CUSTOMER_SEGMENTS,
                _SEGMENTS,
                {**tiers.parameters(), "inactive_days": settings.inactive_days},
            )
    lake.write_json(
        MODEL_FILE,
        {
            "rfm": rfm.to_dict() if rfm else None,
            "kmeans": kmeans.to_dict() if kmeans else None,
            "value_tiers": tiers.to_dict(),
        },
    )
    return _summary(lake, buyers, rfm, kmeans, tiers)


def _fit(lake: Lakehouse, config: Config, buyers: int) -> tuple[RfmScorer | None, KMeansSegmenter | None]:
    if not buyers:
        return None, None
    table = lake.sql("select * exclude (customer_value) from buyers").to_arrow_table()
    return RfmScorer().fit(table), KMeansSegmenter(seed=config.segments.kmeans_seed).fit(table)


def _scores(rfm: RfmScorer | None, kmeans: KMeansSegmenter | None) -> tuple[str, dict[str, Any]]:
    if rfm is None or kmeans is None:
        return _NO_SCORES, {}
    scored, scoring = rfm.as_sql("buyers")
    named, naming = kmeans.as_sql(f"({scored})")
    return (
        f"select customer_id, rfm_score, rfm_segment, kmeans_segment from ({named})",
        {**scoring, **naming},
    )


def _summary(
    lake: Lakehouse, buyers: int, rfm: RfmScorer | None, kmeans: KMeansSegmenter | None, tiers: ValueTiers
) -> dict[str, Any]:
    rfm_names = (*RFM_SEGMENTS, "PROSPECT")
    kmeans_names = (*(kmeans.names_ if kmeans else ()), "PROSPECT")
    return {
        "customers": int(lake.one("select count(*) from gold.customer_segments")),
        "buyers": buyers,
        "value_tiers": _count(lake, "value_tier", VALUE_TIERS),
        "rfm_segments": _count(lake, "rfm_segment", rfm_names),
        "kmeans_segments": _count(lake, "kmeans_segment", kmeans_names),
        "behaviour_segments": _count(lake, "behaviour_segment", BEHAVIOURS),
        "value_tier_cut_points": tiers.cut_points_,
        "rfm": _tell_rfm(rfm),
        "kmeans": _tell_kmeans(kmeans),
        "notes": _notes(buyers, kmeans),
    }


def _count(lake: Lakehouse, column: str, names: tuple[str, ...]) -> dict[str, int]:
    counted = dict(lake.rows(f"select {column}, count(*) from gold.customer_segments group by all"))
    return {name: int(counted.get(name, 0)) for name in names}


def _tell_rfm(rfm: RfmScorer | None) -> dict[str, Any] | None:
    if rfm is None:
        return None
    empty = {name: [band for band, size in enumerate(sizes, 1) if not size] for name, sizes in rfm.band_sizes_.items()}
    return {"cut_points": rfm.cut_points_, "band_sizes": rfm.band_sizes_, "empty_bands": empty}


def _tell_kmeans(kmeans: KMeansSegmenter | None) -> dict[str, Any] | None:
    if kmeans is None:
        return None
    chosen = next((tried for tried in kmeans.diagnostics_ if tried["k"] == kmeans.k_), {})
    return {
        "k": kmeans.k_,
        "is_stable": kmeans.is_stable_,
        "silhouette": chosen.get("silhouette"),
        "ari_mean": chosen.get("ari_mean"),
        "ari_least": chosen.get("ari_least"),
        "smallest_share": chosen.get("smallest_share"),
        "profiles": kmeans.profiles_,
        "diagnostics": kmeans.diagnostics_,
    }


def _notes(buyers: int, kmeans: KMeansSegmenter | None) -> list[str]:
    if not buyers:
        return ["no customer has a purchase: no RFM scores and no clusters"]
    if buyers < LEAST_CUSTOMERS:
        return [f"fewer than {LEAST_CUSTOMERS} customers with a purchase: one cluster holds them all"]
    if kmeans is not None and not kmeans.is_stable_:
        return ["no number of clusters is stable under resampling: the most repeatable one was taken"]
    return []
