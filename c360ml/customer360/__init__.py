"""5. Customer 360: what every customer did, and one row that tells all about each of them."""

from c360ml.customer360.append import append_interactions
from c360ml.customer360.collect import collect_interactions
from c360ml.customer360.customer_page import customer_360
from c360ml.customer360.profile import append_profiles, profile_customers

__all__ = ["append_interactions", "append_profiles", "collect_interactions", "customer_360", "profile_customers"]
