"""The step that puts every customer into segments and a value tier, and says what to do with each segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.segments.actions import ACTION_RULES, action_cuts
from c360ml.segments.behaviour import BEHAVIOUR_RULES, ENGAGEMENT_RULES, SERVICE_LOYALTY_RULES, first_match_sql
from c360ml.segments.kept_models import MODEL_FILE, BuyerModels, models_for
from c360ml.segments.movement import record_movement
from c360ml.segments.preferences import preferences_sql
from c360ml.segments.recommendations import recommend
from c360ml.segments.segment_inputs import note_segmented
from c360ml.segments.step_summary import summarize
from c360ml.segments.value_tiers import VALUE_TIER_RULES, ValueTiers

if TYPE_CHECKING:
    from c360ml.config import Config
    from c360ml.lakehouse import Lakehouse

_BUYERS = """
    select
        activity.master_id as customer_id,
        greatest(date_diff('day', last_purchase_on, observation_end), 0) as days_since_last_purchase,
        purchases,
        coalesce(purchase_revenue, 0) as total_spend,
        coalesce(historical_value + projected_value, purchase_revenue, 0) as customer_value,
        coalesce(historical_value, purchase_revenue, 0) as historical_value,
        projected_value,
        probability_alive
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
            last_service_on,
            coalesce(engagement_score, 0) as engagement_score,
            customer_value,
            historical_value,
            projected_value,
            probability_alive,
            rfm_score,
            coalesce(rfm_segment, 'PROSPECT') as rfm_segment,
            coalesce(kmeans_segment, 'PROSPECT') as kmeans_segment,
            preferred_channel,
            preferred_brand,
            preferred_model,
            observation_end
        from silver.golden_records as golden
        left join gold.customer_activity as activity using (master_id)
        left join buyers on buyers.customer_id = golden.master_id
        left join scores on scores.customer_id = golden.master_id
        left join preferences on preferences.master_id = golden.master_id
        cross join gold.observation
    )
    select
        master_id,
        rfm_score,
        rfm_segment,
        kmeans_segment,
        {first_match_sql(BEHAVIOUR_RULES)} as behaviour_segment,
        {first_match_sql(VALUE_TIER_RULES)} as value_tier,
        {first_match_sql(tuple((rule.segment, rule.condition) for rule in ACTION_RULES))} as action_segment,
        preferred_channel,
        preferred_brand,
        preferred_model,
        {first_match_sql(SERVICE_LOYALTY_RULES)} as service_loyalty,
        {first_match_sql(ENGAGEMENT_RULES)} as engagement_band
    from customers
"""


def segment_customers(lake: Lakehouse, config: Config) -> dict[str, Any]:
    """Write segments, their trends and transitions, and recommendations; the models to `models/segments.json`.

    RFM and clusters are learned from customers with a purchase; the others are PROSPECT there. What the
    last run learned stays unless `segments.refit` asks for more. Value is what they spent and are expected
    to spend.

    Returns:
        Counts by value tier, RFM, KMeans, behavioural and action segment; what was learned of each; how
        customers moved since the run before.
    """
    return segment_with(lake, config, preferences_sql())


def segment_with(lake: Lakehouse, config: Config, preferences: str) -> dict[str, Any]:
    """Do what `segment_customers` does, with SQL of the customers' preferences."""
    settings = config.segments
    tiers = ValueTiers(
        settings.vip_percentile,
        settings.premium_percentile,
        settings.standard_percentile,
        settings.engaged_events,
    )
    today = str(lake.one("select observation_end from gold.observation"))
    with lake.scratch("buyers", _BUYERS):
        buyers = int(lake.one("select count(*) from buyers"))
        lake.say(f"segmenting {buyers:,} customers with a purchase")
        tiers.fit(lake.sql("select customer_id, customer_value from buyers"))
        cuts = action_cuts(lake.con, "buyers", settings.inactive_days)
        models = models_for(lake, settings, today) if buyers else None
        with lake.scratch("scores", *_scores(models)), lake.scratch("preferences", preferences):
            compared = tiers.parameters() | cuts
            with lake.scratch("new_segments", _SEGMENTS, compared):
                _publish(lake, models, cuts)
    learned = models.to_dict() if models else {"rfm": None, "kmeans": None}
    lake.write_json(MODEL_FILE, {**learned, "value_tiers": tiers.to_dict(), "action_cuts": cuts})
    note_segmented(lake)
    return summarize(lake, buyers, models, tiers, cuts)


def _scores(models: BuyerModels | None) -> tuple[str, dict[str, Any]]:
    if models is None:
        return _NO_SCORES, {}
    scored, scoring = models.rfm.as_sql("buyers")
    named, naming = models.kmeans.as_sql(f"({scored})")
    return (
        f"select customer_id, rfm_score, rfm_segment, kmeans_segment from ({named})",
        {**scoring, **naming},
    )


def _publish(lake: Lakehouse, models: BuyerModels | None, cuts: dict[str, Any]) -> None:
    """Write what compares with the last run's segments before these are replaced."""
    lake.say("following customers from segment to segment")
    record_movement(lake)
    recommend(lake, models.rfm if models else None, cuts)
    lake.write(tables.CUSTOMER_SEGMENTS, "select * from new_segments order by master_id")
