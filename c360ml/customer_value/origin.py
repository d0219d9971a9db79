"""What the numbers of a purchase history mean: kept with the table and with the model fitted on it.

A history of weeks must not be read by a model fitted on other time units, nor one whose purchases were merged by
week by a model of days: the numbers would look the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from c360ml.customer_value.columns import is_pandas
from c360ml.errors import DataError

_KEY = "c360ml.purchase_history"
_MUST_AGREE = ("time_unit", "grain")


def with_origin(table: Any, origin: Mapping[str, str]) -> Any:
    """Write the origin into a pandas frame or an Arrow table; a relation has no place for it.

    >>> origin_of(with_origin(pa.table({"repeat_purchases": [1]}), {"time_unit": "week", "grain": "day"}))
    {'time_unit': 'week', 'grain': 'day'}
    """
    if isinstance(table, pa.Table):
        return table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: json.dumps(dict(origin))})
    if is_pandas(table):
        table.attrs[_KEY] = dict(origin)
    return table


def origin_of(table: Any) -> dict[str, str] | None:
    """Read the origin of a history; None where the table does not say."""
    if is_pandas(table):
        kept = getattr(table, "attrs", {}).get(_KEY)
        return None if kept is None else dict(kept)
    content = (getattr(getattr(table, "schema", None), "metadata", None) or {}).get(_KEY.encode())
    return None if content is None else dict(json.loads(content))


def check_origin(fitted: Mapping[str, str] | None, given: Mapping[str, str] | None) -> None:
    """Refuse a history whose numbers mean something else than those the model was fitted on.

    The end of observation may differ: each customer's age is counted to the end of their own history.

    Raises:
        DataError: both say what they mean, and it is not the same.
    """
    if fitted is None or given is None:
        return
    differs = [name for name in _MUST_AGREE if fitted.get(name) != given.get(name)]
    if differs:
        raise DataError(
            "a history must be counted as the one that the model was fitted on",
            got=", ".join(f"{name} {given.get(name)} instead of {fitted.get(name)}" for name in differs),
            hint="make the history with the same grain, or fit the model again",
        )
