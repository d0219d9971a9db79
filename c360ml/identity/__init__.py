"""4. Identity: clusters become customers with IDs that last, households and golden records."""

from c360ml.identity.golden_rules import RULES, Survivorship
from c360ml.identity.identify import identify

__all__ = ["RULES", "Survivorship", "identify"]
