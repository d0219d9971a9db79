"""How a segment model is kept: plain JSON that says which model it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from c360ml.errors import ModelError

FORMAT = 1


def saved(model: str, **content: Any) -> dict[str, Any]:
    """Put a model's name and format in front of what it learned.

    >>> saved("ValueTiers", vip=0.95)
    {'model': 'ValueTiers', 'format': 1, 'vip': 0.95}
    """
    return {"model": model, "format": FORMAT, **content}


@contextmanager
def opening(model: str, content: dict[str, Any]) -> Iterator[None]:
    """Check what a model is read from, and say so clearly if a part is missing.

    Raises:
        ModelError: it is another model, another format, or damaged.
    """
    kind = (content.get("model"), content.get("format"))
    if kind != (model, FORMAT):
        raise ModelError(f"this must be a {model} of format {FORMAT}", got=kind, hint="fit and save it again")
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"a saved {model} must be whole", got=repr(error), hint="fit and save it again") from error
