"""How many customers share each history: all that a purchase model needs of them, and small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa

from c360ml.customer_value.columns import Floats, as_frame, read_covariates, read_purchases, read_weights
from c360ml.customer_value.compression import distinct_rows
from c360ml.customer_value.origin import check_origin, origin_of, with_origin
from c360ml.errors import DataError

HISTORY_COLUMNS = ("repeat_purchases", "first_to_last_purchase_weeks", "age_weeks")


@dataclass(frozen=True)
class TripleCounts:
    """Distinct histories (repeat purchases, first to last purchase, age) and how many customers have each.

    It holds no key of a customer. Models are fitted on it as on a history, for it is a table with a column
    `weight`; counts of customers who are not the same (regions, cohorts, parts of a large table) are merged
    instead of the customers:

    >>> import pandas
    >>> history = pandas.DataFrame({
    ...     "repeat_purchases": [0, 0, 2], "first_to_last_purchase_weeks": [0.0, 0.0, 8.0],
    ...     "age_weeks": [10.0, 10.0, 9.0]})
    >>> counts = TripleCounts.of(history)
    >>> counts.merge(counts).table.to_pydict()["weight"]
    [4.0, 2.0]
    """

    covariates: tuple[str, ...]
    columns: tuple[Floats, ...] = field(repr=False)
    weight: Floats = field(repr=False)
    origin: dict[str, str] | None = None

    @classmethod
    def of(cls, history: Any, covariates: Sequence[str] = ()) -> Self:
        """Count the customers of a history by their triple, and by covariates that a model is to use.

        Raises:
            ColumnError: a column is missing.
            DataError: there are no rows, or some cannot be true.
        """
        frame = as_frame(history)
        triples = read_purchases(frame)
        values = (*triples, *read_covariates(frame, covariates))
        return cls._of(values, read_weights(frame, len(triples[0])), covariates, origin_of(frame))

    @classmethod
    def _of(
        cls, columns: Sequence[Floats], weight: Floats, covariates: Sequence[str], origin: dict[str, str] | None
    ) -> Self:
        kept, weights = distinct_rows(columns, weight)
        return cls(tuple(covariates), tuple(column.per_row() for column in kept), weights, origin)

    def merge(self, other: TripleCounts) -> TripleCounts:
        """Add up the customers of two counts.

        Raises:
            DataError: they are not counted by the same covariates, or not in the same way.
        """
        if self.covariates != other.covariates:
            raise DataError(
                "merged counts must be by the same covariates",
                got=f"{list(self.covariates)} and {list(other.covariates)}",
                hint="count both with the same covariates",
            )
        check_origin(self.origin, other.origin)
        both = [np.concatenate(pair) for pair in zip(self.columns, other.columns, strict=True)]
        weight = np.concatenate([self.weight, other.weight])
        return TripleCounts._of(both, weight, self.covariates, self.origin or other.origin)

    @property
    def customers(self) -> float:
        """The number of customers."""
        return float(self.weight.sum())

    @property
    def table(self) -> Any:
        """The counts as a history with a column `weight`."""
        names = [*HISTORY_COLUMNS, *self.covariates, "weight"]
        table = pa.table(dict(zip(names, [*self.columns, self.weight], strict=True)))
        return table if self.origin is None else with_origin(table, self.origin)

    def __len__(self) -> int:
        return len(self.weight)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)
