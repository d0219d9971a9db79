"""What a table promises: layer, key, columns, types and meaning, and the order its rows lie in.

A column is one line: name, DuckDB type, meaning. `*` before the meaning marks personal data, which
never leaves the lakehouse for logs, models or MLflow.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column of a table: DuckDB type, meaning, and whether it holds personal data."""

    type: str
    meaning: str
    personal: bool


@dataclass(frozen=True)
class Table:
    """A named table: `bronze` as it came, `silver` clean and resolved, `gold` ready for use.

    Rows lie in the order of `sorted_by`, if it names a column, so that a reader of one of its values reads little.
    """

    name: str
    layer: str
    about: str
    key: tuple[str, ...]
    columns: dict[str, Column]
    sorted_by: str | None = None

    @property
    def path(self) -> str:
        """Name as SQL says it: `silver.records`."""
        return f"{self.layer}.{self.name}"


def table(path: str, *, key: str, about: str, columns: str, sorted_by: str | None = None) -> Table:
    """Read a table's contract from text, one column a line."""
    layer, name = path.split(".")
    parsed = {}
    for line in filter(str.strip, columns.splitlines()):
        column, sql_type, meaning = line.split(maxsplit=2)
        parsed[column] = Column(sql_type, meaning.removeprefix("* "), meaning.startswith("* "))
    return Table(name, layer, about, tuple(key.split()), parsed, sorted_by)
