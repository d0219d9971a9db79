"""What gold.customer_value was made of, and so whom an append has to value again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.table_changes import code_of, digest_of, known_inputs, note_inputs, touched_since, versions_of

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse

_READS = (tables.CUSTOMER_ACTIVITY, tables.OBSERVATION)


def note_valued(lake: Lakehouse, model: Mapping[str, Any] | None) -> None:
    """Note the inputs, when gold.customer_value and the model file are written.

    Args:
        lake: the lakehouse.
        model: content of the model file.
    """
    note_inputs(
        lake,
        tables.VALUE_INPUTS,
        rules=_rules(model),
        read=versions_of(lake, _READS),
        wrote=(tables.CUSTOMER_VALUE,),
    )


def to_value_again(lake: Lakehouse, model: Mapping[str, Any]) -> str | None:
    """Give SQL of `master_id` of the customers whose value may have changed since by the same model; None for all.

    When the end of observation moves, everybody is older and has another value.
    """
    versions = known_inputs(lake, tables.VALUE_INPUTS, rules=_rules(model), read=_READS, wrote=(tables.CUSTOMER_VALUE,))
    if versions is None or versions[tables.OBSERVATION.path] != lake.version(tables.OBSERVATION):
        return None
    return touched_since(lake, versions[tables.CUSTOMER_ACTIVITY.path])


def _rules(model: Mapping[str, Any] | None) -> str:
    return digest_of(code_of(__file__), model)
