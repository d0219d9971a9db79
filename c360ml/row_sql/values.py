"""What generated Python is made of: values, and names for what it keeps."""

from __future__ import annotations

from typing import Any, NamedTuple


class Value(NamedTuple):
    """Python for a value: may it be None, and is it a mere name or constant, which can be written twice?"""

    code: str
    nullable: bool = True
    plain: bool = False


NULL = Value("None", True, True)


class Names:
    """What generated Python refers to: constants and functions by name, and names for what it keeps meanwhile."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._known: dict[Any, str] = {}
        self._meanwhile = 0

    def constant(self, value: Any, key: Any = None) -> str:
        """Name a constant or function; the same name for the same key."""
        key = id(value) if key is None else key
        if key not in self._known:
            self._known[key] = f"c{len(self._known)}"
            self.values[self._known[key]] = value
        return self._known[key]

    def meanwhile(self) -> str:
        """Name what is kept within an expression."""
        self._meanwhile += 1
        return f"t{self._meanwhile}"
