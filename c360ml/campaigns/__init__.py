"""Campaigns: who opened, clicked and bought, what it earned, and what it changed against a held-out group."""

from c360ml.campaigns.measure import measure_campaigns
from c360ml.campaigns.own_tables import CampaignResults, campaign_results
from c360ml.campaigns.uplift import pooled_uplift, uplift_interval

__all__ = ["CampaignResults", "campaign_results", "measure_campaigns", "pooled_uplift", "uplift_interval"]
