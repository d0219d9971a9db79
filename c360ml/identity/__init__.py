"""4. Identity: clusters become customers with IDs that last, households and golden records."""

from c360ml.identity.append import append_identities
from c360ml.identity.golden_rules import RULES, Survivorship
from c360ml.identity.identify import identify
from c360ml.identity.inbox import clear_inbox, forget_upserts, inbox_records, write_inbox
from c360ml.identity.online_index import build_index, keep_indexes
from c360ml.identity.resolution import Resolution
from c360ml.identity.store import IdentityStore

__all__ = [
    "RULES",
    "IdentityStore",
    "Resolution",
    "Survivorship",
    "append_identities",
    "build_index",
    "clear_inbox",
    "forget_upserts",
    "identify",
    "inbox_records",
    "keep_indexes",
    "write_inbox",
]
