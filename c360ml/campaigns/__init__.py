"""Campaigns: who opened, clicked and bought, what it earned, and what it changed against a held-out group."""

from c360ml.campaigns.measure import measure_campaigns
from c360ml.campaigns.uplift import uplift_interval

__all__ = ["measure_campaigns", "uplift_interval"]
