"""How long something takes, in words."""

from __future__ import annotations


def show_seconds(seconds: float) -> str:
    """Write a time as a person says it.

    >>> show_seconds(8.4), show_seconds(70), show_seconds(7_260)
    ('8 s', '1 min 10 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
