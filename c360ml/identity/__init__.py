"""4. Identity: clusters become customers with IDs that last, households and golden records."""

from c360ml.identity.golden_rules import RULES, Survivorship
from c360ml.identity.identify import identify
from c360ml.identity.online_index import build_index
from c360ml.identity.resolver import Resolution, Resolver

__all__ = ["RULES", "Resolution", "Resolver", "Survivorship", "build_index", "identify"]
