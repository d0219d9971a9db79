"""Numbers out of a user's table, and new columns into it, whatever kind of table it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c360ml.errors import ColumnError, DataError
from c360ml.lakehouse import as_relation, connect

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def is_pandas(data: Any) -> bool:
    """Tell a pandas object without loading pandas."""
    return type(data).__module__.startswith("pandas")


def is_relation(data: Any) -> bool:
    """Tell a DuckDB relation without loading DuckDB."""
    return type(data).__name__ == "DuckDBPyRelation"


def as_frame(data: Any) -> Any:
    """Take a table in a form whose rows have an order: pandas stays, all else becomes Arrow.

    Raises:
        ColumnError: it is no table.
    """
    if is_pandas(data) and hasattr(data, "columns"):
        return data
    if is_relation(data):
        return data.to_arrow_table()
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    raise ColumnError(
        "a history must be a pandas DataFrame, an Arrow table or a DuckDB relation",
        got=type(data).__name__,
        hint="make it with purchase_history(...)",
    )


def names_of(frame: Any) -> list[str]:
    """List the columns of a pandas frame or an Arrow table."""
    return list(frame.columns) if is_pandas(frame) else list(frame.column_names)


def read_numbers(frame: Any, wanted: Sequence[str]) -> list[Floats]:
    """Read columns as floats, null as NaN, in the order of the rows.

    Raises:
        ColumnError: a column is missing or holds no numbers.
    """
    missing = [name for name in wanted if name not in names_of(frame)]
    if missing:
        raise ColumnError(
            f"the history must have the columns {list(wanted)}",
            got=f"no {missing}; the columns are {names_of(frame)}",
            hint="make it with purchase_history(...)",
        )
    return [_floats(frame, name) for name in wanted]


def _floats(frame: Any, name: str) -> Floats:
    try:
        if is_pandas(frame):
            values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            values = frame[name].cast(pa.float64()).to_numpy()
    except (TypeError, ValueError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ColumnError(
            f"column {name} must hold numbers", got="something else", hint="convert it to numbers"
        ) from error
    return np.asarray(values, dtype=np.float64)


def read_purchases(frame: Any) -> tuple[Floats, Floats, Floats]:
    """Read repeat purchases, first to last purchase and age, and check that they fit together.

    Raises:
        ColumnError: a column is missing.
        DataError: there are no rows, or some cannot be true.
    """
    x, t_x, age = read_numbers(frame, ["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"])
    if not len(x):
        raise DataError("a history must have rows", got="none", hint="check the transactions")
    with np.errstate(invalid="ignore"):
        possible = (x >= 0) & (x == np.floor(x)) & (t_x >= 0) & (t_x <= age) & np.isfinite(age + x)
        possible &= (x > 0) == (t_x > 0)
    if not possible.all():
        raise DataError(
            "repeat_purchases must be whole, first_to_last_purchase_weeks between 0 (only without repeat"
            " purchases) and age_weeks",
            got=f"{int((~possible).sum()):,} of {len(x):,} rows where this is not so",
            hint="make the history with purchase_history(...)",
        )
    return x, t_x, age


def read_covariates(frame: Any, names: Sequence[str]) -> list[Floats]:
    """Read the columns that a model uses as covariates.

    Raises:
        ColumnError: one is missing or holds no numbers.
        DataError: one has unknown values.
    """
    values = read_numbers(frame, names) if names else []
    for name, column in zip(names, values, strict=True):
        unknown = int((~np.isfinite(column)).sum())
        if unknown:
            raise DataError(
                f"covariate {name} must be known of every customer",
                got=f"{unknown:,} of {len(column):,} rows without it",
                hint="fill it in, or add a 0/1 column for unknown",
            )
    return values


def read_weights(frame: Any, rows: int) -> Floats:
    """Read how many customers each row stands for: column `weight`, or one.

    Raises:
        DataError: a weight is not a positive number.
    """
    if "weight" not in names_of(frame):
        return np.ones(rows)
    weight = read_numbers(frame, ["weight"])[0]
    if not (np.isfinite(weight) & (weight > 0)).all():
        raise DataError("weights must be positive numbers", got="others", hint="count the customers by row")
    return weight


def with_columns(data: Any, frame: Any, new: Mapping[str, NDArray[Any]]) -> Any:
    """Add columns to a frame, replacing those of the same name, and hand back the kind that `data` is."""
    if is_pandas(frame):
        return frame.assign(**new)
    kept = frame.select([name for name in frame.column_names if name not in new])
    for name, values in new.items():
        kept = kept.append_column(name, pa.array(values, from_pandas=True))
    return as_relation(connect(), kept) if is_relation(data) else kept
