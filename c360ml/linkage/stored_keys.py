"""Block keys that outlive the linkage, so that records which come later are blocked against stored ones.

A key is a hash of the rule's number and its block key, in 63 bits, for Delta has no unsigned numbers. It only tells
which stored records may share a block with a new one: these are blocked again together with it, so that two rules or
values that fall on one number cost a comparison and change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from c360ml.linkage.blocking import BlockingRule, rests_on_hub


def stored_keys_sql(rules: Sequence[BlockingRule]) -> str:
    """Give SQL over `linkage_features` of the keys of a record, as a list.

    Where a rule rests on a hub value alone, records that come later are blocked on the split key. In the model's own
    file a hub that no other record shares still has the whole key: so the split key is taken there, too.

    >>> "block_surname_and_city" in stored_keys_sql((BlockingRule(("surname", "city")),))
    True
    """
    keys = (f"case when {rests_on_hub(rule)} then {rule.split_key} else {rule.column} end" for rule in rules)
    numbered = ", ".join(
        f"case when ({key}) is not null then (hash({key}, {number}) >> 1)::bigint end"
        for number, key in enumerate(keys)
    )
    return f"list_filter([{numbered}], lambda k: k is not null)"
