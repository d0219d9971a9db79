"""Single questions to DuckDB, for the rare texts that Python would answer differently, or slowly."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from c360ml.lakehouse import connect

if TYPE_CHECKING:
    import duckdb

_LOCK = threading.Lock()


def asked(expression: str) -> Callable[..., Any]:
    """Make a function of an SQL expression over `$1`, `$2` and so on.

    >>> asked("lower($1) || $2")("A", "b")
    'ab'
    """
    question = f"select {expression}"

    def ask(*values: Any) -> Any:
        with _LOCK:
            return _connection(os.getpid()).execute(question, values).fetchall()[0][0]

    return ask


def answers(query: str) -> list[tuple[Any, ...]]:
    """Rows of a query without parameters.

    >>> answers("select 1, 'a'")
    [(1, 'a')]
    """
    with _LOCK:
        return _connection(os.getpid()).execute(query).fetchall()


@cache
def _connection(process: int) -> duckdb.DuckDBPyConnection:
    """One connection a process: DuckDB does not outlive a fork."""
    return connect(threads=1)
